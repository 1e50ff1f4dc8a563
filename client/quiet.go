package client

import (
	"errors"
	"net"
	"os"
	"time"
)

// quiet reports whether a connection that nobody used is still there and the
// server has said nothing. It does not wait for the network.
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
	c.outOfStep("idle", "octets from the server that answer nothing, or its end")
	return false
}
