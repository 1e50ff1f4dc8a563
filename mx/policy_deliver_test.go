package mx_test

import (
	"context"
	"crypto/tls"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/mx/mtasts"
	"github.com/postrider/postrider/mx/tlsrpt"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/smtptest"
)

// Every kind of policy meets every kind of server, as published and not as a test
// has it: who gets the message, what its sender is told, whether the next host is
// asked, and what the domain hears of it (RFC 8460 §4.3).
func TestPoliciesAndServers(t *testing.T) {
	p := newPKI(t)
	const (
		none     = "no STARTTLS"
		refuses  = "refuses STARTTLS"
		breaks   = "hangs up in the handshake"
		good     = "relayed 250 2.0.0"
		noTLS    = "deferred policy 451 4.7.4 ours"
		badTLS   = "deferred policy 451 4.7.5 ours"
		rejected = "failed policy 550 5.7.10 ours"
	)
	kinds := []string{"good", "other key", "deep", "incomplete", "expired", "other name", "stranger", "self", none, refuses, breaks}
	reports := map[string]map[string]string{ // by policy and kind
		"tlsa ee": {"other key": "tlsa-invalid", "deep": "tlsa-invalid", "incomplete": "tlsa-invalid", "expired": "tlsa-invalid", "other name": "tlsa-invalid",
			"stranger": "tlsa-invalid", "self": "tlsa-invalid", none: "starttls-not-supported", refuses: "starttls-not-supported", breaks: "validation-failure"},
		"tlsa ta": {"deep": "tlsa-invalid", "incomplete": "tlsa-invalid", "expired": "certificate-expired", "other name": "certificate-host-mismatch",
			"stranger": "tlsa-invalid", "self": "tlsa-invalid", none: "starttls-not-supported", refuses: "starttls-not-supported", breaks: "validation-failure"},
		"sts": {"incomplete": "certificate-not-trusted", "expired": "certificate-expired", "other name": "certificate-host-mismatch",
			"stranger": "certificate-not-trusted", "self": "certificate-not-trusted", none: "starttls-not-supported", refuses: "starttls-not-supported", breaks: "validation-failure"},
		"no-policy-found": {none: "starttls-not-supported", refuses: "starttls-not-supported", breaks: "validation-failure"},
	}
	ee, ta := tlsaLine("mx.example.org", p.pin("good")), tlsaLine("mx.example.org", p.pinCA())
	trusted := []string{"good", "other key", "deep"}
	for _, tt := range []struct {
		name      string
		zone      string
		sts       mtasts.Result
		rule      *mx.Rule
		m         string
		accepts   []string
		fails     string // what the sender is told otherwise
		plaintext string // and without STARTTLS
		report    string
		level     mx.Level
	}{
		{name: "nothing", zone: mxOnly, accepts: kinds, report: "no-policy-found"},
		{name: "DANE-EE", zone: signed + ee, accepts: []string{"good"}, fails: badTLS, plaintext: noTLS, report: "tlsa ee", level: mx.LevelDANE},
		{name: "DANE-TA", zone: signed + ta, accepts: []string{"good", "other key"}, fails: badTLS, plaintext: noTLS, report: "tlsa ta", level: mx.LevelDANE},
		{name: "DANE before enforce", zone: signed + ee, sts: stsPolicy(mtasts.Enforce, "*.example.org"), accepts: []string{"good"}, fails: badTLS, plaintext: noTLS, report: "tlsa ee", level: mx.LevelDANE},
		{name: "enforce", zone: mxOnly, sts: stsPolicy(mtasts.Enforce, "*.example.org"), accepts: trusted, fails: badTLS, plaintext: noTLS, report: "sts", level: mx.LevelVerify},
		{name: "testing", zone: mxOnly, sts: stsPolicy(mtasts.Testing, "*.example.org"), accepts: kinds, report: "sts"},
		{name: "rule", zone: signed + ee, rule: &mx.Rule{Level: mx.LevelEncrypt}, accepts: kinds[:8], fails: badTLS, plaintext: noTLS, level: mx.LevelEncrypt},
		{name: "TLS-Required: No", zone: signed + ee, sts: stsPolicy(mtasts.Enforce, "elsewhere.example"), m: "optional", accepts: kinds},
		{name: "REQUIRETLS, DANE", zone: signed + ee, m: "requiretls", accepts: []string{"good"}, fails: rejected, plaintext: rejected, report: "tlsa ee", level: mx.LevelDANE},
		{name: "REQUIRETLS, enforce", zone: mxOnly, sts: stsPolicy(mtasts.Enforce, "*.example.org"), m: "requiretls", accepts: trusted, fails: rejected, plaintext: rejected, report: "sts", level: mx.LevelVerify},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, kind := range kinds {
				for _, next := range []bool{false, true} {
					zone := tt.zone
					if next {
						zone += "\nexample.org MX 20 mx2.example.org\nmx2.example.org A 192.0.2.2\n" + tlsaLine("mx2.example.org", p.pin("wildcard"))
					}
					n := newNetwork(t)
					first := n.server("192.0.2.1", serverOfKind(p, kind))
					switch kind {
					case refuses:
						first.Fault(smtptest.On("STARTTLS").Reply(554, "5.7.1", "never"))
					case breaks:
						first.Fault(smtptest.On("STARTTLS").Raw("220 go\r\n").Drop())
					}
					second := n.server("192.0.2.2", serverOfKind(p, "wildcard"))
					c := n.client(dnstest.MustParse(zone))
					c.TLSConfig = &tls.Config{RootCAs: p.roots}
					c.Policies = &mx.Policies{MTASTS: sts{"example.org": tt.sts}, Operator: func(string) *mx.Rule { return tt.rule }}
					var sessions []tlsrpt.Session
					var policy mx.Policy
					c.Trace = &mx.Trace{
						TLS:       func(_ context.Context, s tlsrpt.Session) { sessions = append(sessions, s) },
						Attempted: func(_ context.Context, a *mx.Attempt) { policy = a.Policy },
					}
					m := message(t, "to@example.org")
					m.Envelope.MailParams.RequireTLS = tt.m == "requiretls"
					m.TLSOptional = tt.m == "optional"
					results, _ := c.Deliver(t.Context(), "example.org", m)

					accepted := slices.Contains(tt.accepts, kind)
					want := tt.fails
					switch {
					case accepted, next:
						want = good
					case kind == none:
						want = tt.plaintext
					case kind == breaks: // need not be the host's fault
						want = badTLS
					}
					if got := sentence(results[0]); got != want {
						t.Errorf("%s, next host %t: %s, want %s: %v", kind, next, got, want, results[0].Err)
					}
					if got := []int{len(first.Messages()), len(second.Messages())}; accepted && got[0] != 1 || !accepted && (got[0] != 0 || got[1] > 0 != next) {
						t.Errorf("%s, next host %t: messages at the hosts: %v", kind, next, got)
					}
					if policy.Level != tt.level {
						t.Errorf("%s: %s", kind, policy.String())
					}
					checkSession(t, kind, sessions, tt.report, reports[tt.report][kind])
				}
			}
		})
	}
}

