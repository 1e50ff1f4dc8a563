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
	switch {
	case c.look == nil && time.Since(c.idleSince) < time.Second:
		return true // looking would cost the millisecond
	case c.look != nil && !c.look.peek():
		return true
	case c.look == nil || encrypted:
		// TLS may have sent what is no data, such as a session ticket. Where
		// there is no way to look, there is one to read; a deadline that has
		// passed would prevent that.
		c.readBy = time.Time{}
		c.raw.SetReadDeadline(time.Now().Add(time.Millisecond))
		var one [1]byte
		if n, err := c.nc.Read(one[:]); n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			return true
		}
	}
	c.outOfStep("idle", "octets from the server that answer nothing, or its end")
	return false
}
