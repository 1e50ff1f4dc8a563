package server_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

const transaction = "MAIL FROM:<a@example.org>\nRCPT TO:<b@example.com>\n"

// However a connection ends, Reset has been called for a transaction that was
// begun, and Close once.
func TestEndings(t *testing.T) {
	quit := func(reason error) bool { return reason == nil }
	lost := func(reason error) bool { return errors.Is(reason, io.EOF) }
	said := func(code int) func(error) bool {
		return func(reason error) bool {
			var reply *smtp.Error
			return errors.As(reason, &reply) && reply.Reply.Code == code
		}
	}
	any := func(reason error) bool { return reason != nil }
	for _, tt := range []struct {
		name   string
		send   string
		end    func(s *testServer, p *peer)
		calls  string
		reason func(error) bool
		log    string
	}{
		{"QUIT at once", "QUIT\n", nil, "new close", quit, ""},
		{"QUIT after EHLO", "EHLO x.example\nQUIT\n", nil, "new close", quit, ""},
		{"QUIT in a transaction", "EHLO x.example\n" + transaction + "QUIT\n", nil, "new mail rcpt reset/closed close", quit, ""},
		{"after a message", "EHLO x.example\n" + transaction + "BDAT 0 LAST\nQUIT\n", nil, "new mail rcpt data reset/done close", quit, ""},
		{"after RSET", "EHLO x.example\nRSET\n" + transaction + "RSET\nRSET\nQUIT\n", nil, "new reset/RSET mail rcpt reset/RSET reset/RSET close", quit, ""},
		{"after another EHLO", "EHLO x.example\n" + transaction + "EHLO y.example\nQUIT\n", nil, "new mail rcpt reset/hello close", quit, ""},
		{"RSET before EHLO", "RSET\nQUIT\n", nil, "new reset/RSET close", quit, ""},
		{"lost at once", "", drop, "new close", lost, ""},
		{"lost in a transaction", "EHLO x.example\n" + transaction, drop, "new mail rcpt reset/closed close", lost, ""},
		{"lost in DATA", "EHLO x.example\n" + transaction + "DATA\nx", drop, "new mail rcpt data reset/closed close", any, ""},
		{"lost in a chunk", "EHLO x.example\n" + transaction + "BDAT 9\nx", drop, "new mail rcpt data reset/closed close", any, ""},
		{"lost between chunks", "EHLO x.example\n" + transaction + "BDAT 1\nx", drop, "new mail rcpt data reset/closed close", lost, ""},
		{"lost in a refused chunk", "EHLO x.example\nBDAT 9\nx", drop, "new close", any, ""},
		{"lost in a broken message", "EHLO x.example\n" + transaction + "BDAT 1001\n" + strings.Repeat("x", 1001) + "BDAT 9\nx", drop, "new mail rcpt data reset/closed close", any, ""},
		{"RSET between chunks", "EHLO x.example\n" + transaction + "BDAT 1\nxRSET\nQUIT\n", nil, "new mail rcpt data reset/RSET close", quit, ""},
		{"EHLO between chunks", "EHLO x.example\n" + transaction + "BDAT 1\nxEHLO y.example\nQUIT\n", nil, "new mail rcpt data reset/hello close", quit, ""},
		{"QUIT between chunks", "EHLO x.example\n" + transaction + "BDAT 1\nxQUIT\n", nil, "new mail rcpt data reset/closed close", quit, ""},
		{"too many errors", "EHLO x.example\n" + strings.Repeat("NONSENSE\n", 21), nil, "new close", said(421), ""},
		{"too many errors between chunks", "EHLO x.example\n" + transaction + "BDAT 1\nx" + strings.Repeat("NONSENSE\n", 21), nil, "new mail rcpt data reset/closed close", said(421), ""},
		{"Server.Close", "EHLO x.example\n" + transaction, func(s *testServer, _ *peer) { s.Server.Close() }, "new mail rcpt reset/closed close", any, ""},
		{"Server.Shutdown", "EHLO x.example\n", func(s *testServer, _ *peer) { s.Server.Shutdown(context.Background()) }, "new close", func(r error) bool { return r == server.ErrServerClosed }, ""},
		{"time out", "EHLO x.example\n" + transaction, func(*testServer, *peer) { time.Sleep(time.Hour) }, "new mail rcpt reset/closed close", any, ""},
		{"handshake fails", "EHLO x.example\nSTARTTLS\n", func(_ *testServer, p *peer) { p.send("not TLS\n") }, "new close", any, ""},
		{"panic in Mail", "EHLO x.example\nMAIL FROM:<panic@example.org>\n", nil, "new mail close", any, "panic in a handler"},
		{"panic in Rcpt", "EHLO x.example\nMAIL FROM:<>\nRCPT TO:<panic@example.org>\n", nil, "new mail rcpt reset/closed close", any, "panic in a handler"},
		{"panic in Data", "EHLO x.example\n" + transaction + "BDAT 5 LAST\npanic", nil, "new mail rcpt data reset/closed close", any, "panic in a handler"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var reasons []error
				s := start(t, withTLS, limits(server.Limits{MaxMessageSize: 1000}))
				s.mail = func(_ context.Context, from smtp.ReversePath, _ *smtp.MailParams) (smtp.Reply, error) {
					if from.Local == "panic" {
						panic("in Mail")
					}
					return smtp.Reply{}, nil
				}
				s.rcpt = func(_ context.Context, to smtp.ForwardPath, _ *smtp.RcptParams) (smtp.Reply, error) {
					if to.Local == "panic" {
						panic("in Rcpt")
					}
					return smtp.Reply{}, nil
				}
				s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
					if text, err := io.ReadAll(b); string(text) == "panic" {
						panic("in Data")
					} else {
						return smtp.Reply{}, err
					}
				}
				s.close = func(reason error) { reasons = append(reasons, reason) }
				p := s.dial()
				p.send(tt.send)
				synctest.Wait()
				if tt.end != nil {
					tt.end(s, p)
					synctest.Wait()
				}
				io.Copy(io.Discard, p.Conn)
				p.Close()
				s.stop()
				var calls []string
				for _, call := range strings.Split(s.noted(), "\n") {
					word, rest, _ := strings.Cut(call, " ")
					if word == "reset" {
						word += "/" + rest
					}
					calls = append(calls, word)
				}
				want(t, "calls", strings.Join(calls, " "), tt.calls)
				if len(reasons) != 1 || !tt.reason(reasons[0]) {
					t.Errorf("reasons %v", reasons)
				}
				events := s.events.take()
				if n := strings.Count(events, server.ConnOpened.String()); n != 1 || strings.Count(events, server.ConnClosed.String()) != 1 {
					t.Errorf("events:\n%s", events)
				}
				if log := s.log.take(); !strings.Contains(log, tt.log) || tt.log == "" && log != "" {
					t.Errorf("log: %s", log)
				}
			})
		})
	}
}

