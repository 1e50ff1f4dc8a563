package queue_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

// A message is handed over as it comes: nobody looks for it in the store.
func TestHandOff(t *testing.T) {
	play(t, nil, func(s *stage) {
		before := s.store.called("Lease")
		s.send("a@example.org", "b@example.net", "c@EXAMPLE.net", "d@example.com")
		synctest.Wait()
		s.want("b@example.net delivered", "c@EXAMPLE.net delivered", "d@example.com delivered")
		if n := s.store.called("Lease") - before; n != 0 {
			t.Errorf("%d leases", n)
		}
		if at := slices.Concat(s.times("example.net"), s.times("example.com")); len(at) != 2 || at[0]+at[1] != 0 {
			t.Errorf("tried at %v", at)
		}
		to := s.tried()[slices.IndexFunc(s.tried(), func(t try) bool { return t.destination == "example.net" })]
		if r := to.m.Envelope.Recipients; len(r) != 2 || r[0].To.Local != "b" || r[1].To.Local != "c" {
			t.Errorf("recipients %v", r)
		}
		if to.leased == nil || to.leased.Item.Destination != "example.net" {
			t.Errorf("the context has %+v", to.leased)
		}
	})
}

// Who does not run takes messages in all the same, and who runs later finds them.
func TestNotRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		s.send("a@example.org", "b@example.net")
		s.sleep(time.Minute)
		if s.want(); len(s.items()) != 1 {
			t.Errorf("%v", s.items())
		}
		s.run()
		s.want("b@example.net delivered")
		s.stop()
	})
}

// The time between attempts doubles, up to the limit, and the reasons are kept.
func TestRetries(t *testing.T) {
	play(t, func(r *queue.Runner) { noPoll(r); r.MaxRetry = time.Hour; r.WarnAfter = -1 }, func(s *stage) {
		s.does("example.net", later)
		s.send("a@example.org", "b@example.net")
		s.sleep(5 * time.Hour)
		at := s.times("example.net")
		wait := []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute, time.Hour, time.Hour}
		if len(at) < 7 {
			t.Fatalf("tried at %v", at)
		}
		for i, want := range wait {
			if got := at[i+1] - at[i]; !about(got, want) {
				t.Errorf("wait %d: %v, want %v", i, got, want)
			}
		}
		it := s.items()[0]
		if to := it.Recipients[0]; it.Attempts != len(at) || to.Reply.Code != 451 || to.Local || to.Host != "mx.example.net" ||
			to.Last.Sub(s.began) != at[len(at)-1] {
			t.Errorf("%+v", it)
		}
		s.does("example.net", well)
		s.sleep(2 * time.Hour)
		s.want("b@example.net delivered")
	})
}

// Items that were put off together do not come back together.
func TestRetriesAreSpread(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.does("example.net", later)
		for range 20 {
			s.send("a@example.org", "b@example.net")
		}
		synctest.Wait()
		var first, last time.Time
		for _, it := range s.items() {
			if first.IsZero() || it.Due.Before(first) {
				first = it.Due
			}
			if it.Due.After(last) {
				last = it.Due
			}
		}
		if d := last.Sub(first); d < 30*time.Second || d > 2*time.Minute {
			t.Errorf("all within %v", d)
		}
	})
}

// What one recipient is refused for does not hold up another of the same item.
func TestMixedResults(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.does("example.net", func(_ context.Context, m *mx.Message) []mx.Result {
			results := each(m, refused(451))
			for i, to := range m.Envelope.Recipients {
				switch to.To.Local {
				case "b":
					results[i] = mx.Result{Status: mx.Delivered, Reply: smtp.Reply{Code: 250}}
				case "c":
					results[i] = refused(550)
				case "r":
					results[i] = mx.Result{Status: mx.Relayed, Reply: smtp.Reply{Code: 250}}
				case "u":
					results[i] = mx.Result{Status: 77, Reply: smtp.Reply{Code: 250}}
				}
			}
			return results
		})
		s.send("", "b@example.net", "c@example.net", "d@example.net", "u@example.net", "r@example.net")
		synctest.Wait()
		s.want("b@example.net delivered", "c@example.net failed", "r@example.net relayed")
		it := s.items()
		if len(it) != 1 || len(it[0].Recipients) != 2 || it[0].Recipients[0].To.Local != "d" || it[0].Recipients[1].To.Local != "u" || it[0].Attempts != 1 {
			t.Errorf("%+v", it)
		}
		s.does("example.net", well)
		s.sleep(10 * time.Minute)
		if got := s.tried()[len(s.tried())-1].m.Envelope.Recipients; len(got) != 2 {
			t.Errorf("tried again: %v", got)
		}
		if len(s.done()) != 5 {
			t.Errorf("%d outcomes were told", len(s.done()))
		}
	})
}

