//go:build linux && interop

package sqltest

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/postrider/postrider/internal/pgtest"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/sqlqueue"
)

// Programs that start at the same time make the tables once.
func TestPostgresMigrationRace(t *testing.T) {
	p := newPlace(t, pgtest.Start(t))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			h, err := p.tryOpen(nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer h.db.Close()
			defer h.Close()
			put(t, h, []byte("x"), commitOf(time.Time{}, "a.example"))
		})
	}
	all.Wait()
	if n := p.count(t, "SELECT count(*) FROM queue_messages"); n != 8 {
		t.Errorf("%d messages", n)
	}
	if n := p.count(t, "SELECT count(*) FROM queue_nodes"); n != 0 {
		t.Errorf("%d processes have not left", n)
	}
}

func TestPostgresVersions(t *testing.T) {
	p := newPlace(t, pgtest.Start(t))
	if s, err := sqlqueue.Attach(t.Context(), p.admin, sqlqueue.PostgreSQL, nil); err == nil {
		s.Close()
		t.Error("Attach finds tables where there are none")
	}
	if n := p.count(t, "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()"); n != 0 {
		t.Errorf("Attach has made %d tables", n)
	}
	p.open(t, nil).Close()
	p.exec(t, "UPDATE queue_schema SET version = 1000")
	if _, err := p.tryOpen(nil); err == nil || !strings.Contains(err.Error(), "version 1000") {
		t.Errorf("Open with tables of the future: %v", err)
	}
}

// An operator's program beside the one that delivers.
func TestPostgresAttach(t *testing.T) {
	p := newPlace(t, pgtest.Start(t))
	h := p.open(t, keepAll)
	leased := put(t, h, []byte("x"), commitOf(time.Now().Add(time.Hour), "a.example", "b.example"))
	s, err := sqlqueue.Attach(t.Context(), p.admin, sqlqueue.PostgreSQL, keepAll)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Begin(t.Context(), 1); err == nil {
		t.Error("Begin works")
	}
	if _, err := s.Lease(t.Context(), queue.LeaseRequest{Destination: "a.example", Max: 1, Now: time.Now(), Until: time.Now()}); err == nil {
		t.Error("Lease works")
	}
	if n, err := s.Change(t.Context(), queue.Filter{Destination: "a.example"}, queue.Delete, time.Now()); n != 1 || err != nil {
		t.Errorf("Change: %d, %v", n, err)
	}
	for _, stats := range []func(context.Context) (queue.Stats, error){s.Stats, h.Stats} {
		if got, err := stats(t.Context()); err != nil || got.Items != 1 || got.Messages != 1 || got.Leased != 1 {
			t.Errorf("Stats: %+v, %v", got, err)
		}
	}
	var all []*queue.Settlement
	for _, l := range leased {
		all = append(all, settled(l))
	}
	if err := h.Settle(t.Context(), all); err != nil || all[0].Err != queue.ErrLost || all[1].Err != nil {
		t.Errorf("Settle: %v, %v, %v", err, all[0].Err, all[1].Err)
	}
	p.noneLeft(t)
}

// Whoever does not keep what he confirms is not asked to.
func TestPostgresWithoutFsync(t *testing.T) {
	p := newPlace(t, pgtest.Start(t, "fsync=off"))
	if _, err := p.tryOpen(nil); err == nil || !strings.Contains(err.Error(), "fsync") {
		t.Errorf("got %v", err)
	}
}

// What is committed is durable, whatever the settings of the server, the role or
// the data source name are.
func TestPostgresSynchronousCommit(t *testing.T) {
	server := pgtest.Start(t, "synchronous_commit=off", "wal_writer_delay=10s")
	p := newPlace(t, server, "synchronous_commit", "off")
	h := p.open(t, keepAll)
	// What the test would see if it were off.
	p.exec(t, "CREATE TABLE lost (n INTEGER)")
	p.exec(t, "CHECKPOINT")
	small := put(t, h, []byte("small"), commitOf(time.Time{}, "a.example"))
	put(t, h, make([]byte, 600<<10), commitOf(time.Time{}, "b.example"))
	gone := put(t, h, []byte("x"), commitOf(time.Now().Add(time.Hour), "c.example"))
	set := settled(gone[0])
	if err := errors.Join(h.Settle(t.Context(), []*queue.Settlement{set}), set.Err); err != nil {
		t.Fatal(err)
	}
	p.exec(t, "INSERT INTO lost VALUES (1)")
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	p.admin.Exec("SELECT 1") // meets with a connection that is gone
	p.admin.Exec("SELECT 1")
	if n := p.count(t, "SELECT count(*) FROM lost"); n != 0 {
		t.Log("the server did not lose what it may lose: this test could not fail")
	}
	sizes := map[string]int{}
	for e, err := range h.Scan(t.Context(), queue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		_, content, err := h.Open(t.Context(), e.Message.ID)
		if err != nil {
			t.Fatal(err)
		}
		sizes[e.Item.Destination] = len(readAll(t, content))
	}
	if len(small) != 0 || len(sizes) != 2 || sizes["a.example"] != 5 || sizes["b.example"] != 600<<10 {
		t.Errorf("after the crash there are %v", sizes)
	}
}

