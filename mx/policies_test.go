package mx_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/mx/mtasts"
	"github.com/postrider/postrider/smtp"
)

// sts has MTA-STS policies.
type sts map[string]mtasts.Result

func (s sts) Lookup(ctx context.Context, domain string) (mtasts.Result, error) {
	return s[domain], ctx.Err()
}

func stsPolicy(mode mtasts.Mode, patterns ...string) mtasts.Result {
	return mtasts.Result{Policy: &mtasts.Policy{Mode: mode, MX: patterns, MaxAge: time.Hour}, ID: "1", Origin: mtasts.Cached}
}

func noSTS(why mtasts.Reason) mtasts.Result {
	return mtasts.Result{Reason: why, Err: &mtasts.Error{Domain: "example.org", Reason: why}}
}

const (
	tlsaDigest = " 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	mxOnly     = "example.org MX 10 mx.example.org\nmx.example.org A 192.0.2.1\n"
	signed     = mxOnly + "example.org SECURE\n"
	pinned     = signed + "_25._tcp.mx.example.org TLSA 3 1 1" + tlsaDigest
	unusable   = signed + "_25._tcp.mx.example.org TLSA 1 1 1" + tlsaDigest
	noAnswer   = signed + "_25._tcp.mx.example.org SERVFAIL"
)

