package client_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// times returns n times, step apart, in milliseconds.
func times(n int, from, step time.Duration) []time.Duration {
	list := make([]time.Duration, n)
	for i := range list {
		list[i] = (from + time.Duration(i)*step) * time.Millisecond
	}
	return list
}

// However the messages come by their connections, one begins when its time has
// come, not before and not after.
func TestRate(t *testing.T) {
	for _, test := range []struct {
		name  string
		rate  client.Rate
		conns int
		dial  time.Duration // how long it takes
		n     int
		want  []time.Duration
		most  int // connections at a time
	}{
		{name: "one connection", rate: client.Rate{Messages: 120, Per: time.Minute}, conns: 1, n: 5, want: times(5, 0, 500), most: 1},
		{name: "many connections", rate: client.Rate{Messages: 120, Per: time.Minute}, n: 5, want: times(5, 0, 500), most: 1},
		{name: "a second", rate: client.Rate{Messages: 4}, n: 3, want: times(3, 0, 250), most: 1},
		{name: "slow dial", rate: client.Rate{Messages: 2}, dial: 1500 * time.Millisecond, n: 9, want: times(9, 1500, 500), most: 4},
		{name: "no limit", n: 5, want: times(5, 0, 0), most: 5},
		{name: "rounded up", rate: client.Rate{Messages: 3}, n: 4, want: []time.Duration{0, 333333334, 666666668, 1000000002}, most: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTown("PIPELINING")
				s.dialTo = func(string, int) error { time.Sleep(test.dial); return nil }
				c := s.newClient("a:25")
				c.Rate, c.MaxConns = test.rate, test.conns
				var done sync.WaitGroup
				for range test.n {
					done.Go(func() {
						res, err := c.Send(t.Context(), envelope(t, 1), small)
						want(t, res, err, "250")
					})
				}
				done.Wait()
				if got := s.mailsTo("a"); !slices.Equal(got, test.want) {
					t.Errorf("sent at %v, want %v", got, test.want)
				}
				if s.most[""] > test.most {
					t.Errorf("%d connections at a time", s.most[""])
				}
				c.Close()
				s.serving.Wait()
			})
		})
	}
}

// An envelope goes behind the data of another message if its time has come, and
// waits without a connection if not.
func TestRateChained(t *testing.T) {
	for _, took := range times(4, 0, 250) {
		t.Run(took.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTown("PIPELINING")
				c := s.newClient("a:25")
				c.Rate, c.MaxConns = client.Rate{Messages: 2}, 1
				hold := make(chan struct{})
				var done sync.WaitGroup
				for _, content := range []smtp.Content{slow(hold), small, small} {
					done.Go(func() {
						res, err := c.Send(t.Context(), envelope(t, 1), content)
						want(t, res, err, "250")
					})
					synctest.Wait()
				}
				time.Sleep(took)
				close(hold)
				done.Wait()
				second := max(took, 500*time.Millisecond)
				if got := s.mailsTo("a"); !slices.Equal(got, []time.Duration{0, second, second + 500*time.Millisecond}) {
					t.Errorf("sent at %v", got)
				}
				c.Close()
				s.serving.Wait()
			})
		})
	}
}

