package server_test

import (
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

type ctxKey struct{}

// A context reaches every hook, derived from ConnContext's; a transaction's
// ends with the transaction, a session's when Close has returned.
func TestContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		got := map[string]context.Context{}
		keep := func(name string, ctx context.Context) {
			mu.Lock()
			defer mu.Unlock()
			if ctx.Err() != nil {
				t.Errorf("%s: the context has ended before the call: %v", name, ctx.Err())
			}
			got[name] = ctx
		}
		ended := func(live string, dead string) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			for _, name := range strings.Fields(live) {
				if got[name].Err() != nil {
					t.Errorf("%s has ended", name)
				}
			}
			for _, name := range strings.Fields(dead) {
				select {
				case <-got[name].Done():
				default:
					t.Errorf("%s lives on", name)
				}
				if got[name].Err() != context.Canceled {
					t.Errorf("%s: %v", name, got[name].Err())
				}
			}
		}
		s := start(t, func(s *testServer) {
			s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
				return context.WithValue(ctx, ctxKey{}, c.RemoteAddr().String())
			}
			s.newSession = func(ctx context.Context, c *server.Conn) error { keep("session", ctx); return nil }
			s.mail = func(ctx context.Context, _ smtp.ReversePath, _ *smtp.MailParams) (smtp.Reply, error) {
				keep("mail", ctx)
				return smtp.Reply{}, nil
			}
			s.rcpt = func(ctx context.Context, _ smtp.ForwardPath, _ *smtp.RcptParams) (smtp.Reply, error) {
				keep("rcpt", ctx)
				return smtp.Reply{}, nil
			}
			s.data = func(ctx context.Context, b *server.Body) (smtp.Reply, error) {
				keep("data", ctx)
				_, err := io.Copy(io.Discard, b)
				return smtp.Reply{}, err
			}
			s.reset = func(ctx context.Context, _ server.ResetReason) { keep("reset", ctx) }
			s.close = func(error) {
				if got["session"].Err() != nil {
					t.Error("the context has ended before Close")
				}
			}
		})
		p := s.hello()
		p.send(transaction + "DATA\n")
		p.expect("250", "250", "354")
		synctest.Wait()
		ended("session mail rcpt data", "")
		done := got["mail"].Done() // asked for while the transaction lives
		child, cancel := context.WithCancel(got["data"])
		defer cancel()
		p.send("x\n.\n")
		p.expect("250")
		synctest.Wait()
		<-done
		<-child.Done()
		ended("session", "mail rcpt data reset")
		p.do("MAIL FROM:<>", "250")
		ended("mail", "")
		p.do("RSET", "250")
		ended("session", "mail reset")
		p.do("RSET", "250")
		ended("session reset", "")
		p.do("MAIL FROM:<>", "250")
		for name, ctx := range got {
			if ctx.Value(ctxKey{}) != p.LocalAddr().String() {
				t.Errorf("%s: value %v", name, ctx.Value(ctxKey{}))
			}
		}
		p.do("QUIT", "221")
		p.closed()
		synctest.Wait()
		ended("", "session mail reset")
	})
}

// What waits in a handler is let go by Server.Close.
func TestCloseEndsContexts(t *testing.T) {
	for _, h := range hooks[2:6] {
		t.Run(h.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ctx context.Context
				s := start(t, func(s *testServer) {
					s.newSession = func(c context.Context, _ *server.Conn) error { ctx = c; return nil }
					h.set(s, func() (smtp.Reply, error) {
						<-ctx.Done()
						return smtp.Reply{}, ctx.Err()
					})
				})
				p := s.dial()
				go hear(p, h.send, h.last)
				synctest.Wait()
				s.stop()
				p.Close()
				if log := s.log.take(); !strings.Contains(log, "context canceled") {
					t.Errorf("log: %s", log)
				}
			})
		})
	}
}

