package mxtest

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/mx/mtasts"
)

// An Internet has hosts and a DNS that knows them. All methods are safe for
// concurrent use.
type Internet struct {
	// Zone is the DNS. It is a dns.Resolver, and more may be added to it; see Records.
	Zone *dnstest.Zone
	// Port is where hosts take mail: 25, but with Loopback a free one.
	Port uint16

	t        testing.TB // may be nil
	ca       *authority
	stranger *authority // nobody trusts it
	loopback *dnstest.Server
	done     chan struct{}

	mu       sync.Mutex
	hosts    []*Host
	machine  map[netip.Addr]*Host
	used     int // addresses that were given to hosts
	clients  []*mx.Client
	policies int // of MTA-STS that were published
	closed   bool
}

// New makes an Internet without hosts. It lives until the end of the test; if the
// test has failed, what was said to the hosts stands in its log. If t is nil,
// closing it is for the caller. The options are Loopback or none.
func New(t testing.TB, options ...func(*Internet)) *Internet {
	n := &Internet{
		Zone:     new(dnstest.Zone),
		Port:     25,
		t:        t,
		ca:       newAuthority("mxtest"),
		stranger: newAuthority("mxtest, whom nobody trusts"),
		done:     make(chan struct{}),
		machine:  map[netip.Addr]*Host{},
	}
	for _, f := range options {
		f(n)
	}
	if t != nil {
		t.Cleanup(func() {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
			if t.Failed() {
				n.show()
			}
		})
	}
	return n
}

// Loopback makes the hosts listen on addresses in 127.0.0.0/8, each on its own
// and all on one port, and serves the DNS on 127.0.0.1 and the same port: for
// programs that run outside of the test. They must be told whom to ask and which
// port to deliver to, and let mail go to loopback. Policies of MTA-STS are for
// Internet.Dial only, since programs expect them on port 443. Linux and Windows
// have all of these addresses; elsewhere they must be set up.
func Loopback(n *Internet) {
	s, err := n.Zone.Serve("")
	check(err)
	n.loopback, n.Port = s, s.Addr().Port()
}

// DNS returns the address at which the DNS is served, with Loopback.
func (n *Internet) DNS() netip.AddrPort {
	if n.loopback == nil {
		panic("mxtest: nobody outside can ask the DNS without Loopback")
	}
	return n.loopback.Addr()
}

// Close stops all hosts and closes the clients. The error is the first that one of
// them returns.
func (n *Internet) Close() error {
	n.mu.Lock()
	hosts, clients, closed := n.hosts, n.clients, n.closed
	n.closed = true
	n.mu.Unlock()
	if closed {
		return nil
	}
	close(n.done)
	for _, c := range clients {
		c.CloseIdle()
	}
	var failed error
	for _, h := range hosts {
		failed = cmp.Or(failed, h.Close())
	}
	for _, c := range clients { // those that still wait for a host do so no longer
		if err := c.Close(); err != client.ErrClosed {
			failed = cmp.Or(failed, err)
		}
	}
	if n.loopback != nil {
		failed = cmp.Or(failed, n.loopback.Close())
	}
	return failed
}

// show writes the conversations to the test's log.
func (n *Internet) show() {
	for _, h := range n.hosts {
		if all := h.Transcripts(); len(all) > 0 {
			n.t.Logf("mxtest: %s:\n%s", h.Name, strings.Join(all, "\n"))
		}
	}
}

// Client returns a Client that knows no other internet: its resolver, its roots,
// its policies and its network are this one's. It waits 10 seconds at most for
// whatever a host does. Its fields, and those of its Router and Policies, may be
// changed before the first call. It is closed with the Internet.
func (n *Internet) Client() *mx.Client {
	c := &mx.Client{
		Router:    &mx.Router{Resolver: n.Zone, Usable: n.usable()},
		Policies:  &mx.Policies{Resolver: n.Zone, MTASTS: n.MTASTS()},
		Hello:     "client.example",
		Port:      n.Port,
		Dial:      n.DialFrom,
		TLSConfig: n.TLSConfig(),
		Timeouts:  client.EveryTimeout(10 * time.Second),
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.clients = append(n.clients, c)
	return c
}

// MTASTS returns what finds the policies of MTA-STS. Its fields may be changed
// before the first call.
func (n *Internet) MTASTS() *mtasts.Cache {
	return &mtasts.Cache{Resolver: n.Zone, Logger: n.logger(), Fetcher: &mtasts.Fetcher{
		Resolver: n.Zone,
		Allow:    n.usable(),
		RootCAs:  n.RootCAs(),
		Dial:     n.Dial,
	}}
}

// logger writes to the test's log. It is nil without a test, for the default.
func (n *Internet) logger() *slog.Logger {
	if n.t == nil {
		return nil
	}
	return slog.New(slog.NewTextHandler(n.t.Output(), nil))
}

// usable says which addresses hosts have, if not those of hosts elsewhere.
func (n *Internet) usable() func(netip.Addr) bool {
	if n.loopback == nil {
		return nil
	}
	return netip.Addr.IsLoopback
}

// CA returns the certificate of who vouches for the hosts, for programs that want
// it in a file: its Raw in PEM.
func (n *Internet) CA() *x509.Certificate { return n.ca.cert }

// RootCAs returns who vouches for the hosts.
func (n *Internet) RootCAs() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(n.ca.cert)
	return pool
}

// TLSConfig returns a configuration with RootCAs.
func (n *Internet) TLSConfig() *tls.Config { return &tls.Config{RootCAs: n.RootCAs()} }

// Domain publishes the MX records of a domain, and takes out those that it had. If
// there are none it is its own host, see Host (RFC 5321 §5.1).
func (n *Internet) Domain(domain string, records ...dns.MXRecord) {
	n.Zone.Remove(domain, dns.MX)
	for _, r := range records {
		n.Records(fmt.Sprintf("%s MX %d %s", domain, r.Preference, r.Host))
	}
}

// MX returns an MX record that names a host.
func MX(preference uint16, h *Host) dns.MXRecord {
	return dns.MXRecord{Preference: preference, Host: h.Name}
}

// NullMX returns the record of a domain that takes no mail (RFC 7505).
func NullMX() dns.MXRecord { return dns.MXRecord{Host: "."} }

// Records adds records, and marks such as SERVFAIL, STALL, BOGUS or INSECURE, to
// the DNS: the lines of a dnstest.Zone.
func (n *Internet) Records(lines string) { check(n.Zone.Add(lines)) }

// Sign makes the DNS authenticate what it says of the names and of all below.
// Records can except some.
func (n *Internet) Sign(names ...string) {
	for _, name := range names {
		n.Records(name + " SECURE")
	}
}

// Dial connects to a host: to an address of one, or to its name, and to Port, or
// to 443 where it has web pages. It takes the place of net.Dialer's DialContext.
func (n *Internet) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return n.DialFrom(ctx, network, address, netip.Addr{})
}

func check(err error) {
	if err != nil {
		panic("mxtest: " + err.Error())
	}
}
