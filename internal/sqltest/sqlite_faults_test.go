package sqltest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/sqlqueue"
	"github.com/postrider/postrider/smtp"
)

// tryPut commits a content for example.net.
func tryPut(s queue.Store, content []byte) (queue.ID, error) {
	ctx := context.Background()
	tx, err := s.Begin(ctx, -1)
	if err != nil {
		return 0, err
	}
	defer tx.Abort()
	for part := range chunks(content, 32<<10) {
		if _, err := tx.Write(part); err != nil {
			return 0, err
		}
	}
	_, err = tx.Commit(ctx, commitOf(time.Time{}, "example.net"))
	return tx.ID(), err
}

func chunks(b []byte, n int) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			part := b[:min(n, len(b))]
			if b = b[len(part):]; !yield(part) {
				return
			}
		}
	}
}

func contentOf(size int) []byte {
	return bytes.Repeat([]byte("0123456789012345678901234567890123456789012345678901234567890\r\n"), size/63+1)[:size]
}

func count(t testing.TB, s queue.Store) int {
	t.Helper()
	n := 0
	for _, err := range s.Scan(context.Background(), queue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// Who finds no room is told so, whoever needs none goes on, and when there is room
// again nothing else has to be done.
func TestSQLiteFull(t *testing.T) {
	path := newFile(t)
	s, err := sqlqueue.Open(t.Context(), openFile(t, "file:"+path+"?_pragma=max_page_count(500)"), sqlqueue.SQLite, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fill(t, s)
	stored := count(t, s)
	if _, err := tryPut(s, contentOf(4<<20)); !errors.Is(err, queue.ErrFull) {
		t.Errorf("4 MB in pieces: %v", err)
	}
	leased, err := s.Lease(t.Context(), queue.LeaseRequest{Destination: "example.net", Max: 1000, Now: time.Now(), Until: time.Now().Add(time.Minute)})
	if err != nil || len(leased) != stored {
		t.Fatalf("%d of %d items, %v", len(leased), stored, err)
	}

	// Together with some that find no room.
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if _, err := tryPut(s, contentOf(60<<10)); err != nil && !errors.Is(err, queue.ErrFull) {
				t.Error(err)
			}
		})
	}
	for _, l := range leased {
		wait.Go(func() {
			set := settled(l)
			if err := s.Settle(context.Background(), []*queue.Settlement{set}); err != nil || set.Err != nil {
				t.Error(err, set.Err)
			}
		})
	}
	wait.Wait()
	if _, err := tryPut(s, contentOf(60<<10)); err != nil {
		t.Error(err)
	}
	s.Close()
	checkTables(t, path)
	if n := ask(t, openFile(t, path), `SELECT count(*) FROM queue_pieces`); n != "0" {
		t.Errorf("%s pieces are left", n)
	}
}

// fill puts messages until there is no room.
func fill(t *testing.T, s queue.Store) {
	t.Helper()
	var full atomic.Bool
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for i := 0; !full.Load(); i++ {
				_, err := tryPut(s, contentOf(60<<10))
				var reply *smtp.Error
				switch {
				case errors.Is(err, queue.ErrFull):
					full.Store(true)
					if !errors.As(err, &reply) || reply.Reply.Code != 452 {
						t.Errorf("no 452 in %v", err)
					}
				case err != nil:
					t.Error(err)
					full.Store(true)
				case i == 10_000:
					t.Error("there is room for everything")
					full.Store(true)
				}
			}
		})
	}
	wait.Wait()
}

// One that cannot be stored does not spoil those that are stored with it, unless the
// transaction is gone: then all of them fail, and the next do not.
func TestSQLiteGroup(t *testing.T) {
	for _, test := range []struct {
		action string
		alone  bool
	}{{"ABORT", true}, {"FAIL", true}, {"ROLLBACK", false}} {
		t.Run(test.action, func(t *testing.T) {
			path := newFile(t)
			s := openStore(t, path, nil)
			execAll(t, openFile(t, path), `CREATE TRIGGER refuse AFTER INSERT ON queue_messages WHEN NEW.size = 1313
				BEGIN SELECT RAISE(`+test.action+`, 'unlucky'); END`)
			var wait sync.WaitGroup
			var stored, failed atomic.Int64
			for i := range 100 {
				wait.Go(func() {
					size := 1300
					if i%10 == 3 {
						size = 1313
					}
					_, err := tryPut(s, contentOf(size))
					switch {
					case err == nil && size != 1313:
						stored.Add(1)
					case err == nil:
						t.Error("the trigger does nothing")
					case !strings.Contains(err.Error(), "unlucky"):
						t.Error(err)
					case size != 1313 && test.alone:
						t.Errorf("spoiled: %v", err)
					default:
						failed.Add(1)
					}
				})
			}
			wait.Wait()
			if stored.Load()+failed.Load() != 100 {
				t.Errorf("%d and %d", stored.Load(), failed.Load())
			}
			if n := count(t, s); int64(n) != stored.Load() {
				t.Errorf("%d items, and %d were promised", n, stored.Load())
			}
			if _, err := tryPut(s, contentOf(100)); err != nil {
				t.Error(err)
			}
			s.Close()
			checkTables(t, path)
		})
	}
}

