package mx_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/mx/mtasts"
	"github.com/postrider/postrider/mx/tlsrpt"
	"github.com/postrider/postrider/server/smtptest"
)

// What is asked of hosts that somebody chose: what their NextHop says, DANE where
// it says nothing, more for REQUIRETLS. What is published about the domain, and the
// rule for it, are about other hosts.
func TestNextHopPolicies(t *testing.T) {
	p := newPKI(t)
	auth := client.PlainAuth("me", "secret of next hops")
	byMX := func(hop mx.NextHop) *mx.NextHop {
		hop.Hosts = []string{"example.net"}
		return &hop
	}
	const forged = mxOnly + "example.net MX 10 mx.example.org\n"
	relay := func(port string, hop mx.NextHop) *mx.NextHop {
		hop.Hosts = []string{"[mx.example.org]" + port}
		return &hop
	}
	pin := func(port int, r string) string { return strings.Replace(r, "_25.", fmt.Sprintf("_%d.", port), 1) }
	good, other := tlsaLine("mx.example.org", p.pin("good")), tlsaLine("mx.example.org", p.pin("other key"))
	const secure = "mx.example.org A 192.0.2.1\nexample.org SECURE\n"
	const insecure = "mx.example.org A 192.0.2.1\n"
	for _, tt := range []struct {
		rfc        string
		name       string
		zone       string
		hop        *mx.NextHop
		requireTLS bool
		policy     string
		want       string
	}{
		{"7672 §2.2.2", "DANE", secure + good, relay("", mx.NextHop{}), false, "dane dane mx.example.org", "relayed 250 2.0.0"},
		{"7672 §2.2.2", "DANE, another key", secure + other, relay("", mx.NextHop{}), false, "dane dane mx.example.org", "deferred policy 451 4.7.5 ours"},
		{"7672 §2.2.3", "DANE for the port", secure + pin(587, good) + other, relay(":587", mx.NextHop{}), false, "dane dane mx.example.org", "relayed 250 2.0.0"},
		{"7672 §2.2.3", "DANE for another port", secure + other, relay(":587", mx.NextHop{}), false, "may default", "relayed 250 2.0.0"},
		{"none", "nothing", insecure, relay("", mx.NextHop{}), false, "may default", "relayed 250 2.0.0"},
		{"none", "DANE demanded", secure + good, relay("", mx.NextHop{Policy: &mx.Policy{Level: mx.LevelDANE}}), false, "dane operator mx.example.org", "relayed 250 2.0.0"},
		{"none", "DANE demanded, another key", secure + other, relay("", mx.NextHop{Policy: &mx.Policy{Level: mx.LevelDANE}}), false, "dane operator mx.example.org", "deferred policy 451 4.7.5 ours"},
		{"none", "DANE demanded, without", secure, relay("", mx.NextHop{Policy: &mx.Policy{Level: mx.LevelDANE}}), false, "none", "deferred policy 451 4.7.4 ours"},
		{"none", "DANE demanded, records given", insecure, relay("", mx.NextHop{Policy: &mx.Policy{Level: mx.LevelDANE, TLSA: []dns.TLSARecord{p.pin("good")}}}), false, "dane operator mx.example.org", "relayed 250 2.0.0"},
		{"none", "other names demanded", insecure, relay("", mx.NextHop{Policy: &mx.Policy{Level: mx.LevelVerify, Names: []string{"example.com"}}}), false, "verify operator example.com", "deferred policy 451 4.7.5 ours"},
		{"none", "credentials", secure + other, relay("", mx.NextHop{Auth: auth, Credentials: "me"}), false, "verify operator mx.example.org", "deferred local 454 4.7.0 ours"}, // TLS is good, and the server offers no AUTH
		{"none", "credentials, where the MX records may be forged", forged, byMX(mx.NextHop{Auth: auth, Credentials: "me"}), false, "verify operator example.net .example.net", "deferred policy 451 4.7.5 ours"},
		{"none", "credentials, where the MX records are signed", forged + "example.net SECURE", byMX(mx.NextHop{Auth: auth, Credentials: "me"}), false, "verify operator mx.example.org", "deferred local 454 4.7.0 ours"},
		{"7672 §3.2.2", "DANE, by MX records", forged + "example.net SECURE\nexample.org SECURE\n" + good, byMX(mx.NextHop{}), false, "dane dane mx.example.org example.net", "relayed 250 2.0.0"},
		{"8689 §4.2.1", "REQUIRETLS, by MX records that may be forged", forged, byMX(mx.NextHop{}), true, "verify requiretls example.net .example.net", "failed policy 550 5.7.10 ours"},
		{"8689 §4.2.1", "REQUIRETLS, by no MX records", "example.net A 192.0.2.1", byMX(mx.NextHop{}), true, "verify requiretls example.net", "failed policy 550 5.7.10 ours"},
		{"8689 §4.2.1", "REQUIRETLS", insecure, relay("", mx.NextHop{}), true, "verify requiretls mx.example.org", "relayed 250 2.0.0"},
		{"8689 §4.2.1", "REQUIRETLS, DANE", secure + good, relay("", mx.NextHop{}), true, "dane requiretls mx.example.org", "relayed 250 2.0.0"},
		{"8689 §4.2.1", "REQUIRETLS, encryption would do for others", insecure, relay("", mx.NextHop{Policy: &mx.Policy{Level: mx.LevelEncrypt}}), true, "verify requiretls mx.example.org", "relayed 250 2.0.0"},
		{"8689 §4.2.1", "REQUIRETLS, plaintext would do for others", insecure, relay("", mx.NextHop{Policy: &mx.Policy{Level: mx.LevelNone}}), true, "verify requiretls mx.example.org", "relayed 250 2.0.0"},
		{"8689 §4.2.1", "REQUIRETLS, and more", insecure, relay("", mx.NextHop{Policy: &mx.Policy{Level: mx.LevelDANE, TLSA: []dns.TLSARecord{p.pin("other key")}}}), true, "dane requiretls mx.example.org", "failed policy 550 5.7.10 ours"},
		{"8689 §4.4", "REQUIRETLS at its end", insecure, relay("", mx.NextHop{LMTP: true}), true, "may operator mx.example.org", "delivered 250 2.0.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork(t)
			n.server("192.0.2.1", serverOfKind(p, "good"), func(s *smtptest.Server) {
				if tt.hop.LMTP {
					smtptest.LMTP(s)
				}
			})
			c := n.client(dnstest.MustParse(tt.zone))
			c.TLSConfig = &tls.Config{RootCAs: p.roots}
			c.Policies = &mx.Policies{MTASTS: panics{}, Operator: func(string) *mx.Rule { panic("asked for a rule") }}
			c.NextHop = func(string, *mx.Message) *mx.NextHop { return tt.hop }
			got := "none"
			c.Trace = &mx.Trace{
				TLS: func(_ context.Context, s tlsrpt.Session) { t.Errorf("the domain hears %+v", s) },
				Attempted: func(_ context.Context, a *mx.Attempt) {
					if a.Addr != "" {
						got = describe(a.Policy, nil)
					}
				},
			}
			m := message(t, "to@example.com")
			m.Envelope.MailParams.RequireTLS = tt.requireTLS
			results, _ := c.Deliver(t.Context(), "example.com", m)
			if outcome := sentence(results[0]); outcome != tt.want || got != tt.policy {
				t.Errorf("RFC %s: %s by %q, want %s by %q (%v)", tt.rfc, outcome, got, tt.want, tt.policy, results[0].Err)
			}
		})
	}
}

