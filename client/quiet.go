package client

import (
	"errors"
	"net"
	"os"
	"time"
)

// quiet reports whether a connection that nobody used is still there and the
// server has said nothing, or leaves that to request. It does not wait for the network.
func (c *Conn) quiet() bool {
	if c.dead != nil || c.inStep("idle") != nil {
		return false
	}
	raw := c.raw
	t, encrypted := c.nc.(interface{ NetConn() net.Conn })
	if encrypted {
		raw = t.NetConn()
	}
	if c.look == nil {
		c.look = newPeeker(raw)
	}
	if c.look != nil && c.gathers() {
		c.unseen = true // request looks, which costs less
		return true
	}
	// Where there is no way to look, there is one to read, for a millisecond: not
	// worth it if the connection was in use just now.
	silent := c.look == nil && time.Since(c.idleSince) < time.Second || c.look != nil && !c.look.peek()
	switch {
	case silent && !encrypted:
		return true
	case c.look == nil || encrypted:
		// TLS may have been sent what is no data, such as a session ticket, and
		// may hold a record that came with the last. A deadline that has passed
		// keeps it from reading more than it holds.
		deadline := time.Unix(1, 0)
		if !silent {
			deadline = time.Now().Add(time.Millisecond)
		}
		c.readBy = time.Time{}
		c.raw.SetReadDeadline(deadline)
		var one [1]byte
		if n, err := c.nc.Read(one[:]); n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			return true
		}
	}
	c.outOfStep("idle", notQuiet)
	return false
}

const notQuiet = "octets from the server that answer nothing, or its end"

// errStale is what request returns for a connection that was not quiet.
var errStale = errors.New("the connection is gone")

// request is send for what is answered now, within limit, and shows it to the trace: so
// many octets of commands, and message data behind them. If quiet has left it to look,
// nothing is written to a connection that is not good any more.
func (c *Conn) request(op string, p []byte, commands int, limit time.Duration) (n int, err error) {
	if c.look != nil && c.gathers() {
		c.wait, c.waiting = limit, true
		c.await()
		var wrote func()
		if c.cfg.Trace != nil {
			wrote = func() { c.traceRequest(p, commands) }
		}
		var arrived bool
		n, arrived = c.look.request(p, wrote)
		if c.unseen && arrived {
			c.outOfStep("idle", notQuiet)
			return 0, errStale
		}
		c.unseen = false
	}
	c.buf = p[:0]
	if n < len(p) {
		c.waiting = false // it begins when all is written
		mayTake := c.cfg.Timeouts.DataBlock
		if commands == len(p) {
			mayTake = min(mayTake, limit)
		}
		var more int
		more, err = c.send(op, p[n:], mayTake)
		if n += more; err == nil {
			c.traceRequest(p, commands)
		}
	}
	return n, err
}
