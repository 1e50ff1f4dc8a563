//go:build linux && interop

package sqltest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/pgtest"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/sqlqueue"
	"github.com/postrider/postrider/smtp"
)

const leaseTime = 2 * time.Second

// A load commits messages and settles them through several handles, and knows
// what it was told.
type load struct {
	t       *testing.T
	stop    chan struct{}
	running sync.WaitGroup

	mu      sync.Mutex
	stored  map[queue.ID]int // recipients of those whose Commit has returned nil
	unknown map[queue.ID]bool
	settled map[queue.Lease]int
	failed  int
}

func newLoad(t *testing.T) *load {
	return &load{t: t, stop: make(chan struct{}), stored: map[queue.ID]int{}, unknown: map[queue.ID]bool{}, settled: map[queue.Lease]int{}}
}

// run uses a handle until the load is stopped, or the handle dead.
func (l *load) run(h *handle) {
	for n := range 4 {
		l.running.Go(func() { l.loop(h, func() { l.commit(h, n) }) })
	}
	for range 2 {
		l.running.Go(func() { l.loop(h, func() { l.deliver(h) }) })
	}
	l.running.Go(func() { l.loop(h, func() { l.operate(h) }) })
}

func (l *load) loop(h *handle, do func()) {
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		h.mu.Lock()
		dead := h.dead != nil
		h.mu.Unlock()
		if dead {
			return
		}
		do()
	}
}

// commit stores a message for one or two destinations. Every fourth is large, and
// half of the small ones are leased at once.
func (l *load) commit(h *handle, n int) {
	ctx := context.Background()
	tx, err := h.Begin(ctx, -1)
	if err != nil {
		l.t.Error(err) // needs no database
		return
	}
	defer tx.Abort()
	size := 1 << rand.N(12)
	if n == 0 {
		size = 600 << 10
	}
	if _, err := tx.Write(make([]byte, size)); err != nil {
		wait(20 * time.Millisecond)
		return
	}
	var lease time.Time
	if rand.N(2) == 0 {
		lease = time.Now().Add(leaseTime)
	}
	c := commitOf(lease, []string{"a.example", "b.example"}[:1+rand.N(2)]...)
	leased, err := tx.Commit(ctx, c)
	l.mu.Lock()
	if err != nil {
		l.unknown[tx.ID()] = true
		l.failed++
	} else {
		l.stored[tx.ID()] = len(c.Items)
	}
	l.mu.Unlock()
	if err != nil {
		wait(20 * time.Millisecond)
	}
	l.settle(h, leased)
}

func (l *load) deliver(h *handle) {
	ctx := context.Background()
	now := time.Now()
	names, _, err := h.Ready(ctx, now, "", 10)
	if err != nil || len(names) == 0 {
		wait(20 * time.Millisecond)
		return
	}
	for _, name := range names {
		leased, _ := h.Lease(ctx, queue.LeaseRequest{Destination: name, Max: 20, Now: now, Until: now.Add(leaseTime)})
		l.settle(h, leased)
	}
}

// operate is what operators do to all items.
func (l *load) operate(h *handle) {
	for _, do := range []queue.Action{queue.Hold, queue.Retry, queue.Release} {
		h.Change(context.Background(), queue.Filter{}, do, time.Now())
	}
	wait(20 * time.Millisecond)
}

// settle reads what was leased and settles it; some are left for others to take
// over.
func (l *load) settle(h *handle, leased []*queue.Leased) {
	leased = slices.DeleteFunc(leased, func(*queue.Leased) bool { return rand.N(20) == 0 })
	var all []*queue.Settlement
	for _, one := range leased {
		r, err := one.Content.Open()
		if err != nil {
			if errors.Is(err, queue.ErrNotFound) && time.Now().Before(one.Lease.Until) {
				l.t.Errorf("the content of %v is not there", one.Message.ID)
			}
			continue
		}
		r.Close()
		all = append(all, settled(one))
	}
	if len(all) == 0 || h.Settle(context.Background(), all) != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range all {
		if s.Err == nil {
			l.settled[queue.Lease{Message: s.Lease.Message, N: s.Lease.N}]++
		}
	}
}

// check looks at what has become of it all, when everything was delivered.
func (l *load) check(h *handle) {
	t := l.t
	close(l.stop)
	l.running.Wait()
	if _, err := h.Change(t.Context(), queue.Filter{}, queue.Release, time.Now()); err != nil {
		t.Fatal(err)
	}
	l.drain(h)
	outcomes := map[queue.ID]map[smtp.ForwardPath]int{}
	for o, err := range h.Outcomes(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if outcomes[o.Message] == nil {
			outcomes[o.Message] = map[smtp.ForwardPath]int{}
		}
		outcomes[o.Message][o.Recipient]++
	}
	for id, recipients := range l.stored {
		if len(outcomes[id]) != recipients {
			t.Errorf("message %v has outcomes %v, and %d recipients", id, outcomes[id], recipients)
		}
	}
	for id, of := range outcomes {
		if l.stored[id] == 0 && !l.unknown[id] {
			t.Errorf("message %v was never committed", id)
		}
		for who, n := range of {
			if n != 1 {
				t.Errorf("%v of message %v has %d outcomes", who, id, n)
			}
		}
	}
	for lease, n := range l.settled {
		if n != 1 {
			t.Errorf("item %d of message %v was settled %d times", lease.N, lease.Message, n)
		}
	}
	t.Logf("%d messages stored, %d answered with an error, %d items settled", len(l.stored), l.failed, len(l.settled))
	if len(l.stored) < 20 {
		t.Error("there was no load")
	}
}

