package mx

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/postrider/postrider/mx/dane"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/mtasts"
	"github.com/postrider/postrider/mx/tlsrpt"
)

// Policies finds the Policy for each host, in this order:
//
//  1. A message with REQUIRETLS goes to hosts that DANE or a certificate
//     authenticates, and to no other (RFC 8689 §4.2.1).
//  2. One with "TLS-Required: No" goes as if nobody asked for TLS (RFC 8689 §4.2.2).
//  3. The operator's rule for the domain.
//  4. DANE, where DNSSEC authenticates the way to the host's TLSA records (RFC 7672).
//  5. The MTA-STS policy of the domain, or of the one of a NextHop whose MX records
//     are followed (RFC 8461, §3.4). It does not make up for a host that fails with
//     DANE (§2).
//  6. Opportunistic TLS (RFC 7435).
//
// The zero value is ready to use. It is safe for concurrent use; it must not be
// copied, nor its fields changed, after its first use.
type Policies struct {
	// Resolver is asked for TLSA records. Only one that tells which answers are
	// authenticated makes DANE work. If nil, that of the Client's Router; if it has
	// none either, a dns.Cache in front of a dns.Stub.
	Resolver dns.Resolver
	// MTASTS finds MTA-STS policies: a *mtasts.Cache. If nil, one of its own, in
	// memory. One with a Store, whose Run is called, protects better: an attacker
	// who prevents that a policy is fetched gains nothing as long as it is known.
	MTASTS interface {
		Lookup(ctx context.Context, domain string) (mtasts.Result, error)
	}
	// Operator returns the rule for a domain, nil for none. The domain is in
	// A-labels and lower case, without a final dot, or a literal in brackets.
	// Rules.Find is such a function. If nil, there are no rules.
	Operator func(domain string) *Rule
	// RelaxRequireTLS sends what has REQUIRETLS to hosts that do not offer it, or
	// whose names nothing but the DNS without DNSSEC vouches for. TLS with a
	// certificate for the host's name remains obligatory. RFC 8689 §4.2.1 forbids
	// it: few hosts offer REQUIRETLS, and the sender hears of all others. If false,
	// RFC 8689 is obeyed.
	RelaxRequireTLS bool
	// NoDANE does as if there were no TLSA records, NoMTASTS as if there were no
	// MTA-STS policies.
	NoDANE, NoMTASTS bool

	dnsOnce, stsOnce sync.Once
	ownDNS           dns.Resolver
	ownSTS           *mtasts.Cache
}

// Policy says what TLS has to prove before a message goes to a host of route, of
// which addrs are the addresses. Host.Port is the one to connect to; if zero, 25. A
// nil m is a message that asks for nothing.
//
// The error, which holds an *Error, says why the message must not go to this host.
// It is temporary, unless the message has REQUIRETLS and the domain nothing that
// would satisfy it.
func (p *Policies) Policy(ctx context.Context, route *Route, host Host, addrs Addrs, m *Message) (Policy, error) {
	r := p.Resolver
	if r == nil {
		p.dnsOnce.Do(func() { p.ownDNS = &dns.Cache{Resolver: &dns.Stub{}} })
		r = p.ownDNS
	}
	return (&question{p: p, r: r, ctx: ctx, route: route, host: host, addrs: addrs}).answer(m)
}

// question is for the policy of a host, with what the Client has in the place of
// what its Policies leave out.
func (c *Client) question(ctx context.Context, route *Route, host Host, addrs Addrs) *question {
	p := c.Policies
	if p == nil {
		p = &c.policies
	}
	r := p.Resolver
	if r == nil {
		r = c.routes().resolver()
	}
	return &question{p: p, r: r, ctx: ctx, route: route, host: host, addrs: addrs}
}

func (c *Client) relaxed() bool { return c.Policies != nil && c.Policies.RelaxRequireTLS }

// sts returns what finds MTA-STS policies.
func (p *Policies) sts(r dns.Resolver) interface {
	Lookup(ctx context.Context, domain string) (mtasts.Result, error)
} {
	if p.MTASTS != nil {
		return p.MTASTS
	}
	p.stsOnce.Do(func() { p.ownSTS = &mtasts.Cache{Resolver: r} })
	return p.ownSTS
}

// A question is for the policy of one host.
type question struct {
	p       *Policies
	r       dns.Resolver
	ctx     context.Context
	route   *Route
	host    Host
	addrs   Addrs
	reports []*tlsrpt.Session // a policy each
}

// answer asks the sources in their order.
func (q *question) answer(m *Message) (Policy, error) {
	requireTLS := m != nil && m.Envelope.MailParams.RequireTLS
	if m != nil && m.TLSOptional && !requireTLS { // RFC 8689 §3: REQUIRETLS comes first
		return Policy{Source: SourceTLSOptional, Why: "the message says TLS-Required: No"}, nil
	}
	var rule *Rule
	if q.p.Operator != nil && !q.route.Explicit {
		rule = q.p.Operator(q.route.Domain)
	}
	var policy Policy
	var err error
	switch {
	case requireTLS:
		policy, err = q.requireTLS(rule)
	case rule != nil && !rule.AtLeast:
		policy, err = q.rule(rule)
	default:
		if policy, err = q.published(); err == nil && rule != nil && rule.exceeds(&policy) {
			policy, err = q.rule(rule)
		}
	}
	for _, s := range q.reports {
		policy.reports = append(policy.reports, *s)
	}
	return policy, err
}

