package server

import (
	"errors"
	"net"
	"net/netip"
)

// A unix socket is judged as what it is, a way in from this machine.
var loopback = [...]netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}

// newTrusted returns the networks of Server.Trusted, IPv4-mapped ones unmapped.
func newTrusted(networks []netip.Prefix) ([]netip.Prefix, error) {
	var trusted []netip.Prefix
	for _, p := range networks {
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		if !p.IsValid() {
			return nil, errors.New("smtp server: Trusted holds an invalid network")
		}
		trusted = append(trusted, p)
	}
	return trusted, nil
}

// trusts reports whether an address is in Server.Trusted.
func (cfg *config) trusts(a net.Addr) bool {
	if len(cfg.trusted) == 0 || a == nil {
		return false
	}
	as := []netip.Addr{addrIP(a)}
	if a.Network() == "unix" {
		as = loopback[:]
	}
	for _, p := range cfg.trusted {
		for _, ip := range as {
			if p.Contains(ip) {
				return true
			}
		}
	}
	return false
}

// trusted reports whether the client may say whom it speaks for. It is judged
// by the address that it has now: behind a proxy or a filter that passes
// commands on as they come, XCLIENT would otherwise be anybody's. The loopback of
// a proxy's machine is not the one that Trusted means.
func (c *conn) trusted() bool {
	if len(c.cfg.trusted) == 0 || c.veiled {
		return false
	}
	a := c.RemoteAddr()
	return c.cfg.trusts(a) && !(c.afar && isLocal(a))
}

// isLocal reports whether an address is one of this machine's own: of its
// loopback interface, or of a unix socket.
func isLocal(a net.Addr) bool {
	return a != nil && (a.Network() == "unix" || addrIP(a).IsLoopback())
}

// onLoopback reports whether the client is on this machine: it must be, and so
// must all who speak for it, and a proxy must have said who it is.
func (c *conn) onLoopback() bool {
	return !c.veiled && !c.afar && isLocal(c.RemoteAddr())
}
