package queue_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

// Few deliveries at first, more with each that does well, never more than allowed.
func TestWindow(t *testing.T) {
	for _, test := range []struct {
		name        string
		act         act
		first, most int
		want        int
	}{
		{"grows", after(time.Second, well), 0, 0, 20},
		{"does not grow", after(time.Second, always(unreachable)), 0, 0, 5},
		{"refusals are answers", after(time.Second, refuses), 0, 0, 20},
		{"deferrals are answers", after(time.Second, later), 0, 0, 20},
		{"limits", after(time.Second, well), 2, 7, 7},
		{"one", after(time.Second, well), 1, 1, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			play(t, func(r *queue.Runner) { r.SiteDeliveries, r.MaxSiteDeliveries = test.first, test.most }, func(s *stage) {
				s.does("example.net", test.act)
				for range 500 {
					s.send("", "b@example.net")
				}
				s.sleep(500 * time.Millisecond)
				want := 5
				if test.first > 0 {
					want = test.first
				}
				if got := s.r.Activity().Deliveries; got != want {
					t.Errorf("%d at first, want %d", got, want)
				}
				s.sleep(40 * time.Second)
				if got := s.mostOf("example.net"); got != test.want {
					t.Errorf("%d at the most, want %d", got, test.want)
				}
				s.does("example.net", well)
				s.sleep(20 * time.Minute)
				s.store.Change(s.ctx, queue.Filter{}, queue.Delete, time.Now())
			})
		})
	}
}

// What makes a destination rest, and what does not.
func TestBlame(t *testing.T) {
	result := func(status mx.Status, scope mx.Scope, local bool) mx.Result {
		r := mx.Result{Status: status, Scope: scope, Local: local, Reply: smtp.Reply{Code: 451}, Err: errGone}
		if status == mx.Failed {
			r.Reply.Code = 550
		}
		return r
	}
	required := result(mx.Deferred, mx.ScopePolicy, true)
	required.Policy.Source = mx.SourceRequireTLS
	for _, test := range []struct {
		name  string
		r     mx.Result
		rests bool
	}{
		{"host", result(mx.Deferred, mx.ScopeHost, true), true},
		{"host, as it says", result(mx.Deferred, mx.ScopeHost, false), true},
		{"site", result(mx.Deferred, mx.ScopeSite, true), true},
		{"policy", result(mx.Deferred, mx.ScopePolicy, true), true},
		{"policy of the message", required, false},
		{"local", result(mx.Deferred, mx.ScopeLocal, true), true},
		{"message", result(mx.Deferred, mx.ScopeMessage, false), false},
		{"message, local", result(mx.Deferred, mx.ScopeMessage, true), false},
		{"recipient", result(mx.Deferred, mx.ScopeRecipient, false), false},
		{"nothing said", result(mx.Deferred, mx.ScopeNone, false), false},
		{"for good", result(mx.Failed, mx.ScopeSite, true), false},
		{"for good, host", result(mx.Failed, mx.ScopeHost, false), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				s.does("example.net", always(test.r))
				for range 30 {
					s.send("", "b@example.net")
				}
				synctest.Wait()
				if rests := s.r.Activity().Resting == 1; rests != test.rests || len(s.rests()) > 0 != test.rests {
					t.Errorf("rests: %t, %v", rests, s.rests())
				}
				if n := len(s.tried()); test.rests && n > 8 || !test.rests && n != 30 {
					t.Errorf("%d attempts", n)
				}
			})
		})
	}
}

// One failure among successes is no reason for a rest; many without one are.
func TestCohort(t *testing.T) {
	play(t, nil, func(s *stage) {
		n := 0
		s.does("example.net", func(ctx context.Context, m *mx.Message) []mx.Result {
			s.mu.Lock()
			n++
			bad := n%3 == 0
			s.mu.Unlock()
			if bad {
				return gone(ctx, m)
			}
			return well(ctx, m)
		})
		for range 300 {
			s.send("", "b@example.net")
		}
		synctest.Wait()
		if len(s.rests()) > 0 {
			t.Errorf("%v", s.rests())
		}
	})
}

