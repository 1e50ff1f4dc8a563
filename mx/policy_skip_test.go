package mx_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/mx/mtasts"
)

// Hosts that a policy forbids are not connected to; the next one is. The message
// comes back only if REQUIRETLS cannot be satisfied anywhere, for certain.
func TestForbiddenHosts(t *testing.T) {
	p := newPKI(t)
	const second = "\nexample.org MX 20 mx2.example.org\nmx2.example.org A 192.0.2.2\n"
	const unsigned = "\nexample.org MX 20 mx2.example.net\nmx2.example.net A 192.0.2.2\n"
	enforce2 := stsPolicy(mtasts.Enforce, "mx2.example.net", "mx2.example.org")
	for _, tt := range []struct {
		rfc        string
		name       string
		zone       string
		sts        mtasts.Result
		requireTLS bool
		want       string
		dialled    string
	}{
		{"7672 §2.1.2", "TLSA not known", noAnswer, mtasts.Result{}, false, "deferred host 451 4.4.3 ours", ""},
		{"7672 §2.1.2", "TLSA not known, and a second host", noAnswer + second, mtasts.Result{}, false, "relayed 250 2.0.0", "192.0.2.2:25"},
		{"7672 §2.1.2", "TLSA not known, and a second host that is not in the policy", noAnswer + second, stsPolicy(mtasts.Enforce, "mx.example.org"), false, "deferred policy 451 4.7.5 ours", ""},
		{"8461 §4.1", "not in the policy", mxOnly, enforce2, false, "deferred policy 451 4.7.5 ours", ""},
		{"8461 §4.1", "not in the policy, and a second host that is", mxOnly + second, enforce2, false, "relayed 250 2.0.0", "192.0.2.2:25"},
		{"8689 §4.2.1", "REQUIRETLS", mxOnly, noSTS(mtasts.NoRecord), true, "failed policy 550 5.7.10 ours", ""},
		{"8689 §4.2.1", "REQUIRETLS, and a second host alike", mxOnly + second, noSTS(mtasts.NoRecord), true, "failed policy 550 5.7.10 ours", ""},
		{"8689 §4.2.1", "REQUIRETLS, and a second host in the policy", mxOnly + second, enforce2, true, "relayed 250 2.0.0", "192.0.2.2:25"},
		{"8689 §4.2.1", "REQUIRETLS, and the DNS does not know the second host for now", mxOnly + strings.Replace(second, "A 192.0.2.2", "SERVFAIL", 1), noSTS(mtasts.NoRecord), true, "deferred host 451 4.4.3 ours", ""},
		{"8689 §4.2.1", "REQUIRETLS, and nobody listens at the second host", mxOnly + strings.Replace(second, "192.0.2.2", "192.0.2.9", 1), enforce2, true, "deferred host 451 4.4.1 ours", "192.0.2.9:25"},
		{"8689 §4.2.1", "REQUIRETLS, the policy cannot be had for now", mxOnly, noSTS(mtasts.FetchFailed), true, "deferred policy 451 4.7.5 ours", ""},
		{"8689 §4.2.1", "REQUIRETLS, DNSSEC without DANE at the second host", signed + unsigned + "\n_25._tcp.mx.example.org SERVFAIL", mtasts.Result{}, true, "relayed 250 2.0.0", "192.0.2.2:25"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork(t)
			n.server("192.0.2.1", serverOfKind(p, "good"))
			kind := "wildcard"
			if strings.Contains(tt.zone, "example.net") {
				p.certs["mx2"], kind = p.named(t, "mx2.example.net"), "mx2"
			}
			n.server("192.0.2.2", serverOfKind(p, kind))
			c := n.client(dnstest.MustParse(tt.zone))
			c.TLSConfig = &tls.Config{RootCAs: p.roots}
			c.Policies = &mx.Policies{MTASTS: sts{"example.org": tt.sts}}
			m := message(t, "to@example.org")
			m.Envelope.MailParams.RequireTLS = tt.requireTLS
			results, err := c.Deliver(t.Context(), "example.org", m)
			if got := sentence(results[0]); got != tt.want {
				t.Errorf("RFC %s: %s, want %s: %v", tt.rfc, got, tt.want, err)
			}
			if got := strings.Join(n.dialled(), ", "); got != tt.dialled {
				t.Errorf("RFC %s: dialled %q, want %q", tt.rfc, got, tt.dialled)
			}
		})
	}
}
