package server

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"
)

// ProxyListener returns a listener for connections that come through a proxy
// such as HAProxy: each begins with a header of the PROXY protocol, version 1
// or 2, which says whom the proxy speaks for. Behind the header comes what the
// client sends:
//
//	srv.Serve(srv.ProxyListener(l))
//	srv.ServeTLS(srv.ProxyListener(l)) // the client's TLS handshake follows
//
// The addresses in the header become RemoteAddr and LocalAddr of Info, and
// limits, handlers and Received fields go by them; the proxy's own address is
// Info.ProxyAddr. A header that names no address of the internet (LOCAL,
// UNKNOWN, a unix socket) leaves the addresses as they are; such a connection
// counts as coming from nowhere near: Trusted and PlaintextAuthOnLoopback have
// no effect on it.
//
// Only a peer in Trusted may send a header. A connection from another one, or
// whose header is malformed or does not come within Limits.ProxyTimeout, is
// closed without a reply; the Observer gets ProxyFailed and no other event of
// it. Accept does not wait for headers. If Trusted is empty, Serve returns an
// error.
//
// The header is never optional: where it is, every client could send its own.
// Clients that come without a proxy need a listener of their own.
func (s *Server) ProxyListener(l net.Listener) net.Listener { return &proxyListener{l, s} }

type proxyListener struct {
	net.Listener
	srv *Server
}

func (l *proxyListener) Accept() (net.Conn, error) {
	if err := l.srv.init(); err != nil {
		return nil, err
	}
	if len(l.srv.cfg.trusted) == 0 {
		return nil, errors.New("smtp server: ProxyListener without Trusted")
	}
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &proxyConn{Conn: nc, cfg: l.srv.cfg}, nil
}

// proxyConn is a connection that begins with a header. Whoever first asks for
// its addresses, or uses it, waits for the header: the server does so in the
// connection's goroutine, before anything else.
type proxyConn struct {
	net.Conn
	cfg  *config
	once sync.Once
	err  error

	client, here *net.TCPAddr // what the header says; nil if it names none
}

// identify waits for the header.
func (p *proxyConn) identify() error {
	p.once.Do(func() {
		if err := p.readHeader(); err != nil {
			p.err = fmt.Errorf("smtp server: PROXY header: %w", err)
		}
	})
	return p.err
}

func (p *proxyConn) readHeader() error {
	if peer := p.Conn.RemoteAddr(); !p.cfg.trusts(peer) {
		return fmt.Errorf("%v is not in Trusted", peer)
	}
	if err := p.Conn.SetReadDeadline(time.Now().Add(p.cfg.limits.ProxyTimeout)); err != nil {
		return err
	}
	var space [128]byte // for all that is usual
	header := space[:0]
	for {
		size, err := proxyHeaderSize(header)
		if err != nil {
			return err
		}
		if size == len(header) {
			break
		}
		if size > cap(header) {
			header = append(make([]byte, 0, size), header...)
		}
		n, err := p.Conn.Read(header[len(header):size])
		header = header[:len(header)+n]
		if n == 0 {
			return fmt.Errorf("after %d octets: %w", len(header), notEOF(err))
		}
	}
	var err error
	p.client, p.here, err = parseProxyHeader(header)
	if err != nil {
		return err
	}
	return p.Conn.SetReadDeadline(time.Time{})
}

func (p *proxyConn) RemoteAddr() net.Addr {
	if p.identify() == nil && p.client != nil {
		return p.client
	}
	return p.Conn.RemoteAddr()
}

func (p *proxyConn) LocalAddr() net.Addr {
	if p.identify() == nil && p.here != nil {
		return p.here
	}
	return p.Conn.LocalAddr()
}

func (p *proxyConn) Read(b []byte) (int, error) {
	if err := p.identify(); err != nil {
		return 0, err
	}
	return p.Conn.Read(b)
}

func (p *proxyConn) Write(b []byte) (int, error) {
	if err := p.identify(); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}

// CloseWrite is what keeps a last reply from being lost, see disconnect.
func (p *proxyConn) CloseWrite() error {
	if t, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return t.CloseWrite()
	}
	return errors.ErrUnsupported
}

// NetConn returns the connection from the proxy.
func (p *proxyConn) NetConn() net.Conn { return p.Conn }

// proxyUnder finds the proxyConn that c is, or lies over.
func proxyUnder(c net.Conn) *proxyConn {
	for range 8 {
		switch t := c.(type) {
		case *proxyConn:
			return t
		case interface{ NetConn() net.Conn }:
			c = t.NetConn()
		default:
			return nil
		}
	}
	return nil
}

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
