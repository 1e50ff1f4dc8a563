package mxtest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/mx/dns"
)

// A Link is how a host, or one of its addresses, is connected to the rest.
type Link uint8

// The links.
const (
	Up      Link = iota
	Refused      // connections are refused at once
	Silent       // nothing answers: whoever dials waits as long as he will
)

// String returns the link as a word: "refused".
func (l Link) String() string {
	switch l {
	case Up:
		return "up"
	case Refused:
		return "refused"
	case Silent:
		return "silent"
	}
	return "unknown"
}

// SetLink changes how the host is connected: by the addresses, or by all if none
// is given. It is for who dials with the Internet's methods, and for new
// connections; smtptest.Server.CloseClientConnections ends the others.
func (h *Host) SetLink(l Link, addrs ...netip.Addr) {
	if len(addrs) == 0 {
		addrs = h.Addrs
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, addr := range addrs {
		if !slices.Contains(h.Addrs, addr) {
			panic("mxtest: " + addr.String() + " is no address of " + h.Name)
		}
		h.links[addr] = l
	}
}

func (h *Host) link(addr netip.Addr) Link {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.up {
		return Refused
	}
	return h.links[addr]
}

// anywhere is where connections come from if nobody says from where.
var anywhere = netip.MustParseAddr("203.0.113.250")

// DialFrom is Dial from an address, if that is valid and the Internet is not on
// Loopback: the host sees it as the client's. It is for mx.Client.Dial.
func (n *Internet) DialFrom(ctx context.Context, network, address string, from netip.Addr) (net.Conn, error) {
	failed := func(err error) error { return &net.OpError{Op: "dial", Net: network, Err: err} }
	name, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, failed(err)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return nil, failed(err)
	}
	addrs, err := n.addrs(ctx, name)
	if err != nil {
		return nil, failed(err)
	}
	for _, addr := range addrs {
		var conn net.Conn
		if conn, err = n.connect(ctx, netip.AddrPortFrom(addr, uint16(port)), from); err == nil {
			return conn, nil
		}
	}
	return nil, failed(err)
}

// addrs returns the addresses of a name, or the one that it is.
func (n *Internet) addrs(ctx context.Context, name string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{addr.Unmap()}, nil
	}
	four, err := n.Zone.Resolve(ctx, name, dns.A)
	if err != nil {
		return nil, err
	}
	six, err := n.Zone.Resolve(ctx, name, dns.AAAA)
	if err != nil {
		return nil, err
	}
	if all := slices.Concat(four.Addrs, six.Addrs); len(all) > 0 {
		return all, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func (n *Internet) connect(ctx context.Context, to netip.AddrPort, from netip.Addr) (net.Conn, error) {
	n.mu.Lock()
	h := n.machine[to.Addr()]
	n.mu.Unlock()
	switch {
	case h == nil:
		return nil, errUnreachable
	case h.link(to.Addr()) == Silent:
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-n.done:
			return nil, net.ErrClosed
		}
	case h.link(to.Addr()) == Refused:
		return nil, errRefused
	}
	var door net.Listener
	switch {
	case slices.Contains(h.Ports, to.Port()):
		door = h.Listener
	case to.Port() == portHTTPS && h.web != nil:
		door = h.web
	default:
		return nil, errRefused
	}
	if l, ok := door.(*listener); ok {
		return l.dial(ctx, to, from)
	}
	at := door.Addr().(*net.TCPAddr).AddrPort()
	return new(net.Dialer).DialContext(ctx, "tcp", netip.AddrPortFrom(to.Addr(), at.Port()).String())
}

const portHTTPS = 443

// A listener is in memory, at addresses of a host.
type listener struct {
	*memnet.Listener
	at netip.AddrPort
}

func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.at) }

func (l *listener) dial(ctx context.Context, to netip.AddrPort, from netip.Addr) (net.Conn, error) {
	if !from.IsValid() {
		from = anywhere
	}
	near, err := l.DialFrom(ctx, net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 49152)), net.TCPAddrFromAddrPort(to))
	if errors.Is(err, net.ErrClosed) {
		return nil, errRefused // the host was closed
	}
	return near, err
}
