package spf

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/postrider/postrider/mx/dns"
)

// policyDomain returns the domain of an identity in A-labels. A reason says why
// it cannot have a policy (§4.3).
func policyDomain(domain string) (ascii, why string) {
	ascii = strings.TrimSuffix(domain, ".")
	switch {
	case ascii == "":
		return "", "no domain"
	case ascii[0] == '[':
		return "", "address literal instead of a domain"
	case !isASCII(ascii):
		if len(ascii) > 4*maxName || !utf8.ValidString(ascii) {
			return "", "domain too long, or not UTF-8"
		}
		var err error
		if ascii, err = idna.Lookup.ToASCII(ascii); err != nil { // RFC 8616 §4
			return "", "domain with a label that is not a U-label"
		}
	}
	if !validHost(ascii) || !multiLabel(ascii) {
		return "", "not a fully qualified domain name"
	}
	if _, err := netip.ParseAddr(ascii); err == nil {
		return "", "address instead of a domain"
	}
	return ascii, ""
}

// validHost is dns.ValidName for a name without a final dot.
func validHost(name string) bool { return dns.ValidName(name) && name[len(name)-1] != '.' }

func multiLabel(name string) bool { return strings.IndexByte(name, '.') >= 0 }

// names are the host names of the client (§5.5), looked up once for all that
// asks for them. Whoever has the address answers these questions, or does not:
// they have a part of the time only, or else he could turn any fail into a
// temperror.
type names struct {
	ctx         context.Context
	stop        context.CancelFunc // not needed: the context above it ends with the verification
	asked, void bool
	list        []name
}

// A name is what a PTR record says. It is valid if the client's address is
// among its own.
type name struct {
	host         string
	known, valid bool
}

// validatedName returns what %{p} stands for: the domain, else a name below it,
// else any (§7.3).
func (e *evaluation) validatedName(domain string) string {
	e.reverse()
	for _, suits := range []func(host string) bool{
		func(host string) bool { return strings.EqualFold(host, domain) },
		func(host string) bool { return isAtOrBelow(host, domain) },
		func(string) bool { return true },
	} {
		for i := range e.names.list {
			if n := &e.names.list[i]; suits(n.host) && e.validate(n) {
				return n.host
			}
		}
	}
	return "unknown"
}

// reverse looks up the names of the client. A failure leaves it without (§5.5).
func (e *evaluation) reverse() {
	if e.names.asked {
		return
	}
	e.names.asked = true
	e.names.ctx, e.names.stop = context.WithTimeout(e.ctx, cmp.Or(e.v.Timeout, defaultTimeout)/namesShare)
	answer, err := e.resolveUntil(e.names.ctx, strings.TrimSuffix(dns.ReverseName(e.ip), "."), dns.PTR)
	e.names.void = err == nil && answer.Empty()
	for i, host := range answer.Names {
		if i == maxPTR { // §4.6.4
			break
		}
		if host = strings.TrimSuffix(host, "."); validHost(host) {
			e.names.list = append(e.names.list, name{host: host})
		}
	}
}

// validate reports whether a name leads back to the client. One that cannot be
// looked up does not (§5.5). What the DNS has nothing for counts for nothing
// here: whoever has the client's address chooses its names, not the policy.
func (e *evaluation) validate(n *name) bool {
	if !n.known {
		answer, err := e.resolveUntil(e.names.ctx, n.host, e.addressType())
		n.known, n.valid = true, err == nil && slices.Contains(answer.Addrs, e.ip)
	}
	return n.valid
}

// isAtOrBelow reports whether host is domain or one of its subdomains.
func isAtOrBelow(host, domain string) bool {
	n := len(host) - len(domain)
	return n >= 0 && strings.EqualFold(host[n:], domain) && (n == 0 || host[n-1] == '.')
}