// What is asked of TLS, by everybody who may ask for it, and who is heard first.
func TestPolicies(t *testing.T) {
	enforce, testing_, none := stsPolicy(mtasts.Enforce, "mx.example.org"), stsPolicy(mtasts.Testing, "*.example.org"), stsPolicy(mtasts.None)
	other := stsPolicy(mtasts.Enforce, "mx.other.example")
	otherTesting := stsPolicy(mtasts.Testing, "mx.other.example")
	rule := func(r mx.Rule) *mx.Rule { return &r }
	const plain, requireTLS, optional, both = "", "requiretls", "tls-required: no", "both"
	for _, tt := range []struct {
		rfc    string
		name   string
		zone   string
		sts    mtasts.Result
		rule   *mx.Rule
		m      string
		want   string // level, source, names; or the reply
		domain string // if not example.org
		relax  bool
	}{
		// Nothing but what the domain has published.
		{rfc: "7435 §3", name: "nothing", zone: mxOnly, want: "may default"},
		{rfc: "7672 §2.2", name: "a signed zone without records", zone: signed, want: "may default"},
		{rfc: "7672 §2.2", name: "DANE", zone: pinned, want: "dane dane mx.example.org example.org"},
		{rfc: "7672 §2.2.1", name: "DANE: the MX records are not signed", zone: strings.ReplaceAll(pinned, "example.org SECURE", "mx.example.org SECURE\n_tcp.mx.example.org SECURE"), want: "may default"},
		{rfc: "7672 §2.2.2", name: "DANE: the addresses are not signed", zone: pinned + "\nmx.example.org INSECURE\n_tcp.mx.example.org SECURE", want: "may default"},
		{rfc: "7672 §2.1.2", name: "DANE: not known, in a zone that is not signed", zone: noAnswer + "\nmx.example.org INSECURE", want: "may default"},
		{rfc: "7672 §2.2", name: "DANE: the records are not signed", zone: pinned + "\n_25._tcp.mx.example.org INSECURE", want: "may default"},
		{rfc: "7672 §2.2", name: "DANE: no record can be used", zone: unusable, want: "encrypt dane"},
		{rfc: "7672 §2.1.2", name: "DANE: SERVFAIL", zone: noAnswer, want: "451 4.4.3 host"},
		{rfc: "7672 §2.1.2", name: "DANE: bogus", zone: strings.ReplaceAll(noAnswer, "SERVFAIL", "BOGUS"), want: "451 4.4.3 host"},
		{rfc: "7672 §2.1.2", name: "DANE: timeout", zone: strings.ReplaceAll(noAnswer, "SERVFAIL", "TIMEOUT"), want: "451 4.4.3 host"},
		{rfc: "7672 §2.2.2", name: "DANE: an implicit host", zone: "example.org A 192.0.2.1\nexample.org SECURE\n_25._tcp.example.org TLSA 3 1 1" + tlsaDigest, want: "dane dane example.org"},
		{rfc: "7672 §2.2.2", name: "DANE: a host that is an alias", zone: "example.org MX 10 mx.example.org\nmx.example.org CNAME a.example.net\na.example.net A 192.0.2.1\nexample.org SECURE\nexample.net SECURE\n_25._tcp.a.example.net TLSA 3 1 1" + tlsaDigest,
			want: "dane dane a.example.net mx.example.org example.org"},
		{rfc: "7672 §2.2.2", name: "DANE: a signed alias into a zone that is not", zone: "example.org MX 10 mx.example.org\nmx.example.org CNAME a.example.net\na.example.net A 192.0.2.1\nexample.org SECURE\n_25._tcp.mx.example.org TLSA 3 1 1" + tlsaDigest,
			want: "dane dane mx.example.org example.org"},
		{rfc: "7672 §2.2.2", name: "DANE: a signed alias into a zone that is not, and without records", zone: "example.org MX 10 mx.example.org\nmx.example.org CNAME a.example.net\na.example.net A 192.0.2.1\nexample.org SECURE",
			want: "may default"},
		{rfc: "7672 §2.2.2", name: "DANE: an alias that is not signed into a zone that is", zone: "example.org MX 10 mx.example.net\nmx.example.net CNAME a.example.org\na.example.org A 192.0.2.1\nexample.org SECURE\n_25._tcp.a.example.org TLSA 3 1 1" + tlsaDigest,
			want: "may default"},
		{rfc: "7672 §3.2.2", name: "DANE: a domain that is an alias", zone: pinned + "\nwww.example.org CNAME example.org", domain: "www.example.org", want: "dane dane mx.example.org www.example.org example.org"},
		{rfc: "7672 §2.2", name: "DANE: a literal", zone: pinned, domain: "[192.0.2.1]", want: "may default"},
		{rfc: "8461 §5", name: "MTA-STS: enforce", zone: mxOnly, sts: enforce, want: "verify mta-sts mx.example.org"},
		{rfc: "8461 §4.1", name: "MTA-STS: enforce, and the host is not named", zone: mxOnly, sts: other, want: "451 4.7.5 policy"},
		{rfc: "8461 §5", name: "MTA-STS: testing", zone: mxOnly, sts: testing_, want: "may mta-sts mx.example.org"},
		{rfc: "8461 §5", name: "MTA-STS: testing, and the host is not named", zone: mxOnly, sts: otherTesting, want: "may mta-sts mx.example.org"},
		{rfc: "8461 §5", name: "MTA-STS: none", zone: mxOnly, sts: none, want: "may default"},
		{rfc: "8461 §3.3", name: "MTA-STS: cannot be fetched", zone: mxOnly, sts: noSTS(mtasts.FetchFailed), want: "may default"},
		{rfc: "8461 §3.3", name: "MTA-STS: the DNS does not answer", zone: mxOnly, sts: noSTS(mtasts.DNSFailed), want: "may default"},
		{rfc: "8461 §4.1", name: "MTA-STS: an implicit host", zone: "example.org A 192.0.2.1", sts: stsPolicy(mtasts.Enforce, "example.org"), want: "verify mta-sts example.org"},

		// Both DANE and MTA-STS.
		{rfc: "8461 §2", name: "DANE before enforce", zone: pinned, sts: enforce, want: "dane dane mx.example.org example.org"},
		{rfc: "8461 §2", name: "DANE before an enforce that does not name the host", zone: pinned, sts: other, want: "dane dane mx.example.org example.org"},
		{rfc: "8461 §2", name: "enforce does not make up for SERVFAIL", zone: noAnswer, sts: enforce, want: "451 4.4.3 host"},
		{rfc: "8461 §2", name: "enforce beside records that cannot be used", zone: unusable, sts: enforce, want: "verify mta-sts mx.example.org"},
		{rfc: "7672 §2.2", name: "testing beside records that cannot be used", zone: unusable, sts: testing_, want: "encrypt dane"},

		// The operator.
		{rfc: "none", name: "rule: none", zone: mxOnly, rule: rule(mx.Rule{Level: mx.LevelNone}), want: "none operator"},
		{rfc: "none", name: "rule: may", zone: mxOnly, rule: rule(mx.Rule{}), want: "may operator"},
		{rfc: "none", name: "rule: encrypt", zone: mxOnly, rule: rule(mx.Rule{Level: mx.LevelEncrypt}), want: "encrypt operator"},
		{rfc: "none", name: "rule: verify", zone: mxOnly, rule: rule(mx.Rule{Level: mx.LevelVerify}), want: "verify operator example.org .example.org"},
		{rfc: "none", name: "rule: verify, signed", zone: signed, rule: rule(mx.Rule{Level: mx.LevelVerify}), want: "verify operator mx.example.org"},
		{rfc: "none", name: "rule: verify, implicit", zone: "example.org A 192.0.2.1", rule: rule(mx.Rule{Level: mx.LevelVerify}), want: "verify operator example.org"},
		{rfc: "none", name: "rule: verify, literal", rule: rule(mx.Rule{Level: mx.LevelVerify}), domain: "[IPv6:2001:db8::1]", want: "verify operator 2001:db8::1"},
		{rfc: "none", name: "rule: verify names", zone: mxOnly, rule: rule(mx.Rule{Level: mx.LevelVerify, Names: []string{"a.example", ".b.example"}}), want: "verify operator a.example .b.example"},
		{rfc: "7672 §2.2", name: "rule: DANE", zone: pinned, rule: rule(mx.Rule{Level: mx.LevelDANE}), want: "dane operator mx.example.org example.org"},
		{rfc: "7672 §2.2", name: "rule: DANE, without", zone: signed, rule: rule(mx.Rule{Level: mx.LevelDANE}), want: "451 4.7.4 policy"},
		{rfc: "7672 §2.2", name: "rule: DANE, unsigned", zone: mxOnly, sts: enforce, rule: rule(mx.Rule{Level: mx.LevelDANE}), want: "451 4.7.4 policy"},
		{rfc: "7672 §2.2", name: "rule: DANE, no record can be used", zone: unusable, rule: rule(mx.Rule{Level: mx.LevelDANE}), want: "451 4.7.4 policy"},
		{rfc: "7672 §2.1.2", name: "rule: DANE, SERVFAIL", zone: noAnswer, rule: rule(mx.Rule{Level: mx.LevelDANE}), want: "451 4.4.3 host"},
		{rfc: "none", name: "rule before DANE", zone: pinned, rule: rule(mx.Rule{}), want: "may operator"},
		{rfc: "none", name: "rule before SERVFAIL", zone: noAnswer, rule: rule(mx.Rule{Level: mx.LevelEncrypt}), want: "encrypt operator"},
		{rfc: "none", name: "rule before MTA-STS", zone: mxOnly, sts: other, rule: rule(mx.Rule{Level: mx.LevelNone}), want: "none operator"},
		{rfc: "none", name: "at least: nothing published", zone: mxOnly, rule: rule(mx.Rule{Level: mx.LevelEncrypt, AtLeast: true}), want: "encrypt operator"},
		{rfc: "none", name: "at least: DANE is more", zone: pinned, rule: rule(mx.Rule{Level: mx.LevelVerify, AtLeast: true}), want: "dane dane mx.example.org example.org"},
		{rfc: "none", name: "at least: MTA-STS is more", zone: mxOnly, sts: enforce, rule: rule(mx.Rule{Level: mx.LevelEncrypt, AtLeast: true}), want: "verify mta-sts mx.example.org"},
		{rfc: "none", name: "at least: MTA-STS is as much", zone: mxOnly, sts: enforce, rule: rule(mx.Rule{Level: mx.LevelVerify, AtLeast: true}), want: "verify mta-sts mx.example.org"},
		{rfc: "none", name: "at least: MTA-STS is as much, but for other names", zone: mxOnly, sts: enforce, rule: rule(mx.Rule{Level: mx.LevelVerify, Names: []string{"a.example"}, AtLeast: true}), want: "verify operator a.example"},
		{rfc: "8461 §4.1", name: "at least: MTA-STS does not name the host", zone: mxOnly, sts: other, rule: rule(mx.Rule{Level: mx.LevelVerify, Names: []string{"a.example"}, AtLeast: true}), want: "451 4.7.5 policy"},
		{rfc: "none", name: "at least: testing is less", zone: mxOnly, sts: testing_, rule: rule(mx.Rule{Level: mx.LevelEncrypt, AtLeast: true}), want: "encrypt operator"},
		{rfc: "none", name: "at least DANE: MTA-STS is less", zone: mxOnly, sts: enforce, rule: rule(mx.Rule{Level: mx.LevelDANE, AtLeast: true}), want: "451 4.7.4 policy"},
		{rfc: "7672 §2.1.2", name: "at least: SERVFAIL", zone: noAnswer, rule: rule(mx.Rule{AtLeast: true}), want: "451 4.4.3 host"},

		// The message does not care.
		{rfc: "8689 §4.2.2", name: "optional: DANE", zone: pinned, m: optional, want: "may tls-required: no"},
		{rfc: "8689 §4.2.2", name: "optional: SERVFAIL", zone: noAnswer, m: optional, want: "may tls-required: no"},
		{rfc: "8689 §4.2.2", name: "optional: MTA-STS", zone: mxOnly, sts: other, m: optional, want: "may tls-required: no"},
		{rfc: "8689 §4.2.2", name: "optional: rule", zone: mxOnly, rule: rule(mx.Rule{Level: mx.LevelDANE}), m: optional, want: "may tls-required: no"},
		{rfc: "8689 §3", name: "optional and REQUIRETLS", zone: signed, m: both, want: "verify requiretls mx.example.org"},

		// The message cares.
		{rfc: "8689 §4.2.1", name: "REQUIRETLS: nothing", zone: mxOnly, sts: noSTS(mtasts.NoRecord), m: requireTLS, want: "550 5.7.10 policy"},
		{rfc: "8689 §4.2.1", name: "REQUIRETLS: signed", zone: signed, m: requireTLS, want: "verify requiretls mx.example.org"},
		{rfc: "8689 §4.2.1", name: "REQUIRETLS: DANE", zone: pinned, m: requireTLS, want: "dane requiretls mx.example.org example.org"},
		{rfc: "8689 §4.2.1", name: "REQUIRETLS: DANE, no record can be used", zone: unusable, m: requireTLS, want: "verify requiretls mx.example.org"},
		{rfc: "7672 §2.1.2", name: "REQUIRETLS: SERVFAIL", zone: noAnswer, m: requireTLS, want: "451 4.4.3 host"},
		{rfc: "8689 §4.2.1", name: "REQUIRETLS: enforce", zone: mxOnly, sts: enforce, m: requireTLS, want: "verify requiretls mx.example.org"},
		{rfc: "8689 §4.2.1", name: "REQUIRETLS: testing names the host too", zone: mxOnly, sts: testing_, m: requireTLS, want: "verify requiretls mx.example.org"},
		{rfc: "8689 §4.2.1", name: "REQUIRETLS: the host is not named", zone: mxOnly, sts: otherTesting, m: requireTLS, want: "550 5.7.10 policy"},
		{rfc: "8689 §4.2.1", name: "REQUIRETLS: MTA-STS none", zone: mxOnly, sts: none, m: requireTLS, want: "550 5.7.10 policy"},
		{rfc: "8689 §4.2.1", name: "REQUIRETLS: cannot be fetched", zone: mxOnly, sts: noSTS(mtasts.FetchFailed), m: requireTLS, want: "451 4.7.5 policy"},
		{rfc: "8689 §4.2.1", name: "REQUIRETLS: the DNS does not answer", zone: mxOnly, sts: noSTS(mtasts.DNSFailed), m: requireTLS, want: "451 4.7.5 policy"},
		{rfc: "8689 §4.2.1", name: "REQUIRETLS: implicit", zone: "example.org A 192.0.2.1", m: requireTLS, want: "verify requiretls example.org"},
		{rfc: "8689 §4.2.1", name: "REQUIRETLS: literal", m: requireTLS, domain: "[192.0.2.1]", want: "verify requiretls 192.0.2.1"},
		{rfc: "8689 §4.2.1", name: "REQUIRETLS: a rule that is less", zone: mxOnly, rule: rule(mx.Rule{Level: mx.LevelNone}), sts: noSTS(mtasts.NoRecord), m: requireTLS, want: "550 5.7.10 policy"},
		{rfc: "8689 §4.2.1", name: "REQUIRETLS: a rule that only encrypts", zone: signed, rule: rule(mx.Rule{Level: mx.LevelEncrypt}), m: requireTLS, want: "verify requiretls mx.example.org"},
		{rfc: "8689 §4.2.1", name: "REQUIRETLS: a rule that verifies what the DNS says", zone: mxOnly, rule: rule(mx.Rule{Level: mx.LevelVerify}), sts: noSTS(mtasts.NoRecord), m: requireTLS, want: "550 5.7.10 policy"},
		{rfc: "8689 §4.2.1", name: "REQUIRETLS: a rule that vouches for names", zone: mxOnly, rule: rule(mx.Rule{Level: mx.LevelVerify, Names: []string{"a.example"}}), m: requireTLS, want: "verify requiretls a.example"},
		{rfc: "8689 §4.2.1", name: "REQUIRETLS: a rule that asks for DANE", zone: signed, rule: rule(mx.Rule{Level: mx.LevelDANE}), m: requireTLS, want: "451 4.7.4 policy"},
		{rfc: "none", name: "REQUIRETLS relaxed: nothing", zone: mxOnly, sts: noSTS(mtasts.NoRecord), m: requireTLS, relax: true, want: "verify requiretls mx.example.org"},
		{rfc: "none", name: "REQUIRETLS relaxed: DANE", zone: pinned, m: requireTLS, relax: true, want: "dane requiretls mx.example.org example.org"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			zone := dnstest.MustParse(tt.zone)
			domain := tt.domain
			if domain == "" {
				domain = "example.org"
			}
			policies := &mx.Policies{Resolver: zone, MTASTS: sts{"example.org": tt.sts}, RelaxRequireTLS: tt.relax}
			if tt.rule != nil {
				policies.Operator = func(d string) *mx.Rule {
					if d != domain {
						t.Errorf("asked for the rule of %q", d)
					}
					return tt.rule
				}
			}
			m := &mx.Message{TLSOptional: tt.m == optional || tt.m == both}
			m.Envelope.MailParams.RequireTLS = tt.m == requireTLS || tt.m == both
			policy, err := resolve(t, policies, &mx.Router{Resolver: zone}, domain, m)
			got := describe(policy, err)
			sni := policy.ServerName
			switch policy.Level {
			case mx.LevelDANE:
				sni = policy.Names[0] // the base domain: RFC 7672 §2.2.3
			case mx.LevelVerify:
				sni = identity(t, zone, domain)
			}
			if policy.ServerName != sni {
				t.Errorf("asks for %q, want %q", policy.ServerName, sni)
			}
			if got != tt.want {
				t.Errorf("RFC %s: %q, want %q (%v, %v)", tt.rfc, got, tt.want, policy.String(), err)
			}
			if err == nil && policy.Why == "" {
				t.Error("nobody knows why")
			}
		})
	}
}