// drain settles everything, and looks whether anything is left.
func (l *load) drain(h *handle) {
	t := l.t
	now := time.Now().Add(time.Hour) // all leases are over
	for left := 100; left > 0; left-- {
		names, _, err := h.Ready(t.Context(), now, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(names) == 0 {
			break
		}
		for _, name := range names {
			leased, err := h.Lease(t.Context(), queue.LeaseRequest{Destination: name, Max: 1000, Now: now, Until: now.Add(time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			var all []*queue.Settlement
			for _, one := range leased {
				if n := int64(len(readAll(t, one.Content))); n != one.Message.Size {
					t.Errorf("content of %d octets, want %d", n, one.Message.Size)
				}
				all = append(all, settled(one))
			}
			if err := h.Settle(t.Context(), all); err != nil {
				t.Fatal(err)
			}
			for _, s := range all {
				if s.Err != nil {
					t.Error(s.Err)
				}
				l.settled[queue.Lease{Message: s.Lease.Message, N: s.Lease.N}]++
			}
		}
	}
	stats, err := h.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stats.Free = 0
	if stats != (queue.Stats{}) {
		t.Errorf("left: %+v", stats)
	}
}

var keepAll = &sqlqueue.Options{KeepOutcomes: 24 * time.Hour, Logger: slog.New(slog.DiscardHandler)}

// The server is killed again and again: nothing that was confirmed is lost, and
// each recipient has exactly one outcome.
func TestPostgresIsKilled(t *testing.T) {
	server := pgtest.Start(t)
	p := newPlace(t, server)
	l := newLoad(t)
	a, b := p.open(t, keepAll), p.open(t, keepAll)
	l.run(a)
	l.run(b)
	for range 4 {
		wait(300*time.Millisecond + rand.N(300*time.Millisecond))
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		wait(rand.N(200 * time.Millisecond))
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	wait(500 * time.Millisecond)
	l.check(a)
	p.noneLeft(t)
}

// wait lets a load run: what is tested is what happens at any moment.
func wait(d time.Duration) { <-time.After(d) }

// noneLeft checks that no row is left that does not belong to anything.
func (p *pgPlace) noneLeft(t *testing.T) {
	t.Helper()
	if n := p.count(t, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"); n != 0 {
		t.Errorf("%d deadlocks", n)
	}
	for _, table := range []string{"queue_messages", "queue_items"} {
		if n := p.count(t, "SELECT count(*) FROM "+table); n != 0 {
			t.Errorf("%d rows are left in %s", n, table)
		}
	}
}

// One of two relays ends in the middle: the other takes over what it had, and
// nothing is settled twice.
func TestPostgresRelayIsKilled(t *testing.T) {
	p := newPlace(t, pgtest.Start(t))
	l := newLoad(t)
	stays := p.open(t, keepAll)
	l.run(stays)
	for range 3 {
		other := p.open(t, keepAll)
		l.run(other)
		wait(200*time.Millisecond + rand.N(400*time.Millisecond))
		other.crash()
	}
	wait(leaseTime / 2)
	l.check(stays)
	p.noneLeft(t)
	// What was streaming is swept when who did it is taken for gone.
	p.exec(t, "UPDATE queue_nodes SET seen = seen - interval '11 minutes'")
	p.open(t, nil)
	if n := p.count(t, "SELECT count(*) FROM queue_pieces"); n != 0 {
		t.Errorf("%d pieces are left", n)
	}
}

// A lease that another has taken over is lost to who had it, whatever he does.
func TestPostgresTakeOver(t *testing.T) {
	p := newPlace(t, pgtest.Start(t))
	a, b := p.open(t, keepAll), p.open(t, keepAll)
	now := time.Now()
	const messages = 50
	var had []*queue.Leased
	for n := range messages {
		had = append(had, put(t, a, []byte("x"), commitOf(now.Add(time.Minute), fmt.Sprintf("d%d.example", n%3)))...)
	}
	names, next, err := b.Ready(t.Context(), now, "", 10)
	if err != nil || len(names) > 0 || !next.Equal(now.Add(time.Minute).Truncate(1)) {
		t.Errorf("Ready: %v, %v, %v", names, next, err)
	}
	now = now.Add(2 * time.Minute)
	var took []*queue.Leased
	names, _, err = b.Ready(t.Context(), now, "", 10)
	if err != nil || len(names) != 3 {
		t.Fatalf("Ready: %v, %v", names, err)
	}
	for _, name := range names {
		leased, err := b.Lease(t.Context(), queue.LeaseRequest{Destination: name, Max: messages, Now: now, Until: now.Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		took = append(took, leased...)
	}
	late := make([]*queue.Settlement, messages)
	for i, l := range had {
		late[i] = settled(l)
	}
	if err := a.Settle(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	for _, s := range late {
		if s.Err != queue.ErrLost {
			t.Fatalf("Settle of a lease that was taken over: %v", s.Err)
		}
	}
	// Both settle all at the same time, again and again.
	var mu sync.Mutex
	done := map[string]int{}
	var running sync.WaitGroup
	for name, leased := range map[string][]*queue.Leased{"a": had, "b": took} {
		h := map[string]*handle{"a": a, "b": b}[name]
		for range 3 {
			running.Go(func() {
				var all []*queue.Settlement
				for _, i := range rand.Perm(len(leased)) {
					all = append(all, settled(leased[i]))
				}
				if err := h.Settle(t.Context(), all); err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				for _, s := range all {
					switch s.Err {
					case nil:
						done[name]++
					case queue.ErrLost:
					default:
						t.Error(s.Err)
					}
				}
			})
		}
	}
	running.Wait()
	if want := map[string]int{"b": messages}; !maps.Equal(done, want) {
		t.Errorf("settled: %v, want %v", done, want)
	}
	if n := p.count(t, "SELECT count(*) FROM queue_outcomes"); n != messages {
		t.Errorf("%d outcomes", n)
	}
}
