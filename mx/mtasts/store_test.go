package mtasts_test

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/mx/mtasts"
)

func newEntry(t *testing.T, domain, id string) mtasts.Entry {
	t.Helper()
	p, err := mtasts.ParsePolicy(policyText)
	if err != nil {
		t.Fatal(err)
	}
	return mtasts.Entry{Domain: domain, ID: id, Policy: *p, Fetched: time.Now()}
}

// kept describes what a store has, and how many entries cannot be read.
func kept(t *testing.T, s mtasts.Store) (list []string, bad int) {
	t.Helper()
	for e, err := range s.All(t.Context()) {
		if err != nil {
			bad++
			continue
		}
		if e.Policy.String() != policyText || time.Since(e.Fetched).Abs() > time.Hour {
			t.Errorf("%+v", e)
		}
		list = append(list, e.Domain+" "+e.ID)
	}
	slices.Sort(list)
	return list, bad
}

func TestStores(t *testing.T) {
	for name, s := range map[string]mtasts.Store{
		"memory": new(mtasts.MemoryStore),
		"files":  &mtasts.FileStore{Dir: filepath.Join(t.TempDir(), "a", "b")},
	} {
		t.Run(name, func(t *testing.T) {
			want := func(want ...string) {
				t.Helper()
				if list, bad := kept(t, s); !slices.Equal(list, want) || bad != 0 {
					t.Errorf("%q and %d bad ones, want %q", list, bad, want)
				}
			}
			save := func(domain, id string) {
				t.Helper()
				if err := s.Save(t.Context(), newEntry(t, domain, id)); err != nil {
					t.Error(err)
				}
			}
			remove := func(domain string) {
				t.Helper()
				if err := s.Delete(t.Context(), domain); err != nil {
					t.Error(err)
				}
			}
			want()
			remove("example.org")
			save("example.org", "a")
			save("con", "b") // a device on Windows
			save("_x.example.com", "c")
			want("_x.example.com c", "con b", "example.org a")
			save("example.org", "d")
			remove("con")
			remove("con")
			want("_x.example.com c", "example.org d")
			for range s.All(t.Context()) {
				break
			}
		})
	}
}

func TestFileStoreNames(t *testing.T) {
	dir := t.TempDir()
	s := &mtasts.FileStore{Dir: filepath.Join(dir, "policies")}
	for _, domain := range []string{"", ".", "..", "../x", "a/b", `a\b`, "a..b", "Example.org", "example.org.", "a\x00b", "a b", strings.Repeat("a.", 130)} {
		if err := s.Save(t.Context(), newEntry(t, domain, "a")); err == nil {
			t.Errorf("%q was saved", domain)
		}
		if err := s.Delete(t.Context(), domain); err != nil {
			t.Errorf("%q: %v", domain, err)
		}
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*", "*")); files != nil {
		t.Errorf("there are %q", files)
	}
	longest := strings.Repeat("a.", 121) + "bc" // with _mta-sts. in front 253 octets
	if err := s.Save(t.Context(), newEntry(t, longest, "a")); err != nil {
		t.Error(err)
	}
}

