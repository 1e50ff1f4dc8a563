// Package web makes HTTPS requests of hosts that strangers have named.
//
// A request is one connection, which is closed behind it, and runs in the
// goroutine of its caller. No proxy, cookie, cache or redirect comes between,
// and the address must be one of the public internet: whoever publishes a name
// could else let us knock at the doors of our own network.
package web

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/postrider/postrider/internal/bounded"
	"github.com/postrider/postrider/mx/dns"
)

// A Client makes requests. It is safe for concurrent use.
type Client struct {
	Resolver dns.Resolver          // finds the addresses. If nil, a zero dns.Std
	Allow    func(netip.Addr) bool // says which addresses may be asked. If nil, Public
	RootCAs  *x509.CertPool        // whom to trust. If nil, the system's
	MaxBody  int64                 // octets of a response's body. If zero, 64 KiB; negative, it is not read

	// Dial connects to an address. If nil, a net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// A Response is what a host answers.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// ErrTooLarge means that a response is larger than may be.
var ErrTooLarge = errors.New("the response is too large")

const (
	defaultMaxBody = 64 << 10
	maxOverhead    = 64 << 10 // of a response besides its body: status lines, fields, marks of chunks
	maxInterim     = 8        // responses before the last (RFC 9110 §15.2)
	maxAddrs       = 4        // that are tried
)

// Do makes a request, and reads the response to its end. The context bounds the
// whole of it.
func (c *Client) Do(ctx context.Context, req *http.Request) (*Response, error) {
	if req.URL.Scheme != "https" || req.URL.Hostname() == "" {
		return nil, fmt.Errorf("%q is not an https URL", req.URL)
	}
	host := req.URL.Hostname()
	raw, err := c.connect(ctx, host, cmp.Or(req.URL.Port(), "443"))
	if err != nil {
		return nil, err
	}
	// Not the TLS connection is closed: that would wait to say so to a peer
	// that does not read.
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })()

	watched := &watchedConn{Conn: raw}
	conn := tls.Client(watched, &tls.Config{
		ServerName: host,
		RootCAs:    c.RootCAs,
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, because(ctx, err)
	}
	limit := cmp.Or(c.MaxBody, defaultMaxBody)
	res, err := exchange(conn, watched, req, limit)
	if err != nil {
		return nil, because(ctx, err)
	}
	return res, nil
}

// because prefers the context's error to what came of it.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func exchange(conn net.Conn, watched *watchedConn, req *http.Request, limit int64) (*Response, error) {
	req.Close = true
	writeErr := req.Write(conn) // a server may refuse a body before its end, and say why
	r := bufio.NewReader(bounded.Reader(conn, max(limit, 0)+maxOverhead, ErrTooLarge))
	resp, err := http.ReadResponse(r, req)
	for n := 0; err == nil && resp.StatusCode < 200; n++ {
		if n == maxInterim || resp.StatusCode == http.StatusSwitchingProtocols {
			return nil, fmt.Errorf("status %d where none was asked for", resp.StatusCode)
		}
		resp, err = http.ReadResponse(r, req)
	}
	if err != nil {
		return nil, cmp.Or(writeErr, err)
	}
	if limit < 0 {
		return &Response{Status: resp.StatusCode, Header: resp.Header}, nil
	}
	body, err := io.ReadAll(bounded.Reader(resp.Body, limit, ErrTooLarge))
	if err == nil && resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 && watched.ended {
		err = io.ErrUnexpectedEOF // RFC 9112 §9.8: closed by somebody, but the server did not say so
	}
	if err != nil {
		return nil, err
	}
	return &Response{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// A watchedConn knows whether the network connection has ended.
type watchedConn struct {
	net.Conn
	ended bool
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.ended = c.ended || err == io.EOF
	return n, err
}