func serverOfKind(p *pki, kind string) func(*smtptest.Server) {
	cert, ok := p.certs[kind]
	switch {
	case kind == "no STARTTLS":
		return smtptest.NoTLS
	case !ok:
		cert = p.certs["good"]
	}
	return func(s *smtptest.Server) {
		s.Config.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
		s.Config.Extensions = append(s.Config.Extensions, server.RequireTLS)
	}
}

// checkSession looks at what the domain hears of its first host.
func checkSession(t *testing.T, kind string, sessions []tlsrpt.Session, report, result string) {
	t.Helper()
	if report == "" {
		if len(sessions) > 0 {
			t.Errorf("%s: the domain hears %+v", kind, sessions)
		}
		return
	}
	if len(sessions) == 0 {
		t.Errorf("%s: the domain hears nothing", kind)
		return
	}
	s := sessions[0]
	policy, _, _ := strings.Cut(report, " ")
	if string(s.Policy.Type) != policy || string(s.Result) != result || (s.Policy.Strings == nil) != (policy == "no-policy-found") {
		t.Errorf("%s: the domain hears %+v, want %q of %s", kind, s, result, policy)
	}
	if s.Host != "mx.example.org" || s.Policy.Domain != "example.org" || s.ReceivingIP.String() != "192.0.2.1" || !s.SendingIP.IsValid() || s.Hello == "" || s.Time.IsZero() {
		t.Errorf("%s: the domain hears %+v", kind, s)
	}
}