// SQLite writes to a file that was removed as if nothing had happened.
func TestSQLiteFileGone(t *testing.T) {
	path := newFile(t)
	s := openStore(t, path, nil)
	if _, err := tryPut(s, contentOf(100)); err != nil {
		t.Fatal(err)
	}
	move := func(from, to string) {
		t.Helper()
		for _, end := range []string{"", "-wal", "-shm"} {
			if err := os.Rename(from+end, to+end); err != nil {
				t.Fatal(err)
			}
		}
	}
	away := path + ".away"
	move(path, away)
	if _, err := tryPut(s, contentOf(101)); err == nil || errors.Is(err, queue.ErrFull) {
		t.Errorf("without a file: %v", err)
	}
	move(away, path)
	if _, err := tryPut(s, contentOf(102)); err != nil {
		t.Errorf("with the file again: %v", err)
	}

	// A copy is as good, as long as it is ours.
	execAll(t, openFile(t, path), `VACUUM INTO '`+away+`'`)
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + end); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(away, path); err != nil {
		t.Fatal(err)
	}
	if _, err := tryPut(s, contentOf(103)); err != nil {
		t.Errorf("with a copy: %v", err)
	}
	if n := count(t, s); n != 3 {
		t.Errorf("%d items in the copy", n)
	}
	s.Close()
	checkTables(t, path)
}

// Another queue in the place of ours is not written to.
func TestSQLiteOtherFile(t *testing.T) {
	path := newFile(t)
	s := openStore(t, path, nil)
	if _, err := tryPut(s, contentOf(100)); err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{"", "-wal", "-shm"} {
		os.Remove(path + end)
	}
	for range 2 { // two runs
		openStore(t, path, nil).Close()
	}
	if _, err := tryPut(s, contentOf(100)); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Error(err)
	}
	s.Close()
	if n := ask(t, openFile(t, path), `SELECT count(*) FROM queue_messages`); n != "0" {
		t.Errorf("%s messages", n)
	}
}

// Who opens the queue has it; who had it cannot write any more.
func TestSQLiteTwoOpens(t *testing.T) {
	path := newFile(t)
	first := openStore(t, path, nil)
	leased := put(t, first, contentOf(100), commitOf(time.Now().Add(time.Hour), "example.net"))
	second := openStore(t, path, nil)
	set := settled(leased[0])
	if err := first.Settle(t.Context(), []*queue.Settlement{set}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("the first settles: %v", err)
	}
	now := time.Now()
	again, err := second.Lease(t.Context(), queue.LeaseRequest{Destination: "example.net", Max: 1, Now: now, Until: now.Add(time.Minute)})
	if err != nil || len(again) != 1 || again[0].Lease.Token <= leased[0].Lease.Token {
		t.Fatalf("the second leases %v, %v", again, err)
	}
	set = settled(again[0])
	if err := second.Settle(t.Context(), []*queue.Settlement{set}); err != nil || set.Err != nil {
		t.Error(err, set.Err)
	}
}

// Somebody else has the database for a while: who writes waits, who reads does not,
// and who gives up waiting is not stored.
func TestSQLiteLocked(t *testing.T) {
	path := newFile(t)
	s := openStore(t, path, nil)
	db := openFile(t, path)
	db.SetMaxOpenConns(1)
	execAll(t, db, `BEGIN IMMEDIATE`)
	var wait sync.WaitGroup
	wait.Go(func() {
		if _, err := tryPut(s, contentOf(100)); err != nil {
			t.Error(err)
		}
	})
	if n := count(t, s); n != 0 {
		t.Errorf("%d items", n)
	}
	tx, err := s.Begin(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := tx.Commit(ctx, commitOf(time.Time{}, "example.org")); err == nil {
		t.Error("committed")
	}
	execAll(t, db, `COMMIT`)
	wait.Wait()
	if n := count(t, s); n != 1 {
		t.Errorf("%d items", n)
	}
}

// What was never committed is gone, at once if it was aborted, else when the queue
// is opened the next time.
func TestSQLiteOrphans(t *testing.T) {
	path := newFile(t)
	s := openStore(t, path, nil)
	db := openFile(t, path)
	pieces := func() string { return ask(t, db, `SELECT count(DISTINCT message) FROM queue_pieces`) }
	var all []queue.Tx
	for range 3 {
		tx, err := s.Begin(t.Context(), -1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Write(contentOf(1 << 20)); err != nil {
			t.Fatal(err)
		}
		all = append(all, tx)
	}
	if n := pieces(); n != "3" {
		t.Fatalf("pieces of %s messages", n)
	}
	all[0].Abort()
	if _, err := all[1].Commit(t.Context(), commitOf(time.Time{}, "example.net")); err != nil {
		t.Fatal(err)
	}
	if n := pieces(); n != "2" {
		t.Errorf("pieces of %s messages, one was aborted", n)
	}
	s.Close()
	s = openStore(t, path, nil)
	if n := pieces(); n != "1" {
		t.Errorf("pieces of %s messages, one was left behind", n)
	}
	_, content, err := s.Open(t.Context(), all[1].ID())
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, content); !bytes.Equal(got, contentOf(1<<20)) {
		t.Errorf("%d octets", len(got))
	}
	checkTables(t, path)
}
