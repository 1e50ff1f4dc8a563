package mx

import (
	"strings"

	"github.com/postrider/postrider/mx/mtasts"
	"github.com/postrider/postrider/mx/tlsrpt"
)

// A Rule is what the operator of this MTA asks of TLS with the hosts of a domain.
type Rule struct {
	// Level is what TLS has to prove, whatever the domain has published. LevelDANE
	// needs TLSA records that can be used. The zero value is LevelMay.
	Level Level
	// Names are those that a certificate may be for, with LevelVerify. One that
	// begins with a dot stands for every name below. If empty: the host's name,
	// where it did not come from a DNS without DNSSEC; else the domain, and every
	// name below.
	Names []string
	// AtLeast lets what the domain has published count in the place of the rule if
	// it asks for more than Level, or for as much and there are no Names. If false,
	// it is not asked.
	AtLeast bool
}

// Rules are the rules for domains. The key is a domain in A-labels and lower case,
// or a literal in brackets; one that begins with a dot stands for every domain
// below, and "*" for all. The most specific rule counts. Nil is a rule that there is
// none: an exception.
//
//	mx.Rules{
//		"*":             {Level: mx.LevelEncrypt, AtLeast: true},
//		".old.example":  {Level: mx.LevelMay},
//		"bank.example":  {Level: mx.LevelVerify, Names: []string{".bank.example"}},
//		"other.example": nil,
//	}
type Rules map[string]*Rule

// Find returns the rule for a domain, nil if there is none. It is for
// Policies.Operator.
func (r Rules) Find(domain string) *Rule {
	if rule, ok := r[domain]; ok {
		return rule
	}
	if !strings.HasPrefix(domain, "[") {
		for rest := domain; ; {
			i := strings.IndexByte(rest, '.')
			if i < 0 {
				break
			}
			if rule, ok := r[rest[i:]]; ok {
				return rule
			}
			rest = rest[i+1:]
		}
	}
	return r["*"]
}

// rule is the policy that a rule makes.
func (q *question) rule(r *Rule) (Policy, error) {
	policy := Policy{Level: r.Level, Source: SourceOperator, Why: "a rule of the operator"}
	switch r.Level {
	case LevelDANE:
		found, err := q.dane()
		if err == nil && found.Level != LevelDANE {
			err = q.noRecords()
		}
		found.Source, found.Why = SourceOperator, "a rule of the operator: "+found.Why
		return found, err
	case LevelVerify:
		policy.ServerName, policy.Names = q.host.identity(), r.Names
		if len(r.Names) == 0 {
			policy.Names = q.route.names(q.host)
		}
	}
	return policy, nil
}

// exceeds reports whether the rule asks for what a policy does not.
func (r *Rule) exceeds(p *Policy) bool {
	return r.Level > p.Level || r.Level == LevelVerify && p.Level == LevelVerify && len(r.Names) > 0
}

// noRecords is the error of a host that has to have TLSA records.
func (q *question) noRecords() error {
	if s := q.report(tlsrpt.TLSA); s.Result == "" {
		s.Result, s.Reason = tlsrpt.DANERequired, "no TLSA records"
	}
	return noDANE.at(q.route.Domain, q.host.Name, nil)
}

// requireTLS is the policy of a message with REQUIRETLS: the host is the right one,
// and proves that it is this one (RFC 8689 §4.2.1).
func (q *question) requireTLS(rule *Rule) (Policy, error) {
	policy, err := q.authenticated(rule)
	policy.Source, policy.relaxed = SourceRequireTLS, q.p.RelaxRequireTLS
	policy.Why = "REQUIRETLS: " + policy.Why
	return policy, err
}

func (q *question) authenticated(rule *Rule) (Policy, error) {
	if rule != nil && (rule.Level == LevelDANE || rule.Level == LevelVerify && len(rule.Names) > 0) {
		return q.rule(rule)
	}
	policy, err := q.dane()
	if err != nil || policy.Level == LevelDANE {
		return policy, err
	}
	policy = Policy{Level: LevelVerify, ServerName: q.host.identity(), Names: []string{q.host.identity()}}
	policy.Why = "the host's name is authenticated"
	if q.route.vouches(q.host) {
		return policy, nil
	}
	if q.route.Explicit {
		policy.Names, policy.Why = q.route.names(q.host), "the next hop is authenticated"
		return policy, nil
	}
	found, err := q.lookUpSTS() // §4.2.1: without DNSSEC it has to name the host
	switch {
	case err != nil:
		return Policy{}, err
	case found.Policy != nil && found.Policy.Mode != mtasts.None && found.Policy.Matches(q.host.Name):
		policy.Why = "the MTA-STS policy of " + q.route.Domain + " names the host"
		return policy, nil
	case q.p.RelaxRequireTLS:
		policy.Why = "relaxed, the host's name is not authenticated"
		return policy, nil
	case found.Policy == nil && (found.Reason.Reported() || found.Reason == mtasts.DNSFailed):
		return Policy{}, unnamed.at(q.route.Domain, q.host.Name, found.Err)
	}
	return Policy{}, unprotected.at(q.route.Domain, q.host.Name, found.Err)
}
