//go:build linux && interop

package sqltest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/pgtest"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

// stream begins a message and writes most of it.
func stream(t *testing.T, h *handle, octets int) queue.Tx {
	t.Helper()
	tx, err := h.Begin(t.Context(), -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Write(make([]byte, octets)); err != nil {
		t.Fatal(err)
	}
	return tx
}

func (p *pgPlace) pieces(t *testing.T) int64 {
	t.Helper()
	return p.count(t, "SELECT count(*) FROM queue_pieces")
}

// eventually polls what happens in the background.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(20 * time.Second); !is(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not in time: %s", what)
		}
	}
}

// What a process has left behind is swept when it is gone, and what others are
// streaming is let alone.
func TestPostgresOrphans(t *testing.T) {
	p := newPlace(t, pgtest.Start(t))
	dead, lives := p.open(t, nil), p.open(t, nil)
	stream(t, dead, 1<<20)
	tx := stream(t, lives, 1<<20)
	dead.crash()
	all := p.pieces(t)
	p.open(t, nil).Close()
	if n := p.pieces(t); n != all || n < 6 {
		t.Errorf("%d pieces of %d are left while both may live", n, all)
	}
	p.exec(t, "UPDATE queue_nodes SET seen = seen - interval '11 minutes' WHERE first = (SELECT min(first) FROM queue_nodes)")
	p.open(t, nil).Close()
	if n := p.pieces(t); n != all/2 {
		t.Errorf("%d pieces of %d are left when one of two is gone", n, all)
	}
	if _, err := tx.Commit(t.Context(), commitOf(time.Time{}, "a.example")); err != nil {
		t.Fatal(err)
	}
	p.open(t, nil).Close()
	_, content, err := lives.Open(t.Context(), tx.ID())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(readAll(t, content)); n != 1<<20 {
		t.Errorf("the content has %d octets", n)
	}
	// Close leaves nothing that was not committed.
	before := p.pieces(t)
	open := stream(t, lives, 1<<20)
	aborted := stream(t, lives, 1<<20)
	aborted.Abort()
	eventually(t, "an aborted message's pieces are removed", func() bool { return p.pieces(t) < before+6 })
	lives.Close()
	p.open(t, nil).Close()
	if n := p.pieces(t); n != before {
		t.Errorf("%d pieces are left, want %d", n, before)
	}
	open.Abort()
}

// A process that was taken for gone while it streamed a message does not store half
// of it, and the next message is whole.
func TestPostgresTakenForGone(t *testing.T) {
	p := newPlace(t, pgtest.Start(t))
	h := p.open(t, nil)
	tx := stream(t, h, 1<<20)
	defer tx.Abort()
	p.exec(t, "UPDATE queue_nodes SET seen = seen - interval '11 minutes'")
	other := p.open(t, nil)
	if n := p.pieces(t); n != 0 {
		t.Errorf("%d pieces are left", n)
	}
	if _, err := tx.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	_, err := tx.Commit(t.Context(), commitOf(time.Time{}, "a.example"))
	var reply *smtp.Error
	if err == nil || errors.As(err, &reply) {
		t.Errorf("Commit: %v", err)
	}
	next := stream(t, h, 1<<20)
	if _, err := next.Commit(t.Context(), commitOf(time.Time{}, "a.example")); err != nil {
		t.Fatal(err)
	}
	_, content, err := other.Open(t.Context(), next.ID())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(readAll(t, content)); n != 1<<20 {
		t.Errorf("the content has %d octets", n)
	}
}