// A panic in any method costs that connection only: 421, an entry in the log,
// and Close is still called.
func TestPanics(t *testing.T) {
	for _, h := range hooks {
		t.Run(h.name, func(t *testing.T) {
			calm := true
			s := start(t, func(s *testServer) {
				h.set(s, func() (smtp.Reply, error) {
					if calm {
						return smtp.Reply{Code: 250, Text: "calm"}, nil
					}
					panic("secret")
				})
			})
			bystander := s.hello()
			calm = false
			p := s.dial()
			if got, err := hear(p, h.send, h.last); !strings.HasPrefix(got, "421 ") || strings.Contains(got, "secret") || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			p.closed()
			bystander.do("QUIT", "221")
			s.stop()
			if log := s.log.take(); !strings.Contains(log, "secret") || !strings.Contains(log, "session_test.go") || strings.Count(log, "level=ERROR") != 1 {
				t.Errorf("log: %s", log)
			}
			if calls := s.noted(); strings.Count(calls+"\n", "close\n") != 2 && h.name != "NewSession" {
				t.Errorf("calls: %s", calls)
			}
		})
	}
}

// Of a message in whose midst the handler panics the observer hears once.
func TestPanicInDataIsObserved(t *testing.T) {
	for _, data := range []string{"DATA\ntext\n.\n", "BDAT 4\ntextBDAT 0 LAST\n", "BDAT 4 LAST\ntext"} {
		for _, read := range []bool{false, true} {
			s := start(t)
			s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
				if read {
					io.Copy(io.Discard, b)
				}
				panic("in Data")
			}
			p := s.hello()
			p.send(transaction + data)
			io.ReadAll(p.r)
			s.stop()
			events := s.events.take()
			if strings.Count(events, "\nmessage refused: 421") != 1 || strings.Contains(events, "message accepted") {
				t.Errorf("%q: %s", data, events)
			}
			s.log.take()
		}
	}
}