// Credentials go to a host that has proved who it is, whatever would do for mail, or to
// this machine.
func TestNextHopCredentials(t *testing.T) {
	p := newPKI(t)
	p.certs["of evil.example"] = p.named(t, "mx.evil.example")
	const (
		none, may, encrypt = mx.LevelNone, mx.LevelMay, mx.LevelEncrypt
		fixed, forged      = "[mx.example.org]", "example.org"
	)
	for _, tt := range []struct {
		host  string
		kind  string
		at    string
		level mx.Level
		want  string
	}{
		{fixed, "good", ":587", may, "authenticated"},
		{fixed, "good", ":587", encrypt, "authenticated"},
		{fixed, "good", ":465", may, "authenticated"},
		{fixed, "good", ":465", none, "authenticated"},
		{fixed, "good", ":587", none, "deferred local 454 4.7.0 ours"},
		{fixed, "no STARTTLS", ":587", none, "deferred local 454 4.7.0 ours"},
		{fixed, "no STARTTLS", ":587", may, "deferred policy 451 4.7.4 ours"},
		{fixed, "no STARTTLS", ":587", encrypt, "deferred policy 451 4.7.4 ours"},
		{fixed, "self", ":587", may, "deferred policy 451 4.7.5 ours"},
		{fixed, "self", ":587", encrypt, "deferred policy 451 4.7.5 ours"},
		{fixed, "self", ":465", may, "deferred policy 451 4.7.5 ours"},
		{fixed, "other name", ":587", may, "deferred policy 451 4.7.5 ours"},
		{fixed, "other name", ":465", encrypt, "deferred policy 451 4.7.5 ours"},
		{forged, "of evil.example", ":587", may, "deferred policy 451 4.7.5 ours"},
		{forged, "of evil.example", ":587", encrypt, "deferred policy 451 4.7.5 ours"},
		{"[localhost]", "self", ":587", may, "authenticated"},
		{"[127.0.0.1]", "self", ":587", encrypt, "authenticated"},
		{"[IPv6:::1]", "self", ":465", none, "authenticated"},
		{"[local.example]", "self", ":465", encrypt, "deferred policy 451 4.7.5 ours"},
		{"localhost", "self", ":587", encrypt, "authenticated"},
		{"forged.example", "self", ":587", encrypt, "deferred policy 451 4.7.5 ours"},
		{"forged.example", "self", ":465", may, "deferred policy 451 4.7.5 ours"},
		{"", "self", ":587", encrypt, "deferred policy 451 4.7.5 ours"},
		{"", "self", ":465", may, "deferred policy 451 4.7.5 ours"},
	} {
		t.Run(fmt.Sprint(tt.host, tt.at, " ", tt.level, " ", tt.kind), func(t *testing.T) {
			n := newNetwork(t)
			s := smtptest.NewServer(t, smtptest.InMemory, smtptest.Submission, func(s *smtptest.Server) {
				s.Config.TLSConfig = &tls.Config{Certificates: []tls.Certificate{p.certs[tt.kind]}}
				s.Config.PlaintextAuthOnLoopback = true
				s.ImplicitTLS = tt.at == ":465"
				if tt.kind == "no STARTTLS" {
					smtptest.NoTLS(s)
				}
			})
			s.AddAccount("me", "secret of next hops")
			for _, addr := range []string{"192.0.2.1", "127.0.0.1", "[::1]"} {
				n.hosts[addr+tt.at] = func(ctx context.Context) (net.Conn, error) { return s.Dial(ctx, "tcp", addr+tt.at) }
			}
			c := n.client(dnstest.MustParse("mx.example.org A 192.0.2.1\nmx.evil.example A 192.0.2.1\nexample.org MX 1 mx.evil.example\nlocal.example A 127.0.0.1\n" +
				"forged.example MX 1 localhost\nexample.com MX 1 localhost\nlocalhost A 192.0.2.1"))
			port, _ := strconv.Atoi(tt.at[1:])
			c.Port = uint16(port)
			c.TLSConfig = &tls.Config{RootCAs: p.roots}
			c.NextHop = func(string, *mx.Message) *mx.NextHop {
				hop := &mx.NextHop{Auth: client.PlainAuth("me", "secret of next hops"), Credentials: "me", Policy: &mx.Policy{Level: tt.level}}
				if tt.host != "" { // else the hosts of the domain
					hop.Hosts = []string{tt.host + tt.at}
				}
				return hop
			}
			results, _ := c.Deliver(t.Context(), "example.com", message(t, "to@example.com"))
			got := sentence(results[0])
			if all := s.Messages(); len(all) > 0 && all[0].Identity == "me" {
				got = "authenticated"
			}
			if got != tt.want {
				t.Errorf("%s, want %s: %v", got, tt.want, results[0].Err)
			}
			if said := strings.Join(s.Transcripts(), ""); tt.want != "authenticated" && strings.Contains(said, "AUTH PLAIN") {
				t.Errorf("the credentials have gone out: %s", said)
			}
		})
	}
}

