package mx

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/postrider/postrider/client"
)

// A Client delivers messages to any domain, over connections that it keeps and
// shares. The zero value is ready to use. It is safe for concurrent use; make one
// and keep it. Its fields must not change after the first call, and it must not
// be copied.
type Client struct {
	// Router finds the hosts. If nil, a zero Router, which asks the servers that
	// /etc/resolv.conf names. Who relays what others send should give it
	// Hostnames and LocalAddrs.
	Router *Router
	// NextHop says where, from where and how a message goes if not from anywhere
	// to the hosts of its domain; nil says that it does. If nil, all do.
	NextHop func(domain string, m *Message) *NextHop

	// Hello is said in EHLO. If empty, client.DefaultHello.
	Hello string
	// LocalAddrs are addresses to connect from: to an address of one family the
	// first of that family. If there is none, the system chooses.
	LocalAddrs []netip.Addr
	// Port is where hosts take mail: on 465 TLS begins at once, on any other with
	// STARTTLS (RFC 8314 §3.3). A NextHop may name another. If zero, 25.
	Port uint16
	// Dial makes the network connections, for a proxy or a test. Network is "tcp"
	// and addr an address and a port, or "unix" and a path; local is where to
	// connect from, invalid if the system is to choose. If nil, a net.Dialer does.
	Dial func(ctx context.Context, network, addr string, local netip.Addr) (net.Conn, error)
	// Policies says what TLS has to prove to which host. If nil, a zero Policies.
	Policies *Policies
	// TLSConfig is the base for all handshakes: what roots to trust, which
	// certificate to present. If nil, the zero tls.Config.
	TLSConfig *tls.Config

	// Timeout limits one call of Deliver. If zero, 1 hour. If negative, there is no
	// limit.
	Timeout time.Duration
	// AttemptTimeout limits what is tried at one address, the message data
	// included. If zero, only the Timeouts limit it.
	AttemptTimeout time.Duration
	// Timeouts limits every wait for a server. Zero fields have the defaults of RFC
	// 5321, but for Dial, 30 seconds.
	Timeouts client.Timeouts
	// MaxAddrs limits the addresses that one call of Deliver tries. If zero, 5
	// (RFC 5321 §5.1 asks for two at least).
	MaxAddrs int
	// MaxSessions limits the servers that greet and then do not take a message
	// before Deliver gives up. If zero, 2.
	MaxSessions int
	// Limiter says when a message may go to a site. If nil, a zero SiteLimiter.
	Limiter Limiter

	// MaxConns, MaxIdle, IdleTimeout, MaxAge and MaxMessages limit the connections
	// and what each is used for. If zero, 1,000, 100, 10 seconds, 5 minutes and
	// 100; if negative, there is no limit, and no connection is kept with MaxIdle.
	MaxConns    int
	MaxIdle     int
	IdleTimeout time.Duration
	MaxAge      time.Duration
	MaxMessages int

	// NormalizeLineEnds and Chunking are as in client.Client.
	NormalizeLineEnds bool
	Chunking          bool

	// Trace sees what happens. If nil, nobody does.
	Trace *Trace

	policyOf func(host string) (Policy, error) // in the place of all, in tests

	once     sync.Once
	pool     client.Pool
	router   Router
	limiter  SiteLimiter
	policies Policies
}

// Close lets no new call of Deliver begin, waits for those that run and closes
// the connections. A second Close returns client.ErrClosed.
func (c *Client) Close() error {
	c.setUp()
	return c.pool.Close()
}

// CloseIdle closes the connections that nobody uses.
func (c *Client) CloseIdle() {
	c.setUp()
	c.pool.CloseIdle()
}

// Stats counts the connections that there are now.
func (c *Client) Stats() client.Stats {
	c.setUp()
	return c.pool.Stats()
}

func (c *Client) setUp() {
	c.once.Do(func() { c.pool.MaxConns, c.pool.MaxIdle = c.MaxConns, c.MaxIdle })
}

func (c *Client) routes() *Router {
	if c.Router != nil {
		return c.Router
	}
	return &c.router
}

func (c *Client) limits() Limiter {
	if c.Limiter != nil {
		return c.Limiter
	}
	return &c.limiter
}

// orDefault reads a limit: zero means def, a negative number none.
func orDefault[T int | time.Duration](n, def, none T) T {
	switch {
	case n == 0:
		return def
	case n < 0:
		return none
	}
	return n
}

// No limits, for all that counts here.
const (
	unlimited = 1 << 30
	forever   = 100 * 365 * 24 * time.Hour
)
