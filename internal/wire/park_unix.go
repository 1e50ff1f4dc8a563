//go:build unix

package wire

import (
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

	large bool // a large buffer is wanted
}

func (p *parker) reset(conn net.Conn) {
	p.raw = nil
	switch c := conn.(type) {
	case *net.TCPConn:
		p.raw, _ = c.SyscallConn()
	case *net.UnixConn:
		p.raw, _ = c.SyscallConn()
	}
}

func (p *parker) usable() bool { return p.raw != nil }

func (in *Input) park() error {
	p := &in.parker
	if p.read == nil {
		p.read = in.tryRead
	}
	p.err = nil
	if err := p.raw.Read(p.read); err != nil {
		in.Release()
		return err
	}
	if p.err != nil {
		in.Release()
	}
	return p.err
}

// tryRead reads without blocking. It reports false when there was nothing.
// The first try is never skipped: readiness that came before it would be lost.
func (in *Input) tryRead(fd uintptr) bool {
	in.makeRoom(in.parker.large)
	for {
		n, err := syscall.Read(int(fd), in.buf)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			in.Release()
			return false
		case err != nil:
			in.parker.err = err
		case n <= 0:
			in.parker.err = io.EOF
		default:
			in.w = n
		}
		return true
	}
}
