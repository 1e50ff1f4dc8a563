package web

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/postrider/postrider/mx/dns"
)

// connect tries the addresses of a host one after another.
func (c *Client) connect(ctx context.Context, host, port string) (net.Conn, error) {
	addrs, err := c.addrs(ctx, host)
	if err != nil {
		return nil, err
	}
	dial := c.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	for i, addr := range addrs {
		var conn net.Conn
		share, cancel := shareOf(ctx, len(addrs)-i)
		conn, err = dial(share, "tcp", net.JoinHostPort(addr.String(), port))
		cancel()
		if err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	return nil, err
}

// shareOf leaves the addresses that follow their part of the time.
func shareOf(ctx context.Context, addrs int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(addrs))
}

// addrs returns the addresses of a host that may be asked, of both families in
// turn.
func (c *Client) addrs(ctx context.Context, host string) ([]netip.Addr, error) {
	allow := c.Allow
	if allow == nil {
		allow = Public
	}
	var found [2][]netip.Addr
	refused := 0
	add := func(family int, addr netip.Addr) {
		if addr = addr.Unmap(); allow(addr) {
			found[family] = append(found[family], addr)
		} else {
			refused++
		}
	}
	var failure error
	if addr, err := netip.ParseAddr(host); err == nil {
		add(0, addr)
	} else {
		resolver := c.Resolver
		if resolver == nil {
			resolver = dns.Std{}
		}
		for family, t := range []dns.Type{dns.AAAA, dns.A} {
			answer, err := resolver.Resolve(ctx, host, t)
			failure = cmp.Or(failure, err)
			for _, addr := range answer.Addrs {
				add(family, addr)
			}
		}
	}
	var addrs []netip.Addr
	for i := 0; len(addrs) < maxAddrs && (i < len(found[0]) || i < len(found[1])); i++ {
		for _, family := range found {
			if i < len(family) {
				addrs = append(addrs, family[i])
			}
		}
	}
	switch {
	case len(addrs) > 0:
		return addrs, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case failure != nil:
		return nil, failure
	case refused > 0:
		return nil, fmt.Errorf("%s has no address that may be asked", host)
	}
	return nil, fmt.Errorf("%s has no address", host)
}

// notPublic are networks where the address says nothing about whose host it is,
// or says that it is somebody's own (RFC 6890 and the registries it made). Those
// for documentation are not here: there is nobody.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("224.0.0.0/3"), // multicast, and all that is reserved

	netip.MustParsePrefix("2001::/32"), // Teredo: leads to any IPv4 address
	netip.MustParsePrefix("2002::/16"), // 6to4: likewise
}

var (
	globalUnicast = netip.MustParsePrefix("2000::/3")     // RFC 4291 §2.4; nothing else of IPv6 is given out
	translated    = netip.MustParsePrefix("64:ff9b::/96") // RFC 6052 §2.1: an IPv4 address, seen from a network without
)

// Public reports whether an address is one of the public internet: not of
// loopback, a private network or a link, nor multicast or reserved.
func Public(addr netip.Addr) bool {
	addr = addr.Unmap()
	switch {
	case !addr.IsValid():
		return false
	case translated.Contains(addr):
		b := addr.As16()
		addr = netip.AddrFrom4([4]byte(b[12:]))
	case addr.Is6() && !globalUnicast.Contains(addr): // it contains none with a zone
		return false
	}
	for _, p := range notPublic {
		if p.Contains(addr) {
			return false
		}
	}
	return true
}
