package mx

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/smtp"
)

// A Router finds the hosts of a domain, and their addresses, in the DNS. The zero
// value is ready to use. It is safe for concurrent use; it must not be copied, nor
// its fields changed, after its first use.
type Router struct {
	// Resolver is asked. If nil, a dns.Cache in front of a dns.Stub, both of the
	// Router's own.
	Resolver dns.Resolver
	// Hostnames are our own names. A host of such a name, and every other of the
	// same or a higher preference, is cut from a route: mail for it would come back
	// (RFC 5321 §5.1). If empty, no name is ours.
	Hostnames []string
	// LocalAddrs are our own addresses. A host that has one of them is ours. If
	// empty, none is known.
	LocalAddrs []netip.Addr
	// Usable reports whether mail may go to an address that the DNS, or an address
	// literal, names. If nil, to those that a server elsewhere can have: not
	// unspecified, loopback, link-local or multicast.
	Usable func(netip.Addr) bool
	// Network is "ip4" or "ip6" where there is no other. If empty, "ip", both.
	Network string
	// MaxHosts limits the hosts of a route: those of the lowest preference stay. If
	// zero, 20.
	MaxHosts int

	once sync.Once
	own  dns.Resolver
}

// Route returns the hosts that take mail for a domain: a name in A- or U-labels,
// with or without its final dot, or an address literal in brackets. Hosts of equal
// preference come in an order that differs from call to call (RFC 5321 §5.1).
//
// The error holds an *Error.
func (r *Router) Route(ctx context.Context, domain string) (*Route, error) {
	if strings.HasPrefix(domain, "[") {
		return r.literal(domain)
	}
	name, ok := aLabels(domain)
	if !ok {
		return nil, badDomain.at(domain, "", nil)
	}
	answer, err := r.resolve(ctx, name, dns.MX)
	if err != nil {
		return nil, dnsFailure.at(name, "", err)
	}
	route := &Route{Domain: name, Canonical: name, Secure: answer.Secure}
	if len(answer.Chain) > 0 {
		route.Canonical = lowerName(answer.Canonical)
	}
	switch {
	case answer.NXDomain:
		return nil, noDomain.at(name, "", nil)
	case len(answer.MX) == 0: // §5.1
		if r.isOurs(name) {
			return nil, loop.at(name, "", nil)
		}
		route.Implicit, route.Hosts = true, []Host{{Name: name}}
		return route, nil
	case !slices.ContainsFunc(answer.MX, func(mx dns.MXRecord) bool { return mx.Host != "." }): // RFC 7505 §3
		return nil, nullMX.at(name, "", nil)
	}
	hosts, cut := r.hosts(answer.MX)
	switch {
	case len(hosts) > 0:
		route.Hosts = hosts
		return route, nil
	case cut:
		return nil, loop.at(name, "", nil)
	}
	return nil, noHost.at(name, "", nil)
}

// literal returns the route to an address literal.
func (r *Router) literal(domain string) (*Route, error) {
	addr, ok := smtp.Mailbox{Domain: domain}.Literal()
	switch addr = addr.Unmap(); {
	case !ok, !r.usable(addr):
		return nil, badLiteral.at(domain, "", nil)
	case r.isLocal(addr):
		return nil, loop.at(domain, "", nil)
	}
	return &Route{Domain: domain, Canonical: domain, Hosts: []Host{{Name: domain}}, Literal: true}, nil
}

// hosts makes hosts of MX records: in the order to try them, each once, without
// those that are no host, ours and those behind it, which cut tells.
func (r *Router) hosts(records []dns.MXRecord) (hosts []Host, cut bool) {
	hosts = make([]Host, 0, len(records))
	limit := 1 << 16
	for _, mx := range records {
		name, ok := hostname(mx.Host)
		switch {
		case !ok:
		case r.isOurs(name):
			limit, cut = min(limit, int(mx.Preference)), true
		default:
			hosts = append(hosts, Host{Name: name, Preference: mx.Preference})
		}
	}
	if cut { // §5.1
		hosts = slices.DeleteFunc(hosts, func(h Host) bool { return int(h.Preference) >= limit })
	}
	rand.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	slices.SortStableFunc(hosts, func(a, b Host) int { return int(a.Preference) - int(b.Preference) })
	return r.first(hosts), cut
}

// first returns the first hosts, each once.
func (r *Router) first(hosts []Host) []Host {
	most := r.MaxHosts
	if most <= 0 {
		most = 20
	}
	kept := hosts[:0]
	for _, h := range hosts {
		if len(kept) == most {
			break
		}
		if !slices.ContainsFunc(kept, func(k Host) bool { return k.Name == h.Name }) {
			kept = append(kept, h)
		}
	}
	return kept
}

