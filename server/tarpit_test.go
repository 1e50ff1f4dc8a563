package server_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// tarpit makes Rcpt refuse the local part "no".
func tarpit(l server.Limits) func(*testServer) {
	return func(s *testServer) {
		s.Limits = l
		s.rcpt = func(_ context.Context, to smtp.ForwardPath, _ *smtp.RcptParams) (smtp.Reply, error) {
			if to.Local == "no" {
				return smtp.Reply{}, smtp.Reject(550, smtp.Enh(1, 1), "no such user")
			}
			return smtp.Reply{}, nil
		}
	}
}

// timed does a command and checks how long its reply takes.
func (p *peer) timed(line, reply string, d time.Duration) {
	p.t.Helper()
	began := time.Now()
	p.do(line, reply)
	want(p.t, "time for "+line, time.Since(began), d)
}

// Refusals are held back once there have been some, replies of success never; an
// accepted message begins the count anew.
func TestTarpit(t *testing.T) {
	for _, tt := range []struct {
		limits server.Limits
		free   int
		delay  time.Duration
	}{
		{server.Limits{}, 100, 0},
		{server.Limits{TarpitAfter: 1}, 100, 0},
		{server.Limits{Tarpit: -time.Second, TarpitAfter: -1}, 100, 0},
		{server.Limits{Tarpit: time.Second}, 5, time.Second},
		{server.Limits{Tarpit: 3 * time.Second, TarpitAfter: 2}, 2, 3 * time.Second},
		{server.Limits{Tarpit: 3 * time.Second, TarpitAfter: -1}, 0, 3 * time.Second},
		{server.Limits{Tarpit: time.Hour, TarpitAfter: 1}, 1, time.Minute},
	} {
		eachWay(t, func(t *testing.T, dial func(*testServer) *peer) {
			tt.limits.MaxErrors = -1
			s := start(t, withTLS, tarpit(tt.limits))
			p := dial(s)
			p.expect("220")
			p.timed("EHLO x.example", "250", 0)
			for range 2 {
				p.timed("MAIL FROM:<>", "250", 0)
				for i := range 8 {
					d := tt.delay
					if i < tt.free {
						d = 0
					}
					line, reply := "RCPT TO:<no@example.org>", "550"
					if i%2 == 1 { // of form or of policy: a refusal is a refusal
						line, reply = "NONSENSE", "500"
					}
					p.timed(line, reply, d)
				}
				p.timed("RCPT TO:<yes@example.org>", "250", 0)
				p.timed("NOOP", "250", 0)
				p.send("BDAT 0 LAST\n")
				p.expect("250")
			}
			events := 2
			if tt.delay == 0 {
				events = 0
			}
			want(t, "events", strings.Count(s.events.take(), "tarpitted"), events)
		})
	}
}

// The refusals of a group are held back together, within bounds, and the group
// that follows is not lost meanwhile.
func TestTarpitAndPipelining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, tarpit(server.Limits{Tarpit: 5 * time.Second, TarpitAfter: 2, MaxRejected: -1, MaxErrors: -1}))
		p := s.hello()
		began := time.Now()
		p.send("MAIL FROM:<>\n" + strings.Repeat("RCPT TO:<no@example.org>\n", 6) + "RCPT TO:<yes@example.org>\nDATA\n")
		p.expect("250", "550", "550", "550", "550", "550", "550", "250", "354")
		want(t, "time for four of them", time.Since(began), 20*time.Second)
		p.send("x\n.\n")
		p.expect("250")

		began = time.Now()
		p.send("MAIL FROM:<>\n" + strings.Repeat("RCPT TO:<no@example.org>\n", 1000) + "NOOP\n")
		p.expect("250")
		for range 1000 {
			p.expect("550")
		}
		p.expect("250")
		between(t, time.Since(began), time.Minute, 3*time.Minute) // the group takes three reads

		began = time.Now()
		p.send("RCPT TO:<no@example.org>\n")
		time.Sleep(time.Second)
		p.send("RSET\nMAIL FROM:<>\nRCPT TO:<yes@example.org>\nBDAT 0 LAST\n")
		p.expect("550", "250", "250", "250", "250 2.0.0")
		want(t, "time", time.Since(began), 5*time.Second)

		// Many short replies wait as little as a few.
		p.do("RSET", "250")
		began = time.Now()
		p.send("MAIL FROM:<>\n" + strings.Repeat("X\n", 5000))
		p.expect("250")
		for range 5000 {
			p.expect("500")
		}
		want(t, "time", time.Since(began), time.Minute)
		p.do("RSET", "250")

		// A chunk may come meanwhile, too.
		p.send("MAIL FROM:<>\nRCPT TO:<no@example.org>\nRCPT TO:<no@example.org>\nRCPT TO:<no@example.org>\nRCPT TO:<yes@example.org>\nBDAT 4 LAST\n")
		time.Sleep(time.Second)
		p.send("xx\n")
		p.expect("250", "550", "550", "550", "250", "250 2.0.0")
		p.do("NOOP", "250")
	})
}

