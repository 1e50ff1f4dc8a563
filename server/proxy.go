package server

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
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
//
// A listener that counts or limits belongs beneath this one. On top of it, its
// connections need a method NetConn() net.Conn, as those of crypto/tls have:
// without, the server takes the addresses in the header for those of the network.
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
