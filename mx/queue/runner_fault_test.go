package queue_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
)

var errDisk = errors.New("the disk is gone")

// While the store does not take what came of deliveries, none is forgotten and no other
// begins; when it is back, all goes on.
func TestStoreFails(t *testing.T) {
	for _, method := range []string{"", "Settle", "Lease", "Ready", "Extend", "Late"} {
		t.Run("at "+method, func(t *testing.T) {
			play(t, func(r *queue.Runner) { r.MaxDeliveries, r.LeaseTime = 10, 6*time.Second }, func(s *stage) {
				s.does("example.net", after(5*time.Second, well))
				for range 30 {
					s.send("", "b@example.net")
				}
				s.sleep(time.Second)
				s.store.breaksAt(method, errDisk)
				s.sleep(10 * time.Minute)
				if n := len(s.tried()); n > 30 || method == "" && n > 10 || method == "Settle" && n > 25 {
					t.Errorf("%d attempts", n)
				}
				n := len(s.outcomes())
				if (method == "" || method == "Settle") && n != 0 {
					t.Errorf("%d outcomes", n)
				}
				if method != "Late" && method != "Extend" && !s.log.has("the store fails") {
					t.Error("nothing was logged")
				}
				for _, m := range []string{"Settle", "Ready", "Lease"} {
					if calls := s.store.called(m); calls > 300 {
						t.Errorf("%d calls of %s", calls, m)
					}
				}
				if n := strings.Count(s.log.String(), "the store fails"); n > 40 || method == "Settle" && n > 10 {
					t.Errorf("logged %d times", n)
				}
				s.store.breaks(nil)
				s.sleep(2 * time.Minute)
				if n := len(s.outcomes()); n != 30 {
					t.Errorf("%d outcomes", n)
				}
				if n := len(s.tried()); n != 30 {
					t.Errorf("%d attempts in the end", n)
				}
				if s.log.has("the store fails") && !s.log.has("the store works again") {
					t.Error("that it works again was not logged")
				}
			})
		})
	}
}

// When the store has failed in several ways at a time, and works again, so does the
// Runner.
func TestStoreFailsTwice(t *testing.T) {
	play(t, func(r *queue.Runner) { r.MaxDeliveries = 10 }, func(s *stage) {
		s.store.mu.Lock()
		s.store.before = func(method string) {
			if method == "Settle" {
				time.Sleep(time.Second) // and meanwhile it has failed to lease
			}
		}
		s.store.mu.Unlock()
		s.does("example.net", after(5*time.Second, well))
		for range 30 {
			s.send("", "b@example.net")
		}
		s.sleep(time.Second)
		s.store.breaks(errDisk)
		s.sleep(time.Minute)
		s.store.breaks(nil)
		s.sleep(3 * time.Minute)
		if n := len(s.outcomes()); n != 30 {
			t.Errorf("%d outcomes", n)
		}
	})
}

// A settlement that the store cannot take does not keep the others, whether it comes
// with them or alone, and is not forgotten.
func TestOneSettlementFails(t *testing.T) {
	for _, alone := range []bool{false, true} {
		poison := &poisoned{}
		play(t, func(r *queue.Runner) { poison.Store, r.Store = r.Store, poison }, func(s *stage) {
			s.does("example.net", after(time.Second, well))
			bad := s.send("", "bad@example.net")
			poison.id.Store(int64(bad))
			if alone {
				s.sleep(2 * time.Second)
			}
			for range 20 {
				s.send("", "b@example.net")
			}
			s.sleep(15 * time.Second)
			if n := len(s.outcomes()); n != 20 {
				t.Errorf("%d outcomes", n)
			}
			for range 20 {
				s.send("", "b@example.net")
				s.sleep(time.Second)
			}
			s.sleep(time.Second)
			if n := len(s.outcomes()); n != 40 {
				t.Errorf("%d outcomes", n)
			}
			poison.id.Store(0)
			s.sleep(time.Minute)
			if n := len(s.outcomes()); n != 41 || len(s.tried()) != 41 {
				t.Errorf("%d outcomes of %d attempts", n, len(s.tried()))
			}
		})
	}
}