// An Observer that panics whenever it is told of one kind of event costs the
// connections that have such, and what was said to the client holds.
func TestObserverPanics(t *testing.T) {
	for kind := server.ConnOpened; kind <= server.ForeignProtocol; kind++ {
		var told []server.EventKind
		s := start(t, func(s *testServer) {
			s.Observer = server.ObserverFunc(func(e server.Event) {
				told = append(told, e.Kind)
				if e.Kind == kind {
					panic("in Observe")
				}
			})
			s.Limits = server.Limits{Tarpit: time.Millisecond, TarpitAfter: -1, MaxErrors: 1}
		})
		p := s.dial()
		p.send("EHLO x.example\n" + transaction + "BDAT 0 LAST\nNONSENSE\nNONSENSE\n")
		text, _ := io.ReadAll(p.r)
		s.stop()
		if n := strings.Count(string(text), "421 "); n != 1 || !strings.HasSuffix(string(text), "\r\n") {
			t.Errorf("%v: %q", kind, text)
		}
		if told[len(told)-1] != server.ConnClosed && kind != server.ConnOpened {
			t.Errorf("%v: told of %v", kind, told)
		}
		if accepted := strings.Contains(string(text), "message accepted"); accepted && slices.Contains(told, server.MessageRefused) {
			t.Errorf("%v: a message is accepted and refused", kind)
		}
		s.log.take()
	}
}

func TestPanicsInReset(t *testing.T) {
	for _, send := range []string{"RSET\n", "MAIL FROM:<>\nRSET\n", "EHLO x.example\n", "MAIL FROM:<>\nRCPT TO:<b@example.com>\nBDAT 0 LAST\n", "MAIL FROM:<>\nQUIT\n"} {
		s := start(t)
		s.reset = func(context.Context, server.ResetReason) { panic("in Reset") }
		p := s.hello()
		p.send(send)
		text, _ := io.ReadAll(p.r)
		if !strings.Contains(string(text), "421 ") && !strings.HasSuffix(send, "QUIT\n") {
			t.Errorf("%q: %q", send, text)
		}
		s.stop()
		if calls := s.noted(); strings.Count(calls+"\n", "close\n") != 1 || strings.Count(calls, "reset") != 1 {
			t.Errorf("%q: calls %s", send, calls)
		}
		if events := s.events.take(); !strings.Contains(events, server.ConnClosed.String()) {
			t.Errorf("%q: %s", send, events)
		}
		if log := s.log.take(); strings.Count(log, "panic") < 1 {
			t.Errorf("%q: log %s", send, log)
		}
	}
}

func TestPanicsInCloseAndObserver(t *testing.T) {
	var ctx context.Context
	s := start(t)
	observe := s.Observer
	s.newSession = func(c context.Context, _ *server.Conn) error { ctx = c; return nil }
	s.close = func(error) { panic("in Close") }
	p := s.hello()
	p.do("QUIT", "221")
	p.closed()
	s.stop()
	if ctx.Err() == nil {
		t.Error("the context of the session lives on")
	}
	if events := s.events.take(); !strings.Contains(events, server.ConnClosed.String()) {
		t.Errorf("events: %s", events)
	}
	s.log.take()

	s = start(t)
	s.Observer = server.ObserverFunc(func(e server.Event) {
		if e.Kind == server.ConnClosed {
			panic("in Observe")
		}
		observe.Observe(e)
	})
	p = s.hello()
	p.do("QUIT", "221")
	p.closed()
	s.stop()
	want(t, "calls", s.noted(), "new\nclose")
	s.log.take()
}
