package server

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/pires/go-proxyproto"
)

const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n" // of version 2
	proxyPrefix    = len(proxySignature) + 4  // and command, family, length
	maxProxyLine   = 107                      // of version 1, CRLF included
	minProxyLine   = len("PROXY UNKNOWN\r\n") // no header is shorter
	maxProxyBlock  = 4096                     // of version 2: addresses and TLVs, a certificate among them
	minProxyTCP4   = len("PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n")
	minProxyTCP6   = len("PROXY TCP6 :: :: 1 1\r\n")
)

var (
	errNoProxyHeader  = errors.New("something else came")
	errProxyMalformed = errors.New("malformed")
	errProxyTooLong   = errors.New("too long")
)

// proxyHeaderSize returns how long the header is, at least, that begins with
// b. It is whole when that is the length of b: no octet behind the header is
// ever read, so that the connection can be used as it is afterwards.
func proxyHeaderSize(b []byte) (int, error) {
	const line = "PROXY "
	switch {
	case len(b) == 0:
		return minProxyLine, nil
	case begins(b, proxySignature):
		if len(b) < proxyPrefix {
			return proxyPrefix, nil
		}
		block := int(binary.BigEndian.Uint16(b[proxyPrefix-2:]))
		if block > maxProxyBlock {
			return 0, errProxyTooLong
		}
		return proxyPrefix + block, nil
	case !begins(b, line):
		return 0, errNoProxyHeader
	}
	last := len(b) - 1
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		if i < last || b[i-1] != '\r' {
			return 0, errProxyMalformed
		}
		return len(b), nil
	}
	size := len(b) + 2
	if b[last] == '\r' {
		size = len(b) + 1
	}
	least := minProxyLine
	switch {
	case bytes.HasPrefix(b, []byte(line+"TCP4 ")):
		least = minProxyTCP4
	case bytes.HasPrefix(b, []byte(line+"TCP6 ")):
		least = minProxyTCP6
	}
	if size = max(size, least); size > maxProxyLine {
		return 0, errProxyTooLong
	}
	return size, nil
}

// begins reports whether b begins with start, as far as it goes.
func begins(b []byte, start string) bool {
	n := min(len(b), len(start))
	return string(b[:n]) == start[:n]
}

// parseProxyHeader parses a whole header. The addresses are nil if it names
// none, or none of the internet.
func parseProxyHeader(b []byte) (client, here *net.TCPAddr, err error) {
	if b[0] == '\r' && b[proxyPrefix-4] == byte(proxyproto.PROXY) && b[proxyPrefix-3] == byte(proxyproto.UNSPEC) {
		return nil, nil, nil // which the library would refuse
	}
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(b), 128))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errProxyMalformed, err)
	}
	if h.Command.IsLocal() || h.TransportProtocol == proxyproto.UNSPEC || h.TransportProtocol == proxyproto.UnixStream {
		return nil, nil, nil
	}
	if _, err := h.TLVs(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errProxyMalformed, err)
	}
	client, here, ok := h.TCPAddrs()
	if !ok {
		return nil, nil, fmt.Errorf("%w: not for TCP", errProxyMalformed)
	}
	return unmapped(client), unmapped(here), nil
}

// unmapped makes an IPv4 address of an IPv4-mapped one.
func unmapped(a *net.TCPAddr) *net.TCPAddr {
	return &net.TCPAddr{IP: addrIP(a).AsSlice(), Port: a.Port}
}