// report returns what is to be reported to the domain of one of its policies. A
// host that somebody chose is not the domain's business.
func (q *question) report(t tlsrpt.PolicyType) *tlsrpt.Session {
	for _, s := range q.reports {
		if s.Policy.Type == t {
			return s
		}
	}
	s := &tlsrpt.Session{Host: q.host.Name, Policy: tlsrpt.Policy{Type: t, Domain: q.route.Domain}}
	if !q.route.Explicit && !q.route.Literal {
		q.reports = append(q.reports, s)
	}
	return s
}

// published is the policy that the domain and its host have published.
func (q *question) published() (Policy, error) {
	policy, err := q.dane()
	if err != nil || policy.Level == LevelDANE {
		return policy, err
	}
	sts, err := q.sts()
	switch {
	case err != nil:
		return Policy{}, err
	case sts.Source == SourceMTASTS && sts.Level >= policy.Level:
		return sts, nil
	case policy.Source == SourceDANE:
		return policy, nil
	}
	if len(q.reports) == 0 {
		q.report(tlsrpt.NoPolicyFound)
	}
	return Policy{Why: "nobody asks for TLS"}, nil
}

// dane is the policy that TLSA records make; the zero Policy without any.
func (q *question) dane() (Policy, error) {
	records, err := q.tlsa()
	if err != nil || records == nil {
		return Policy{}, err
	}
	policy := Policy{Level: LevelDANE, Source: SourceDANE, ServerName: records.Base, TLSA: records.Usable, Names: []string{records.Base}}
	if len(records.Usable) == 0 { // RFC 7672 §2.2
		policy.Level, policy.Names = LevelEncrypt, nil
		policy.Why = fmt.Sprintf("no TLSA record at %s can be used", records.Base)
		s := q.report(tlsrpt.TLSA)
		s.Result, s.Reason = tlsrpt.TLSAInvalid, "no record can be used"
		return policy, nil
	}
	policy.Why = fmt.Sprintf("%d TLSA records at %s", len(records.Usable), records.Base)
	if len(records.Usable) == 1 {
		policy.Why = "1 TLSA record at " + records.Base
	}
	also := []string{lowerName(q.host.Name), q.host.hop} // RFC 7671 §7
	if !q.route.Explicit {
		also = append(also, q.route.Domain, q.route.Canonical) // RFC 7672 §3.2.2
	}
	for _, name := range also {
		if dns.ValidName(name) && !slices.Contains(policy.Names, name) {
			policy.Names = append(policy.Names, name)
		}
	}
	return policy, nil
}

// tlsa returns the TLSA records of the host, nil if there are none that count.
func (q *question) tlsa() (*dane.Records, error) {
	if q.p.NoDANE || !q.route.secure(q.host) || q.r == nil { // RFC 7672 §2.2.1
		return nil, nil
	}
	records, err := dane.Lookup(q.ctx, q.r, dane.Host{
		Name:      q.host.Name,
		Canonical: q.addrs.Canonical,
		Secure:    q.addrs.Secure,
		Port:      q.host.Port,
	})
	if err != nil {
		s := q.report(tlsrpt.TLSA)
		s.Result, s.Reason = tlsrpt.DNSSECInvalid, "the TLSA records cannot be looked up"
		return nil, noTLSA.at(q.route.Domain, q.host.Name, err) // RFC 7672 §2.1.2
	}
	if records != nil {
		q.report(tlsrpt.TLSA).Policy.Strings = tlsaStrings(records.Usable)
	}
	return records, nil
}

// sts is the policy of MTA-STS; the zero Policy without one that asks for anything.
func (q *question) sts() (Policy, error) {
	found, err := q.lookUpSTS()
	if err != nil || found.Policy == nil || found.Policy.Mode == mtasts.None {
		return Policy{}, err
	}
	policy := Policy{Source: SourceMTASTS, ServerName: q.host.Name, Names: []string{q.host.Name}}
	policy.Why = fmt.Sprintf("the MTA-STS policy of %s in mode %s, id %s", q.stsDomain(), found.Policy.Mode, found.ID)
	named := found.Policy.Matches(q.host.Name)
	if !named {
		s := q.report(tlsrpt.STS)
		s.Result, s.Reason = tlsrpt.ValidationFailure, "the policy does not name the host"
	}
	switch {
	case found.Policy.Mode == mtasts.Testing: // RFC 8461 §5
		return policy, nil
	case !named: // RFC 8461 §4.1
		return Policy{}, notInSTS.at(q.route.Domain, q.host.Name, nil)
	}
	policy.Level = LevelVerify
	return policy, nil
}

// stsDomain is the domain whose MTA-STS policy names the host, "" if it is not named
// by a domain.
func (q *question) stsDomain() string {
	switch {
	case q.route.Literal:
		return ""
	case q.route.Explicit: // RFC 8461 §3.4
		return q.host.hop
	}
	return q.route.Domain
}

// lookUpSTS asks for the MTA-STS policy of the domain.
func (q *question) lookUpSTS() (found mtasts.Result, err error) {
	domain := q.stsDomain()
	if q.p.NoMTASTS || domain == "" {
		return found, nil
	}
	found, err = q.p.sts(q.r).Lookup(q.ctx, domain)
	switch {
	case err != nil:
		return found, dnsFailure.at(q.route.Domain, q.host.Name, err)
	case found.Policy != nil && found.Policy.Mode != mtasts.None:
		s := q.report(tlsrpt.STS)
		s.Policy.Strings, s.Policy.MXHosts = found.Policy.Lines(), found.Policy.MX
	case found.Policy == nil && found.Reason.Reported():
		s := q.report(tlsrpt.STS)
		s.Result, s.Reason = tlsrpt.ResultType(found.Reason), "the policy cannot be had"
	}
	return found, nil
}