// identity is the name, or the address, of the first host of a domain.
func identity(t *testing.T, zone *dnstest.Zone, domain string) string {
	t.Helper()
	if addr, ok := (smtp.Mailbox{Domain: domain}).Literal(); ok {
		return addr.String()
	}
	route, err := (&mx.Router{Resolver: zone}).Route(t.Context(), domain)
	if err != nil {
		t.Fatal(err)
	}
	return route.Hosts[0].Name
}

// resolve returns the policy for the first host of a domain.
func resolve(t *testing.T, p *mx.Policies, r *mx.Router, domain string, m *mx.Message) (mx.Policy, error) {
	t.Helper()
	route, err := r.Route(t.Context(), domain)
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := r.Addrs(t.Context(), route.Hosts[0].Name)
	if err != nil {
		t.Fatal(err)
	}
	return p.Policy(t.Context(), route, route.Hosts[0], addrs, m)
}

func describe(p mx.Policy, err error) string {
	var failed *mx.Error
	var reply *smtp.Error
	if errors.As(err, &failed) && errors.As(err, &reply) {
		return fmt.Sprintf("%d %s %s", failed.Reply.Code, failed.Reply.EnhancedString(), failed.Scope)
	}
	if err != nil {
		return err.Error()
	}
	return strings.Join(append([]string{p.Level.String(), p.Source.String()}, p.Names...), " ")
}

