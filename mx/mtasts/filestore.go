package mtasts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// A FileStore keeps each policy in a file of its own. It is safe for concurrent
// use, by several processes too.
//
// A file is there whole or not at all, whenever the machine stops. One that
// cannot be read costs the policy of its domain only, until that is fetched
// again.
type FileStore struct {
	Dir string // the folder of the files. It is made at the first Save if need be
}

// A file is named for its domain. The prefix keeps clear of names that Windows
// gives to devices.
const (
	filePrefix, fileSuffix = "sts-", ".json"
	tempPattern            = "tmp-*"
	maxFileSize            = 8 * maxPolicySize // in JSON an octet takes up to six
)

// fileEntry is what is in a file.
type fileEntry struct {
	Domain  string    `json:"domain"`
	ID      string    `json:"id"`
	Fetched time.Time `json:"fetched"`
	Policy  string    `json:"policy"`
}

// All reads the files. A folder that does not exist holds none.
func (s *FileStore) All(ctx context.Context) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		files, err := os.ReadDir(s.Dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !yield(Entry{}, err) {
			return
		}
		for _, file := range files {
			if ctx.Err() != nil {
				yield(Entry{}, ctx.Err())
				return
			}
			domain, ok := domainOf(file.Name())
			if !ok {
				s.tidy(file)
				continue
			}
			e, err := s.read(domain)
			if errors.Is(err, fs.ErrNotExist) {
				continue // deleted meanwhile
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// Save writes a file, and waits until it is on the disk.
func (s *FileStore) Save(_ context.Context, e Entry) (err error) {
	name, ok := s.file(e.Domain)
	if !ok {
		return fmt.Errorf("mtasts: %.60q is no domain to keep a policy of", e.Domain)
	}
	text, err := json.Marshal(fileEntry{Domain: e.Domain, ID: e.ID, Fetched: e.Fetched, Policy: e.Policy.String()})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	temp, err := os.CreateTemp(s.Dir, tempPattern)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			temp.Close()
			os.Remove(temp.Name())
		}
	}()
	if _, err := temp.Write(append(text, '\n')); err != nil {
		return err
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	if err := temp.Close(); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), name); err != nil {
		return err
	}
	return s.sync()
}

// Delete removes a file.
func (s *FileStore) Delete(_ context.Context, domain string) error {
	name, ok := s.file(domain)
	if !ok {
		return nil
	}
	err := os.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// file returns the name of a domain's file.
func (s *FileStore) file(domain string) (string, bool) {
	name, ok := canonical(domain)
	return filepath.Join(s.Dir, filePrefix+name+fileSuffix), ok && name == domain
}

// domainOf is the opposite of file.
func domainOf(file string) (string, bool) {
	domain, ok := strings.CutPrefix(file, filePrefix)
	domain, ok2 := strings.CutSuffix(domain, fileSuffix)
	name, ok3 := canonical(domain)
	return domain, ok && ok2 && ok3 && name == domain
}

func (s *FileStore) read(domain string) (Entry, error) {
	name, _ := s.file(domain)
	f, err := os.Open(name)
	if err != nil {
		return Entry{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFileSize))
	if err != nil {
		return Entry{}, err
	}
	var e fileEntry
	if err := json.Unmarshal(text, &e); err != nil {
		return Entry{}, fmt.Errorf("mtasts: %s: %w", name, err)
	}
	policy, err := parsePolicy(e.Policy) // a policy at the limit is longer as we write it
	switch {
	case err != nil:
		return Entry{}, fmt.Errorf("mtasts: %s: %w", name, err)
	case e.Domain != domain || !isID(e.ID):
		return Entry{}, fmt.Errorf("mtasts: %s: not what was saved there", name)
	}
	return Entry{Domain: e.Domain, ID: e.ID, Policy: *policy, Fetched: e.Fetched}, nil
}

// tidy removes what a Save has left behind that was cut short long ago.
func (s *FileStore) tidy(file fs.DirEntry) {
	if ok, _ := filepath.Match(tempPattern, file.Name()); !ok {
		return
	}
	if info, err := file.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > time.Hour {
		os.Remove(filepath.Join(s.Dir, file.Name()))
	}
}

// sync makes the names in the folder last.
func (s *FileStore) sync() error {
	if runtime.GOOS == "windows" {
		return nil // folders cannot be synced there
	}
	d, err := os.Open(s.Dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