// poisoned fails for one message.
type poisoned struct {
	queue.Store
	id atomic.Int64
}

func (p *poisoned) Settle(ctx context.Context, all []*queue.Settlement) error {
	for _, s := range all {
		if int64(s.Lease.Message) == p.id.Load() {
			return errDisk
		}
	}
	return p.Store.Settle(ctx, all)
}

// A Deliverer that panics, or says too little or too much, costs the delivery.
func TestBadDeliverer(t *testing.T) {
	for name, test := range map[string]struct {
		act     act
		log     string
		outcome []string
	}{
		"panic":   {func(context.Context, *mx.Message) []mx.Result { panic("oh no") }, "oh no", nil},
		"nothing": {func(context.Context, *mx.Message) []mx.Result { return nil }, "too few results", nil},
		"too few": {func(_ context.Context, m *mx.Message) []mx.Result {
			return each(m, mx.Result{Status: mx.Delivered})[:1]
		}, "too few results", []string{"b@example.net delivered"}},
		"too many": {func(_ context.Context, m *mx.Message) []mx.Result {
			return append(each(m, mx.Result{Status: mx.Delivered}), mx.Result{})
		}, "", []string{"b@example.net delivered", "c@example.net delivered"}},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				s.does("example.net", test.act)
				s.send("a@example.org", "b@example.net", "c@example.net")
				synctest.Wait()
				s.want(test.outcome...)
				if test.log != "" && !s.log.has(test.log) {
					t.Errorf("not logged: %s", s.log.String())
				}
				for _, it := range s.items() {
					if to := it.Recipients[0]; it.Attempts != 1 || to.Reply.Code != 451 || !to.Local {
						t.Errorf("%+v", it)
					}
				}
				s.does("example.net", well)
				s.sleep(10 * time.Minute)
				s.want("b@example.net delivered", "c@example.net delivered")
			})
		})
	}
}

// Leases of what is underway, waits, or cannot be recorded are kept.
func TestLeasesAreKept(t *testing.T) {
	play(t, func(r *queue.Runner) { r.LeaseTime = 10 * time.Second; r.SiteDeliveries = 1 }, func(s *stage) {
		s.does("example.net", after(time.Hour, well))
		s.send("", "b@example.net")
		s.sleep(2 * time.Second)
		for i := range 100 {
			s.sleep(15 * time.Second)
			if l, err := s.store.Store.Lease(s.ctx, queue.LeaseRequest{Destination: "example.net", Max: 1, Now: time.Now(), Until: time.Now().Add(time.Second)}); len(l) > 0 || err != nil {
				t.Fatalf("lost after %d: %v", i, err)
			}
		}
		s.sleep(time.Hour)
		s.want("b@example.net delivered")
		if s.log.has("lost") {
			t.Error(s.log.String())
		}
	})
}

// A delivery whose lease is lost is cut short, and nothing that came of it counts.
func TestLostLease(t *testing.T) {
	play(t, func(r *queue.Runner) { r.LeaseTime = 10 * time.Second }, func(s *stage) {
		var why error
		s.does("example.net", func(ctx context.Context, m *mx.Message) []mx.Result {
			<-ctx.Done()
			why = context.Cause(ctx)
			return each(m, mx.Result{Status: mx.Delivered})
		})
		s.send("a@example.org", "b@example.net")
		s.sleep(time.Second)
		if _, err := s.store.Change(s.ctx, queue.Filter{}, queue.Delete, time.Now()); err != nil {
			t.Fatal(err)
		}
		s.sleep(10 * time.Second)
		if why != queue.ErrLost {
			t.Errorf("cut short by %v", why)
		}
		s.want("b@example.net deleted")
		if len(s.done()) > 0 || !s.log.has("lease of an item is lost") {
			t.Errorf("settled %v, logged %s", s.done(), s.log.String())
		}
		if a := s.r.Activity(); a.Deliveries+a.Settling != 0 {
			t.Errorf("%+v", a)
		}
	})
}

