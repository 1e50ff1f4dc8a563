package spf

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/mx/dns"
)

// match evaluates one directive (§5). A failure is the verdict of an evaluation
// that cannot go on. The target is told if it is a name that may be looked up.
func (e *evaluation) match(d *Directive, domain string, depth int) (matched bool, target string, failure authres.Verdict) {
	switch d.Mechanism {
	case All:
		return true, "", "" // §5.1
	case IP4, IP6:
		return d.Network.Contains(e.ip), "", "" // §5.6
	}
	if failure = e.count(domain); failure != "" {
		return false, "", failure
	}
	if e.mute(d.Domain) {
		return false, "", ""
	}
	target = e.target(d.Domain, domain)
	switch {
	case d.Mechanism == Include:
		matched, failure = e.include(d, target, depth)
	case target == "":
		return false, "", "" // §4.8 leaves it open
	case d.Mechanism == A:
		matched, failure = e.a(d, target)
	case d.Mechanism == MX:
		matched, failure = e.mx(d, target)
	case d.Mechanism == PTR:
		matched, failure = e.ptr(target)
	case d.Mechanism == Exists:
		matched, failure = e.exists(target)
	}
	return matched, target, failure
}

// include is §5.2.
func (e *evaluation) include(d *Directive, target string, depth int) (matched bool, failure authres.Verdict) {
	if !multiLabel(target) {
		return false, e.fail(authres.PermError, nil, "%s: domain that cannot have a policy", d.Text) // §4.3, §5.2
	}
	switch o := e.check(target, depth+1); o.verdict {
	case authres.Pass:
		return true, ""
	case authres.None:
		return false, authres.PermError
	case authres.TempError, authres.PermError:
		return false, o.verdict
	}
	return false, ""
}

// a is §5.3.
func (e *evaluation) a(d *Directive, target string) (matched bool, failure authres.Verdict) {
	answer, failure := e.ask(target, e.addressType())
	if failure != "" {
		return false, failure
	}
	if answer.Empty() {
		return false, e.void(target)
	}
	return e.among(answer.Addrs, d), ""
}

// exists is §5.7: an A record, whatever the client's address is.
func (e *evaluation) exists(target string) (matched bool, failure authres.Verdict) {
	answer, failure := e.ask(target, dns.A)
	if failure != "" {
		return false, failure
	}
	if answer.Empty() {
		return false, e.void(target)
	}
	return true, ""
}

// mx is §5.4.
func (e *evaluation) mx(d *Directive, target string) (matched bool, failure authres.Verdict) {
	answer, failure := e.ask(target, dns.MX)
	if failure != "" {
		return false, failure
	}
	if answer.Empty() {
		return false, e.void(target)
	}
	void := false
	for i, record := range inOrder(answer.MX) {
		if i == maxMX { // §4.6.4
			return false, e.fail(authres.PermError, nil, "%s has more than %d MX records", target, maxMX)
		}
		host := strings.TrimSuffix(record.Host, ".")
		if !validTarget(host) { // the null MX too (RFC 7505)
			continue
		}
		addresses, failure := e.ask(host, e.addressType())
		if failure != "" {
			return false, failure
		}
		if e.among(addresses.Addrs, d) {
			return true, ""
		}
		void = void || addresses.Empty()
	}
	if void { // §4.6.4 counts terms
		return false, e.void(target)
	}
	return false, ""
}

// among reports whether the client is one of addrs, or near one (§5).
func (e *evaluation) among(addrs []netip.Addr, d *Directive) bool {
	bits := d.Bits6
	if e.ip.Is4() {
		bits = d.Bits4
	}
	for _, addr := range addrs {
		if netip.PrefixFrom(addr, bits).Contains(e.ip) {
			return true
		}
	}
	return false
}

// addressType returns the type of the addresses that compare with the client
// (§5).
func (e *evaluation) addressType() dns.Type {
	if e.ip.Is4() {
		return dns.A
	}
	return dns.AAAA
}

// ptr is §5.5.
func (e *evaluation) ptr(target string) (matched bool, failure authres.Verdict) {
	e.reverse()
	if e.names.void {
		return false, e.void(target)
	}
	for i := range e.names.list {
		if n := &e.names.list[i]; isAtOrBelow(n.host, target) && e.validate(n) {
			return true, ""
		}
	}
	return false, ""
}

// inOrder returns MX records as they are, or, if not all of them can be looked
// at, sorted: the verdict must not depend on the order of an answer.
func inOrder(records []dns.MXRecord) []dns.MXRecord {
	if len(records) <= maxMX {
		return records
	}
	return slices.SortedFunc(slices.Values(records), func(a, b dns.MXRecord) int {
		return cmp.Or(cmp.Compare(a.Preference, b.Preference), strings.Compare(a.Host, b.Host))
	})
}
