package sqltest

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/sqlqueue"
)

func attach(t testing.TB, path string) *sqlqueue.Store {
	t.Helper()
	s, err := sqlqueue.Attach(context.Background(), openFile(t, path), sqlqueue.SQLite, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// Who attaches to a queue takes nothing over, and can neither bring nor deliver.
func TestSQLiteAttach(t *testing.T) {
	path := newFile(t)
	s := openStore(t, path, nil)
	leased := put(t, s, contentOf(100), commitOf(time.Now().Add(time.Hour), "example.net"))
	tx, err := s.Begin(t.Context(), -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Write(contentOf(1 << 20)); err != nil {
		t.Fatal(err)
	}
	a := attach(t, path)
	if _, err := a.Begin(t.Context(), 0); err == nil {
		t.Error("a message can be begun")
	}
	now := time.Now()
	if l, err := a.Lease(t.Context(), queue.LeaseRequest{Destination: "example.net", Max: 1, Now: now, Until: now}); err == nil {
		t.Errorf("leased %v", l)
	}
	if n, err := a.Change(t.Context(), queue.Filter{}, queue.Hold, now); n != 1 || err != nil {
		t.Errorf("%d are held, %v", n, err)
	}
	for _, s := range []queue.Store{a, s} {
		if st, err := s.Stats(t.Context()); err != nil || st.Messages != 1 || st.Held != 1 || st.Leased != 1 {
			t.Errorf("%+v, %v", st, err)
		}
	}
	if _, err := tx.Commit(t.Context(), commitOf(time.Time{}, "example.org")); err != nil {
		t.Error(err)
	}
	set := settled(leased[0])
	if err := s.Settle(t.Context(), []*queue.Settlement{set}); err != nil || set.Err != nil {
		t.Error(err, set.Err)
	}
	a.Close()
	s.Close()
	checkTables(t, path)
}

func TestSQLiteAttachToNothing(t *testing.T) {
	s, err := sqlqueue.Attach(t.Context(), openFile(t, newFile(t)), sqlqueue.SQLite, nil)
	if err == nil {
		s.Close()
		t.Error("attached")
	}
}

// A name that was mistyped makes no file.
func TestSQLiteAttachMakesNoFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a %20#b")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "typo.db")
	t.Chdir(filepath.Dir(dir))
	escape := strings.NewReplacer("%", "%25", "#", "%23").Replace
	names := []string{path, path + "?_pragma=busy_timeout(1)", "file:" + escape(path) + "?cache=private", "file:" + escape("a %20#b/typo.db")}
	for _, dsn := range names {
		s, err := sqlqueue.AttachDSN(t.Context(), dsn, nil)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.HasPrefix(err.Error(), "sqlqueue: there is no queue ") || !strings.HasSuffix(path, strings.TrimPrefix(err.Error(), "sqlqueue: there is no queue ")) {
			t.Errorf("%s: %v", dsn, err)
		}
	}
	if files, _ := os.ReadDir(dir); len(files) > 0 {
		t.Errorf("made: %v", files)
	}
	for _, dsn := range names {
		s, err := sqlqueue.OpenDSN(t.Context(), dsn, nil)
		if err != nil {
			t.Fatal(err)
		}
		a, err := sqlqueue.AttachDSN(t.Context(), dsn, nil)
		if err != nil {
			t.Fatal(err)
		}
		a.Close()
		s.Close()
	}
}

// While mail comes and goes, an operator in another process holds, releases and
// deletes: he comes through, nobody waits for long, and nothing is lost or counted
// wrongly.
func TestSQLiteAttachUnderLoad(t *testing.T) {
	path := newFile(t)
	s := openStore(t, path, nil)
	a := attach(t, path)
	var over atomic.Bool
	var longest, lives atomic.Int64
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			c := commitOf(time.Time{}, "example.net")
			for !over.Load() {
				began := time.Now()
				if err := live(s, contentOf(4096), c); err != nil && err != queue.ErrLost {
					t.Error(err)
					return
				}
				lives.Add(1)
				for took := int64(time.Since(began)); ; {
					old := longest.Load()
					if took <= old || longest.CompareAndSwap(old, took) {
						break
					}
				}
			}
		})
	}
	const parked = 300
	for range parked {
		if _, err := tryPut(s, contentOf(100)); err != nil {
			t.Fatal(err)
		}
	}
	// Those of example.net that are underway are held and released too.
	f := queue.Filter{Destination: "example.net"}
	rounds := 10
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		for _, do := range []queue.Action{queue.Hold, queue.Release, queue.Retry} {
			if n, err := a.Change(t.Context(), f, do, time.Now()); err != nil || n < parked {
				t.Errorf("%v: %d, %v", do, n, err)
			}
		}
	}
	if n, err := a.Change(t.Context(), f, queue.Delete, time.Now()); err != nil || n < parked {
		t.Errorf("Delete: %d, %v", n, err)
	}
	over.Store(true)
	wait.Wait()
	t.Logf("%d lives, the longest took %v", lives.Load(), time.Duration(longest.Load()))
	if took := time.Duration(longest.Load()); took > 15*time.Second { // a disk may take its time
		t.Errorf("somebody has waited for %v", took)
	}
	if st, err := s.Stats(t.Context()); err != nil || st.Messages != 0 || st.Items != 0 || st.Held != 0 || st.Leased != 0 {
		t.Errorf("%+v, %v", st, err)
	}
	a.Close()
	s.Close()
	checkTables(t, path)
}

// A listing that takes its time keeps no old state of the database alive, so the
// log is used again.
func TestSQLiteLogStaysSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 30 MB")
	}
	path := newFile(t)
	s := openStore(t, path, nil)
	for range 500 {
		if _, err := tryPut(s, contentOf(100)); err != nil {
			t.Fatal(err)
		}
	}
	scanned := 0
	for _, err := range s.Scan(t.Context(), queue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if scanned++; scanned != 100 {
			continue
		}
		c := commitOf(time.Time{}, "example.com")
		for range 1500 {
			if err := live(s, contentOf(20_000), c); err != nil {
				t.Fatal(err)
			}
		}
	}
	if scanned != 500 {
		t.Errorf("%d items", scanned)
	}
	info, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 16<<20 { // twice what makes a checkpoint
		t.Errorf("the log has %d octets", info.Size())
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 8<<20 { // freed pages are used again
		t.Errorf("the database has %d octets, %v", info.Size(), err)
	}
}

// Outcomes are removed when they were kept long enough, a few at a time.
func TestSQLiteOutcomesArePurged(t *testing.T) {
	path := newFile(t)
	s := openStore(t, path, &sqlqueue.Options{KeepOutcomes: time.Hour})
	end := func(at time.Time) {
		t.Helper()
		l := put(t, s, contentOf(100), commitOf(at.Add(time.Minute), "example.net"))
		set := settled(l[0])
		set.Done[0].Time = at
		if err := s.Settle(t.Context(), []*queue.Settlement{set}); err != nil || set.Err != nil {
			t.Fatal(err, set.Err)
		}
	}
	counted := func() (n int) {
		t.Helper()
		for _, err := range s.Outcomes(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	now := time.Now()
	for range 300 {
		end(now)
	}
	if n := counted(); n != 300 {
		t.Errorf("%d outcomes, want all 300", n)
	}
	for range 300 {
		end(now.Add(2 * time.Hour))
	}
	if n := counted(); n != 300 {
		t.Errorf("%d outcomes, want the later 300", n)
	}
	s.Close()
	s = openStore(t, path, nil)
	if n := counted(); n != 300 { // none of which is old
		t.Errorf("%d outcomes after all", n)
	}
}