// A dead destination rests for a minute, then for twice as long each time, and is tried
// by one delivery then; its items wait untouched, and all go when it is well.
func TestRest(t *testing.T) {
	play(t, func(r *queue.Runner) { r.WarnAfter = -1 }, func(s *stage) {
		s.does("example.net", gone)
		const messages = 200
		for range messages {
			s.send("", "b@example.net")
		}
		synctest.Wait()
		cohort := len(s.tried())
		if cohort > 8 {
			t.Errorf("%d attempts before the rest", cohort)
		}
		s.sleep(3 * time.Hour)
		want := time.Minute
		for i := range s.rests()[1:] {
			e, next := s.rests()[i], s.rests()[i+1]
			if got := e.until - e.at; !about(got, want) || e.err != errGone {
				t.Errorf("rest %d: %v, want %v, for %v", i, got, want, e.err)
			}
			if got := next.at - e.until; got < 0 || got > time.Second {
				t.Errorf("probe %d: %v after the rest", i, got)
			}
			want = min(2*want, 30*time.Minute)
		}
		if n := len(s.tried()) - cohort; n != len(s.rests())-1 || n < 8 {
			t.Errorf("%d probes in %d rests", n, len(s.rests()))
		}
		untouched := 0
		for _, it := range s.items() {
			if it.Attempts == 0 {
				untouched++
			}
		}
		if untouched < messages-cohort-len(s.rests()) {
			t.Errorf("%d untouched", untouched)
		}
		s.does("example.net", well)
		s.sleep(40 * time.Minute)
		if e := s.rests()[len(s.rests())-1]; e.until != 0 {
			t.Errorf("%+v", e)
		}
		s.sleep(5 * time.Hour)
		if n := len(s.outcomes()); n != messages {
			t.Errorf("%d delivered", n)
		}
	})
}

// An operator who knows that a destination is well need not wait for the end of its
// rest.
func TestTryNow(t *testing.T) {
	play(t, nil, func(s *stage) {
		for _, destination := range []string{"example.net", "example.com"} {
			s.does(destination, gone)
			for range 20 {
				s.send("", "b@"+destination)
			}
		}
		s.sleep(3 * time.Hour)
		s.does("example.net", well)
		s.does("example.com", well)
		if n, err := s.r.TryNow(s.ctx, queue.Filter{Destination: "example.net"}); n != 20 || err != nil {
			t.Fatal(n, err)
		}
		s.sleep(10 * time.Second)
		if n := len(s.outcomes()); n != 20 || s.r.Activity().Resting != 1 {
			t.Fatalf("%d delivered, %d rest", n, s.r.Activity().Resting)
		}
		if n, err := s.r.TryNow(s.ctx, queue.Filter{}); n != 20 || err != nil {
			t.Fatal(n, err)
		}
		s.sleep(10 * time.Second)
		if n := len(s.outcomes()); n != 40 || s.r.Activity().Resting != 0 {
			t.Fatalf("%d delivered, %d rest", n, s.r.Activity().Resting)
		}
	})
}

// What was underway when the rest began ends it if it does well.
func TestRestEndsEarly(t *testing.T) {
	play(t, nil, func(s *stage) {
		n := 0
		s.does("example.net", func(ctx context.Context, m *mx.Message) []mx.Result {
			s.mu.Lock()
			n++
			slow := n == 1
			s.mu.Unlock()
			if slow {
				return after(10*time.Second, well)(ctx, m)
			}
			return gone(ctx, m)
		})
		for range 50 {
			s.send("", "b@example.net")
		}
		s.sleep(time.Second)
		if s.r.Activity().Resting != 1 {
			t.Fatal("it does not rest")
		}
		s.does("example.net", well)
		s.sleep(10 * time.Second)
		if n := len(s.outcomes()); n < 40 {
			t.Errorf("%d delivered", n)
		}
	})
}

// 10,000 messages for a dead destination cost nothing, and delay nobody (issue: guarantee 4).
func TestDeadDestinationDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, func(r *queue.Runner) { r.WarnAfter = -1 })
		s.does("dead.example", stalls)
		for range 10_000 {
			s.send("", "b@dead.example")
		}
		s.run()
		s.sleep(time.Second)
		for range 100 {
			s.send("", "b@example.net")
			s.sleep(time.Second)
			if n := len(s.outcomes()); n == 0 {
				t.Fatal("not at once")
			}
		}
		if n := len(s.outcomes()); n != 100 {
			t.Errorf("%d delivered", n)
		}
		s.sleep(time.Hour)
		if n := len(s.times("dead.example")); n > 30 {
			t.Errorf("%d attempts", n)
		}
		if n := s.store.called("Settle"); n > 250 {
			t.Errorf("%d settlements", n)
		}
		if m := s.mostOf("dead.example"); m > 5 {
			t.Errorf("%d at a time", m)
		}
		s.store.Change(s.ctx, queue.Filter{}, queue.Delete, time.Now())
		s.stop()
	})
}

