package queue_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
)

// However slow the store is, only so many deliveries to a destination are not recorded:
// those that a crash would double.
func TestUnrecorded(t *testing.T) {
	play(t, func(r *queue.Runner) { r.SiteDeliveries, r.MaxSiteDeliveries = 3, 7 }, func(s *stage) {
		s.store.hook(func(method string) {
			if method == "Settle" {
				time.Sleep(time.Second)
			}
		})
		var mu sync.Mutex
		var begun, most int
		s.does("example.net", func(ctx context.Context, m *mx.Message) []mx.Result {
			mu.Lock()
			begun++
			most = max(most, begun-len(s.outcomes()))
			mu.Unlock()
			return after(10*time.Millisecond, well)(ctx, m)
		})
		for range 300 {
			s.send("", "b@example.net")
		}
		s.sleep(2 * time.Minute)
		if most != 28 {
			t.Errorf("%d deliveries were not recorded at a time, want 28", most)
		}
		if n := len(s.outcomes()); n != 300 {
			t.Errorf("%d outcomes", n)
		}
	})
}

// What the store cannot record, and what waits for a notification that it cannot take,
// keep nothing else from their destination.
func TestUnrecordedKeepNobody(t *testing.T) {
	for _, method := range []string{"Settle", "Begin"} {
		t.Run(method, func(t *testing.T) {
			var works atomic.Bool
			play(t, func(r *queue.Runner) {
				noPoll(r)
				r.SiteDeliveries, r.MaxSiteDeliveries = 1, 1
				if method == "Settle" {
					r.Store = &choosy{r.Store, &works}
				}
			}, func(s *stage) {
				s.does("example.net", badFails)
				for range 4 {
					s.send("a@example.org", "well@example.net", "bad@example.net")
				}
				for range 4 {
					s.send("", "b@example.net")
				}
				if method == "Begin" {
					s.store.breaksAt(method, errDisk)
				}
				s.sleep(5 * time.Minute)
				s.want(slices.Repeat([]string{"b@example.net delivered"}, 4)...)
				s.store.breaks(nil)
				works.Store(true)
				s.sleep(time.Hour)
				if n := len(s.outcomes()); n < 12 || len(s.told()) != 4 {
					t.Errorf("%q, %d notifications", s.outcomes(), len(s.told()))
				}
			})
		})
	}
}

// badFails takes a second, and refuses recipients called bad.
func badFails(ctx context.Context, m *mx.Message) []mx.Result {
	results := after(time.Second, well)(ctx, m)
	for i := range results {
		if strings.HasPrefix(m.Envelope.Recipients[i].To.Local, "bad") {
			results[i] = refused(550)
		}
	}
	return results
}

// choosy fails, until it works, for each settlement with a failed recipient.
type choosy struct {
	queue.Store
	works *atomic.Bool
}

func (c *choosy) Settle(ctx context.Context, all []*queue.Settlement) error {
	for _, s := range all {
		if !c.works.Load() && slices.ContainsFunc(s.Done, func(o queue.Outcome) bool { return o.Status == queue.Failed }) {
			return errDisk
		}
	}
	return c.Store.Settle(ctx, all)
}

// When what had kept a destination is left alone, it goes on at once.
func TestStuckThenFine(t *testing.T) {
	var works atomic.Bool
	play(t, func(r *queue.Runner) {
		noPoll(r)
		r.SiteDeliveries, r.MaxSiteDeliveries = 1, 1
		r.Store = &choosy{r.Store, &works}
	}, func(s *stage) {
		var first atomic.Bool
		s.store.hook(func(method string) {
			if method == "Settle" && first.CompareAndSwap(false, true) {
				time.Sleep(10 * time.Second) // so that what follows comes as one batch
			}
		})
		s.send("", "first@example.com")
		s.sleep(time.Millisecond)
		s.does("example.com", after(4500*time.Millisecond, well))
		s.does("example.net", badFails)
		for range 4 {
			s.send("a@example.org", "well@example.net", "bad@example.net")
		}
		s.send("", "b@example.net")
		s.send("", "last@example.com")
		s.sleep(13 * time.Second)
		s.want("b@example.net delivered", "first@example.com delivered", "last@example.com delivered")
		works.Store(true)
		s.sleep(time.Hour)
	})
}

