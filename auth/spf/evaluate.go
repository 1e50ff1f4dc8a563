package spf

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

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
	return e.resolveUntil(e.ctx, name, t)
}

// resolveUntil resolves until ctx ends, which is e.ctx or ends with it.
func (e *evaluation) resolveUntil(ctx context.Context, name string, t dns.Type) (dns.Answer, error) {
	err := ctx.Err()
	if err == nil {
		var answer dns.Answer
		if answer, err = e.v.Resolver.Resolve(ctx, name, t); err == nil {
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
