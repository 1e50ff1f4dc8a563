//go:build unix

package client

import (
	"net"
	"syscall"
)

// A peeker looks, without waiting, at what has arrived on a socket.
type peeker struct {
	raw     syscall.RawConn
	recv    func(fd uintptr)
	arrived bool
}

// newPeeker returns nil if nc is no socket.
func newPeeker(nc net.Conn) *peeker {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	p := &peeker{raw: raw}
	p.recv = func(fd uintptr) {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		p.arrived = err != syscall.EAGAIN && err != syscall.EINTR
	}
	return p
}

// peek reports whether there are octets to read, or the end of them.
func (p *peeker) peek() bool {
	return p.raw.Control(p.recv) != nil || p.arrived
}
