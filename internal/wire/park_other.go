//go:build !unix

package wire

import (
	"errors"
	"net"
)

// A parker waits for octets without holding a buffer; here nothing does that.
type parker struct{ large bool }

func (*parker) reset(net.Conn) {}

func (*parker) usable() bool { return false }

func (*Input) park() error { return errors.ErrUnsupported }

func (*Input) rest() {}