// What waits for its turn and is lost, or has waited too long, is not delivered.
func TestLostInBacklog(t *testing.T) {
	play(t, func(r *queue.Runner) { noPoll(r); r.LeaseTime = 30 * time.Second; r.MaxDeliveries = 1 }, func(s *stage) {
		s.does("example.net", after(time.Millisecond, well))
		for range 20 {
			s.send("", "b@example.net")
		}
		s.sleep(time.Second)
		n := len(s.tried())
		s.does("example.net", after(5*time.Minute, well))
		s.send("", "b@example.net")
		id := s.send("", "c@example.net")
		s.send("", "d@example.net")
		s.sleep(time.Second)
		if a := s.r.Activity(); a.Waiting != 2 {
			t.Fatalf("%+v", a)
		}
		s.store.Change(s.ctx, queue.Filter{Messages: []queue.ID{id}}, queue.Delete, time.Now())
		s.sleep(20 * time.Second)
		if a := s.r.Activity(); a.Waiting != 1 || !s.log.has("lost") {
			t.Errorf("%+v", a)
		}
		s.sleep(30 * time.Second)
		if a := s.r.Activity(); a.Waiting != 0 {
			t.Errorf("%+v", a)
		}
		other, err := s.store.Store.Lease(s.ctx, queue.LeaseRequest{Destination: "example.net", Max: 1, Now: time.Now(), Until: time.Now().Add(time.Second)})
		if len(other) != 1 || err != nil {
			t.Errorf("what has waited for long is not for others: %v", err)
		}
		s.sleep(10 * time.Minute)
		if got := len(s.outcomes()); got != 23 || len(s.tried()) != n+2 {
			t.Errorf("%d outcomes, %d attempts more", got, len(s.tried())-n)
		}
	})
}

// Run ends and begins once.
func TestRunOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		s.run()
		if err := s.r.Run(s.ctx); err == nil {
			t.Error("Run twice")
		}
		s.stop()
		if err := s.r.Run(s.ctx); err == nil {
			t.Error("Run again")
		}
		if err := s.r.Shutdown(s.ctx); err != nil {
			t.Errorf("Shutdown again: %v", err)
		}
		r := s.runner(nil)
		for range 2 {
			if err := r.Shutdown(s.ctx); err != nil {
				t.Errorf("Shutdown before Run: %v", err)
			}
		}
		if err := r.Run(s.ctx); err != nil {
			t.Errorf("Run after Shutdown: %v", err)
		}
		if err := r.Run(s.ctx); err == nil {
			t.Error("Run twice after Shutdown")
		}
		if err := new(queue.Runner).Run(s.ctx); err == nil {
			t.Error("Run without a store")
		}
		r = s.runner(nil)
		r.Notifications.Hostname = "a..b"
		if err := r.Run(s.ctx); err == nil {
			t.Error("Run without a name for notifications")
		}
	})
}

// leaseAhead makes a destination so well known that many of its items are leased ahead.
func (s *stage) leaseAhead(destination string) {
	s.does(destination, after(time.Millisecond, well))
	for range 20 {
		s.send("", "x@"+destination)
	}
	s.sleep(time.Second)
}

// Shutdown waits for what runs, and gives back at once what does not.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, func(r *queue.Runner) { r.MaxDeliveries, r.LeaseTime = 2, time.Hour })
		s.run()
		s.leaseAhead("example.net")
		s.does("example.net", after(10*time.Second, well))
		for range 10 {
			s.send("", "b@example.net")
		}
		s.sleep(time.Second)
		if a := s.r.Activity(); a.Deliveries != 2 || a.Waiting != 8 {
			t.Fatalf("%+v", a)
		}
		begun := time.Now()
		done := make(chan error)
		go func() { done <- s.r.Shutdown(s.ctx) }()
		s.sleep(time.Second)
		if stats, _ := s.store.Stats(s.ctx); stats.Leased != 2 {
			t.Errorf("%d leased", stats.Leased)
		}
		s.send("", "c@example.net") // still taken in
		if err := <-done; err != nil || <-s.ran != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if d := time.Since(begun); d != 9*time.Second {
			t.Errorf("it took %v", d)
		}
		if n := len(s.outcomes()); n != 22 || len(s.tried()) != n {
			t.Errorf("%d outcomes of %d attempts", n, len(s.tried()))
		}
		if s.settles != 22 {
			t.Errorf("%d settlements were told, those of what was not tried included", s.settles)
		}
		s.send("", "d@example.net")
		if stats, _ := s.store.Stats(s.ctx); stats.Leased != 0 || stats.Items != 10 {
			t.Errorf("%+v", stats)
		}
		s.ran = nil
	})
}