func TestHandlerTimeout(t *testing.T) {
	for _, tt := range []struct {
		limit time.Duration
		hook  string
		want  time.Duration
	}{
		{0, "mail", 5 * time.Minute},
		{0, "rcpt", 5 * time.Minute},
		{0, "data", 10 * time.Minute},
		{time.Second, "mail", time.Second},
		{time.Second, "data", time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			var took time.Duration
			var err error
			wait := func(hook string, ctx context.Context) {
				if hook == tt.hook {
					start := time.Now()
					<-ctx.Done()
					took, err = time.Since(start), ctx.Err()
				}
			}
			s := start(t, limits(server.Limits{HandlerTimeout: tt.limit}), func(s *testServer) {
				s.mail = func(ctx context.Context, _ smtp.ReversePath, _ *smtp.MailParams) (smtp.Reply, error) {
					wait("mail", ctx)
					return smtp.Reply{}, nil
				}
				s.rcpt = func(ctx context.Context, _ smtp.ForwardPath, _ *smtp.RcptParams) (smtp.Reply, error) {
					wait("rcpt", ctx)
					return smtp.Reply{}, nil
				}
				s.data = func(ctx context.Context, b *server.Body) (smtp.Reply, error) {
					io.Copy(io.Discard, b)
					wait("data", ctx)
					return smtp.Reply{}, nil
				}
			})
			p := s.hello()
			p.send(transaction + "BDAT 0 LAST\n")
			for _, hook := range []string{"mail", "rcpt", "data"} {
				p.expect("250")
				if hook == tt.hook {
					break
				}
			}
			p.expect("421 4.3.0 local processing took too long")
			p.closed()
			if took != tt.want || err != context.DeadlineExceeded {
				t.Errorf("limit %v: %s ended after %v with %v", tt.limit, tt.hook, took, err)
			}
		})
	}
}

// Calls that share a context have each their own time.
func TestHandlerTimeoutOfEachCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, limits(server.Limits{HandlerTimeout: time.Minute}))
		n := 0
		s.mail = func(ctx context.Context, _ smtp.ReversePath, _ *smtp.MailParams) (smtp.Reply, error) {
			ctx.Done()
			time.Sleep(50 * time.Second)
			return smtp.Reply{}, nil
		}
		s.rcpt = func(ctx context.Context, _ smtp.ForwardPath, _ *smtp.RcptParams) (smtp.Reply, error) {
			if n++; n == 3 {
				<-ctx.Done()
				return smtp.Reply{}, smtp.Reject(451, smtp.Enhanced{}, "too late")
			}
			time.Sleep(50 * time.Second)
			return smtp.Reply{}, nil
		}
		p := s.hello()
		p.do("MAIL FROM:<>", "250")
		p.do("RCPT TO:<b@example.com>", "250")
		p.do("RCPT TO:<b@example.com>", "250")
		before := time.Now()
		p.do("RCPT TO:<b@example.com>", "451 4.0.0 too late")
		want(t, "time", time.Since(before), time.Minute)
		p.expect("421")
	})
}

// The calls that have the session's context are timed like the others, and
// once they have returned nothing runs out any more.
func TestHandlerTimeoutOfTheSession(t *testing.T) {
	for _, h := range hooks {
		switch h.name {
		case "NewSession", "Hello", "Verify", "Expand", "own verb":
		default:
			continue
		}
		t.Run(h.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ctx context.Context
				late := true
				s := start(t, limits(server.Limits{HandlerTimeout: time.Minute}), func(s *testServer) {
					say := func() (smtp.Reply, error) {
						if done := ctx.Done(); late {
							<-done
						} else {
							time.Sleep(50 * time.Second)
						}
						return smtp.Reply{Code: 250}, nil
					}
					h.set(s, say)
					inner := s.newSession
					s.newSession = func(c context.Context, conn *server.Conn) error {
						if ctx = c; inner != nil {
							return inner(c, conn)
						}
						return nil
					}
				})
				p := s.dial()
				start := time.Now()
				hear(p, h.send, h.last)
				p.expect("421 4.3.0 local processing took too long")
				between(t, time.Since(start), time.Minute, time.Minute)
				late = false
				p = s.dial()
				hear(p, h.send, h.last)
				time.Sleep(2 * time.Minute)
				p.do("NOOP", "250")
				p.do("NOOP", "250") // it would come too late to stop the first
			})
		})
	}
}

// The refusal of a chunk ends the time of Data, though not the transaction.
func TestHandlerTimeoutEndsWithData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, limits(server.Limits{HandlerTimeout: time.Minute}))
		s.data = func(ctx context.Context, _ *server.Body) (smtp.Reply, error) {
			ctx.Done()
			return smtp.Reply{}, smtp.Reject(550, smtp.Enhanced{}, "no")
		}
		p := s.hello()
		p.send(transaction + "BDAT 1\nx")
		p.expect("250", "250", "550")
		time.Sleep(2 * time.Minute)
		p.do("RSET", "250")
		p.do("NOOP", "250")
	})
}