// A machine whose clock is an hour behind the server's shares a queue with one
// whose clock is right.
func TestPostgresClocks(t *testing.T) {
	p := newPlace(t, pgtest.Start(t))
	right := p.open(t, nil)
	p.exec(t, "CREATE SCHEMA ahead")
	p.exec(t, "CREATE FUNCTION ahead.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() + interval '1 hour' $$")
	u, err := url.Parse(p.dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", "ahead,"+q.Get("search_path")+",pg_catalog") // hides the function of the system
	u.RawQuery = q.Encode()
	behind := (&pgPlace{server: p.server, dsn: u.String()}).open(t, nil)

	now := time.Now()
	there := now.Add(-time.Hour) // what the other's clock shows now
	expect := func(h *handle, now time.Time, ready bool, next time.Time) {
		t.Helper()
		names, at, err := h.Ready(t.Context(), now, "", 10)
		if err != nil || (len(names) == 1) != ready || !at.Equal(next) {
			t.Errorf("Ready: %v, %v, %v; want %v, %v", names, at, err, ready, next)
		}
	}
	c := commitOf(now.Add(time.Minute), "a.example")
	had := put(t, right, []byte("x"), c)[0]
	expect(behind, there, false, there.Add(time.Minute))
	expect(behind, there.Add(time.Minute), true, time.Time{})
	// He takes the lease over in time, and not an hour late.
	leased, err := behind.Lease(t.Context(), queue.LeaseRequest{
		Destination: "a.example", Max: 1, Now: there.Add(time.Minute), Until: there.Add(2 * time.Minute)})
	if err != nil || len(leased) != 1 {
		t.Fatalf("Lease: %v, %v", leased, err)
	}
	item := leased[0].Item
	if want := c.Items[0].Item; !item.Due.Equal(want.Due.Add(-time.Hour)) || !item.Expires.Equal(want.Expires.Add(-time.Hour)) ||
		!item.Warn.Equal(want.Warn.Add(-time.Hour)) || !leased[0].Lease.Until.Equal(there.Add(2*time.Minute)) {
		t.Errorf("leased: %+v", leased[0])
	}
	expect(right, now.Add(time.Minute), false, now.Add(2*time.Minute))
	if lost, err := right.Extend(t.Context(), now.Add(time.Hour), []queue.Lease{had.Lease}); err != nil || len(lost) != 1 {
		t.Errorf("Extend: %v, %v", lost, err)
	}
	if lost, err := behind.Extend(t.Context(), there.Add(5*time.Minute), []queue.Lease{leased[0].Lease}); err != nil || len(lost) != 0 {
		t.Errorf("Extend: %v, %v", lost, err)
	}
	expect(right, now.Add(2*time.Minute), false, now.Add(5*time.Minute))
	// He defers it by ten minutes.
	set := &queue.Settlement{Lease: leased[0].Lease, Left: item.Recipients, Due: there.Add(10 * time.Minute), Warn: there.Add(time.Hour), Attempts: 1}
	if err := errors.Join(behind.Settle(t.Context(), []*queue.Settlement{set}), set.Err); err != nil {
		t.Fatal(err)
	}
	expect(right, now, false, now.Add(10*time.Minute))
	for h, due := range map[*handle]time.Time{right: now.Add(10 * time.Minute), behind: there.Add(10 * time.Minute)} {
		for e, err := range h.Scan(t.Context(), queue.Filter{}) {
			if err != nil || !e.Item.Due.Equal(due) || !e.Item.Warn.Equal(due.Add(50*time.Minute)) || !e.LeasedUntil.IsZero() {
				t.Errorf("Scan: %+v, %v", e, err)
			}
		}
	}
	if _, err := behind.Change(t.Context(), queue.Filter{}, queue.Retry, there.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	expect(right, now, false, now.Add(time.Minute))
	late, err := right.Lease(t.Context(), queue.LeaseRequest{Late: true, Max: 1, Now: now.Add(time.Hour), Until: now.Add(2 * time.Hour)})
	if err != nil || len(late) != 1 {
		t.Errorf("Lease: %v, %v", late, err)
	}
}

// Whoever listens hears of what somebody else has put into the queue. A program
// does it like this.
func TestPostgresWake(t *testing.T) {
	p := newPlace(t, pgtest.Start(t))
	wake, listening := make(chan struct{}, 1), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- listen(ctx, p.dsn, wake, sync.OnceFunc(func() { close(listening) })) }()
	<-listening
	<-wake // there may have been something before
	h := p.open(t, nil)
	for _, domain := range []string{"a.example", "b.example"} { // small and large
		put(t, h, make([]byte, 300<<10*(len(domain)%2)+1), commitOf(time.Time{}, domain))
		<-wake
	}
	leased := put(t, h, []byte("x"), commitOf(time.Now().Add(time.Hour), "c.example"))
	spawn, err := h.Begin(t.Context(), -1)
	if err != nil {
		t.Fatal(err)
	}
	set := settled(leased[0])
	set.Spawn = []queue.Spawn{{Tx: spawn, Commit: commitOf(time.Time{}, "example.org")}}
	if err := errors.Join(h.Settle(t.Context(), []*queue.Settlement{set}), set.Err); err != nil {
		t.Fatal(err)
	}
	<-wake
	if _, err := h.Change(t.Context(), queue.Filter{}, queue.Retry, time.Now()); err != nil {
		t.Fatal(err)
	}
	<-wake
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// listen feeds Runner.Wake until the connection is lost or ctx ends. The caller
// waits a little and calls it again.
func listen(ctx context.Context, dsn string, wake chan<- struct{}, ready func()) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "LISTEN "+sqlqueue.WakeChannel); err != nil {
		return err
	}
	ready()
	for {
		select {
		case wake <- struct{}{}:
		default: // the Runner has not looked yet
		}
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
	}
}