// The wait is the client's, not the handler's.
func TestTarpitIsNoTimeOfTheHandler(t *testing.T) {
	for _, how := range []string{"DATA\n", "BDAT 1\nx"} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, tarpit(server.Limits{Tarpit: 10 * time.Second, TarpitAfter: -1, HandlerTimeout: time.Second}))
			s.data = func(ctx context.Context, b *server.Body) (smtp.Reply, error) {
				ctx.Done() // from here on somebody looks at the clock
				var octet [1]byte
				for {
					if _, err := b.Read(octet[:]); err != nil {
						if ctx.Err() != nil {
							t.Errorf("the context: %v", ctx.Err())
						}
						return smtp.Reply{}, nil
					}
				}
			}
			p := s.hello()
			p.send("MAIL FROM:<>\nRCPT TO:<no@example.org>\nRCPT TO:<yes@example.org>\n" + how)
			p.expect("250", "550", "250")
			if how == "DATA\n" {
				p.expect("354")
				p.send(".\n")
			} else {
				p.expect("250")
				p.send("NONSENSE\nBDAT 1 LAST\nx")
				p.expect("500")
			}
			p.expect("250 2.0.0")
			p.do("NOOP", "250")
		})
	}
}

// Whoever is in the tarpit holds up nobody's end.
func TestTarpitEnds(t *testing.T) {
	for _, more := range []string{"", "NOO", "NOOP\n"} {
		for name, end := range map[string]func(*testServer, *peer){
			"Shutdown": func(s *testServer, _ *peer) { s.Shutdown(context.Background()) },
			"Close":    func(s *testServer, _ *peer) { s.stop() },
			"client":   func(_ *testServer, p *peer) { p.Close(); synctest.Wait() },
		} {
			for _, inTransaction := range []bool{false, true} {
				t.Run(name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := start(t, tarpit(server.Limits{Tarpit: time.Minute, TarpitAfter: -1}))
						p := s.hello()
						if inTransaction {
							p.do("MAIL FROM:<>", "250")
						}
						p.send("NONSENSE\n")
						synctest.Wait()
						p.send(more)
						time.Sleep(time.Second)
						began := time.Now()
						if name == "Shutdown" && inTransaction {
							go end(s, p)
							p.expect("500")
							want(t, "time", time.Since(began), 0)
							p.Close()
							return
						}
						end(s, p)
						between(t, time.Since(began), 0, time.Second)
						if name == "Shutdown" {
							p.expect("500")
							if more == "NOOP\n" {
								p.expect("250")
							}
							p.expect("421 4.3.2 shutting down")
						}
						if more == "" || name != "client" { // behind unread octets nobody sees the end
							want(t, "ends", strings.Count(s.events.take(), server.ConnClosed.String()), 1)
						}
					})
				})
			}
		}
	}
}

// Shutdown after the wait takes the rest of the transaction for what it is.
func TestTarpitAndShutdownInData(t *testing.T) {
	for _, how := range datas {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, tarpit(server.Limits{Tarpit: time.Second, TarpitAfter: -1}))
			p := s.hello()
			p.send("MAIL FROM:<>\nRCPT TO:<no@example.org>\nRCPT TO:<yes@example.org>\n" + strings.Replace(how, "1000000", "3", 1))
			p.expect("250", "550", "250")
			if how == "DATA\n" {
				p.expect("354")
			}
			synctest.Wait()
			down := make(chan error)
			go func() { down <- s.Shutdown(context.Background()) }()
			synctest.Wait()
			p.send("x\n")
			switch how {
			case "DATA\n":
				p.send(".\n")
			case "BDAT 1000000\n":
				p.expect("250")
				p.send("BDAT 0 LAST\n")
			}
			p.expect("250 2.0.0", "421 4.3.2")
			p.Close()
			if err := <-down; err != nil {
				t.Error(err)
			}
		})
	}
}

// A client that only half closes still gets its reply.
func TestTarpitHalfClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, tarpit(server.Limits{Tarpit: time.Minute, TarpitAfter: -1}))
		p := s.hello()
		p.send("NONSENSE\n")
		time.Sleep(time.Second)
		p.Conn.(interface{ CloseWrite() error }).CloseWrite()
		began := time.Now()
		p.expect("500")
		want(t, "time", time.Since(began), 0)
		p.closed()
	})
}

// The wait takes nothing from the time that the client has for its next command.
func TestTarpitAndCommandTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, tarpit(server.Limits{Tarpit: 20 * time.Second, TarpitAfter: 1, CommandTimeout: 10 * time.Second}))
		p := s.hello()
		p.timed("NONSENSE", "500", 0)
		for range 3 {
			p.timed("NONSENSE", "500", 20*time.Second)
			time.Sleep(9 * time.Second)
		}
		p.do("NOOP", "250")
		text, after := p.silence()
		if !strings.HasPrefix(text, "421 4.4.2 timeout") {
			t.Errorf("%q", text)
		}
		between(t, after, 30*time.Second, 32*time.Second) // the 421 is held back too
	})
}
