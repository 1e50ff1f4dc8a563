// Package memnet is a network within a process: everything that waits there
// does so as testing/synctest wants it. Unlike those of net.Pipe, its
// connections buffer what is sent, as SMTP needs it: with pipelining and with
// TLS both sides may write before they read.
package memnet

import (
	"context"
	"net"
	"sync"
	"time"
)

// Listener accepts what its Dial connects. It is safe for concurrent use.
type Listener struct {
	accept chan net.Conn
	done   chan struct{}
	once   sync.Once
	mu     sync.Mutex
	dialed int
}

// Listen returns a new Listener.
func Listen() *Listener {
	return &Listener{accept: make(chan net.Conn), done: make(chan struct{})}
}

// Addr is one that nobody can reach through the network by mistake.
func (l *Listener) Addr() net.Addr { return addr(0) }

func addr(port int) net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port} }

// Accept returns the other end of the next Dial.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial. Connections stay.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Dial connects when Accept is called, until ctx ends.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	l.mu.Lock()
	l.dialed++
	local := addr(49152 + l.dialed%16384)
	l.mu.Unlock()
	return l.DialFrom(ctx, local, l.Addr())
}

// DialFrom is Dial for a connection whose ends say that they have these
// addresses: the caller's and the Listener's.
func (l *Listener) DialFrom(ctx context.Context, local, remote net.Addr) (net.Conn, error) {
	there, back := newStream(), newStream()
	err := net.ErrClosed
	select {
	case l.accept <- &conn{in: there, out: back, local: remote, remote: local}:
		return &conn{in: back, out: there, local: local, remote: remote}, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-l.done:
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: remote, Err: err}
}

// conn is one end of a connection.
type conn struct {
	in, out       *stream
	local, remote net.Addr
}

func (c *conn) Read(p []byte) (int, error)         { return c.in.read(p) }
func (c *conn) Write(p []byte) (int, error)        { return c.out.write(p) }
func (c *conn) LocalAddr() net.Addr                { return c.local }
func (c *conn) RemoteAddr() net.Addr               { return c.remote }
func (c *conn) SetReadDeadline(t time.Time) error  { return c.in.readBy.set(c.in, t) }
func (c *conn) SetWriteDeadline(t time.Time) error { return c.out.writeBy.set(c.out, t) }

func (c *conn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// CloseWrite ends what the other side reads.
func (c *conn) CloseWrite() error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.ended = true
	c.out.cond.Broadcast()
	return nil
}

func (c *conn) Close() error {
	c.CloseWrite()
	c.in.readBy.close(c.in)
	c.out.writeBy.close(c.out)
	return nil
}