// What REQUIRETLS comes to at hosts that do not offer it, by the RFC and relaxed.
func TestRelaxRequireTLS(t *testing.T) {
	p := newPKI(t)
	for _, tt := range []struct {
		name    string
		kind    string
		offered bool
		relax   bool
		hop     *mx.NextHop
		want    string
		says    string // in MAIL
	}{
		{"offered", "good", true, false, nil, "relayed 250 2.0.0", "REQUIRETLS"},
		{"not offered", "good", false, false, nil, "failed policy 550 5.7.30 ours", ""},
		{"relaxed, offered", "good", true, true, nil, "relayed 250 2.0.0", "REQUIRETLS"},
		{"relaxed, not offered", "good", false, true, nil, "relayed 250 2.0.0", "MAIL"},
		{"relaxed, another's certificate", "other name", false, true, nil, "failed policy 550 5.7.10 ours", ""},
		{"relaxed, no STARTTLS", "no STARTTLS", false, true, nil, "failed policy 550 5.7.10 ours", ""},
		{"relaxed, not offered by the next hop", "good", false, true, &mx.NextHop{Hosts: []string{"[mx.example.org]"}, Policy: &mx.Policy{}}, "relayed 250 2.0.0", "MAIL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork(t)
			s := n.server("192.0.2.1", serverOfKind(p, tt.kind))
			if !tt.offered {
				s.Hide("REQUIRETLS")
			}
			c := n.client(dnstest.MustParse(signed))
			c.TLSConfig = &tls.Config{RootCAs: p.roots}
			c.Policies = &mx.Policies{RelaxRequireTLS: tt.relax}
			c.NextHop = func(string, *mx.Message) *mx.NextHop { return tt.hop }
			attempts := 0
			c.Trace = &mx.Trace{Attempted: func(context.Context, *mx.Attempt) { attempts++ }}
			m := message(t, "to@example.org")
			m.Envelope.MailParams.RequireTLS = true
			results, _ := c.Deliver(t.Context(), "example.org", m)
			if got := sentence(results[0]); got != tt.want || attempts != 1 || len(n.dialled()) != 1 {
				t.Errorf("%s in %d attempts, want %s: %v", got, attempts, tt.want, results[0].Err)
			}
			said := ""
			for line := range strings.Lines(strings.Join(s.Transcripts(), "")) {
				if strings.Contains(line, "C: MAIL") {
					said = "MAIL"
					if strings.Contains(line, " REQUIRETLS") {
						said = "REQUIRETLS"
					}
				}
			}
			if said != tt.says {
				t.Errorf("said %q, want %q", said, tt.says)
			}
		})
	}
}