// What was being leased when the end began is given back, too.
func TestShutdownWhileLeasing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, func(r *queue.Runner) { r.LeaseTime = time.Hour })
		s.send("", "b@example.net")
		s.store.hook(func(method string) {
			if method == "Lease" {
				time.Sleep(10 * time.Second)
			}
		})
		s.run()
		s.sleep(time.Second)
		if err := s.r.Shutdown(s.ctx); err != nil || <-s.ran != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if stats, _ := s.store.Stats(s.ctx); stats.Leased != 0 || stats.Items != 1 || len(s.tried()) != 0 {
			t.Errorf("%+v, %d attempts", stats, len(s.tried()))
		}
		s.ran = nil
	})
}

// What is leased while its destination dies is not tried.
func TestDeathWhileLeasing(t *testing.T) {
	play(t, func(r *queue.Runner) { r.LeaseTime = time.Hour }, func(s *stage) {
		s.leaseAhead("example.net")
		n := len(s.tried())
		in := make(chan struct{})
		s.store.hook(func(method string) {
			if method == "Commit" {
				<-in
			}
		})
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() { s.send("", "b@example.net") })
		}
		synctest.Wait()
		s.store.hook(nil)
		s.does("example.net", gone)
		for range 30 {
			s.send("", "b@example.net")
		}
		synctest.Wait()
		if s.r.Activity().Resting != 1 {
			t.Fatal("it does not rest")
		}
		tried := len(s.tried())
		close(in)
		wg.Wait()
		synctest.Wait()
		if now := len(s.tried()); now != tried || tried > n+25 {
			t.Errorf("%d attempts, then %d", tried-n, now-tried)
		}
		if stats, _ := s.store.Stats(s.ctx); stats.Leased != 0 {
			t.Errorf("%+v", stats)
		}
		s.store.Change(s.ctx, queue.Filter{}, queue.Delete, time.Now())
	})
}

// What is cut short stays as it was, but for what had come of it.
func TestCutShort(t *testing.T) {
	for _, how := range []string{"Shutdown's context", "Run's context"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, func(r *queue.Runner) { r.LeaseTime = time.Hour })
				s.does("example.net", after(time.Hour, well))
				s.does("example.com", func(ctx context.Context, m *mx.Message) []mx.Result {
					<-ctx.Done()
					results := each(m, unreachable)
					results[0] = refused(550)
					return results
				})
				s.does("unknown.example", func(ctx context.Context, m *mx.Message) []mx.Result {
					<-ctx.Done()
					r := unreachable
					r.Unknown = true
					return each(m, r)
				})
				ctx, cancel := context.WithCancel(s.ctx)
				s.ran = make(chan error, 1)
				go func() { s.ran <- s.r.Run(ctx) }()
				synctest.Wait()
				s.leaseAhead("ahead.example")
				s.does("ahead.example", after(time.Hour, well))
				for range 50 {
					s.send("", "b@ahead.example")
				}
				s.send("", "b@example.net", "c@example.com", "d@example.com", "e@unknown.example")
				s.sleep(time.Minute)
				var want error
				if how == "Run's context" {
					cancel()
					want = context.Canceled
				} else {
					short, stop := context.WithTimeout(s.ctx, time.Second)
					if err := s.r.Shutdown(short); err != context.DeadlineExceeded {
						t.Errorf("Shutdown: %v", err)
					}
					stop()
				}
				if err := <-s.ran; err != want {
					t.Errorf("Run: %v", err)
				}
				cancel()
				if n := len(s.outcomes()); n != 21 || s.outcomes()[20] != "c@example.com failed" {
					t.Errorf("%v", s.outcomes())
				}
				stats, _ := s.store.Stats(s.ctx)
				if stats.Leased != 0 || stats.Items != 53 {
					t.Errorf("%+v", stats)
				}
				for _, it := range s.items() {
					want := map[string]int{"example.net": 0, "example.com": 1, "unknown.example": 1}[it.Destination]
					if it.Attempts != want || it.Due.After(time.Now()) != (want > 0) {
						t.Errorf("%+v", it)
					}
				}
				if len(s.rests()) > 0 {
					t.Errorf("%v", s.rests())
				}
			})
		})
	}
}

