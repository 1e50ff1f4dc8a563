package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// mute is a listener whose first connection cannot tell its peer's address
// before gate is closed, as behind a proxy that has not said it yet.
type mute struct {
	net.Listener
	gate  chan struct{}
	first bool
}

type muteConn struct {
	net.Conn
	gate chan struct{}
}

func (l *mute) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil || l.first {
		return c, err
	}
	l.first = true
	return muteConn{c, l.gate}, nil
}

func (c muteConn) RemoteAddr() net.Addr {
	<-c.gate
	return c.Conn.RemoteAddr()
}

func TestAcceptAsksTheConnectionNothing(t *testing.T) {
	s := start(t)
	gate := make(chan struct{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.serve(&mute{Listener: l, gate: gate})
	for range 2 {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		p := newPeer(t, nc)
		defer p.Close()
		if gate != nil {
			defer close(gate)
			gate = nil
			continue
		}
		p.expect("220 ") // though the first has not got so far
	}
}

func TestObserverPanicWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, limits(server.Limits{MaxConns: 1}), func(s *testServer) {
			s.Observer = server.ObserverFunc(func(e server.Event) {
				if e.Kind == server.LimitHit {
					panic("no room for metrics")
				}
			})
		})
		p := s.hello()
		s.dial().closed()
		synctest.Wait() // the log is written after the connection is closed
		p.do("NOOP", "250")
		if text := s.log.take(); !strings.Contains(text, "no room for metrics") {
			t.Errorf("the log: %q", text)
		}
	})
}

func TestNegativeDurations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, withTLS, limits(server.Limits{
			HandshakeTimeout: -1, CommandTimeout: -1, DataTimeout: -1, WriteTimeout: -1, HandlerTimeout: -1, MinDataRate: -1,
		}))
		p := s.hello()
		time.Sleep(100 * time.Hour)
		p.do("NOOP", "250")
		p.startTLS()
		p.do("EHLO client.example", "250")
		p.send(transaction + "DATA\n")
		p.expect("250", "250", "354")
		time.Sleep(100 * time.Hour)
		p.send("x\n.\n")
		p.expect("250")
	})
}

// A handler that polls its context sees the time limit like one that waits.
func TestHandlerTimeoutByErr(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took time.Duration
		s := start(t, limits(server.Limits{HandlerTimeout: time.Minute}), func(s *testServer) {
			s.mail = func(ctx context.Context, _ smtp.ReversePath, _ *smtp.MailParams) (smtp.Reply, error) {
				began := time.Now()
				for ctx.Err() == nil && time.Since(began) < time.Hour {
					time.Sleep(time.Second)
				}
				took = time.Since(began)
				return smtp.Reply{}, smtp.Reject(451, smtp.Enh(3, 0), "later")
			}
		})
		p := s.hello()
		p.send("MAIL FROM:<>\n")
		p.expect("451 4.3.0 later", "421 4.3.0 local processing took too long")
		p.closed()
		if took < time.Minute || took > time.Minute+2*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// ErrAbort hangs up, even if it is the answer to what the client has cut short.
func TestAbortBetweenChunks(t *testing.T) {
	for _, line := range []string{"RSET", "QUIT", "EHLO x.example"} {
		s := start(t, func(s *testServer) {
			s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
				_, err := io.Copy(io.Discard, b)
				return smtp.Reply{}, errors.Join(server.ErrAbort, err)
			}
		})
		p := s.hello()
		p.send(transaction + "BDAT 1\nx")
		p.expect("250", "250", "250")
		p.send(line + "\n")
		p.closed()
	}
}

// Shutdown does not wait for a client that never begins its handshake.
func TestShutdownInHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, withTLS)
		for _, implicit := range []bool{true, false} {
			l := s.listener
			if implicit {
				l = s.serveTLS()
			}
			nc, err := l.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			p := newPeer(t, nc)
			if !implicit {
				p.expect("220")
				p.do("EHLO x.example", "250")
				p.do("STARTTLS", "220")
			}
		}
		synctest.Wait()
		began := time.Now()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// One octet a chunk, each in time, is as slow as one octet at a time.
func TestChunksDrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		p := s.hello()
		p.send(transaction)
		p.expect("250", "250")
		for range 3 {
			time.Sleep(2 * time.Minute)
			p.send("BDAT 1\nx")
			p.expect("250 2.0.0 chunk received")
		}
		p.expect("421 4.4.2 data came too slowly")
		p.closed()
	})
}

func TestOwnVerbNeedsAuth(t *testing.T) {
	s := start(t, submission, func(s *testServer) {
		s.Extensions = []server.Extension{{Keyword: "XDO", Verbs: map[smtp.Verb]server.VerbFunc{
			"XDO": func(context.Context, *server.Conn, server.Session, string) (smtp.Reply, error) {
				return smtp.Reply{}, nil
			},
		}}}
	})
	p := s.hello()
	p.do("XDO it", "530 5.7.0")
	p.do("AUTH PLAIN "+b64("\x00"+user+"\x00"+password), "235")
	p.do("XDO it", "250")
}

// What AUTH= may say stays on offer after a second EHLO, AUTH itself does not.
func TestSecondHelloAfterAuth(t *testing.T) {
	s := start(t, withAuth)
	p := s.hello()
	p.do("AUTH PLAIN "+b64("\x00"+user+"\x00"+password), "235")
	p.send("EHLO client.example\n")
	if r, err := p.reply(); err != nil || strings.Contains(r, "AUTH") {
		t.Errorf("%q, %v", r, err)
	}
	p.do("MAIL FROM:<a@example.org> AUTH=<>", "250")
}

func TestUnknownPolicy(t *testing.T) {
	for _, s := range []*server.Server{{BodyPolicy: 9}, {ChunkPolicy: 9}, {EarlyTalker: 9}} {
		s.Handler = new(backend)
		if err := s.ListenAndServe("127.0.0.1:0"); err == nil || errors.Is(err, server.ErrServerClosed) {
			t.Errorf("%v", err)
		}
	}
}

// claimsTLS says that it is TLS, and has nothing to make it so.
type claimsTLS struct{ net.Conn }

func (claimsTLS) ConnectionState() tls.ConnectionState { return tls.ConnectionState{} }

type claimer struct{ net.Listener }

func (l claimer) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return claimsTLS{c}, err
}

func TestWrapperThatNeverShakesHandsIsNotTLS(t *testing.T) {
	s := start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.serve(claimer{l})
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	newPeer(t, nc).closed()
	if events := s.events.take(); !strings.Contains(events, "TLS failed") {
		t.Error(events)
	}
}

// What a limit does to a message is told as such.
func TestLimitHitByMessage(t *testing.T) {
	s := start(t, limits(server.Limits{MaxMessageSize: 10}))
	p := s.hello()
	p.send(transaction + "DATA\n")
	p.expect("250", "250", "354")
	p.send("more than ten\n.\n")
	p.expect("552")
	if events := s.events.take(); !strings.Contains(events, "limit hit") {
		t.Error(events)
	}
}
