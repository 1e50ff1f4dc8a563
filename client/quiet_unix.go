//go:build unix && !aix

package client

import (
	"net"
	"syscall"
)

// A peeker looks, without waiting, at what has arrived on a socket.
type peeker struct {
	raw  syscall.RawConn
	look func(fd uintptr)
	put  func(fd uintptr) (done bool) // of write
	step func(fd uintptr) (done bool) // of request

	arrived bool
	asked   bool   // out was written, or could not be
	out     []byte // what put is to write
	n       int    // octets of it that were written
	wrote   func() // called by step when that is all; may be nil
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
	p.look = func(fd uintptr) {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		p.arrived = err != syscall.EAGAIN && err != syscall.EINTR
	}
	p.put = func(fd uintptr) bool {
		n, _ := syscall.Write(int(fd), p.out)
		p.n = max(n, 0)
		return true
	}
	p.step = func(fd uintptr) bool {
		if p.asked {
			return true
		}
		p.asked = true
		if p.look(fd); p.arrived {
			return true
		}
		if p.put(fd); p.n < len(p.out) {
			return true
		}
		if p.wrote != nil {
			p.wrote()
		}
		return false
	}
	return p
}

// peek reports whether there are octets to read, or the end of them.
func (p *peeker) peek() bool {
	return p.raw.Control(p.look) != nil || p.arrived
}

// write writes what of out there is room for, without waiting and hence without a
// deadline. What is left, and errors, are for an ordinary Write to find.
func (p *peeker) write(out []byte) (n int) {
	p.out, p.n = out, 0
	p.raw.Write(p.put)
	p.out = nil
	return p.n
}

// request writes out, unless peek would report that there is something, calls wrote, if
// that is not nil, and waits for octets to come. What is left to write, without a call,
// and errors, are for an ordinary Write and Read to find.
//
// All of it happens in one call of the poller: octets that come after the look wake
// it, and the reads that would only find that there is nothing yet are saved.
func (p *peeker) request(out []byte, wrote func()) (n int, arrived bool) {
	p.out, p.n, p.wrote, p.asked, p.arrived = out, 0, wrote, false, false
	if p.raw.Read(p.step); !p.asked { // the deadline has just passed
		p.arrived = p.peek()
	}
	p.out, p.wrote = nil, nil
	return p.n, p.arrived
}