// A store that fails keeps the end waiting for so long and no longer.
func TestShutdownWithoutStore(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, func(r *queue.Runner) {
				if hangs {
					r.Store = &hanging{r.Store}
				}
			})
			s.run()
			s.does("example.net", after(time.Second, well))
			s.send("a@example.org", "b@example.net")
			s.send("a@example.org", "c@example.net")
			if !hangs {
				s.store.breaks(errDisk)
			}
			s.sleep(time.Minute)
			ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
			defer cancel()
			if err := s.r.Shutdown(ctx); err != context.DeadlineExceeded {
				t.Errorf("Shutdown: %v", err)
			}
			began := time.Now()
			if err := <-s.ran; err != nil {
				t.Errorf("Run: %v", err)
			}
			if d := time.Since(began); d > 35*time.Second {
				t.Errorf("Run took %v to end", d)
			}
			if !s.log.has("could not be recorded") {
				t.Errorf("not logged: %s", s.log.String())
			}
			s.ran = nil
		})
	}
}

// hanging hangs in Settle.
type hanging struct{ queue.Store }

func (h *hanging) Settle(ctx context.Context, _ []*queue.Settlement) error {
	<-ctx.Done()
	return ctx.Err()
}

// Whoever commits when the Runner ends loses nothing, and leaves no lease behind.
func TestCommitAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, func(r *queue.Runner) { r.LeaseTime = time.Hour })
		s.run()
		in := make(chan struct{})
		s.store.hook(func(method string) {
			if method == "Commit" {
				close(in)
				time.Sleep(time.Minute)
			}
		})
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.send("", "b@example.net")
		}()
		<-in
		s.stop()
		<-done
		if stats, _ := s.store.Stats(s.ctx); stats.Items != 1 || stats.Leased != 0 {
			t.Errorf("%+v", stats)
		}
	})
}

// A Commit that fails leaves nothing behind, and takes no place from others.
func TestCommitFails(t *testing.T) {
	play(t, func(r *queue.Runner) { r.SiteDeliveries = 1; r.MaxMessages = 1 }, func(s *stage) {
		for _, method := range []string{"Commit", "Begin", "Write"} {
			s.store.breaksAt(method, errDisk)
			for range 3 {
				in, err := s.r.Begin(s.ctx, 10)
				if err == nil {
					if _, err = in.Write([]byte("x")); err == nil {
						err = in.Commit(s.ctx, &queue.NewMessage{Envelope: envelope(t, "b@example.net")})
					}
					in.Abort()
				}
				if err != errDisk {
					t.Errorf("%s: %v", method, err)
				}
			}
		}
		s.store.breaks(nil)
		s.send("", "b@example.net")
		synctest.Wait()
		s.want("b@example.net delivered")
		if len(s.tried()) != 1 || s.store.called("Lease") != 0 {
			t.Errorf("%d attempts, %d leases", len(s.tried()), s.store.called("Lease"))
		}
	})
}

// A process that was stopped for longer than its leases last extends them before it
// leases anything: it does not take its own items for somebody's who is gone.
func TestStoppedProcess(t *testing.T) {
	play(t, func(r *queue.Runner) { r.LeaseTime = 30 * time.Second; r.SiteDeliveries = 1 }, func(s *stage) {
		s.does("example.net", after(10*time.Minute, well))
		s.send("", "b@example.net")
		s.sleep(time.Second)
		asleep := time.Now().Add(5 * time.Minute) // whatever goes to the store hangs as long
		s.store.hook(func(string) { time.Sleep(time.Until(asleep)) })
		s.send("", "c@example.com")
		s.sleep(20 * time.Minute)
		s.want("b@example.net delivered", "c@example.com delivered")
		if n := len(s.times("example.net")); n != 1 {
			t.Errorf("%d attempts", n)
		}
	})
}

