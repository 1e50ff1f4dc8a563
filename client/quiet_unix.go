//go:build unix

package client

import (
	"net"
	"syscall"
)

// peek looks, without waiting, at what has arrived on nc: nothing, octets, or
// the end. Ok is false if nc cannot be looked at.
func peek(nc net.Conn) (arrived, ok bool) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false, false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return true, true
	}
	var one [1]byte
	err = rc.Control(func(fd uintptr) {
		_, _, e := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		arrived = e != syscall.EAGAIN && e != syscall.EINTR
	})
	return arrived || err != nil, true
}
