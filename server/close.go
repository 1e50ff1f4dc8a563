package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"time"
)

// finish takes the connection down, unless it only rests.
func (c *conn) finish() {
	if c.resting && !c.ended {
		go c.rest()
		return
	}
	defer c.srv.forget(c)
	c.giveBack() // nothing more comes of the transaction, though the farewell may take a moment
	c.guard(c.disconnect)
	if c.txn != nil {
		c.guard(func() { c.endTransaction(ResetClosed) })
	}
	if c.session != nil {
		c.guard(func() { c.session.Close(c.reason) })
	}
	c.ctx.end(context.Canceled)
	if c.announced {
		c.guard(func() { c.observe(Event{Kind: ConnClosed, Err: c.reason}) })
	}
}

// guard keeps a panic in one step from taking the next ones with it.
func (c *conn) guard(step func()) {
	defer func() {
		if v := recover(); v != nil {
			c.logPanic(v)
		}
	}()
	step()
}

// disconnect sends what is still to be sent and closes the connection.
func (c *conn) disconnect() {
	defer c.raw.Close()
	defer c.in.Close()
	if c.aborted || c.flush() != nil {
		return
	}
	if c.encrypted {
		c.raw.SetWriteDeadline(time.Now().Add(time.Second))
		defer c.nc.Close() // sends close_notify
	}
	if c.unwelcome {
		c.linger()
	}
}

// linger stops sending and goes on reading for a moment. To close with octets
// unread would make the kernel reset the connection, and the client might never
// see why it was sent away.
func (c *conn) linger() {
	type halfCloser interface{ CloseWrite() error }
	if t, ok := c.nc.(halfCloser); !ok || t.CloseWrite() != nil { // over TLS: close_notify
		return
	}
	under := c.nc
	if t, ok := c.nc.(interface{ NetConn() net.Conn }); ok && c.encrypted {
		under = t.NetConn()
		if t, ok := under.(halfCloser); ok {
			t.CloseWrite()
		}
	}
	c.raw.SetReadDeadline(time.Now().Add(time.Second))
	c.in.Reset(under, false)
	for range 16 {
		if c.in.Fill(true, false) != nil {
			return
		}
		c.in.Close()
	}
}

// survive is deferred around all that calls a handler.
func (c *conn) survive() {
	if v := recover(); v != nil {
		c.panicked(v)
	}
}

func (c *conn) panicked(v any) {
	c.logPanic(v)
	err := fmt.Errorf("smtp server: panic: %v", v)
	c.end(err)
	c.guard(func() { c.reply(handlerPanic) }) // the observer may be what has panicked
	t := c.txn
	if inData := t != nil && t.handle.body != nil; inData {
		c.guard(func() {
			c.observe(Event{Kind: MessageRefused, Reply: handlerPanic, Size: t.body.received, Recipients: t.recipients, Err: err})
		})
	}
}

func (c *conn) logPanic(v any) {
	c.cfg.logger.Error("smtp server: panic in a handler", "conn", &c.Conn, "panic", v, "stack", string(debug.Stack()))
}

// cut closes the connection from outside.
func (c *conn) cut() {
	if t, ok := c.raw.(interface{ NetConn() net.Conn }); ok {
		t.NetConn().Close() // no close_notify: it could block
		return
	}
	c.raw.Close()
}

// nudge wakes an idle connection so that it takes its leave.
func (c *conn) nudge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nudged = true
	switch soon := time.Now().Add(handshakeGrace); {
	case c.idle:
		c.setReadDeadline(time.Unix(1, 0))
	case c.shaking && soon.Sub(c.opened) < c.readUntil:
		c.setReadDeadline(soon)
	}
}

// readFailed ends the connection because nothing more can be read from it.
func (c *conn) readFailed(err error) {
	c.mu.Lock()
	nudged := c.nudged
	c.mu.Unlock()
	c.verb = "" // what is said now answers no command
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && nudged:
		c.end(ErrServerClosed)
		c.reply(replyShutdown)
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.end(err)
		c.reply(replyTimeout)
	default:
		c.end(err)
	}
}
