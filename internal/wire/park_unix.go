//go:build unix

package wire

import (
	"crypto/tls"
	"io"
	"net"
	"syscall"
)

// A parker waits for octets without holding a buffer: it tries to read inside
// the poller's callback, and gives the buffer back before the goroutine parks.
type parker struct {
	raw  syscall.RawConn
	read func(fd uintptr) bool // made once: a closure for each wait would be an allocation
	err  error

	large   bool // a large buffer is wanted
	resting bool // only look whether there is something
	woken   bool // the poller has called
}

func (p *parker) reset(conn net.Conn) { p.raw = rawConn(conn) }

// rawConn returns nil for what is not a socket.
func rawConn(conn net.Conn) (raw syscall.RawConn) {
	switch c := conn.(type) {
	case *net.TCPConn:
		raw, _ = c.SyscallConn()
	case *net.UnixConn:
		raw, _ = c.SyscallConn()
	}
	return raw
}

func (p *parker) usable() bool { return p.raw != nil }

func (in *Input) park() error {
	p := &in.parker
	if p.read == nil {
		p.read = in.tryRead
	}
	p.err = nil
	if err := p.raw.Read(p.read); err != nil {
		in.trim()
		return err
	}
	if p.err != nil {
		in.trim()
	}
	return p.err
}

// rest waits for octets and leaves them where they are. Of a TLS connection it
// waits for the socket beneath: a Read that has timed out has left nothing in
// between that could be had without it.
func (in *Input) rest() {
	p := &in.parker
	raw := p.raw
	if t, ok := in.conn.(*tls.Conn); ok {
		raw = rawConn(t.NetConn())
	}
	if raw == nil {
		return
	}
	if p.read == nil {
		p.read = in.tryRead
	}
	p.resting, p.woken = true, false
	raw.Read(p.read) // the next Fill meets the same error
	p.resting = false
}

// look is what rest does in the place of tryRead. It needs little stack.
func (p *parker) look(fd uintptr) bool {
	if p.woken {
		return true
	}
	p.woken = true
	var one [1]byte
	_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
	return err != syscall.EAGAIN
}

// tryRead reads without blocking. It reports false when there was nothing.
// The first try is never skipped: readiness that came before it would be lost.
func (in *Input) tryRead(fd uintptr) bool {
	if in.parker.resting {
		return in.parker.look(fd)
	}
	in.makeRoom(in.parker.large)
	for {
		n, err := syscall.Read(int(fd), in.buf[in.w:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			in.trim()
			return false
		case err != nil:
			in.parker.err = err
		case n <= 0:
			in.parker.err = io.EOF
		default:
			in.w += n
		}
		return true
	}
}