// Whatever is in the folder, the other policies are read.
func TestFileStoreIsCorrupt(t *testing.T) {
	dir := t.TempDir()
	s := &mtasts.FileStore{Dir: dir}
	for _, domain := range []string{"good.example", "cut.example", "moved.example"} {
		if err := s.Save(t.Context(), newEntry(t, domain, "a")); err != nil {
			t.Fatal(err)
		}
	}
	path := func(name string) string { return filepath.Join(dir, name) }
	whole, err := os.ReadFile(path("sts-cut.example.json"))
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.WriteFile(path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("sts-cut.example.json", string(whole[:len(whole)/2]))
	if err := os.Rename(path("sts-moved.example.json"), path("sts-elsewhere.example.json")); err != nil {
		t.Fatal(err)
	}
	write("sts-empty.example.json", "")
	write("sts-zero.example.json", strings.Repeat("\x00", 300))
	write("sts-list.example.json", "[]")
	write("sts-policy.example.json", `{"domain":"policy.example","id":"a","fetched":"2024-01-01T00:00:00Z","policy":"hello"}`)
	write("sts-id.example.json", strings.Replace(strings.Replace(string(whole), "cut.example", "id.example", 1), `"id":"a"`, `"id":"?"`, 1))
	write("sts-huge.example.json", `{"domain":"`+strings.Repeat("x", 1<<20))
	if err := os.Mkdir(path("sts-folder.example.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	write("README", "hello")                 // not ours
	write("sts-Capital.example.json", "...") // not ours either
	write("tmp-123", "cut short")
	write("tmp-456", "being written")
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(path("tmp-123"), old, old); err != nil {
		t.Fatal(err)
	}

	if list, bad := kept(t, s); !slices.Equal(list, []string{"good.example a"}) || bad != 9 {
		t.Errorf("%q and %d bad ones", list, bad)
	}
	for name, want := range map[string]bool{"README": true, "tmp-123": false, "tmp-456": true} {
		if _, err := os.Stat(path(name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A new policy takes the place of a broken one.
	if err := s.Save(t.Context(), newEntry(t, "cut.example", "b")); err != nil {
		t.Fatal(err)
	}
	if list, bad := kept(t, s); !slices.Equal(list, []string{"cut.example b", "good.example a"}) || bad != 8 {
		t.Errorf("%q and %d bad ones", list, bad)
	}
}

// The largest policies that can be fetched can be read again.
func TestFileStoreOfLargePolicies(t *testing.T) {
	s := &mtasts.FileStore{Dir: t.TempDir()}
	text := "version:STSv1\nmode:enforce\nmax_age:1\n"
	text += strings.Repeat("mx:a\n", (64<<10-len(text))/5)
	p, err := mtasts.ParsePolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	e := newEntry(t, "example.org", "a")
	e.Policy = *p
	if err := s.Save(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	for e, err := range s.All(t.Context()) {
		if err != nil || len(e.Policy.MX) != len(p.MX) {
			t.Errorf("%d patterns, %v", len(e.Policy.MX), err)
		}
	}
}

func TestFileStoreWithoutFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := &mtasts.FileStore{Dir: dir}
	if err := s.Save(t.Context(), newEntry(t, "example.org", "a")); err == nil {
		t.Error("saved into a file")
	}
	if _, bad := kept(t, s); bad != 1 {
		t.Errorf("%d errors", bad)
	}
	synctest.Test(t, func(t *testing.T) { // policies hold all the same, and somebody hears of it
		w := newWorld(t)
		w.ids["example.org"] = "a"
		c := w.cache(s)
		w.want(c, "example.org", mtasts.Fetched, "a", "", 1, 1)
		time.Sleep(time.Hour)
		w.set(func() { w.dnsErr, w.status = errDNS, 404 })
		w.want(c, "example.org", mtasts.Stale, "a", mtasts.DNSFailed, 1, 0)
		for _, want := range []string{"cannot be read", "cannot be saved"} {
			if strings.Count(w.log.String(), want) != 1 {
				t.Errorf("not once %q: %s", want, w.log.String())
			}
		}
	})
}

// What a Cache finds out, the next one knows.
func TestCacheWithStore(t *testing.T) {
	dir := t.TempDir() // outside of the bubble: its clean-up waits
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ids["example.org"] = "a"
		store := &mtasts.FileStore{Dir: dir}
		w.want(w.cache(store), "example.org", mtasts.Fetched, "a", "", 1, 1)
		time.Sleep(time.Hour)
		w.want(w.cache(store), "example.org", mtasts.Cached, "a", "", 1, 0)
		w.set(func() { w.dnsErr, w.status = errDNS, 404 })
		w.want(w.cache(store), "example.org", mtasts.Stale, "a", mtasts.DNSFailed, 1, 0)

		// Refresh knows it without a Lookup.
		time.Sleep(24 * time.Hour)
		w.set(func() { w.dnsErr, w.status = nil, 200 })
		if err := w.cache(store).Refresh(t.Context()); err != nil {
			t.Error(err)
		}
		if l, f := w.asked(); l != 1 || f != 1 {
			t.Errorf("%d lookups, %d fetches", l, f)
		}

		time.Sleep(7*24*time.Hour - 1)
		w.want(w.cache(store), "example.org", mtasts.Cached, "a", "", 1, 0)
		time.Sleep(time.Nanosecond)
		w.want(w.cache(store), "none.example.org", mtasts.Absent, "", mtasts.NoRecord, 1, 0)
		if files, _ := os.ReadDir(dir); len(files) != 0 {
			t.Errorf("an expired policy is still there: %v", files)
		}
	})
}

// If there is room for some only, those are kept that were fetched the latest.
func TestStoreOfTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := new(mtasts.MemoryStore)
		for _, domain := range []string{"c", "d", "a", "b", "e"} {
			store.Save(t.Context(), newEntry(t, domain, "1"))
			time.Sleep(time.Second)
		}
		c := w.cache(store)
		c.MaxDomains = 2
		w.want(c, "e", mtasts.Stale, "1", mtasts.NoRecord, 1, 0)
		if list, _ := kept(t, store); !slices.Equal(list, []string{"b 1", "e 1"}) {
			t.Errorf("the store has %q", list)
		}
	})
}

// A clock that was wrong makes no policy hold for longer.
func TestStoreOfTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := new(mtasts.MemoryStore)
		e := newEntry(t, "example.org", "a")
		e.Fetched = e.Fetched.Add(10 * 365 * 24 * time.Hour)
		store.Save(t.Context(), e)
		c := w.cache(store)
		w.want(c, "example.org", mtasts.Stale, "a", mtasts.NoRecord, 1, 0)
		time.Sleep(7 * 24 * time.Hour)
		w.want(c, "example.org", mtasts.Absent, "", mtasts.NoRecord, 1, 0)
	})
}

