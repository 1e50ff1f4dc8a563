package spf

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/mx/dns"
)

// An evaluation is one verification. What it counts, it counts for the policy
// and all that it includes or redirects to (§4.6.4).
type evaluation struct {
	ctx     context.Context
	v       *Verifier
	req     *Request
	result  *Result
	ip      netip.Addr
	sender  string // of %{s}, once it was asked for
	expired bool   // the context ended before something was known
	names   names  // of the client
	buf     []byte // for the expansion of macros
}

// An outcome is what check_host() returns.
type outcome struct {
	verdict   authres.Verdict
	mechanism string
	exp       string // the domain-spec of an explanation
	domain    string // whose policy has it
}

func (e *evaluation) run() {
	o := e.check(e.result.Domain, 0)
	if e.expired && o.verdict != authres.TempError {
		o = outcome{verdict: e.fail(authres.TempError, nil, "out of time")}
	}
	e.result.Verdict = o.verdict
	e.result.Mechanism = clip(o.mechanism)
	if o.verdict == authres.Fail && o.exp != "" && e.v.Explain {
		e.result.Explanation = e.explain(o.exp, o.domain)
	}
}

// check is check_host() for a domain that may be looked up (§4).
func (e *evaluation) check(domain string, depth int) outcome {
	var record Record
	if verdict := e.fetch(&record, domain); verdict != "" {
		return outcome{verdict: verdict}
	}
	for i := range record.Directives {
		d := &record.Directives[i]
		matched, target, failure := e.match(d, domain, depth)
		e.trace(Step{depth, domain, d.Text, target, matched})
		if failure != "" {
			return outcome{verdict: failure}
		}
		if matched {
			return outcome{d.Verdict, d.Text, record.Exp, domain}
		}
	}
	if record.Redirect != "" { // §6.1: not reached if there is an "all"
		return e.redirect(&record, domain, depth)
	}
	return outcome{verdict: authres.Neutral, mechanism: "default"} // §4.7
}

// fetch finds and reads a domain's policy (§4.4, §4.5). A verdict means that
// there is none to evaluate.
func (e *evaluation) fetch(record *Record, domain string) authres.Verdict {
	answer, err := e.resolve(domain, dns.TXT)
	if err != nil {
		return e.dnsFailure(err, domain, dns.TXT) // §4.4
	}
	found := -1
	for i, text := range answer.TXT {
		if !isRecord(text) {
			continue
		}
		if found >= 0 {
			return e.fail(authres.PermError, nil, "%s has more than one SPF record", domain) // §4.5
		}
		found = i
	}
	if found < 0 {
		return e.fail(authres.None, nil, "%s has no SPF record", domain) // §4.3, §4.5
	}
	text := answer.TXT[found]
	if limit := orDefault(e.v.MaxRecord, defaultMaxRecord); len(text) > limit {
		return e.fail(authres.PermError, nil, "record of %s is longer than %d octets", domain, limit)
	}
	if err := record.parse(text); err != nil {
		return e.fail(authres.PermError, err, "record of %s: %s", domain, err.problem()) // §4.6
	}
	return ""
}

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

// redirect is §6.1.
func (e *evaluation) redirect(record *Record, domain string, depth int) outcome {
	if failure := e.count(domain); failure != "" {
		return outcome{verdict: failure}
	}
	target := e.target(record.Redirect, domain)
	e.trace(Step{depth, domain, record.redirect, target, false})
	if !multiLabel(target) {
		return outcome{verdict: e.fail(authres.PermError, nil, "%s: domain that cannot have a policy", record.redirect)}
	}
	o := e.check(target, depth)
	if o.verdict == authres.None {
		o.verdict = authres.PermError
	}
	return o
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

// count counts a term that causes lookups (§4.6.4).
func (e *evaluation) count(domain string) (failure authres.Verdict) {
	if e.result.Lookups == maxLookups {
		return e.fail(authres.PermError, nil, "more than %d terms that cause lookups, at the record of %s", maxLookups, domain)
	}
	e.result.Lookups++
	return ""
}

// void counts a term for which the DNS has nothing (§4.6.4).
func (e *evaluation) void(target string) (failure authres.Verdict) {
	e.result.VoidLookups++
	if limit := max(orDefault(e.v.MaxVoidLookups, defaultMaxVoidLookups), 0); e.result.VoidLookups > limit {
		return e.fail(authres.PermError, nil, "more than %d terms for which the DNS has nothing, the last %s", limit, target)
	}
	return ""
}

// ask is a lookup whose failure ends the evaluation (§5).
func (e *evaluation) ask(name string, t dns.Type) (answer dns.Answer, failure authres.Verdict) {
	answer, err := e.resolve(name, t)
	if err != nil {
		return answer, e.dnsFailure(err, name, t)
	}
	return answer, ""
}

func (e *evaluation) resolve(name string, t dns.Type) (dns.Answer, error) {
	err := e.ctx.Err()
	if err == nil {
		var answer dns.Answer
		if answer, err = e.v.Resolver.Resolve(e.ctx, name, t); err == nil {
			return answer, nil
		}
	}
	e.expired = e.expired || e.ctx.Err() != nil
	return dns.Answer{}, err
}

// dnsFailure tells of a failed lookup without what the resolver says of itself.
func (e *evaluation) dnsFailure(err error, name string, t dns.Type) authres.Verdict {
	what := "no answer"
	var de *dns.Error
	switch ok := errors.As(err, &de); {
	case errors.Is(err, context.Canceled):
		what = "cancelled"
	case errors.Is(err, context.DeadlineExceeded), ok && de.Timeout:
		what = "timeout"
	case ok && de.Bogus:
		what = "DNSSEC validation failed"
	case ok && de.RCode == dns.ServFail:
		what = "server failure"
	case ok && de.RCode != 0:
		what = fmt.Sprintf("response code %d", de.RCode)
	}
	return e.fail(authres.TempError, err, "%s of %s: %s", t, name, what)
}

// fail notes a problem and returns the verdict.
func (e *evaluation) fail(verdict authres.Verdict, err error, format string, args ...any) authres.Verdict {
	e.result.Problem, e.result.Err = clip(fmt.Sprintf(format, args...)), err
	return verdict
}

func (e *evaluation) trace(s Step) {
	if e.v.Trace && len(e.result.Trace) < maxTrace {
		s.Term = clip(s.Term)
		e.result.Trace = append(e.result.Trace, s)
	}
}

// clip bounds what stands in a Result.
func clip(s string) string {
	if len(s) > maxTerm {
		return s[:maxTerm-3] + "..."
	}
	return s
}

func orDefault(n, def int) int {
	if n == 0 {
		return def
	}
	return n
}