// The connection is lost behind a COMMIT: the message is stored once, and nobody
// hears of an error, for it is asked what has happened.
func TestPostgresLostCommit(t *testing.T) {
	p := newPlace(t, pgtest.Start(t))
	h := p.open(t, keepAll)
	other := p.open(t, keepAll)
	put(t, h, []byte("x"), commitOf(time.Time{}, "a.example")) // statements are prepared now
	for _, size := range []int{10, 1 << 20} {
		tx := stream(t, h, size)
		h.cutNext(map[bool]string{false: execute, true: commit}[size > 1<<16])
		leased, err := tx.Commit(t.Context(), commitOf(time.Now().Add(time.Hour), "b.example"))
		if err != nil || len(leased) != 1 {
			t.Fatalf("Commit: %v", err)
		}
		if h.cut {
			t.Error("nothing was cut")
		}
		if n := p.count(t, "SELECT count(*) FROM queue_messages WHERE id = $1", int64(tx.ID())); n != 1 {
			t.Errorf("stored %d times", n)
		}
		set := settled(leased[0])
		h.cutNext(execute) // of a settlement: it has happened, and the second try finds it so
		if err := h.Settle(t.Context(), []*queue.Settlement{set}); err != nil || set.Err != queue.ErrLost {
			t.Errorf("Settle: %v, %v", err, set.Err)
		}
		if n := p.count(t, "SELECT count(*) FROM queue_outcomes WHERE message = $1", int64(tx.ID())); n != 1 {
			t.Errorf("%d outcomes", n)
		}
	}
	// It was delivered by another before the second try: it is not stored again.
	tx := stream(t, h, 10)
	h.afterCut = func() {
		leased, err := other.Lease(context.Background(), queue.LeaseRequest{Destination: "c.example", Max: 1, Now: time.Now(), Until: time.Now().Add(time.Minute)})
		if err != nil || len(leased) != 1 {
			t.Errorf("Lease: %v, %v", leased, err)
			return
		}
		set := settled(leased[0])
		if err := errors.Join(other.Settle(context.Background(), []*queue.Settlement{set}), set.Err); err != nil {
			t.Error(err)
		}
	}
	h.cutNext(execute)
	if _, err := tx.Commit(t.Context(), commitOf(time.Time{}, "c.example")); err != nil {
		t.Error(err)
	}
	if n := p.count(t, "SELECT count(*) FROM queue_messages WHERE id = $1", int64(tx.ID())); n != 0 {
		t.Error("the message is stored again")
	}
}

