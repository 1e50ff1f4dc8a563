package client

import (
	"context"
	"errors"
	"time"
)

// deliver is Send for who is counted in the queue.
func (c *Client) deliver(w *waiter) (*Result, error) {
	t := &w.t
	for {
		conn, err := c.attempt(w)
		switch err {
		case errStale:
			t.saidBy(conn)
			w.given, w.waits = handover{old: conn, lost: true}, false // its place in line is the slot
			continue
		case errAgain:
			t.redialled = true
			t.saidBy(conn) // what came before the part that goes again
			if err = t.again(); err == nil {
				w.fresh = true
				c.queue.takeAgain(w)
				continue
			}
		}
		if _, more := err.(restError); !more {
			return t.end(conn, err)
		}
		t.saidBy(conn)
		c.queue.takeAgain(w)
	}
}

// errAgain is what attempt returns for a message that may have another.
var errAgain = errors.New("again")

// attempt sends the message over one connection, and returns it to say who it was. With
// errStale the slot is still the message's.
// Although a hook or a reader of the caller's panics, others can go on.
func (c *Client) attempt(w *waiter) (*Conn, error) {
	t := &w.t
	conn, h, err := c.connection(w)
	switch {
	case err != nil:
		return conn, err
	case h.err != nil:
		return h.conn, h.err
	}
	stale := false
	defer func() {
		if !stale {
			c.queue.release(conn)
		}
	}()
	if !h.chained && c.queue.limits.interval > 0 {
		at, err := c.queue.pace(t.ctx)
		if err != nil {
			return conn, err
		}
		defer func(before int) {
			if conn.messages == before {
				c.queue.notBegun(at)
			}
		}(conn.messages)
	}
	done := false
	defer func() {
		if !done {
			conn.fail("MAIL", errAborted)
		}
		conn.leave()
		stale = done && err == errStale
	}()
	if err = conn.enter(t.ctx, "MAIL"); err == nil {
		err = conn.deliver(t, &c.queue, h.chained)
		switch {
		case err == errStale:
			conn.messages-- // it has not begun
		case err != nil && conn.dead != nil:
			err = c.lost(t, err)
		}
	} else if h.chained {
		conn.fail("MAIL", err) // the replies to the envelope are under way
	}
	done = true
	return conn, err
}

// lost says what a message may have after its connection has ended with err: errAgain
// for the same once more, a restError for the recipients that are left.
func (c *Client) lost(t *transaction, err error) error {
	rest, between := err.(restError)
	switch {
	case between && (c.NoRedial || t.ctx.Err() != nil):
		return rest.error
	case between:
		return rest
	case c.NoRedial:
		return err
	case t.reused && !t.redialled && t.mayGoAgain(err):
		return errAgain
	case !t.mayGoOn(err):
		return err
	}
	t.settle(err)
	if more, failed := t.next(); !more {
		return failed
	}
	return restError{err}
}

var errAborted = errors.New("given up in the middle of a message")

// connection returns a connection that is ready for MAIL, or a handover that says
// why there is none. With an error it returns the connection that it is about, if
// it is about one, to say who it was.
func (c *Client) connection(w *waiter) (*Conn, handover, error) {
	h := w.given
	if w.waits {
		var err error
		if h, err = c.queue.await(w.t.ctx, w); err != nil {
			return nil, h, err
		}
	}
	if h.lost { // nothing of the message was written
		if err := c.again(w); err != nil {
			return h.old, h, err
		}
		h = handover{old: h.old}
	}
	if h.err != nil || h.chained || h.conn != nil && c.reuse(h.conn) {
		return h.conn, h, nil
	}
	old := h.old
	if h.conn != nil {
		old = h.conn
	}
	conn, err := c.fill(w.t.ctx, old)
	return conn, h, err
}

// again makes the message of w ready for the slot that w has. If it cannot, the slot
// is free again.
func (c *Client) again(w *waiter) (err error) {
	ready := false
	defer func() {
		if !ready {
			c.queue.freeSlot()
		}
	}()
	err = w.t.again()
	ready = err == nil
	return err
}

// fill makes a connection in a slot, which is old's if that is not nil. If it
// cannot, the slot is free again.
func (c *Client) fill(ctx context.Context, old *Conn) (*Conn, error) {
	filled := false
	defer func() {
		if !filled {
			c.queue.unused()
			c.queue.freeSlot()
		}
	}()
	if old != nil {
		c.queue.clear(ctx, old)
	}
	conn, err := c.connect(ctx)
	filled = err == nil
	return conn, err
}

// reuse reports whether conn, which was idle, is still good.
func (c *Client) reuse(conn *Conn) bool {
	if c.queue.spent(conn, time.Now()) || !conn.quiet() {
		return false
	}
	told := false
	defer func() {
		if !told { // the hook panics
			conn.Close()
			c.queue.freeSlot()
		}
	}()
	if t := c.Trace; t != nil && t.Reused != nil {
		t.Reused(conn.info)
	}
	told = true
	return true
}