// A context that nobody has looked at while it lived is at its end like others.
func TestContextsAskedLate(t *testing.T) {
	var parent, session, mail context.Context
	s := start(t, func(s *testServer) {
		s.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { parent = ctx; return ctx }
		s.newSession = func(ctx context.Context, _ *server.Conn) error { session = ctx; return nil }
		s.mail = func(ctx context.Context, _ smtp.ReversePath, _ *smtp.MailParams) (smtp.Reply, error) {
			mail = ctx
			return smtp.Reply{}, nil
		}
	})
	p := s.hello()
	p.do("MAIL FROM:<>", "250")
	p.do("RSET", "250")
	<-mail.Done()
	want(t, "error", mail.Err(), context.Canceled)
	if _, ok := mail.Deadline(); ok {
		t.Error("a deadline")
	}
	p.do("QUIT", "221")
	p.closed()
	s.Server.Shutdown(context.Background())
	<-session.Done()
	<-parent.Done() // nobody will need the server's any more
}

// A session of many transactions leaves nothing behind of each.
func TestTransactionsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var refused context.Context
		s := start(t)
		s.mail = func(ctx context.Context, from smtp.ReversePath, _ *smtp.MailParams) (smtp.Reply, error) {
			ctx.Done()
			if !from.IsNull() {
				refused = ctx
				return smtp.Reply{}, smtp.Reject(550, smtp.Enhanced{}, "no")
			}
			return smtp.Reply{}, nil
		}
		p := s.hello()
		synctest.Wait()
		before := runtime.NumGoroutine()
		for range 20 {
			p.do("MAIL FROM:<>", "250")
			p.do("RSET", "250")
			p.do("MAIL FROM:<a@example.org>", "550")
			if refused.Err() != context.Canceled {
				t.Fatal("the context of a refused MAIL lives on")
			}
		}
		synctest.Wait()
		if after := runtime.NumGoroutine(); after > before+1 {
			t.Errorf("%d goroutines, %d before", after, before)
		}
	})
}

// The time of a handler is its own: waiting for the client does not count, and
// neither does the time between two commands.
func TestHandlerTimeoutLeavesOutTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, limits(server.Limits{HandlerTimeout: time.Minute}))
		s.mail = func(ctx context.Context, _ smtp.ReversePath, _ *smtp.MailParams) (smtp.Reply, error) {
			ctx.Done() // from here on it is watched
			return smtp.Reply{}, nil
		}
		s.data = func(ctx context.Context, b *server.Body) (smtp.Reply, error) {
			_, err := io.Copy(io.Discard, b)
			if ctx.Err() != nil {
				t.Errorf("the context ended while the client was slow: %v", ctx.Err())
			}
			return smtp.Reply{}, err
		}
		p := s.hello()
		slow := func() { time.Sleep(2 * time.Minute) }
		p.do("MAIL FROM:<a@example.org>", "250")
		slow()
		p.do("RCPT TO:<b@example.com>", "250")
		slow()
		p.send("BDAT 1\nx")
		p.expect("250")
		slow()
		p.send("BDAT 20002 LAST\nx" + strings.Repeat("x", 20000))
		slow()
		p.send("x")
		p.expect("250 2.0.0")
	})
}

// While a chunk that is refused comes in no handler is at work, though the context
// of its transaction is asked for.
func TestContextAskedWhileAChunkIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, limits(server.Limits{HandlerTimeout: time.Minute, MinDataRate: -1}))
		var kept context.Context
		s.mail = func(ctx context.Context, _ smtp.ReversePath, _ *smtp.MailParams) (smtp.Reply, error) {
			kept = ctx
			return smtp.Reply{}, nil
		}
		p := s.hello()
		p.send("MAIL FROM:<>\nBDAT 2\nx")
		synctest.Wait()
		kept.Done()
		time.Sleep(2 * time.Minute)
		p.raw("x")
		p.expect("250", "503")
		p.do("RCPT TO:<b@example.com>", "250")
		p.do("BDAT 0 LAST", "250")
	})
}
