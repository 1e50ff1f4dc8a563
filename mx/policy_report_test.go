package mx_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/mx/tlsrpt"
	"github.com/postrider/postrider/server/smtptest"
)

// What a domain hears, and what it does not.
func TestTLSReports(t *testing.T) {
	p := newPKI(t)
	other := stsPolicy("enforce", "mx.other.example")
	for _, tt := range []struct {
		rfc  string
		name string
		zone string
		want string // type, result and address of each session
		set  func(c *mx.Client, s *smtptest.Server)
		send int
	}{
		{rfc: "8460 §4.3.2.1", name: "TLSA not known", zone: noAnswer, want: "tlsa dnssec-invalid -"},
		{rfc: "8460 §4.3.2.1", name: "TLSA cannot be used", zone: unusable, want: "tlsa tlsa-invalid 192.0.2.1"},
		{rfc: "8460 §4.3.2.1", name: "DANE required", zone: signed, want: "tlsa dane-required -",
			set: func(c *mx.Client, _ *smtptest.Server) {
				c.Policies.Operator = mx.Rules{"*": {Level: mx.LevelDANE}}.Find
			}},
		{rfc: "8460 §4.3.2.1", name: "DANE required, and cannot be used", zone: unusable, want: "tlsa tlsa-invalid -",
			set: func(c *mx.Client, _ *smtptest.Server) {
				c.Policies.Operator = mx.Rules{"*": {Level: mx.LevelDANE}}.Find
			}},
		{rfc: "8460 §4.3.1", name: "the host is not in the policy", zone: mxOnly, want: "sts validation-failure -",
			set: func(c *mx.Client, _ *smtptest.Server) { c.Policies.MTASTS = sts{"example.org": other} }},
		{rfc: "8460 §4.3.1", name: "the host is not in the policy, testing", zone: mxOnly, want: "sts validation-failure 192.0.2.1",
			set: func(c *mx.Client, _ *smtptest.Server) {
				c.Policies.MTASTS = sts{"example.org": stsPolicy("testing", "mx.other.example")}
			}},
		{rfc: "8460 §4.3.2.2", name: "the policy cannot be fetched", zone: mxOnly, want: "sts sts-policy-fetch-error 192.0.2.1",
			set: func(c *mx.Client, _ *smtptest.Server) {
				c.Policies.MTASTS = sts{"example.org": noSTS("sts-policy-fetch-error")}
			}},
		{rfc: "8460 §4.3", name: "DANE that cannot be used, and MTA-STS", zone: unusable, want: "tlsa tlsa-invalid 192.0.2.1, sts  192.0.2.1",
			set: func(c *mx.Client, _ *smtptest.Server) {
				c.Policies.MTASTS = sts{"example.org": stsPolicy("enforce", "mx.example.org")}
			}},
		{rfc: "8460 §4.3", name: "DANE that cannot be used, and MTA-STS in testing", zone: unusable, want: "tlsa tlsa-invalid 192.0.2.1, sts  192.0.2.1",
			set: func(c *mx.Client, _ *smtptest.Server) {
				c.Policies.MTASTS = sts{"example.org": stsPolicy("testing", "mx.example.org")}
			}},
		{rfc: "8460 §4.3", name: "testing, and a rule that asks for more", zone: mxOnly, want: "sts  192.0.2.1",
			set: func(c *mx.Client, _ *smtptest.Server) {
				c.Policies.MTASTS = sts{"example.org": stsPolicy("testing", "mx.example.org")}
				c.Policies.Operator = mx.Rules{"*": {Level: mx.LevelEncrypt, AtLeast: true}}.Find
			}},
		{rfc: "8460 §4.4", name: "two messages over one connection", zone: mxOnly, want: "no-policy-found  192.0.2.1", send: 2},
		{rfc: "8460 §4.4", name: "two messages over one connection, DANE that cannot be used", zone: unusable, want: "tlsa tlsa-invalid 192.0.2.1", send: 2},
		{rfc: "8460 §4.4", name: "TLS breaks, plaintext does not", zone: mxOnly, want: "no-policy-found validation-failure 192.0.2.1",
			set: func(_ *mx.Client, s *smtptest.Server) {
				s.Fault(smtptest.On("STARTTLS").Raw("220 go\r\n").Drop())
			}},
		{rfc: "8460 §4.4", name: "no connection", zone: strings.ReplaceAll(mxOnly, "192.0.2.1", "192.0.2.9"), want: ""},
		{rfc: "8460 §4.4", name: "refused before TLS", zone: mxOnly, want: "",
			set: func(_ *mx.Client, s *smtptest.Server) { s.Fault(smtptest.OnGreeting().Reply(554, "", "no")) }},
		{rfc: "8460 §4.4", name: "lost before TLS", zone: mxOnly, want: "",
			set: func(_ *mx.Client, s *smtptest.Server) { s.Fault(smtptest.On("EHLO").Drop()) }},
		{rfc: "8460 §4.4", name: "lost after TLS", zone: mxOnly, want: "no-policy-found  192.0.2.1",
			set: func(_ *mx.Client, s *smtptest.Server) { s.Fault(smtptest.On("EHLO").Skip(1).Drop()) }},
		{rfc: "8460 §4.4", name: "a strange greeting", zone: mxOnly, want: "no-policy-found  192.0.2.1",
			set: func(_ *mx.Client, s *smtptest.Server) {
				s.Fault(smtptest.OnGreeting().Raw("220 <script>@ ESMTP\r\n"))
			}},
		{rfc: "8460 §3", name: "the message does not care", zone: pinned, want: ""},
		{rfc: "8460 §3", name: "a literal", zone: "", want: ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork(t)
			s := n.server("192.0.2.1", serverOfKind(p, "good"))
			c := n.client(dnstest.MustParse(tt.zone))
			c.TLSConfig = &tls.Config{RootCAs: p.roots}
			c.Policies = &mx.Policies{MTASTS: sts{}}
			if tt.set != nil {
				tt.set(c, s)
			}
			var got []string
			c.Trace = &mx.Trace{TLS: func(_ context.Context, s tlsrpt.Session) {
				addr := "-"
				if s.ReceivingIP.IsValid() {
					addr = s.ReceivingIP.String()
				}
				got = append(got, fmt.Sprintf("%s %s %s", s.Policy.Type, s.Result, addr))
				if strings.Contains(s.Hello, "<") || (s.Result == "" && s.Reason != "") {
					t.Errorf("%+v", s)
				}
				if !new(tlsrpt.Collector).Add(s) {
					t.Errorf("does not count: %+v", s)
				}
			}}
			domain := "example.org"
			if tt.name == "a literal" {
				domain = "[192.0.2.1]"
			}
			for range max(tt.send, 1) {
				m := message(t, "to@example.org")
				m.TLSOptional = tt.name == "the message does not care"
				c.Deliver(t.Context(), domain, m)
			}
			if got := strings.Join(got, ", "); got != tt.want {
				t.Errorf("RFC %s: %q, want %q", tt.rfc, got, tt.want)
			}
		})
	}
}