// Addrs returns the addresses of a host: those that mail may go to. The error
// holds an *Error; it has the code 554 5.4.6 for a host that has one of LocalAddrs,
// and so is this one. It and all hosts of the same or a higher preference are then
// to be left out (RFC 5321 §5.1).
func (r *Router) Addrs(ctx context.Context, host string) (Addrs, error) {
	found, err := r.lookUp(ctx, host, r.usable)
	if err == nil && slices.ContainsFunc(found.Addrs, r.isLocal) {
		return Addrs{}, loop.at("", host, nil)
	}
	return found, err
}

// anyAddrs is Addrs for hosts that somebody has chosen and not the DNS: this one
// among them.
func (r *Router) anyAddrs(ctx context.Context, host string) (Addrs, error) {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761 §6.3
		return Addrs{Addrs: []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}, Canonical: host}, nil
	}
	found, err := r.lookUp(ctx, host, netip.Addr.IsValid)
	if e, ok := err.(*Error); ok && !e.Temporary() { // of whoever has chosen, not of the message
		e.Scope, e.Reply = noNextHop.scope, noNextHop.reply()
	}
	return found, err
}

func (r *Router) lookUp(ctx context.Context, host string, usable func(netip.Addr) bool) (Addrs, error) {
	if addr, ok := (smtp.Mailbox{Domain: host}).Literal(); ok {
		return Addrs{Addrs: []netip.Addr{addr.Unmap()}}, nil
	}
	name, ok := hostname(host)
	if !ok {
		return Addrs{}, noAddress.at("", host, nil)
	}
	found := Addrs{Canonical: name, Secure: true}
	var families [2][]netip.Addr
	var failed error
	for i, t := range []dns.Type{dns.AAAA, dns.A} {
		if r.Network == "ip4" && t == dns.AAAA || r.Network == "ip6" && t == dns.A {
			continue
		}
		answer, err := r.resolve(ctx, name, t)
		if err != nil {
			failed = err
			continue
		}
		found.Secure = found.Secure && answer.Secure
		if len(answer.Chain) > 0 {
			found.Canonical = lowerName(answer.Canonical)
		}
		for _, addr := range answer.Addrs {
			if addr = addr.Unmap(); usable(addr) && !slices.Contains(families[i], addr) {
				families[i] = append(families[i], addr)
			}
		}
	}
	found.Addrs = interleave(families[0], families[1])
	switch {
	case len(found.Addrs) > 0:
		return found, nil
	case failed != nil:
		return Addrs{}, hostFailure.at("", name, failed)
	}
	return Addrs{}, noAddress.at("", name, nil)
}

// interleave returns the addresses of both families in turns, those of each in any
// order.
func interleave(a, b []netip.Addr) []netip.Addr {
	all := make([]netip.Addr, 0, len(a)+len(b))
	for _, family := range [][]netip.Addr{a, b} {
		rand.Shuffle(len(family), func(i, j int) { family[i], family[j] = family[j], family[i] })
	}
	for i := range max(len(a), len(b)) {
		if i < len(a) {
			all = append(all, a[i])
		}
		if i < len(b) {
			all = append(all, b[i])
		}
	}
	return all
}

func (r *Router) resolve(ctx context.Context, name string, t dns.Type) (dns.Answer, error) {
	return r.resolver().Resolve(ctx, name+".", t)
}

func (r *Router) resolver() dns.Resolver {
	if r.Resolver != nil {
		return r.Resolver
	}
	r.once.Do(func() { r.own = &dns.Cache{Resolver: &dns.Stub{}} })
	return r.own
}

func (r *Router) isOurs(name string) bool {
	return slices.ContainsFunc(r.Hostnames, func(own string) bool { return strings.EqualFold(strings.TrimSuffix(own, "."), name) })
}

func (r *Router) isLocal(addr netip.Addr) bool {
	return slices.ContainsFunc(r.LocalAddrs, func(own netip.Addr) bool { return own.Unmap() == addr })
}

func (r *Router) usable(addr netip.Addr) bool {
	if r.Usable != nil {
		return r.Usable(addr)
	}
	return addr.IsValid() && !addr.IsUnspecified() && !addr.IsLoopback() && !addr.IsMulticast() &&
		!addr.IsLinkLocalUnicast() && addr != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// aLabels returns the name of a domain, whose labels may be U-labels, as names
// stand in a Route (RFC 6531 §3.2).
func aLabels(domain string) (string, bool) {
	mailbox, err := smtp.Mailbox{Domain: domain}.ToASCII()
	if err != nil {
		return "", false
	}
	return hostname(mailbox.Domain)
}

// hostname returns a name as names stand in a Route; false if no host can have it.
func hostname(name string) (string, bool) {
	name = lowerName(name)
	if !dns.ValidName(name) {
		return "", false
	}
	top := name[strings.LastIndexByte(name, '.')+1:]
	return name, strings.ContainsFunc(top, func(c rune) bool { return c < '0' || c > '9' }) // RFC 1123 §2.1
}

func lowerName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
