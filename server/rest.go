package server

import (
	"net"
	"time"
)

// restAfter is how long a client must be silent, up to twice as long, for its
// connection to rest. Until then the deadline of the next command serves all
// those that come, and is set anew once in this time.
const restAfter = 2 * time.Second

// overSocket reports whether nc is a socket, or TLS over one. Others may not be what
// they were after a Read that timed out: they should not be tried with it every few
// seconds.
func overSocket(nc net.Conn) bool {
	for range 8 {
		switch c := nc.(type) {
		case *net.TCPConn, *net.UnixConn:
			return true
		case *proxyConn:
			nc = c.Conn
		case interface { // TLS: what else lies over a socket, such as a tunnel, has NetConn too
			tlsConn
			NetConn() net.Conn
		}:
			nc = c.NetConn()
		default:
			return false
		}
	}
	return false
}

// rest is how the life of a connection goes on that has nothing to do: in a new
// goroutine. The stack of the one before has grown with the handlers' calls and
// would not shrink below 4 KB, however long the client stays silent; this one
// needs 2 KB, and grows when there is something to do. An idle connection cost
// 6.8 KB without that and 4.5 KB with it, over TLS 20 and 15.
func (c *conn) rest() {
	c.in.Rest()
	c.resume()
}

func (c *conn) resume() {
	defer c.finish()
	defer c.survive()
	c.loop()
}

// extend gives a client that was silent for the first stage of a command's
// deadline the second one. Otherwise it returns what ends the connection, which
// is expired if Shutdown has made it so.
func (c *conn) extend(expired error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nudged && c.idle {
		return expired
	}
	return c.setReadDeadline(c.opened.Add(c.readUntil + c.commandTimeout() - c.cfg.restAfter))
}
