//go:build interop

package interop

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dkim"
	"github.com/postrider/postrider/auth/dmarc"
	"github.com/postrider/postrider/auth/spf"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/smtp"
)

// A validating resolver says of signed zones that they are, and of forged ones
// that they are not: unbound, asked by dns.Stub, in front of nsd. SPF, DKIM and
// DMARC take what is forged for a failure of the DNS, which may be over later
// (RFC 7208 §2.6.6, RFC 6376 §6.1.2).
func TestDNSSEC(t *testing.T) {
	rsa, _ := newSigningKeys(t)
	record := dkim.MasterFile("KEY", rsa.record(t))
	record = "rsa._domainkey" + strings.TrimPrefix(record, "KEY.")
	records := "@ IN TXT \"v=spf1 ip4:192.0.2.0/24 -all\"\n" +
		"_dmarc IN TXT \"v=DMARC1; p=reject\"\n" +
		"@ IN A 192.0.2.25\n" +
		"www IN CNAME @\n" +
		"big IN TXT" + strings.Repeat(` "`+strings.Repeat("x", 250)+`"`, 8) + "\n" +
		record
	zones := []signedZone{
		{"secure.example", records, ""},
		{"unsigned.example", records, unsigned},
		{"changed.example", records, changed},
		{"expired.example", records, expired},
		{"other-key.example", records, otherKey},
	}
	stub := startDNS(t, zones)
	for _, z := range zones {
		t.Run(z.name, func(t *testing.T) {
			broken := z.keep == expired || z.keep == otherKey // all of the zone
			for _, l := range []struct {
				name    string
				typ     dns.Type
				changed bool // in the zone that has changed
				check   func(dns.Answer) bool
			}{
				{z.name, dns.TXT, true, func(a dns.Answer) bool { return len(a.TXT) == 1 && strings.HasPrefix(a.TXT[0], "v=spf1 ") }},
				{z.name, dns.A, true, func(a dns.Answer) bool { return len(a.Addrs) == 1 }},
				{"www." + z.name, dns.A, true, func(a dns.Answer) bool { return len(a.Addrs) == 1 && len(a.Chain) == 1 }},
				{"big." + z.name, dns.TXT, false, func(a dns.Answer) bool { return len(a.TXT) == 1 && len(a.TXT[0]) == 2000 }}, // by TCP
				{z.name, dns.MX, false, func(a dns.Answer) bool { return a.Empty() && !a.NXDomain }},
				{"nothing." + z.name, dns.TXT, false, func(a dns.Answer) bool { return a.Empty() && a.NXDomain }},
			} {
				answer, err := stub.Resolve(t.Context(), l.name, l.typ)
				if broken || l.changed && z.keep == changed {
					if failed, ok := errors.AsType[*dns.Error](err); !ok || !failed.Bogus {
						t.Errorf("%s %v: %+v, %v; want bogus", l.name, l.typ, answer, err)
					}
				} else if err != nil || !l.check(answer) || answer.Secure != (z.keep != unsigned) {
					t.Errorf("%s %v: %+v, %v", l.name, l.typ, answer, err)
				}
			}

			author := "ann@" + z.name
			from, err := smtp.ParseReversePath("<" + author + ">")
			if err != nil {
				t.Fatal(err)
			}
			want := authres.Pass
			if broken || z.keep == changed {
				want = authres.TempError
			}
			host := spf.Request{IP: netip.MustParseAddr("192.0.2.1"), Hello: z.name, From: from}
			sender := (&spf.Verifier{Resolver: stub}).Verify(t.Context(), host)
			if sender.Verdict != want {
				t.Errorf("SPF: %+v, want %s", sender, want)
			}
			message := fmt.Sprintf("From: %s\r\n\r\nx\r\n", author)
			fields, err := dkim.Signatures(strings.NewReader(message), &dkim.Signer{Domain: z.name, Selector: rsa.selector, Key: rsa})
			if err != nil {
				t.Fatal(err)
			}
			signature, err := (&dkim.Verifier{Resolver: stub}).Verify(t.Context(), strings.NewReader(string(fields)+message))
			if err != nil || len(signature) != 1 || signature[0].Verdict != want {
				t.Fatalf("DKIM: %+v, %v; want %s", signature, err, want)
			}
			policy := (&dmarc.Verifier{Resolver: stub}).Verify(t.Context(), dmarc.Request{
				From: []string{author},
				SPF:  dmarc.Identifier{Verdict: sender.Verdict, Domain: z.name},
				DKIM: []dmarc.Identifier{{Verdict: signature[0].Verdict, Domain: z.name}},
			})
			if policy.Verdict != want {
				t.Errorf("DMARC: %+v, want %s", policy, want)
			}
		})
	}
}
