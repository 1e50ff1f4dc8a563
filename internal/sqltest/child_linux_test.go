package sqltest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/leaktest"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/sqlqueue"
)

// A child is the test program started again to do something to a queue that the
// tests' own process had better not.
const childVariable = "SQLTEST_CHILD"

var children = map[string]func(path string) error{
	"put":   childPuts,
	"disk":  childFillsDisk,
	"limit": childHitsLimit,
	"sync":  childCommits,
}

func TestMain(m *testing.M) {
	if what := os.Getenv(childVariable); what != "" {
		if err := children[what](os.Args[1]); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(leaktest.Main(m))
}

func child(what, path string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], path)
	cmd.Env = append(os.Environ(), childVariable+"="+what)
	return cmd
}

func openChild(path string) (*sqlqueue.Store, error) {
	db, err := openDB(path)
	if err != nil {
		return nil, err
	}
	return sqlqueue.Open(context.Background(), db, sqlqueue.SQLite, nil)
}

// The process is killed while it stores messages, small and large: what it has
// confirmed is there, whole, and what it has not is either there or leaves nothing.
func TestSQLiteKill(t *testing.T) {
	path := newFile(t)
	confirmed := map[queue.ID]int{}
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		cmd := child("put", path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			name, size, _ := strings.Cut(lines.Text(), " ")
			id, err := queue.ParseID(name)
			if err != nil {
				t.Fatal(lines.Text())
			}
			confirmed[id], _ = strconv.Atoi(size)
			if n == 50+37*round {
				cmd.Process.Kill()
			}
		}
		cmd.Wait()
	}
	s := openStore(t, path, nil)
	found := 0
	for e, err := range s.Scan(t.Context(), queue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		_, content, err := s.Open(t.Context(), e.Message.ID)
		if err != nil {
			t.Fatal(err)
		}
		got := readAll(t, content)
		if size, ok := confirmed[e.Message.ID]; ok && size != len(got) || !bytes.Equal(got, contentOf(len(got))) {
			t.Errorf("%s has %d octets of %d", e.Message.ID, len(got), size)
		}
		delete(confirmed, e.Message.ID)
		found++
	}
	if len(confirmed) > 0 {
		t.Errorf("%d are lost", len(confirmed))
	}
	if found < 50*rounds {
		t.Errorf("only %d messages", found)
	}
	s.Close()
	checkTables(t, path)
}

func childPuts(path string) error {
	s, err := openChild(path)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	for i := range 8 {
		go func() {
			for n := 0; ; n++ {
				size := 3000
				if n%10 == i {
					size = 700_000
				}
				id, err := tryPut(s, contentOf(size))
				if err != nil {
					fmt.Println("error:", err)
					os.Exit(1)
				}
				mu.Lock()
				fmt.Println(id, size)
				mu.Unlock()
			}
		}()
	}
	time.Sleep(time.Minute)
	return errors.New("nobody has killed it")
}

// A disk that is really full, and then is not: the file system is one of 16 MB that
// nobody else sees.
func TestSQLiteDiskFull(t *testing.T) {
	cmd := child("disk", t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	runChild(t, cmd)
}

// runChild fails the test if the child does, and skips it if the child cannot have
// what it needs.
func runChild(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if text := string(out); strings.Contains(text, errNotHere.Error()) || errors.Is(err, syscall.EPERM) {
		t.Skip(text, err)
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

var errNotHere = errors.New("not on this machine")

func childFillsDisk(dir string) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		return fmt.Errorf("%w: %w", errNotHere, err)
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 8<<20), 0o600); err != nil {
		return err
	}
	path := filepath.Join(dir, "queue.db")
	s, err := openChild(path)
	if err != nil {
		return err
	}
	defer s.Close()
	return fillAndGoOn(s, path, true, func() error { return os.Remove(ballast) })
}

// The system refuses to let the file grow: no error that we have a word for.
func TestSQLiteError(t *testing.T) {
	runChild(t, child("limit", newFile(t)))
}

func childHitsLimit(path string) error {
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	s, err := openChild(path)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 4 << 20, Max: limit.Max}); err != nil {
		return err
	}
	return fillAndGoOn(s, path, false, func() error { return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit) })
}