// A message that does not care, and a rule, spare the DNS.
func TestPoliciesAskNobody(t *testing.T) {
	for name, m := range map[string]*mx.Message{"optional": {TLSOptional: true}, "rule": {}} {
		asks := 0
		resolver := counting{dnstest.MustParse(pinned), &asks}
		p := &mx.Policies{Resolver: resolver, MTASTS: panics{}, Operator: mx.Rules{"*": {}}.Find}
		if _, err := resolve(t, p, &mx.Router{Resolver: dnstest.MustParse(pinned)}, "example.org", m); err != nil || asks > 0 {
			t.Errorf("%s: %d questions, %v", name, asks, err)
		}
	}
	p := &mx.Policies{Resolver: dnstest.MustParse(pinned), MTASTS: panics{}, NoMTASTS: true, NoDANE: true}
	policy, err := resolve(t, p, &mx.Router{Resolver: dnstest.MustParse(pinned)}, "example.org", nil)
	if got := describe(policy, err); got != "may default" {
		t.Errorf("switched off: %s", got)
	}
}

type counting struct {
	dns.Resolver
	asks *int
}

func (c counting) Resolve(ctx context.Context, name string, t dns.Type) (dns.Answer, error) {
	*c.asks++
	return c.Resolver.Resolve(ctx, name, t)
}

