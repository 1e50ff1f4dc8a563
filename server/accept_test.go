package server_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/server"
)

// clogged is a connection on which a write ends only when it is closed.
type clogged struct {
	net.Conn
	closed chan struct{}
	once   *sync.Once
}

func (c clogged) Write([]byte) (int, error) {
	<-c.closed
	return 0, net.ErrClosed
}

func (c clogged) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// clogger is a listener whose connections are clogged after the first.
type clogger struct {
	net.Listener
	first bool
}

func (l *clogger) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil || !l.first {
		l.first = true
		return c, err
	}
	return clogged{c, make(chan struct{}), new(sync.Once)}, nil
}

// Those for whom there was no room are waited for, too, and cut off.
func TestShutdownWaitsForThoseTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, limits(server.Limits{MaxConns: 1}))
		l := memnet.Listen()
		s.serve(&clogger{Listener: l})
		dial := func() *peer {
			conn, err := l.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return newPeer(t, conn)
		}
		first := dial()
		first.expect("220")
		second := dial()
		synctest.Wait()
		first.do("QUIT", "221") // whose place is free, though second is still there
		synctest.Wait()
		s.hello()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if err := s.Shutdown(ctx); err != context.DeadlineExceeded {
			t.Errorf("Shutdown: %v", err)
		}
		want(t, "time", time.Since(began), time.Minute)
		second.closed()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Errorf("Shutdown after Close: %v", err)
		}
	})
}

// stragglers is a listener that gives one more connection after Close.
type stragglers struct {
	net.Listener
	closed chan struct{}
	last   chan net.Conn
}

func (l *stragglers) Accept() (net.Conn, error) {
	<-l.closed
	if c, ok := <-l.last; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l *stragglers) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

// Who comes while the server shuts down is told that, and nothing else.
func TestAcceptedWhileShuttingDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		l := &stragglers{closed: make(chan struct{}), last: make(chan net.Conn)}
		s.serve(l)
		synctest.Wait() // it has to be under way before Shutdown
		pair := func() (near *peer, far net.Conn) {
			m := memnet.Listen()
			accepted := make(chan net.Conn)
			go func() { c, _ := m.Accept(); accepted <- c }()
			conn, err := m.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return newPeer(t, conn), <-accepted
		}
		busy := s.hello()
		busy.do("MAIL FROM:<>", "250")
		s.events.take()
		down := make(chan error)
		go func() { down <- s.Shutdown(t.Context()) }()
		synctest.Wait()

		late, far := pair()
		l.last <- far
		late.expect("421 shutting down")
		late.closed()
		if events := s.events.take(); strings.Contains(events, server.LimitHit.String()) {
			t.Errorf("events: %s", events)
		}

		busy.send("QUIT\n")
		busy.expect("221")
		if err := <-down; err != nil {
			t.Error(err)
		}
		// When Shutdown has returned nothing begins any more.
		late, far = pair()
		l.last <- far
		late.closed()
		close(l.last)
	})
}