// At the end of its time an item is given up, and the sender told what was heard last.
func TestExpiry(t *testing.T) {
	for _, test := range []struct {
		name     string
		act      act
		set      func(*queue.NewMessage)
		at       time.Duration // when it is given up
		attempts int           // at least
		status   string
		reply    string
	}{
		{name: "lifetime", act: later, at: 5 * 24 * time.Hour, attempts: 20, status: "4.1.1", reply: "451 4.1.1 not you"},
		{name: "its own", act: later, at: time.Hour, set: func(m *queue.NewMessage) { m.Lifetime = time.Hour }, attempts: 3, status: "4.1.1", reply: "451 4.1.1 not you"},
		{name: "destination at rest", act: gone, at: 5 * 24 * time.Hour, attempts: 20, status: "4.4.1", reply: "451 4.4.1 no connection to the host"},
		{name: "BY", act: later, at: 10 * time.Minute, set: by(10*time.Minute, smtp.DeliverReturn), attempts: 2, status: "5.4.7", reply: "451 4.1.1 not you"},
		{name: "BY is late", act: later, at: time.Hour, set: func(m *queue.NewMessage) { by(24*time.Hour, smtp.DeliverReturn)(m); m.Lifetime = time.Hour },
			attempts: 3, status: "5.4.7", reply: "451 4.1.1 not you"},
	} {
		t.Run(test.name, func(t *testing.T) {
			play(t, func(r *queue.Runner) { noPoll(r); r.WarnAfter = -1 }, func(s *stage) {
				s.does("example.net", test.act)
				s.sendWith(test.set, "a@example.org", "b@example.net")
				s.sleep(test.at - time.Second)
				if s.want(); len(s.tried()) < test.attempts {
					t.Errorf("%d attempts", len(s.tried()))
				}
				n := len(s.times("example.net"))
				s.sleep(15 * time.Second)
				s.want("b@example.net expired", "a@example.org delivered")
				if got := len(s.times("example.net")); got != n {
					t.Errorf("%d more attempts", got-n)
				}
				if len(s.told()) != 1 {
					t.Fatalf("%d notifications", len(s.told()))
				}
				r := s.told()[0].Report.Recipients[0]
				if r.Action != dsn.Failed || r.Status.String() != test.status || r.Diagnostic.Text != test.reply || r.LogID == "" {
					t.Errorf("%+v", r)
				}
				if remote := r.RemoteMTA.Text; (remote != "") != (test.status != "4.4.1") {
					t.Errorf("said by %q", remote)
				}
			})
		})
	}
}

// noPoll is for tests that want to see that the time for everything is known.
func noPoll(r *queue.Runner) { r.Poll = 1000 * time.Hour }

func by(d time.Duration, mode smtp.DeliverMode) func(*queue.NewMessage) {
	return func(m *queue.NewMessage) { m.Envelope.MailParams.By = smtp.DeliverBy{Within: d, Mode: mode} }
}

// What was never tried says what the destination has said to others, or that its time
// was over.
func TestExpiryWithoutAttempt(t *testing.T) {
	play(t, noPoll, func(s *stage) {
		s.does("example.net", gone)
		for range 20 {
			s.send("", "x@example.net")
		}
		synctest.Wait() // it rests now
		s.sendWith(func(m *queue.NewMessage) { m.Lifetime = 20 * time.Second }, "a@example.org", "b@example.net")
		s.sleep(40 * time.Second)
		if len(s.told()) != 1 {
			t.Fatalf("%d notifications", len(s.told()))
		}
		r := s.told()[0].Report.Recipients[0]
		if r.Final.Text != "b@example.net" || r.Diagnostic.Text != "451 4.4.1 no connection to the host" || r.Status.String() != "4.4.1" {
			t.Errorf("%+v", r)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		s.sendWith(by(time.Minute, smtp.DeliverReturn), "a@example.org", "b@example.net")
		s.sleep(time.Hour)
		s.run()
		s.sleep(time.Second)
		s.want("b@example.net expired", "a@example.org delivered")
		if r := s.told()[0].Report.Recipients[0]; r.Status.String() != "5.4.7" || !r.Diagnostic.IsZero() {
			t.Errorf("%+v", r)
		}
		s.stop()
	})
}

// After a long time in which nobody ran, what has missed its time gets the attempt that
// it was owed, unless it must not be late.
func TestExpiredMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		s.does("example.com", later)
		s.send("a@example.org", "b@example.net", "c@example.com")
		s.sleep(10 * 24 * time.Hour)
		s.run()
		s.sleep(time.Second)
		s.want("b@example.net delivered", "c@example.com expired", "a@example.org delivered")
		if n := len(s.times("example.com")); n != 1 {
			t.Errorf("%d attempts", n)
		}
		s.stop()
	})
}