// The domain of a next hop is the one whose MTA-STS policy counts, if its MX records
// are followed (RFC 8461 §3.4). That of the recipients' domain never does.
func TestNextHopSTS(t *testing.T) {
	p := newPKI(t)
	const zone = mxOnly + "example.net MX 10 mx.example.org\nself.example A 192.0.2.1\n"
	for _, tt := range []struct {
		name   string
		hop    mx.NextHop
		sts    sts
		policy string
		want   string
	}{
		{"enforce", mx.NextHop{Hosts: []string{"example.net"}}, sts{"example.net": stsPolicy(mtasts.Enforce, "mx.example.org")}, "verify mta-sts mx.example.org", "relayed 250 2.0.0"},
		{"enforce, another host", mx.NextHop{Hosts: []string{"example.net"}}, sts{"example.net": stsPolicy(mtasts.Enforce, "mx.example.net")}, "none", "deferred policy 451 4.7.5 ours"},
		{"enforce, no MX records", mx.NextHop{Hosts: []string{"self.example"}}, sts{"self.example": stsPolicy(mtasts.Enforce, "self.example")}, "verify mta-sts self.example", "deferred policy 451 4.7.5 ours"},
		{"testing", mx.NextHop{Hosts: []string{"example.net"}}, sts{"example.net": stsPolicy(mtasts.Testing, "mx.example.org")}, "may mta-sts mx.example.org", "relayed 250 2.0.0"},
		{"none", mx.NextHop{Hosts: []string{"example.net"}}, sts{}, "may default", "relayed 250 2.0.0"},
		{"of the recipients' domain", mx.NextHop{Hosts: []string{"example.net"}}, sts{"example.com": stsPolicy(mtasts.Enforce, "mx.example.com")}, "may default", "relayed 250 2.0.0"},
		{"a host", mx.NextHop{Hosts: []string{"[mx.example.org]"}}, sts{"mx.example.org": stsPolicy(mtasts.Enforce, "mx.example.com")}, "may default", "relayed 250 2.0.0"},
		{"a policy of the operator's", mx.NextHop{Hosts: []string{"example.net"}, Policy: &mx.Policy{}}, sts{"example.net": stsPolicy(mtasts.Enforce, "mx.example.net")}, "may operator example.net .example.net", "relayed 250 2.0.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork(t)
			n.server("192.0.2.1", serverOfKind(p, "good"))
			c := n.client(dnstest.MustParse(zone))
			c.TLSConfig = &tls.Config{RootCAs: p.roots}
			c.Policies = &mx.Policies{MTASTS: tt.sts}
			c.NextHop = func(string, *mx.Message) *mx.NextHop { return &tt.hop }
			got := "none"
			c.Trace = &mx.Trace{
				TLS: func(_ context.Context, s tlsrpt.Session) { t.Errorf("somebody hears %+v", s) },
				Attempted: func(_ context.Context, a *mx.Attempt) {
					if a.Addr != "" {
						got = describe(a.Policy, nil)
					}
				},
			}
			results, _ := c.Deliver(t.Context(), "example.com", message(t, "to@example.com"))
			if outcome := sentence(results[0]); outcome != tt.want || got != tt.policy {
				t.Errorf("%s by %q, want %s by %q (%v)", outcome, got, tt.want, tt.policy, results[0].Err)
			}
		})
	}
}

// What is not signed about one next hop takes nothing from another.
func TestNextHopsTogether(t *testing.T) {
	p := newPKI(t)
	zone := signed + tlsaLine("mx.example.org", p.pin("other key")) + "\nexample.net MX 10 mx.example.net\nmx.example.net A 192.0.2.2\n"
	for _, hosts := range [][]string{{"example.org", "example.net"}, {"[mx.example.org]", "example.net"}, {"example.net", "example.org"}} {
		n := newNetwork(t)
		first := n.server("192.0.2.1", serverOfKind(p, "good"))
		c := n.client(dnstest.MustParse(zone))
		c.TLSConfig = &tls.Config{RootCAs: p.roots}
		c.Policies = &mx.Policies{NoMTASTS: true}
		c.NextHop = func(string, *mx.Message) *mx.NextHop { return &mx.NextHop{Hosts: hosts} }
		c.Deliver(t.Context(), "example.com", message(t, "to@example.com"))
		if len(first.Messages()) > 0 {
			t.Errorf("%q: the message went to a host that is not the one of its TLSA records", hosts)
		}
	}
}
