package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// Idle connections get 421 at once, wherever they stand.
func TestShutdownSendsIdleConnectionsAway(t *testing.T) {
	for _, silence := range []time.Duration{0, time.Minute} { // after which they rest
		t.Run(silence.String(), func(t *testing.T) { shutdownIdle(t, silence) })
	}
}

func shutdownIdle(t *testing.T, silence time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, withTLS, withAuth)
		var peers []*peer
		fresh := s.dial()
		fresh.expect("220")
		helloed := s.hello()
		after := s.hello()
		after.send(transaction + "BDAT 0 LAST\n")
		after.expect("250", "250", "250")
		authenticating := s.hello()
		authenticating.do("AUTH PLAIN", "334")
		encrypted := s.hello()
		encrypted.startTLS()
		half := s.hello()
		half.send("NOO")
		peers = append(peers, fresh, helloed, after, authenticating, encrypted, half)
		time.Sleep(silence)
		synctest.Wait()
		start := time.Now()
		if err := s.Server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		between(t, time.Since(start), 0, time.Second)
		for _, p := range peers {
			p.expect("421 4.3.2 shutting down")
			p.closed()
		}
		if _, err := s.listener.Dial(context.Background()); err == nil {
			t.Error("the listener is open")
		}
	})
}

// Transactions under way come to their end; then the connection is idle.
func TestShutdownLetsTransactionsEnd(t *testing.T) {
	for _, tt := range []struct {
		name  string
		begin string
		rest  string
		want  []string
	}{
		{"after MAIL", "MAIL FROM:<>\n", "RCPT TO:<b@example.com>\nDATA\n", []string{"250", "250", "354"}},
		{"after RCPT", transaction, "BDAT 1 LAST\nx", []string{"250", "250", "250 2.0.0"}},
		{"in DATA", transaction + "DATA\nx", "\n.\n", []string{"250", "250", "354", "250 2.0.0"}},
		{"between chunks", transaction + "BDAT 1\nx", "BDAT 1 LAST\nx", []string{"250", "250", "250", "250 2.0.0"}},
		{"in a chunk", transaction + "BDAT 2\nx", "xRSET\n", []string{"250", "250", "250", "250"}},
		{"another MAIL", transaction, "BDAT 1 LAST\nxMAIL FROM:<>\n", []string{"250", "250", "250 2.0.0"}},
	} {
		for _, silence := range []time.Duration{0, time.Minute} { // then, for a while, they rest
			t.Run(fmt.Sprint(tt.name, ", ", silence), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := start(t)
					p := s.hello()
					p.send(tt.begin)
					synctest.Wait()
					down := make(chan error)
					go func() { down <- s.Server.Shutdown(context.Background()) }()
					time.Sleep(silence)
					synctest.Wait()
					p.send(tt.rest)
					p.expect(tt.want...)
					if tt.name == "after MAIL" {
						p.send("x\n.\n")
						p.expect("250 2.0.0")
					}
					p.expect("421 4.3.2 shutting down")
					p.closed()
					if err := <-down; err != nil {
						t.Error(err)
					}
					if tt.name != "in a chunk" {
						want(t, "messages", len(s.messages()), 1)
					}
				})
			})
		}
	}
}

// Five seconds are for a handshake, not for what comes after it.
func TestShutdownLetsTransactionsOverTLSEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, withTLS)
		p := s.hello()
		p.startTLS()
		p.do("EHLO x.example", "250")
		p.send(transaction + "DATA\n")
		p.expect("250", "250", "354")
		synctest.Wait()
		down := make(chan error)
		go func() { down <- s.Server.Shutdown(context.Background()) }()
		time.Sleep(time.Minute)
		p.send("x\n.\n")
		p.expect("250 2.0.0", "421 4.3.2 shutting down")
		if err := <-down; err != nil {
			t.Error(err)
		}
	})
}

// The deadline cuts what is left, and says so to the handler.
func TestShutdownDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		var body, ctxErr error
		s.data = func(ctx context.Context, b *server.Body) (smtp.Reply, error) {
			_, body = io.Copy(io.Discard, b)
			ctxErr = ctx.Err()
			return smtp.Reply{}, nil
		}
		p := s.hello()
		p.send(transaction + "DATA\nx")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		start := time.Now()
		if err := s.Server.Shutdown(ctx); err != context.DeadlineExceeded {
			t.Errorf("Shutdown: %v", err)
		}
		want(t, "time", time.Since(start), time.Minute)
		p.expect("250", "250", "354")
		p.closed()
		synctest.Wait()
		var cut *server.BodyError
		if !errors.As(body, &cut) || ctxErr != context.Canceled {
			t.Errorf("body %v, context %v", body, ctxErr)
		}
		if events := s.events.take(); strings.Contains(events, server.MessageAccepted.String()) {
			t.Errorf("events: %s", events)
		}
	})
}