// A thousand dead destinations at once do not keep a live one waiting, whether it was
// known before or not, and take their share of the deliveries only.
func TestThousandDeadDestinations(t *testing.T) {
	play(t, func(r *queue.Runner) { r.MaxDeliveries = 100; r.WarnAfter = -1 }, func(s *stage) {
		s.send("", "b@live.example")
		synctest.Wait()
		for i := range 1000 {
			name := fmt.Sprintf("d%d.example", i)
			s.does(name, stalls)
			for range 3 {
				s.send("", "b@"+name)
			}
		}
		synctest.Wait()
		different := map[string]bool{}
		for _, try := range s.tried() {
			different[try.destination] = true
		}
		if n := len(different); n < 38 { // when places are scarce one for each is enough
			t.Errorf("%d destinations are found out about", n)
		}
		delivered := len(s.outcomes())
		for i := range 30 {
			s.sleep(time.Second)
			s.send("", "b@live.example")
			synctest.Wait()
			if n := len(s.outcomes()); n != delivered+i+1 {
				t.Fatalf("message %d waits: %d", i, n)
			}
		}
		if n := s.r.Activity().Deliveries; n != 75 {
			t.Errorf("%d deliveries", n)
		}
		s.send("", "b@new.example")
		s.sleep(15 * time.Minute)
		if n := len(s.times("new.example")); n != 1 {
			t.Errorf("the new one was tried %d times", n)
		}
		if m := s.mostOf(""); m > 76 {
			t.Errorf("%d at a time", m)
		}
		began := len(s.tried())
		s.sleep(10 * time.Minute)
		if n := len(s.tried()) - began; n < 300 || n > 2000 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		s.store.Change(s.ctx, queue.Filter{}, queue.Delete, time.Now())
	})
}

// Destinations take turns: one with many messages does not keep one with few waiting.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, func(r *queue.Runner) { r.MaxDeliveries = 4 })
		for range 300 {
			s.send("", "b@many.example")
		}
		for range 3 {
			s.send("", "b@few.example")
			s.send("", "b@zero.example")
		}
		for _, name := range []string{"many.example", "few.example", "zero.example"} {
			s.does(name, after(time.Second, well))
		}
		s.run()
		s.sleep(10 * time.Second)
		for _, name := range []string{"few.example", "zero.example"} {
			if n := len(s.times(name)); n != 3 {
				t.Errorf("%s: %d attempts", name, n)
			}
		}
		if m := s.mostOf(""); m != 4 {
			t.Errorf("%d at a time", m)
		}
		s.sleep(5 * time.Minute)
		if n := len(s.outcomes()); n != 306 {
			t.Errorf("%d delivered", n)
		}
		s.stop()
	})
}

// A destination that nothing is known of gets its turn though others that are well
// could use all the places.
func TestTurnOfTheUnknown(t *testing.T) {
	play(t, func(r *queue.Runner) { r.MaxDeliveries = 4 }, func(s *stage) {
		s.send("", "b@many.example")
		synctest.Wait()
		s.does("many.example", after(time.Second, well))
		for range 300 {
			s.send("", "b@many.example")
		}
		s.sleep(10 * time.Second)
		s.send("", "b@new.example")
		s.sleep(2 * time.Second)
		if n := len(s.times("new.example")); n != 1 || s.r.Activity().Deliveries < 3 {
			t.Errorf("%d attempts, %+v", n, s.r.Activity())
		}
		s.sleep(5 * time.Minute)
	})
}

// What waits in the store is leased by the hundred, when it goes fast.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		for range 3000 {
			s.send("", "b@example.net")
		}
		s.does("example.net", after(5*time.Millisecond, well))
		s.run()
		s.sleep(5 * time.Second)
		if n, leases := len(s.outcomes()), s.store.called("Lease"); n != 3000 || leases > 120 {
			t.Errorf("%d outcomes, %d leases", n, leases)
		}
		s.stop()
	})
}