type panics struct{}

func (panics) Lookup(context.Context, string) (mtasts.Result, error) { panic("asked for MTA-STS") }

// The context ends the search for policies.
func TestPoliciesStop(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	zone := dnstest.MustParse(pinned)
	route := &mx.Route{Domain: "example.org", Canonical: "example.org", Hosts: []mx.Host{{Name: "mx.example.org"}}}
	for _, secure := range []bool{false, true} {
		route.Secure = secure
		p := &mx.Policies{Resolver: zone, MTASTS: sts{}}
		_, err := p.Policy(ctx, route, route.Hosts[0], mx.Addrs{Secure: secure}, nil)
		var temporary interface{ Temporary() bool }
		if !errors.Is(err, context.Canceled) || !errors.As(err, &temporary) || !temporary.Temporary() {
			t.Errorf("secure %t: %v", secure, err)
		}
	}
}

// With nothing given an MTA-STS cache is the Policies' own, on the resolver that
// the Client's Router has.
func TestPoliciesOfTheirOwn(t *testing.T) {
	n := newNetwork(t)
	n.server("192.0.2.1")
	zone := dnstest.MustParse(pinned)
	c := n.client(zone)
	if _, err := c.Deliver(t.Context(), "example.org", message(t, "to@example.org")); err == nil {
		t.Error("delivered to a host that TLSA records do not match")
	}
	asked := fmt.Sprint(zone.Queries())
	if !strings.Contains(asked, "_25._tcp.mx.example.org TLSA") {
		t.Errorf("asked %s", asked)
	}
	zone = dnstest.MustParse(mxOnly)
	c = n.client(zone)
	if _, err := c.Deliver(t.Context(), "example.org", message(t, "to@example.org")); err != nil {
		t.Error(err)
	}
	asked = fmt.Sprint(zone.Queries())
	if !strings.Contains(asked, "_mta-sts.example.org TXT") {
		t.Errorf("asked %s", asked)
	}
}

