package mxtest

import (
	"cmp"
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/smtptest"
)

// A Host is a machine in an Internet. It takes mail as an smtptest.Server does,
// which can be told to fail and keeps the messages, and may have web pages.
// The fields must not be changed but by options of Internet.Host.
type Host struct {
	*smtptest.Server
	Name string // in lower case, without a final dot
	// Addrs are its addresses: what the DNS says of its name. If empty, an IPv4
	// address that no other host has.
	Addrs []netip.Addr
	// Ports are those at which it takes mail. If empty, Internet.Port. With Loopback
	// there is no other.
	Ports []uint16
	// Pages are served by HTTPS on port 443. If nil, nothing is.
	Pages http.Handler

	inet *Internet
	web  net.Listener
	http http.Server
	wg   sync.WaitGroup

	mu     sync.Mutex
	up     bool // it was started
	links  map[netip.Addr]Link
	names  []string // of the certificate
	issue  func(*Host) *tls.Certificate
	cert   *tls.Certificate
	policy string // of MTA-STS
}

// Host adds a host and publishes its addresses. It has a certificate for its
// name that RootCAs vouches for. Each option may change it before it starts: Addrs,
// Ports, Names, Expired, SelfSigned, Untrusted, Certificate, Web, SMTP or the
// caller's own.
func (n *Internet) Host(name string, options ...func(*Host)) *Host {
	h := &Host{
		Server: smtptest.NewUnstartedServer(),
		Name:   strings.ToLower(strings.TrimSuffix(name, ".")),
		inet:   n,
		links:  map[netip.Addr]Link{},
		issue:  (*Host).trusted,
	}
	if !dns.ValidName(h.Name) {
		panic("mxtest: " + name + " is no name of a host")
	}
	h.Config.Hostname = h.Name
	h.Config.TLSConfig = &tls.Config{GetCertificate: h.certificate}
	h.Config.Logger = n.logger()
	for _, f := range options {
		f(h)
	}
	h.cert = h.issue(h)
	n.add(h)
	h.start()
	h.mu.Lock()
	h.up = true
	h.mu.Unlock()
	for _, addr := range h.Addrs {
		t := dns.AAAA
		if addr.Is4() {
			t = dns.A
		}
		n.Records(h.Name + " " + t.String() + " " + addr.String())
	}
	return h
}

// add gives the host its addresses.
func (n *Internet) add(h *Host) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(h.Addrs) == 0 {
		h.Addrs = []netip.Addr{n.free()}
	}
	if len(h.Ports) == 0 {
		h.Ports = []uint16{n.Port}
	}
	for _, addr := range h.Addrs {
		if other := n.machine[addr]; other != nil {
			panic("mxtest: " + addr.String() + " is an address of " + other.Name)
		}
		n.machine[addr] = h
	}
	n.hosts = append(n.hosts, h)
}

// networks are those for documentation (RFC 5737), and of loopback.
var networks = [][4]byte{{192, 0, 2}, {198, 51, 100}, {203, 0, 113}}

// free returns an address that no host has.
func (n *Internet) free() netip.Addr {
	for {
		n.used++
		at, last := n.used/250, byte(n.used%250)
		var addr netip.Addr
		switch {
		case last == 0:
			continue
		case n.loopback != nil:
			addr = netip.AddrFrom4([4]byte{127, 0, byte(at), last})
			if addr == n.loopback.Addr().Addr() {
				continue
			}
		case at == len(networks):
			panic("mxtest: no address is left for another host, give some with Addrs")
		default:
			b := networks[at]
			b[3] = last
			addr = netip.AddrFrom4(b)
		}
		if n.machine[addr] == nil {
			return addr
		}
	}
}

// start makes the host answer.
func (h *Host) start() {
	var others []net.Listener
	h.Listener, others = h.listen(h.inet.Port)
	check(h.Start())
	serve := h.Config.Serve
	if h.ImplicitTLS {
		serve = h.Config.ServeTLS
	}
	for _, l := range others {
		h.wg.Go(func() {
			if err := serve(l); err != server.ErrServerClosed {
				panic("mxtest: " + err.Error())
			}
		})
	}
	if h.Pages == nil {
		return
	}
	h.http.Handler = h.Pages
	h.http.ErrorLog = log.New(io.Discard, "", 0)
	h.web, others = h.listen(0)
	for _, l := range append(others, h.web) {
		config := &tls.Config{GetCertificate: h.certificate, NextProtos: []string{"http/1.1"}}
		h.wg.Go(func() { h.http.Serve(tls.NewListener(l, config)) })
	}
}

// listen listens on all addresses. In memory one listener is enough.
func (h *Host) listen(port uint16) (net.Listener, []net.Listener) {
	if h.inet.loopback == nil {
		return &listener{memnet.Listen(), netip.AddrPortFrom(h.Addrs[0], cmp.Or(port, portHTTPS))}, nil
	}
	all := make([]net.Listener, len(h.Addrs))
	for i, addr := range h.Addrs {
		l, err := net.Listen("tcp", netip.AddrPortFrom(addr, port).String())
		check(err)
		all[i], port = l, l.Addr().(*net.TCPAddr).AddrPort().Port()
	}
	return all[0], all[1:]
}

// Close takes the host down: nothing listens at its addresses any longer.
func (h *Host) Close() error {
	err := h.Server.Close()
	h.http.Close()
	if h.web != nil {
		h.web.Close()
	}
	h.wg.Wait()
	return err
}

// Dial connects to the host, whatever the address; see smtptest.Server.Dial.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return h.inet.connect(ctx, netip.AddrPortFrom(h.Addrs[0], h.Ports[0]), netip.Addr{})
}

// Addrs gives a host these addresses.
func Addrs(addrs ...string) func(*Host) {
	return func(h *Host) {
		for _, a := range addrs {
			addr, err := netip.ParseAddr(a)
			check(err)
			h.Addrs = append(h.Addrs, addr.Unmap())
		}
	}
}

// Ports makes a host take mail at these ports.
func Ports(ports ...uint16) func(*Host) {
	return func(h *Host) {
		if h.inet.loopback != nil {
			panic("mxtest: with Loopback all hosts take mail at the same port")
		}
		h.Ports = append(slices.Clip(h.Ports), ports...)
	}
}

// Web makes a host serve pages.
func Web(pages http.Handler) func(*Host) { return func(h *Host) { h.Pages = pages } }

// SMTP makes options of a host of those of its smtptest.Server, such as
// smtptest.NoTLS, and of functions that change its Config.
func SMTP(options ...func(*smtptest.Server)) func(*Host) {
	return func(h *Host) {
		for _, f := range options {
			f(h.Server)
		}
	}
}
