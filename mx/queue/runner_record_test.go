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
	partly := func(ctx context.Context, m *mx.Message) []mx.Result {
		results := after(time.Second, well)(ctx, m)
		for i := range results {
			if strings.HasPrefix(m.Envelope.Recipients[i].To.Local, "bad") {
				results[i] = refused(550)
			}
		}
		return results
	}
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
				s.does("example.net", partly)
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
