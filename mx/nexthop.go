package mx

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// A NextHop says where mail goes in the place of what the DNS says of its domain,
// or from where, and how: a smarthost, an LMTP server. That a next hop does not
// exist, or is not there for anybody, defers mail and never fails it.
type NextHop struct {
	// Hosts are tried in this order:
	//
	//	relay.example.net          the hosts that its MX records name
	//	[relay.example.net]        this host
	//	[192.0.2.1]                this address; IPv6 as [IPv6:2001:db8::1] or [2001:db8::1]
	//	[relay.example.net]:587    with a port, which may follow any of the above
	//	/run/lmtp.sock             a unix socket
	//
	// TLS begins at once on port 465, and by STARTTLS on any other (RFC 8314 §3.3).
	// If empty, the hosts of the domain itself.
	Hosts []string
	// LMTP speaks LMTP, with which each recipient has an outcome of his own (RFC
	// 2033), to port 24 if no other is given. REQUIRETLS ends here: it is about
	// hops, and this is delivery. If false, SMTP.
	LMTP bool
	// Auth authenticates. If nil, nobody does.
	Auth client.Auth
	// Credentials is a name for whom Auth authenticates as: connections are shared
	// where it is equal. It must be given with Auth, and is never the credentials
	// themselves.
	Credentials string
	// Policy is what TLS has to prove. If nil: with Auth, that the certificate is
	// good for the host's name, or, if that is from MX records without DNSSEC, for
	// their domain or a name below; with LMTP nothing; else what any host has to.
	// Without Names it is these as well. TLS on port 465 is LevelEncrypt at least.
	//
	// With Auth, LevelMay and LevelEncrypt are LevelVerify, but for "[localhost]" and
	// addresses of loopback: credentials are for nobody else who has not proved who he
	// is. Nor do they go out in plaintext: with LevelNone the mail waits. A certificate
	// that no authority has signed can be proved by LevelDANE with TLSA.
	Policy *Policy
	// Hello and LocalAddrs are as in Client. If empty, those of the Client.
	Hello      string
	LocalAddrs []netip.Addr
}

// Via returns the route of a domain to hosts as a NextHop names them. Those of
// which the DNS knows nothing are left out as long as others remain. The error
// holds an *Error, which is temporary: the fault is not the message's.
func (r *Router) Via(ctx context.Context, domain string, hosts ...string) (*Route, error) {
	route := &Route{Domain: domain, Canonical: domain, Explicit: true, Secure: true}
	if name, ok := aLabels(domain); ok {
		route.Domain, route.Canonical = name, name
	}
	var failed error
	for i, text := range hosts {
		host, lookUp, err := parseHop(text)
		switch {
		case err != nil:
			failed = err
			continue
		case !lookUp:
			host.Preference = uint16(i)
			route.Hosts = append(route.Hosts, host)
			continue
		}
		found, err := r.Route(ctx, host.Name)
		if err != nil {
			failed = err
			continue
		}
		route.Secure = route.Secure && found.Secure
		for _, h := range found.Hosts {
			h.Preference, h.Port = uint16(i), host.Port
			h.hop, h.forged = found.Domain, !found.Secure
			route.Hosts = append(route.Hosts, h)
		}
	}
	if len(route.Hosts) == 0 {
		return nil, noNextHop.at(route.Domain, "", failed)
	}
	return route, nil
}

// parseHop reads one of NextHop.Hosts. It is to be looked up if it may have MX
// records.
func parseHop(text string) (h Host, lookUp bool, err error) {
	if strings.HasPrefix(text, "/") {
		return Host{Name: text}, false, nil
	}
	name, port := text, ""
	if i := strings.LastIndexByte(text, ':'); i > strings.LastIndexByte(text, ']') {
		name, port = text[:i], text[i+1:]
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return Host{}, false, errHop(text)
		}
		h.Port = uint16(n)
	}
	inside, bracketed := strings.CutPrefix(name, "[")
	inside, closed := strings.CutSuffix(inside, "]")
	if bracketed != closed {
		return Host{}, false, errHop(text)
	}
	if addr, ok := hopAddr(inside); ok && bracketed {
		h.Name = literalOf(addr)
		return h, false, nil
	}
	var ok bool
	if h.Name, ok = aLabels(inside); !ok {
		return Host{}, false, errHop(text)
	}
	return h, !bracketed, nil
}

func hopAddr(s string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr, addr.Zone() == ""
	}
	return smtp.Mailbox{Domain: "[" + s + "]"}.Literal()
}

func literalOf(addr netip.Addr) string {
	if addr = addr.Unmap(); addr.Is6() {
		return "[IPv6:" + addr.String() + "]"
	}
	return "[" + addr.String() + "]"
}

// policy is what TLS has to prove before the message goes to a host.
func (d *delivery) policy(host Host, found Addrs) (Policy, error) {
	if d.c.policyOf != nil {
		return d.c.policyOf(host.Name)
	}
	host.Port = d.port(host)
	switch p := d.hop.Policy; {
	case p != nil && p.Level == LevelDANE && len(p.TLSA) == 0:
		return d.c.question(d.ctx, d.route, host, found).rule(&Rule{Level: LevelDANE})
	case p != nil:
		return d.chosen(*p, host), nil
	case d.hop.Auth != nil:
		return d.chosen(Policy{Level: LevelVerify}, host), nil
	case d.hop.LMTP:
		return d.chosen(Policy{}, host), nil
	}
	return d.c.question(d.ctx, d.route, host, found).answer(d.m)
}

// chosen is the policy for a host that somebody chose together with it. REQUIRETLS
// asks for more if need be (RFC 8689 §4.2.1).
func (d *delivery) chosen(p Policy, host Host) Policy {
	p.Source, p.Why = SourceOperator, "chosen with the next hop"
	if d.m.Envelope.MailParams.RequireTLS && !d.hop.LMTP {
		p.Level, p.Source = max(p.Level, LevelVerify), SourceRequireTLS
		p.relaxed = d.c.relaxed()
	}
	if len(p.Names) == 0 {
		p.Names = d.route.names(host)
	}
	return p
}

// names are those that a certificate of a host may be for: its own, unless it comes
// from an MX record that anybody could have forged. That takes mail, and
// credentials, to no host that its NextHop does not know.
func (r *Route) names(h Host) []string {
	if r.vouches(h) {
		return []string{h.identity()}
	}
	domain := r.Domain
	if r.Explicit {
		domain = h.hop
	}
	return []string{domain, "." + domain}
}

// vouches reports whether it is certain that the mail goes to this host.
func (r *Route) vouches(h Host) bool {
	return r.secure(h) || r.Implicit || r.Literal || r.Explicit && h.hop == h.Name
}

// secure reports whether DNSSEC, or whoever chose it, has authenticated that this is
// the host.
func (r *Route) secure(h Host) bool {
	if r.Explicit {
		return !h.forged
	}
	return r.Secure
}

// identity is what a certificate must be for: the name, or the address without what
// makes a literal of it.
func (h Host) identity() string {
	if addr, ok := (smtp.Mailbox{Domain: h.Name}).Literal(); ok {
		return addr.Unmap().String()
	}
	return h.Name
}

// errHop is for a text in NextHop.Hosts that means nothing.
type errHop string

func (e errHop) Error() string { return strconv.Quote(string(e)) + " names no host" }

var errNoCredentials = errors.New("the NextHop has Auth and no Credentials to tell its connections from others'")