// What is leased already when the store at last says so runs out early; it is not
// leased again by who has it.
func TestOwnLease(t *testing.T) {
	for _, slow := range []string{"Commit", "Lease"} {
		t.Run(slow, func(t *testing.T) {
			play(t, func(r *queue.Runner) { r.LeaseTime, r.Poll = 30*time.Second, time.Second }, func(s *stage) {
				if slow == "Lease" {
					other := s.r
					s.r = s.runner(nil) // does not run: the item stays in the store
					s.send("", "b@example.net")
					s.r = other
				}
				var slept, settled atomic.Bool
				s.store.hook(func(method string) {
					switch {
					case method == slow && slept.CompareAndSwap(false, true):
						time.Sleep(28 * time.Second)
					case method == "Settle" && settled.CompareAndSwap(false, true):
						time.Sleep(6 * time.Second)
					}
				})
				s.sleep(5 * time.Second)
				if slow == "Commit" {
					s.send("", "b@example.net")
				}
				s.sleep(2 * time.Minute)
				if n := len(s.times("example.net")); n != 1 {
					t.Errorf("delivered %d times: %v", n, s.times("example.net"))
				}
			})
		})
	}
}

// So if that happens while leases are extended.
func TestOwnLeaseWhileExtended(t *testing.T) {
	play(t, func(r *queue.Runner) { r.LeaseTime, r.Poll = 30*time.Second, time.Second }, func(s *stage) {
		s.sleep(2 * time.Second)
		s.does("example.com", after(time.Hour, well)) // its lease is extended after 20 s, and after 40
		s.send("", "c@example.com")
		var commits, extends, settles atomic.Int64
		s.store.hook(func(method string) {
			switch {
			case method == "Commit" && commits.Add(1) == 1:
				time.Sleep(28 * time.Second)
			case method == "Extend" && extends.Add(1) == 2:
				time.Sleep(4 * time.Second)
			case method == "Settle" && settles.Add(1) == 1:
				time.Sleep(6 * time.Second)
			}
		})
		s.sleep(13 * time.Second)
		s.send("", "b@example.net") // until the 43rd second, with a lease up to the 45th
		s.sleep(time.Minute)
		if n := len(s.times("example.net")); n != 1 {
			t.Errorf("delivered %d times: %v", n, s.times("example.net"))
		}
		s.sleep(2 * time.Hour)
	})
}

// A lease that is asked for after the store took long for something else is a whole
// one: nobody else has the item before it is over or extended.
func TestWholeLease(t *testing.T) {
	for d := 500 * time.Millisecond; d <= 7*time.Second; d += 1500 * time.Millisecond {
		play(t, func(r *queue.Runner) { r.LeaseTime = time.Minute }, func(s *stage) {
			s.sleep(d)
			s.does("example.net", after(50*time.Second, well))
			first := s.r
			s.r = s.runner(nil) // does not run: the item stays in the store
			s.send("", "b@example.net")
			s.r = first
			var slept atomic.Bool
			s.store.hook(func(method string) {
				if method == "Ready" && slept.CompareAndSwap(false, true) {
					time.Sleep(52 * time.Second)
				}
			})
			for len(s.times("example.net")) == 0 && time.Since(s.began) < 2*time.Minute {
				s.sleep(100 * time.Millisecond)
			}
			other := s.runner(func(r *queue.Runner) { r.LeaseTime, r.Poll, r.Store = time.Minute, time.Second, s.store.Store })
			ran := make(chan error, 1)
			go func() { ran <- other.Run(s.ctx) }()
			s.sleep(3 * time.Minute)
			if n := len(s.times("example.net")); n != 1 {
				t.Errorf("%v: delivered %d times: %v", d, n, s.times("example.net"))
			}
			other.Shutdown(s.ctx)
			<-ran
		})
	}
}