// However many expire at a time, all do then.
func TestManyExpire(t *testing.T) {
	play(t, noPoll, func(s *stage) {
		s.does("example.net", gone)
		for range 1000 {
			s.sendWith(func(m *queue.NewMessage) { m.Lifetime = 40 * time.Second }, "", "b@example.net")
		}
		s.sleep(42 * time.Second)
		if n := len(s.outcomes()); n != 1000 {
			t.Errorf("%d outcomes", n)
		}
	})
}

// What must not be late is given up, and a delay told of, even if no delivery can begin,
// at the next time that leases are extended.
func TestExpiryWithoutPlace(t *testing.T) {
	play(t, func(r *queue.Runner) { r.MaxDeliveries = 1 }, func(s *stage) {
		s.does("example.com", after(time.Hour, well))
		s.does("example.net", after(time.Millisecond, well))
		for range 10 {
			s.send("", "b@example.net") // so that more is leased ahead
		}
		s.sleep(time.Second)
		s.store.Change(s.ctx, queue.Filter{}, queue.Delete, time.Now())
		s.send("", "b@example.com")
		s.sleep(time.Second)
		s.sendWith(by(time.Minute, smtp.DeliverReturn), "", "b@example.net")
		s.sendWith(by(10*time.Minute, smtp.DeliverNotify), "a@example.org", "c@example.net")
		s.sleep(81 * time.Second)
		if n := len(s.outcomes()); n != 11 || s.r.Activity().Waiting != 1 {
			t.Errorf("%v, %+v", s.outcomes(), s.r.Activity())
		}
		s.sleep(10 * time.Minute)
		if items := s.items(); len(items) != 3 || items[1].Destination != "example.net" || !items[1].Warn.IsZero() || items[2].Destination != "example.org" {
			t.Errorf("%+v", items)
		}
		s.store.Change(s.ctx, queue.Filter{}, queue.Delete, time.Now())
	})
}

// However many there are of these, they are not all leased at once.
func TestManyExpiredMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, func(r *queue.Runner) { r.MaxDeliveries = 20 })
		for range 1000 {
			s.send("", "b@example.net")
		}
		s.does("example.net", after(time.Second, well))
		s.sleep(10 * 24 * time.Hour)
		s.run()
		for range 20 {
			s.sleep(time.Second)
			if n := s.r.Activity().Waiting; n > 200 {
				t.Errorf("%d wait", n)
			}
		}
		s.sleep(5 * time.Minute)
		if n := len(s.outcomes()); n != 1000 || slices.Contains(s.outcomes(), "b@example.net expired") {
			t.Errorf("%d outcomes", n)
		}
		s.stop()
	})
}