// Destinations that have something due are found behind thousands that rest.
func TestPages(t *testing.T) {
	play(t, nil, func(s *stage) {
		for i := range 1500 {
			name := fmt.Sprintf("d%d.example", i)
			s.does(name, gone)
			for range 8 {
				s.send("", "b@"+name)
			}
		}
		s.sleep(time.Second)
		if n := s.r.Activity().Resting; n != 1500 {
			t.Fatalf("%d rest", n)
		}
		other := s.r
		s.r = s.runner(nil)
		s.send("", "b@live.example")
		s.r = other
		s.sleep(13 * time.Second)
		s.want("b@live.example delivered")
		s.store.Change(s.ctx, queue.Filter{}, queue.Delete, time.Now())
	})
}

// The order of one destination's messages is that in which they came, as far as
// deliveries at the same time allow, when some had to wait in the store.
func TestOrder(t *testing.T) {
	play(t, func(r *queue.Runner) { r.SiteDeliveries, r.MaxSiteDeliveries = 1, 1 }, func(s *stage) {
		s.does("example.net", after(10*time.Millisecond, well))
		var ids []queue.ID
		for range 50 {
			ids = append(ids, s.send("", "b@example.net"))
		}
		s.sleep(50 * time.Millisecond)
		for range 300 {
			ids = append(ids, s.send("", "b@example.net"))
		}
		for range 200 { // while those are on their way
			s.sleep(11 * time.Millisecond)
			ids = append(ids, s.send("", "b@example.net"))
		}
		s.sleep(10 * time.Second)
		if len(s.tried()) != len(ids) {
			t.Fatalf("%d attempts", len(s.tried()))
		}
		for i, try := range s.tried() {
			if try.leased.Message.ID != ids[i] {
				t.Fatalf("number %d was out of its turn", i)
			}
		}
	})
}

// A Runner that finds much due at once begins slowly, and tries what was put off again
// at different times.
func TestRestartWithoutHerd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		for i := range 200 {
			for range 20 {
				s.send("", fmt.Sprintf("b@d%d.example", i))
			}
		}
		for i := range 200 {
			s.does(fmt.Sprintf("d%d.example", i), after(time.Second, later))
		}
		s.run()
		s.sleep(500 * time.Millisecond)
		if a := s.r.Activity(); a.Deliveries > 375 {
			t.Errorf("%+v", a)
		}
		for i := range 200 {
			if n := s.mostOf(fmt.Sprintf("d%d.example", i)); n > 5 {
				t.Errorf("%d: %d at a time", i, n)
			}
		}
		s.sleep(4 * time.Minute)
		first := len(s.tried())
		if first < 4000 {
			t.Errorf("%d attempts", first)
		}
		s.store.Change(s.ctx, queue.Filter{}, queue.Delete, time.Now())
		s.stop()
	})
}

// What could not be reached before is tried by one delivery after a restart.
func TestRestartWithDeadDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		s.does("example.net", gone)
		for range 5 {
			s.send("", "b@example.net")
		}
		s.run()
		s.sleep(time.Second)
		if n := len(s.tried()); n != 5 {
			t.Fatalf("%d attempts", n)
		}
		s.stop()
		s.sleep(time.Hour)
		s.does("example.net", stalls)
		s.r = s.runner(nil)
		s.run()
		s.sleep(time.Second)
		if n := len(s.tried()) - 5; n != 1 {
			t.Errorf("%d attempts after the restart", n)
		}
		s.stop()
	})
}

// Of destinations that are well and have nothing to do nothing is remembered for long,
// and of no more than so many in any case.
func TestSitesAreForgotten(t *testing.T) {
	play(t, nil, func(s *stage) {
		for i := range 12_000 {
			s.send("", fmt.Sprintf("b@d%d.example", i))
			if i%100 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		if n := s.r.Activity().Destinations; n > 10_000 {
			t.Errorf("%d are known", n)
		}
		if n := len(s.outcomes()); n != 12_000 {
			t.Errorf("%d delivered", n)
		}
		s.sleep(time.Hour)
		if n := s.r.Activity().Destinations; n != 0 {
			t.Errorf("%d are known after an hour", n)
		}
	})
}

// More destinations than can be remembered, all waiting in the store: all are found.
func TestMoreDestinationsThanRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		for i := range 12_000 {
			s.send("", fmt.Sprintf("b@d%d.example", i))
		}
		s.run()
		s.sleep(time.Minute)
		if n := len(s.outcomes()); n != 12_000 {
			t.Errorf("%d delivered", n)
		}
		s.stop()
	})
}