// The context ends the wait for the Rate, in line and with a connection in hand,
// and the time goes to the next.
func TestRateContext(t *testing.T) {
	for _, test := range []struct {
		name  string
		dials []time.Duration // how long they take
		limit time.Duration   // of the second message
		later time.Duration   // until the others come
		want  []time.Duration
	}{
		{"in line", nil, 300 * time.Millisecond, 0, times(3, 0, 500)},
		{"connected", times(2, 900, -400), 1200 * time.Millisecond, 1100 * time.Millisecond, times(3, 900, 500)},
		{"connected before another", []time.Duration{1900 * time.Millisecond, 1500 * time.Millisecond, 1050 * time.Millisecond, time.Second},
			2100 * time.Millisecond, 0, []time.Duration{1900 * time.Millisecond, 2900 * time.Millisecond, 3400 * time.Millisecond}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newTown("PIPELINING")
				s.dialTo = func(_ string, n int) error {
					if n <= len(test.dials) {
						time.Sleep(test.dials[n-1])
					}
					return nil
				}
				c := s.newClient("a:25")
				c.Rate = client.Rate{Messages: 2}
				var done sync.WaitGroup
				for i, limit := range []time.Duration{time.Minute, test.limit, time.Minute, time.Minute} {
					if i == 2 {
						time.Sleep(test.later)
					}
					done.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), limit)
						defer cancel()
						_, err := c.Send(ctx, envelope(t, 1), small)
						if i == 1 {
							if took := time.Since(s.began); !errors.Is(err, context.DeadlineExceeded) || took != limit {
								t.Errorf("%v after %v", err, took)
							}
						} else if err != nil {
							t.Error(err)
						}
					})
					synctest.Wait()
				}
				done.Wait()
				if got := s.mailsTo("a"); !slices.Equal(got, test.want) {
					t.Errorf("sent at %v, want %v", got, test.want)
				}
				if stats := c.Stats(); stats.Open != stats.Idle || stats.Open != s.opened() || stats.Waiting != 0 || stats.Keys != 1 {
					t.Errorf("%+v, %d open", stats, s.opened())
				}
				c.Close()
				s.serving.Wait()
			})
		})
	}
}

// Each transaction of a message that has several counts.
func TestRateOfParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTown("PIPELINING", "LIMITS RCPTMAX=1 MAILMAX=2")
		c := s.newClient("a:25")
		c.Rate, c.MaxConns = client.Rate{Messages: 2}, 1
		var done sync.WaitGroup
		for _, n := range []int{3, 1} {
			done.Go(func() {
				res, err := c.Send(t.Context(), envelope(t, n), small)
				if err != nil || res.Delivered() != n {
					t.Errorf("%d delivered, %v", res.Delivered(), err)
				}
			})
			synctest.Wait()
		}
		done.Wait()
		if got := s.mailsTo("a"); !slices.Equal(got, times(4, 0, 500)) {
			t.Errorf("sent at %v", got)
		}
		c.Close()
		s.serving.Wait()
	})
}

// What fails before MAIL has used up nothing.
func TestRateOfFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTown("PIPELINING")
		s.dialTo = func(_ string, n int) error {
			if n == 1 {
				return errors.New("down")
			}
			return nil
		}
		c := s.newClient("a:25")
		c.Rate = client.Rate{Messages: 1, Per: time.Hour}
		if _, err := c.Send(t.Context(), envelope(t, 1), small); err == nil {
			t.Error("sent to nobody")
		}
		var refused *client.ContentError
		if _, err := c.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: \x00\r\n"))); !errors.As(err, &refused) {
			t.Errorf("error %v", err)
		}
		if _, err := c.Send(t.Context(), envelope(t, 1), small); err != nil {
			t.Error(err)
		}
		if took := time.Since(s.began); took > 0 {
			t.Errorf("sent after %v", took)
		}
		c.Close()
		s.serving.Wait()
	})
}

// Who comes at the very moment at which the next message may begin waits for
// nothing, or for the Rate: not for ever.
func TestRateAtTheMoment(t *testing.T) {
	s := newTown("PIPELINING")
	c := s.newClient("a:25")
	c.Rate = client.Rate{Messages: 50_000}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // a busy machine needs its time
	defer cancel()
	env := envelope(t, 1)
	for n := range 3000 {
		if _, err := c.Send(ctx, env, small); err != nil {
			t.Fatalf("message %d: %v", n, err)
		}
		for next := time.Now().Add(time.Duration(n%200) * 100 * time.Nanosecond); time.Now().Before(next); {
		}
	}
	c.Close()
	s.serving.Wait()
}