// The sender hears once that his message is late, while it rests too, but not if he
// does not want to, and not while it is held.
func TestWarning(t *testing.T) {
	notify := func(n smtp.Notify) func(*queue.NewMessage) {
		return func(m *queue.NewMessage) { m.Envelope.Recipients[0].RcptParams.Notify = n }
	}
	for _, test := range []struct {
		name string
		from string
		act  act
		set  func(*queue.NewMessage)
		at   time.Duration // zero: never
	}{
		{name: "plain", from: "a@example.org", act: later, at: 4 * time.Hour},
		{name: "resting", from: "a@example.org", act: gone, at: 4 * time.Hour},
		{name: "null reverse-path", act: later},
		{name: "never", from: "a@example.org", act: later, set: notify(smtp.NotifyNever)},
		{name: "failures only", from: "a@example.org", act: later, set: notify(smtp.NotifyFailure)},
		{name: "delays only", from: "a@example.org", act: later, set: notify(smtp.NotifyDelay), at: 4 * time.Hour},
		{name: "held", from: "a@example.org", act: later, set: func(m *queue.NewMessage) { m.Held = true }},
		{name: "BY", from: "a@example.org", act: later, set: by(time.Hour, smtp.DeliverNotify), at: time.Hour},
		{name: "BY over before", from: "a@example.org", act: later, set: by(-time.Hour, smtp.DeliverNotify)},
		{name: "HOLDFOR", from: "a@example.org", act: later, at: 12 * time.Hour,
			set: func(m *queue.NewMessage) { m.Envelope.MailParams.Hold.For = 8 * time.Hour }},
	} {
		t.Run(test.name, func(t *testing.T) {
			play(t, nil, func(s *stage) {
				s.does("example.net", test.act)
				s.sendWith(test.set, test.from, "b@example.net")
				if it := s.items(); test.at == 0 && test.name != "held" && !it[0].Warn.IsZero() {
					t.Error("it is looked at for nothing") // when its time comes
				}
				if test.at > 0 {
					s.sleep(test.at - time.Second)
					if len(s.told()) != 0 {
						t.Errorf("too early")
					}
					s.sleep(15 * time.Second)
				}
				s.sleep(24 * time.Hour)
				if test.at == 0 {
					if len(s.told()) > 0 {
						t.Errorf("%v", s.told()[0].Report)
					}
					return
				}
				if len(s.told()) != 1 {
					t.Fatalf("%d notifications", len(s.told()))
				}
				r := s.told()[0].Report.Recipients[0]
				if r.Action != dsn.Delayed || r.RetryUntil.IsZero() || r.Status.Class != 4 {
					t.Errorf("%+v", r)
				}
				if it := s.items(); len(it) != 1 || !it[0].Warn.IsZero() || it[0].Due.Before(time.Now()) {
					t.Errorf("%+v", it)
				}
			})
		})
	}
}

// When an item is given up is known from when its sender was told that it is late.
func TestExpiryAfterWarning(t *testing.T) {
	play(t, noPoll, func(s *stage) {
		s.does("example.net", later)
		s.sendWith(func(m *queue.NewMessage) { m.Lifetime = 5 * time.Hour }, "a@example.org", "b@example.net")
		s.sleep(4*time.Hour + time.Second)
		if n := len(s.told()); n != 1 {
			t.Errorf("%d notifications", n)
		}
		s.sleep(time.Hour)
		s.want("a@example.org delivered", "b@example.net expired", "a@example.org delivered")
	})
}

// HOLDFOR and Due make a message wait; what is passed on says what is left.
func TestParameters(t *testing.T) {
	play(t, noPoll, func(s *stage) {
		s.sendWith(func(m *queue.NewMessage) {
			m.Envelope.MailParams = smtp.MailParams{Hold: smtp.Hold{For: time.Hour}, Priority: smtp.NewPriority(4), EnvID: "x",
				By: smtp.DeliverBy{Within: 2 * time.Hour, Mode: smtp.DeliverReturn, Trace: true}}
		}, "a@example.org", "b@example.net")
		s.sendWith(func(m *queue.NewMessage) { m.Envelope.MailParams.Hold.Until = s.began.Add(3 * time.Hour) }, "a@example.org", "c@example.com")
		s.sendWith(func(m *queue.NewMessage) { m.Due = s.began.Add(4 * time.Hour) }, "a@example.org", "c@due.example")
		s.sleep(5 * time.Hour)
		if at := slices.Concat(s.times("example.net"), s.times("example.com"), s.times("due.example")); !slices.Equal(at, []time.Duration{time.Hour, 3 * time.Hour, 4 * time.Hour}) {
			t.Errorf("tried at %v", at)
		}
		p := s.tried()[0].m.Envelope.MailParams
		want := smtp.MailParams{Priority: smtp.NewPriority(4), EnvID: "x", By: smtp.DeliverBy{Within: time.Hour, Mode: smtp.DeliverReturn, Trace: true}}
		if p.By != want.By || p.Hold != want.Hold || p.Priority != want.Priority || p.EnvID != want.EnvID {
			t.Errorf("passed on %+v", p)
		}
		if !s.tried()[1].m.Envelope.MailParams.Hold.IsZero() {
			t.Error("HOLDUNTIL was passed on")
		}
	})
}