// A server that is gone costs an error at once, and nothing when it is back.
func TestPostgresGone(t *testing.T) {
	server := pgtest.Start(t)
	p := newPlace(t, server)
	h := p.open(t, keepAll)
	large := stream(t, h, 1<<20)
	leased := put(t, h, []byte("x"), commitOf(time.Now().Add(time.Hour), "a.example"))
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	tx, err := h.Begin(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for what, call := range map[string]func() error{
		"Ready":  func() error { _, _, err := h.Ready(t.Context(), time.Now(), "", 1); return err },
		"Write":  func() error { _, err := large.Write(make([]byte, 1<<20)); return err },
		"Settle": func() error { return h.Settle(t.Context(), []*queue.Settlement{settled(leased[0])}) },
		"Stats":  func() error { _, err := h.Stats(t.Context()); return err },
	} {
		if err := call(); err == nil || errors.Is(err, queue.ErrFull) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it takes %v to find out that the server is gone", took)
	}
	large.Abort()
	if _, err := tx.Commit(t.Context(), commitOf(time.Time{}, "a.example")); err == nil {
		t.Error("Commit works")
	}
	tx.Abort()
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	set := settled(leased[0])
	if err := h.Settle(t.Context(), []*queue.Settlement{set}); err != nil || set.Err != nil {
		t.Errorf("Settle: %v, %v", err, set.Err)
	}
	put(t, h, []byte("x"), commitOf(time.Time{}, "a.example"))
	put(t, h, make([]byte, 1<<20), commitOf(time.Time{}, "a.example"))
	// Nobody meets with a connection to a server that was started anew since.
	for what, call := range map[string]func() error{
		"Stats":  func() error { _, err := h.Stats(t.Context()); return err },
		"Ready":  func() error { _, _, err := h.Ready(t.Context(), time.Now(), "", 1); return err },
		"Commit": func() error { put(t, h, []byte("x"), commitOf(time.Time{}, "a.example")); return nil },
		"Change": func() error { _, err := h.Change(t.Context(), queue.Filter{}, queue.Hold, time.Now()); return err },
	} {
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
		if err := call(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// The same for a settlement with a large notification: that is given up when it is
// found that the lease is over, and is there nonetheless.
func TestPostgresLostSettle(t *testing.T) {
	p := newPlace(t, pgtest.Start(t))
	h := p.open(t, keepAll)
	set := settled(put(t, h, []byte("x"), commitOf(time.Now().Add(time.Hour), "a.example"))[0])
	spawn := stream(t, h, 1<<20)
	set.Spawn = []queue.Spawn{{Tx: spawn, Commit: commitOf(time.Time{}, "b.example")}}
	h.cutNext(commit)
	if err := h.Settle(t.Context(), []*queue.Settlement{set}); err != nil || set.Err != queue.ErrLost {
		t.Errorf("Settle: %v, %v", err, set.Err)
	}
	other := stream(t, h, 1<<20) // its pieces are dropped after the others
	other.Abort()
	eventually(t, "pieces are dropped", func() bool {
		return p.count(t, "SELECT count(*) FROM queue_pieces WHERE message = $1", int64(other.ID())) == 0
	})
	_, content, err := h.Open(t.Context(), spawn.ID())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(readAll(t, content)); n != 1<<20 {
		t.Errorf("the content has %d octets", n)
	}
}

// Nobody can tell for a while what has become of a COMMIT: the error says so, and
// the message that was stored is whole although it was given up.
func TestPostgresUncertainCommit(t *testing.T) {
	for name, err := range map[string]error{"gone": errNoServer, "full": stateError("53300")} {
		t.Run(name, func(t *testing.T) { testUncertainCommit(t, err) })
	}
}

func testUncertainCommit(t *testing.T, refused error) {
	t.Parallel() // it takes its time
	p := newPlace(t, pgtest.Start(t))
	h := p.open(t, keepAll)
	tx := stream(t, h, 1<<20)
	h.afterCut = func() { h.refuse(refused) }
	h.cutNext(commit)
	if _, err := tx.Commit(t.Context(), commitOf(time.Time{}, "a.example")); err == nil || !strings.Contains(err.Error(), "may be stored") {
		t.Errorf("Commit: %v", err)
	}
	tx.Abort()
	h.refuse(nil)
	other := stream(t, h, 1<<20) // its pieces are dropped after the others
	other.Abort()
	eventually(t, "pieces are dropped", func() bool {
		return p.count(t, "SELECT count(*) FROM queue_pieces WHERE message = $1", int64(other.ID())) == 0
	})
	h.Close() // in the end
	_, content, err := p.open(t, nil).Open(t.Context(), tx.ID())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(readAll(t, content)); n != 1<<20 {
		t.Errorf("the content has %d octets", n)
	}
}

// A server that says nothing any more holds nobody up who does not wait.
func TestPostgresHangs(t *testing.T) {
	t.Parallel() // it takes its time
	server := pgtest.Start(t)
	p := newPlace(t, server)
	h := p.open(t, nil)
	leased := put(t, h, []byte("x"), commitOf(time.Now().Add(time.Hour), "a.example"))
	lock, err := p.admin.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Rollback()
	if _, err := lock.Exec("LOCK TABLE queue_items IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, _, err := h.Ready(ctx, time.Now(), "", 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Ready: %v", err)
	}
	if _, err := h.Extend(ctx, time.Now().Add(2*time.Hour), []queue.Lease{leased[0].Lease}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Extend: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("that took %v", took)
	}
	// What was begun ends by itself: lock_timeout.
	tx := stream(t, h, 10)
	if _, err := tx.Commit(t.Context(), commitOf(time.Time{}, "a.example")); err == nil || !strings.Contains(err.Error(), "55P03") {
		t.Errorf("Commit: %v", err)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("that took %v", took)
	}
	tx.Abort()
	lock.Rollback()
	put(t, h, []byte("x"), commitOf(time.Time{}, "a.example"))
}

// Who does not wait for an answer ends his own connection and no other.
func TestPostgresCancelled(t *testing.T) {
	p := newPlace(t, pgtest.Start(t))
	h := p.open(t, nil)
	lock, err := p.admin.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Rollback()
	if _, err := lock.Exec("LOCK TABLE queue_items IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	look := func(ctx context.Context, want error) func() {
		return func() {
			if _, _, err := h.Ready(ctx, time.Now(), "", 1); !errors.Is(err, want) {
				t.Errorf("Ready: %v", err)
			}
		}
	}
	waiting := func(n int64) func() bool {
		return func() bool { return p.count(t, "SELECT count(*) FROM pg_locks WHERE NOT granted") == n }
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stays, leaves sync.WaitGroup
	stays.Go(look(t.Context(), nil))
	leaves.Go(look(ctx, context.Canceled))
	eventually(t, "both wait", waiting(2))
	cancel()
	leaves.Wait()
	lock.Rollback()
	stays.Wait()
	before := h.dialled.Load()
	if _, err := h.Stats(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := h.dialled.Load() - before; n != 0 {
		t.Errorf("%d connections are new", n)
	}
}

// A server that takes no more connections: those that are there do.
func TestPostgresTooManyConnections(t *testing.T) {
	server := pgtest.Start(t, "max_connections=8", "superuser_reserved_connections=0")
	p := newPlace(t, server)
	h := p.open(t, nil)
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			tx, err := h.Begin(t.Context(), -1)
			if err != nil {
				t.Error(err)
				return
			}
			defer tx.Abort()
			_, err = tx.Write(make([]byte, 600<<10))
			if err == nil {
				_, err = tx.Commit(t.Context(), commitOf(time.Time{}, "a.example"))
			}
			var reply *smtp.Error
			if errors.As(err, &reply) {
				t.Errorf("an answer of its own: %v", err)
			}
		})
	}
	all.Wait()
	put(t, h, []byte("x"), commitOf(time.Time{}, "a.example"))
}
