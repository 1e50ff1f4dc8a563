package client

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"testing"
	"time"
)

// What is handed to somebody whose context has just ended is not lost.
func TestHandedTooLate(t *testing.T) {
	for _, test := range []struct {
		name   string
		h      handover
		conn   bool
		old    bool
		idle   int
		open   int
		closed bool
	}{
		{name: "slot"},
		{name: "slot in the place of another", conn: true, old: true, closed: true},
		{name: "lost connection", h: handover{lost: true}},
		{name: "connection", conn: true, idle: 1, open: 1},
		{name: "chained connection", h: handover{chained: true}, conn: true, closed: true},
		{name: "refusal", h: handover{err: errors.New("no")}, conn: true, open: 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := queue{open: 1, own: slots{open: 1, maxOpen: 1, maxIdle: 1}, limits: limits{open: 1, idle: 1, idleTimeout: 1 << 40, maxAge: 1 << 60}}
			var conn *Conn
			if test.conn {
				near, far := net.Pipe()
				defer far.Close()
				conn = newConn(near, &ConnConfig{Timeouts: EveryTimeout(time.Millisecond)})
				conn.home = &q
				if test.h.conn = conn; test.old {
					test.h = handover{old: conn}
				}
				defer near.Close()
			}
			w := &waiter{ready: make(chan handover), state: handed}
			go func() {
				for gone := false; !gone; runtime.Gosched() {
					q.own.mu.Lock()
					gone = w.state == abandoned
					q.own.mu.Unlock()
				}
				w.ready <- test.h
			}()
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := q.await(ctx, w); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			for running := true; running; runtime.Gosched() { // until QUIT is said
				q.own.mu.Lock()
				running = q.running > 0
				q.own.mu.Unlock()
			}
			if len(q.idle) != test.idle || q.open != test.open || q.own.open != test.open {
				t.Errorf("%d idle and %d open, want %d and %d", len(q.idle), q.open, test.idle, test.open)
			}
			if test.conn && conn.closed != test.closed {
				t.Errorf("closed: %v", conn.closed)
			}
			if q.reaper != nil {
				q.reaper.Stop()
			}
		})
	}
}

// A slot that becomes free goes to who waits, and otherwise back.
func TestFreeSlot(t *testing.T) {
	q := queue{open: 1, own: slots{open: 1, maxOpen: 2}, limits: limits{open: 1}}
	w := &waiter{}
	if q.take(w); !w.waits {
		t.Fatal("a second connection")
	}
	q.freeSlot()
	if h, err := q.await(t.Context(), w); h != (handover{}) || err != nil || q.open != 1 {
		t.Errorf("%+v %v, %d open", h, err, q.open)
	}
	if q.freeSlot(); q.open != 0 {
		t.Errorf("%d open", q.open)
	}
	q.open = 1
	first, second := &waiter{}, &waiter{}
	q.take(first)
	q.open = 0
	if q.take(second); !second.waits || first.state != handed || second.state != inLine {
		t.Error("the second is before the first")
	}
}

// A slot may be that of an idle connection, of the same queue or of another. It
// counts for both until the connection is closed.
func TestGrantInThePlaceOfAnother(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	both := slots{open: 1, maxOpen: 1, maxIdle: 1}
	l := limits{open: 1, idle: 1, idleTimeout: 1 << 40, maxAge: 1 << 60}
	q, other := &queue{shared: &both, limits: l, open: 1}, &queue{shared: &both, limits: l}
	c := newConn(near, nil)
	c.home = q
	defer c.Close()
	both.keep(c)
	h, ok := q.grant(&waiter{fresh: true})
	if !ok || h != (handover{old: c}) || q.open != 1 || both.open != 1 || both.idle != 0 {
		t.Errorf("own: %+v %v, %d open of %d", h, ok, q.open, both.open)
	}
	both.keep(c)
	q.limits.open = 2 // it is the Pool that lets it have no other
	h, ok = q.grant(&waiter{fresh: true})
	if !ok || h != (handover{old: c}) || q.open != 1 || both.open != 1 || both.idle != 0 {
		t.Errorf("own: %+v %v, %d open of %d", h, ok, q.open, both.open)
	}
	q.limits.open = 1
	both.keep(c)
	h, ok = other.grant(&waiter{})
	if !ok || h != (handover{old: c}) || q.open != 1 || other.open != 1 || both.open != 1 {
		t.Errorf("another's: %+v %v, %d and %d open of %d", h, ok, q.open, other.open, both.open)
	}
	if _, ok := q.grant(&waiter{}); ok {
		t.Error("a second connection, before the first is closed")
	}
	if q.slotTaken(other); q.open != 0 || both.open != 1 {
		t.Errorf("%d open of %d", q.open, both.open)
	}
}

// The end of the context outlasts every deadline that is set after it.
func TestCancelIsFinal(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	c := newConn(near, &ConnConfig{Timeouts: EveryTimeout(time.Hour)})
	defer c.Close()
	c.cancel()
	c.setDeadline(&c.readBy, time.Hour, net.Conn.SetReadDeadline)
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

// A context that ends with the operation leaves deadlines in the past: the
// connection is not used again.
func TestCancelAtTheEnd(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	c := newConn(near, nil)
	ctx, cancel := context.WithCancel(t.Context())
	if err := c.enter(ctx, "NOOP"); err != nil {
		t.Fatal(err)
	}
	cancel()
	c.leave()
	if !errors.Is(c.Err(), context.Canceled) || !c.closed {
		t.Errorf("error %v, closed %v", c.Err(), c.closed)
	}
}