// A Store that is broken or slow costs what it keeps, and nothing else.
func TestStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ids["example.org"], w.policy = "a", strings.Replace(policyText, "604800", "60", 1)
		c := w.cache(&badStore{err: errors.New("the disk is full")})
		w.want(c, "example.org", mtasts.Fetched, "a", "", 1, 1)
		w.want(c, "example.org", mtasts.Cached, "a", "", 0, 0)
		time.Sleep(time.Minute)
		c.Refresh(t.Context())
		for _, want := range []string{"cannot be read", "cannot be saved", "cannot be deleted"} {
			if strings.Count(w.log.String(), want) != 1 {
				t.Errorf("not once %q: %s", want, w.log.String())
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.ids["example.org"] = "a"
		store := &badStore{delay: 10 * time.Second}
		c := w.cache(store)
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		done := make(chan error)
		go func() {
			_, err := c.Lookup(impatient, "example.org")
			done <- err
		}()
		synctest.Wait()
		go func() {
			_, err := c.Lookup(t.Context(), "example.org")
			done <- err
		}()
		if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := <-done; err != nil || store.reads != 2 {
			t.Errorf("%v, read %d times", err, store.reads)
		}
	})
}

type badStore struct {
	err   error
	delay time.Duration
	reads int
}

func (s *badStore) All(ctx context.Context) iter.Seq2[mtasts.Entry, error] {
	s.reads++
	return func(yield func(mtasts.Entry, error) bool) {
		select {
		case <-time.After(s.delay):
			yield(mtasts.Entry{}, s.err)
		case <-ctx.Done():
			yield(mtasts.Entry{}, ctx.Err())
		}
	}
}

func (s *badStore) Save(context.Context, mtasts.Entry) error { return s.err }
func (s *badStore) Delete(context.Context, string) error     { return s.err }

// What is removed since it has expired, and fetched meanwhile, stays in the Store,
// whichever comes first there.
func TestStoreIsOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.serve("a.example", "b.example", "c.example")
		w.ids["a.example"], w.ids["b.example"], w.ids["c.example"] = "1", "1", "1"
		w.policy = strings.Replace(policyText, "604800", "60", 1)
		store := &slowStore{}
		c := w.cache(store)
		all := []string{"a.example", "b.example", "c.example"}
		for _, domain := range all {
			w.want(c, domain, mtasts.Fetched, "1", "", 1, 1)
		}
		time.Sleep(time.Minute)
		w.policy = policyText
		store.delay = 10 * time.Second
		var wg sync.WaitGroup
		wg.Go(func() { c.Refresh(t.Context()) })
		for _, domain := range all {
			time.Sleep(8 * time.Second)
			w.want(c, domain, mtasts.Fetched, "1", "", 1, 1)
		}
		wg.Wait()
		if list, _ := kept(t, store); len(list) != len(all) {
			t.Errorf("the store has %q only", list)
		}
	})
}

// A slowStore deletes what was there when it has been asked for long.
type slowStore struct {
	mtasts.MemoryStore
	delay time.Duration
}

func (s *slowStore) Delete(ctx context.Context, domain string) error {
	time.Sleep(s.delay)
	return s.MemoryStore.Delete(ctx, domain)
}
