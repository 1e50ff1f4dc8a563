package spf_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/spf"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/smtp"
)

// answers is a resolver that costs nearly nothing.
type answers map[string]dns.Answer

func (a answers) Resolve(_ context.Context, name string, t dns.Type) (dns.Answer, error) {
	return a[name], nil
}

var benchResolver = answers{
	"example.org":        {TXT: []string{"google-site-verification=0123456789", "v=spf1 include:_spf.example.org include:mail.example.net ip4:192.0.2.0/24 ip6:2001:db8::/32 -all"}},
	"_spf.example.org":   {TXT: []string{"v=spf1 ip4:198.51.100.0/25 ip4:198.51.100.128/26 ip4:198.51.100.192/27 ~all"}},
	"mail.example.net":   {TXT: []string{"v=spf1 ip4:203.0.113.0/28 ip4:203.0.113.64/28 ip6:2001:db8:1::/48 ~all"}},
	"macro.example.org":  {TXT: []string{"v=spf1 exists:%{ir}.%{v}.%{l1r-}._spf.%{d2} -all"}},
	"reject.example.org": {TXT: []string{"v=spf1 -all"}},
}

func BenchmarkVerify(b *testing.B) {
	for _, bb := range []struct {
		name, domain string
		ip           string
		want         authres.Verdict
	}{
		{"three records, pass", "example.org", "203.0.113.70", authres.Pass},
		{"three records, fail", "example.org", "203.0.113.90", authres.Fail},
		{"one record", "reject.example.org", "203.0.113.70", authres.Fail},
		{"macros", "macro.example.org", "2001:db8::1", authres.Fail},
		{"no record", "example.com", "203.0.113.70", authres.None},
	} {
		b.Run(bb.name, func(b *testing.B) {
			v := &spf.Verifier{Resolver: benchResolver}
			req := spf.Request{
				IP:    netip.MustParseAddr(bb.ip),
				Hello: "mx.example.org",
				From:  smtp.ReversePath{Mailbox: smtp.Mailbox{Local: "some-one", Domain: bb.domain}},
			}
			b.ReportAllocs()
			for b.Loop() {
				if r := v.Verify(b.Context(), req); r.Verdict != bb.want {
					b.Fatalf("%+v", r)
				}
			}
		})
	}
}

func BenchmarkParseRecord(b *testing.B) {
	text := benchResolver["example.org"].TXT[1]
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := spf.ParseRecord(text); err != nil {
			b.Fatal(err)
		}
	}
}