// DANE is about the port that is connected to (RFC 7672 §2.2.3).
func TestPoliciesPort(t *testing.T) {
	n := newNetwork(t)
	n.server("192.0.2.1")
	zone := dnstest.MustParse(signed + strings.Replace(pinned, "_25.", "_2525.", 1)[len(signed):])
	c := n.client(zone)
	c.Port = 2525
	results, err := c.Deliver(t.Context(), "example.org", message(t, "to@example.org"))
	if err == nil || results[0].Policy.Level != mx.LevelDANE {
		t.Errorf("%s: %v", results[0].Policy.String(), err)
	}
}

func TestRules(t *testing.T) {
	rules := mx.Rules{
		"*":              {Level: mx.LevelEncrypt},
		".example":       {Level: mx.LevelVerify},
		"a.example":      {Level: mx.LevelNone},
		".a.example":     {Level: mx.LevelMay},
		"free.example":   nil,
		".free.b.c":      nil,
		"[192.0.2.1]":    {Level: mx.LevelDANE},
		".0.2.2]":        {Level: mx.LevelDANE},
		"xn--4ca.de":     {Level: mx.LevelDANE},
		"deep.a.example": {Level: mx.LevelDANE},
	}
	for domain, want := range map[string]string{
		"b.c":              "encrypt",
		"example":          "encrypt",
		"b.example":        "verify",
		"c.b.example":      "verify",
		"a.example":        "none",
		"b.a.example":      "may",
		"deep.a.example":   "dane",
		"free.example":     "",
		"sub.free.example": "verify",
		"one.two.free.b.c": "",
		"free.b.c":         "encrypt",
		"[192.0.2.1]":      "dane",
		"[192.0.2.2]":      "encrypt",
		"xn--4ca.de":       "dane",
		"notexample":       "encrypt",
		"nota.example":     "verify",
	} {
		got := ""
		if rule := rules.Find(domain); rule != nil {
			got = rule.Level.String()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", domain, got, want)
		}
	}
	if mx.Rules(nil).Find("example") != nil {
		t.Error("a rule out of nothing")
	}
}

// Names of a DNS that lets any octet stand in them go into no log.
func TestPolicyNames(t *testing.T) {
	zone := strangeAlias{dnstest.MustParse(pinned)}
	policy, err := resolve(t, &mx.Policies{Resolver: zone}, &mx.Router{Resolver: zone}, "example.org", nil)
	if got := describe(policy, err); got != "dane dane mx.example.org example.org" {
		t.Errorf("%q", got)
	}
}

// strangeAlias says that domains are aliases of something strange.
type strangeAlias struct{ dns.Resolver }

func (r strangeAlias) Resolve(ctx context.Context, name string, t dns.Type) (dns.Answer, error) {
	answer, err := r.Resolver.Resolve(ctx, name, t)
	if t == dns.MX {
		answer.Chain, answer.Canonical = []string{name}, "\x1b[31m\nverify me.example."
	}
	return answer, err
}