// The time of BY= begins with Begin, not with Commit.
func TestTimeOfMAIL(t *testing.T) {
	play(t, nil, func(s *stage) {
		env, _ := smtp.NewEnvelope("a@example.org", "b@example.net")
		env.MailParams.By = smtp.DeliverBy{Within: time.Hour, Mode: smtp.DeliverReturn}
		in, err := s.r.Begin(s.ctx, -1)
		if err != nil {
			t.Fatal(err)
		}
		s.sleep(10 * time.Minute)
		if err := in.Commit(s.ctx, &queue.NewMessage{Envelope: env}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := s.tried()[0].m.Envelope.MailParams.By.Within; got != 50*time.Minute {
			t.Errorf("%v is left", got)
		}
	})
}

// Operators: what is held is not tried before it is released; what is to be retried is
// tried now.
func TestOperators(t *testing.T) {
	var wake chan struct{}
	play(t, func(r *queue.Runner) { wake = make(chan struct{}, 1); r.Wake = wake }, func(s *stage) {
		id := s.sendWith(func(m *queue.NewMessage) { m.Held = true }, "a@example.org", "b@example.net")
		s.does("example.com", later)
		s.send("a@example.org", "c@example.com")
		s.sleep(time.Minute)
		s.want()
		s.does("example.com", well)
		s.store.Change(s.ctx, queue.Filter{Messages: []queue.ID{id}}, queue.Release, time.Now())
		s.store.Change(s.ctx, queue.Filter{Destination: "example.com"}, queue.Retry, time.Now())
		wake <- struct{}{}
		s.sleep(time.Second)
		s.want("b@example.net delivered", "c@example.com delivered")
	})
}

// What another process has put into the store is found by looking, now and then or when
// woken; a channel that is closed is no reason to look again and again.
func TestPoll(t *testing.T) {
	var wake chan struct{}
	play(t, func(r *queue.Runner) { wake = make(chan struct{}); r.Wake = wake }, func(s *stage) {
		other := s.runner(nil)
		other.Trace = nil
		put := func() {
			env, _ := smtp.NewEnvelope("a@example.org", "b@example.net")
			in, err := other.Begin(s.ctx, -1)
			if err != nil {
				t.Fatal(err)
			}
			if err := in.Commit(s.ctx, &queue.NewMessage{Envelope: env}); err != nil {
				t.Fatal(err)
			}
		}
		s.sleep(time.Minute)
		put()
		s.sleep(13 * time.Second)
		s.want("b@example.net delivered")
		put()
		wake <- struct{}{}
		s.sleep(200 * time.Millisecond)
		s.want("b@example.net delivered", "b@example.net delivered")
		close(wake)
		n := s.store.called("Ready")
		s.sleep(time.Minute)
		if n = s.store.called("Ready") - n; n < 5 || n > 9 {
			t.Errorf("looked %d times in a minute", n)
		}
	})
}

// Nothing is asked of the store but now and then when there is nothing to do.
func TestIdle(t *testing.T) {
	play(t, func(r *queue.Runner) { r.Poll = time.Hour }, func(s *stage) {
		s.does("example.net", later)
		s.send("a@example.org", "b@example.net")
		s.sleep(time.Second)
		before := s.store.called("Ready") + s.store.called("Lease") + s.store.called("Late")
		s.sleep(50 * time.Minute) // 4 attempts
		if n := s.store.called("Ready") + s.store.called("Lease") + s.store.called("Late") - before; n > 14 {
			t.Errorf("the store was asked %d times", n)
		}
		if s.log.has("level") {
			t.Error(strings.TrimSpace(s.log.String()))
		}
	})
}

// With less than a second left, BY= cannot be passed on: the time is over.
func TestLastSecond(t *testing.T) {
	for _, test := range []struct {
		left time.Duration
		want string
	}{{1500 * time.Millisecond, "b@example.net delivered"}, {time.Second, "b@example.net delivered"}, {999 * time.Millisecond, "b@example.net expired"}} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, nil)
			s.sendWith(by(time.Minute, smtp.DeliverReturn), "", "b@example.net")
			s.sleep(time.Minute - test.left)
			s.run()
			s.want(test.want)
			if test.want != "b@example.net expired" && s.tried()[0].m.Envelope.Validate() != nil {
				t.Errorf("%+v", s.tried()[0].m.Envelope.MailParams)
			}
			s.stop()
		})
	}
}