// fillAndGoOn puts messages until that fails, sees that nothing that was confirmed
// is lost and nothing else is there, has the fault repaired, and goes on.
func fillAndGoOn(s *sqlqueue.Store, path string, full bool, repair func() error) error {
	stored := map[queue.ID]bool{}
	for i := 0; ; i++ {
		size := 20_000
		if i%5 == 4 {
			size = 300_000
		}
		id, err := tryPut(s, contentOf(size))
		if err == nil && i > 10_000 {
			return errors.New("no fault")
		}
		if err != nil {
			if errors.Is(err, queue.ErrFull) != full {
				return err
			}
			break
		}
		stored[id] = true
	}
	for range 20 {
		if id, err := tryPut(s, contentOf(20_000)); err == nil {
			stored[id] = true
		}
	}
	if err := sameMessages(s, stored); err != nil {
		return fmt.Errorf("while the fault lasts: %w", err)
	}
	if err := repair(); err != nil {
		return err
	}
	for range 20 {
		id, err := tryPut(s, contentOf(20_000))
		if err != nil {
			return fmt.Errorf("the fault is gone: %w", err)
		}
		stored[id] = true
	}
	if err := sameMessages(s, stored); err != nil {
		return err
	}
	s.Close()
	again, err := openChild(path)
	if err != nil {
		return err
	}
	defer again.Close()
	return sameMessages(again, stored)
}

func sameMessages(s queue.Store, stored map[queue.ID]bool) error {
	n := 0
	for e, err := range s.Scan(context.Background(), queue.Filter{}) {
		if err != nil {
			return err
		}
		if !stored[e.Message.ID] {
			return fmt.Errorf("%s was refused, and is there", e.Message.ID)
		}
		_, content, err := s.Open(context.Background(), e.Message.ID)
		if err != nil {
			return err
		}
		r, err := content.Open()
		if err != nil {
			return err
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, contentOf(len(got))) || int64(len(got)) != e.Message.Size {
			return fmt.Errorf("%s has %d octets of %d, %w", e.Message.ID, len(got), e.Message.Size, err)
		}
		n++
	}
	if n != len(stored) {
		return fmt.Errorf("%d messages of %d", n, len(stored))
	}
	return nil
}

// Between the last octet that goes to the log and the word that a message is there
// the log is synced, whatever the data source name says. The system's own record of
// what the process does is the proof.
func TestSQLiteSync(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip(err)
	}
	record := filepath.Join(t.TempDir(), "record")
	cmd := child("sync", "file:"+newFile(t)+"?_pragma=synchronous(OFF)")
	cmd.Path, cmd.Args = strace, append([]string{"strace", "-f", "-y", "-s", "16", "-e", "trace=write,pwrite64,fsync,fdatasync", "-o", record, "--", os.Args[0]}, cmd.Args[1:]...)
	if out, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "ptrace") {
			t.Skip(string(out))
		}
		t.Fatalf("%v: %s", err, out)
	}
	f, err := os.Open(record)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	commits, dirty := 0, false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		switch ended := !strings.Contains(line, "unfinished"); {
		case strings.Contains(line, "pwrite64(") && strings.Contains(line, "-wal>"):
			dirty = true
		case strings.Contains(line, "sync(") && strings.Contains(line, "-wal>") && ended,
			strings.Contains(line, "sync resumed>"):
			dirty = false
		case strings.Contains(line, `"committed`):
			commits++
			if dirty {
				t.Errorf("commit %d was confirmed and not synced", commits)
			}
			dirty = true // until something is synced again
		}
	}
	if commits != 20 {
		t.Errorf("%d commits in the record", commits)
	}
}

func childCommits(dsn string) error {
	s, err := openChild(dsn)
	if err != nil {
		return err
	}
	defer s.Close()
	for i := range 20 {
		size := 100
		if i%4 == 3 {
			size = 500_000
		}
		if _, err := tryPut(s, contentOf(size)); err != nil {
			return err
		}
		syscall.Write(1, []byte("committed\n"))
	}
	return nil
}
