package client

import (
	"errors"
	"net"
	"os"
	"time"
)

// quiet reports whether an idle connection is still there and the server has
// said nothing. It does not wait for the network.
func (c *Conn) quiet() bool {
	if c.dead != nil || c.inStep("idle") != nil {
		return false
	}
	raw := c.raw
	if t, ok := raw.(interface{ NetConn() net.Conn }); ok {
		raw = t.NetConn() // what Dial returned was TLS
	}
	if arrived, ok := peek(raw); ok && (!arrived || raw == c.nc) {
		if arrived {
			c.outOfStep("idle", "octets from the server that answer nothing, or its end")
		}
		return !arrived
	}
	// TLS may have records that are no data, such as session tickets. Elsewhere
	// there is no way to look but to read; a deadline that has passed would keep
	// that from happening.
	c.readBy = time.Time{}
	c.raw.SetReadDeadline(time.Now().Add(time.Millisecond))
	var one [1]byte
	n, err := c.nc.Read(one[:])
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	c.outOfStep("idle", "octets from the server that answer nothing, or its end")
	return false
}