// A handler that is at work when Shutdown begins is not interrupted.
func TestShutdownWaitsForHandlers(t *testing.T) {
	for _, h := range hooks {
		t.Run(h.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, func(s *testServer) {
					h.set(s, func() (smtp.Reply, error) {
						time.Sleep(time.Minute)
						return smtp.Reply{}, smtp.Reject(550, smtp.Enhanced{}, "considered")
					})
				})
				p := s.dial()
				heard := make(chan string)
				go func() { r, _ := hear(p, h.send, h.last); heard <- r }()
				synctest.Wait()
				down := make(chan error)
				go func() { down <- s.Server.Shutdown(context.Background()) }()
				if r := <-heard; !strings.HasSuffix(r, "considered") {
					t.Errorf("%q", r)
				}
				if h.name == "Rcpt" || h.name == "Data, a chunk" { // a transaction is under way
					p.send("RSET\n")
					p.expect("250")
				}
				p.expect("421 4.3.2 shutting down")
				if err := <-down; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestShutdownAndHandshakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, withTLS)
		l := s.serveTLS()
		conn, err := l.Dial(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		silent, err := l.Dial(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		start := time.Now()
		down := make(chan error)
		go func() { down <- s.Server.Shutdown(context.Background()) }()
		synctest.Wait()
		p := newPeer(t, tls.Client(conn, clientTLS))
		p.expect("220", "421 4.3.2")
		p.closed()
		if err := <-down; err != nil {
			t.Error(err)
		}
		between(t, time.Since(start), 0, time.Minute+time.Second)
		silent.Close()
	})
}

func TestShutdownOnceOrTwice(t *testing.T) {
	s := &server.Server{Hostname: "mx.example", Handler: new(backend)}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("before Serve: %v", err)
	}
	if err := s.Serve(memnet.Listen()); err != server.ErrServerClosed {
		t.Errorf("Serve after Shutdown: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close after Shutdown: %v", err)
	}

	running := start(t)
	p := running.hello()
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			if err := running.Server.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	p.expect("421")
	group.Wait()
}

func TestCloseCutsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, withTLS)
		l := s.serveTLS()
		conn, err := l.Dial(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		shaking, _ := l.Dial(context.Background())
		encrypted := newPeer(t, tls.Client(conn, clientTLS))
		encrypted.expect("220")
		busy := s.hello()
		busy.send(transaction + "DATA\n")
		busy.expect("250", "250", "354")
		idle := s.hello()
		started := s.hello()
		started.startTLS()
		synctest.Wait()
		if err := s.Server.Close(); err != nil {
			t.Error(err)
		}
		for _, p := range []*peer{encrypted, busy, idle, started} {
			p.closed()
		}
		if _, err := io.ReadAll(shaking); err != nil {
			t.Error(err)
		}
		s.Server.Shutdown(context.Background())
		want(t, "sessions that were closed", strings.Count(s.noted()+"\n", "close\n"), 4)
	})
}

// accepts is a listener with troubles of its own.
type accepts struct {
	errs   []error
	closed bool
}

func (l *accepts) Accept() (net.Conn, error) {
	err := l.errs[0]
	l.errs = l.errs[1:]
	return nil, err
}
func (l *accepts) Close() error   { l.closed = true; return nil }
func (l *accepts) Addr() net.Addr { return &net.TCPAddr{} }

type passing struct{ error }

func (passing) Temporary() bool { return true }

func TestAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		broken := errors.New("broken")
		l := &accepts{errs: []error{passing{errors.New("too many open files")}, passing{errors.New("again")}, broken}}
		begin := time.Now()
		if err := s.Server.Serve(l); !errors.Is(err, broken) {
			t.Errorf("Serve: %v", err)
		}
		between(t, time.Since(begin), 5*time.Millisecond, time.Second)
		want(t, "closed", l.closed, true)
		if log := s.log.take(); strings.Count(log, "accept") != 2 {
			t.Errorf("log: %s", log)
		}
	})
}