// When the turn of an item comes after its lease was over, and somebody else has it,
// it is not delivered.
func TestStoodStill(t *testing.T) {
	play(t, func(r *queue.Runner) { r.LeaseTime, r.SiteDeliveries, r.MaxSiteDeliveries = 10*time.Second, 1, 1 }, func(s *stage) {
		s.does("example.net", after(100*time.Millisecond, well)) // so that more is leased ahead
		s.send("", "a@example.net")
		s.sleep(time.Second)
		s.does("example.net", after(30*time.Second, well))
		s.send("", "b@example.net")
		s.send("", "c@example.net")
		s.send("", "d@example.net")
		still := make(chan struct{})
		var first atomic.Bool
		s.store.mu.Lock()
		s.store.before = func(method string) {
			if method == "Extend" && first.CompareAndSwap(false, true) {
				<-still
			}
		}
		s.store.mu.Unlock()
		s.sleep(20 * time.Second)
		theirs, err := s.store.Store.Lease(s.ctx, queue.LeaseRequest{Destination: "example.net", Max: 2, Now: time.Now(), Until: time.Now().Add(time.Hour)})
		if err != nil || len(theirs) != 2 {
			t.Fatalf("%d leases are taken over, %v", len(theirs), err)
		}
		s.sleep(time.Minute)
		if n := len(s.tries); n != 3 {
			t.Errorf("%d deliveries, want those of a, b and d", n)
		}
		close(still)
		s.sleep(time.Minute)
		s.want("a@example.net delivered", "d@example.net delivered")
		var done []*queue.Settlement
		for _, l := range theirs {
			done = append(done, &queue.Settlement{Lease: l.Lease, Done: []queue.Outcome{{Message: l.Message.ID, Recipient: l.Item.Recipients[0].To, Status: queue.Delivered}}})
		}
		if err := s.store.Store.Settle(s.ctx, done); err != nil || done[0].Err != nil || done[1].Err != nil {
			t.Errorf("theirs: %v, %v, %v", err, done[0].Err, done[1].Err)
		}
		s.want("a@example.net delivered", "b@example.net delivered", "c@example.net delivered", "d@example.net delivered")
	})
}

// A message that an operator has deleted while it was leased is not the destination's
// fault.
func TestDeletedMessage(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.does("example.net", func(_ context.Context, m *mx.Message) []mx.Result {
			s.store.Change(s.ctx, queue.Filter{}, queue.Delete, time.Now())
			_, err := m.Content.Open()
			return each(m, mx.Result{Scope: mx.ScopeLocal, Local: true, Err: err, Reply: unreachable.Reply})
		})
		for range 20 {
			s.send("a@example.org", "b@example.net")
			s.sleep(time.Second)
		}
		if len(s.rests()) > 0 || len(s.tried()) != 20 || len(s.told()) > 0 {
			t.Errorf("%d attempts, %v, %v", len(s.tried()), s.rests(), s.told())
		}
	})
}

// Nor is a content that the store cannot read.
func TestUnreadableContent(t *testing.T) {
	for _, scope := range []mx.Scope{mx.ScopeLocal, mx.ScopeHost} {
		play(t, func(r *queue.Runner) { r.Retry = time.Minute }, func(s *stage) {
			s.does("example.net", always(mx.Result{Scope: scope, Local: true, Reply: unreachable.Reply,
				Err: fmt.Errorf("mx: %w: %w", errDisk, queue.ErrUnreadable)}))
			for range 20 {
				s.send("a@example.org", "b@example.net")
				s.sleep(time.Second)
			}
			if len(s.sites) > 0 || len(s.tries) != 20 {
				t.Errorf("%d attempts, %v", len(s.tries), s.sites)
			}
			s.does("example.net", well)
			s.sleep(5 * time.Minute)
			if n := len(s.outcomes()); n != 20 {
				t.Errorf("%d outcomes", n)
			}
		})
	}
}
