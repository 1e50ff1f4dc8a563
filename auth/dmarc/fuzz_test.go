package dmarc_test

import (
	"context"
	"hash/fnv"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dmarc"
	"github.com/postrider/postrider/mx/dns"
)

// chaos answers from a few texts, which one depends on the name, and counts.
type chaos struct {
	texts []string
	asked map[string]int
}

func (c *chaos) Resolve(_ context.Context, name string, t dns.Type) (dns.Answer, error) {
	c.asked[name+" "+t.String()]++
	h := fnv.New32()
	h.Write([]byte(name))
	switch n := int(h.Sum32()) % (len(c.texts) + 2); n {
	case 0:
		return dns.Answer{NXDomain: true}, nil
	case 1:
		if strings.HasPrefix(c.texts[0], "!") {
			return dns.Answer{}, &dns.Error{Name: name, Type: t, Timeout: true}
		}
		return dns.Answer{}, nil
	default:
		return dns.Answer{TXT: c.texts[n-2:]}, nil
	}
}

// Whatever strangers send and publish, what is asked is bounded and well formed,
// and nobody passes without an aligned identifier.
func FuzzVerify(f *testing.F) {
	f.Add("a@example.com", "example.com", "mail.example.com", "v=DMARC1; p=reject", "v=DMARC1; psd=n; p=none; np=reject", false)
	f.Add("a@a.b.c.d.e.f.g.h.i.j", "x.c.d.e.f.g.h.i.j", "j", "!", "v=DMARC1; psd=y; p=reject; rua=mailto:a@example.net", false)
	f.Add("a@bücher.example.co.uk", "xn--bcher-kva.example.co.uk.", "..", "v=DMARC1; p=none; adkim=s", "v=spf1", true)
	f.Fuzz(func(t *testing.T, from, spf, dkim, one, two string, list bool) {
		zone := &chaos{[]string{one, two}, map[string]int{}}
		v := dmarc.Verifier{Resolver: zone, PublicSuffix: list}
		r := dmarc.Request{From: []string{from}, SPF: dmarc.Identifier{Verdict: authres.Pass, Domain: spf}}
		for _, sub := range []string{"", "a.", "b.a.", "c.d.e.f.g.h.i.j."} {
			r.DKIM = append(r.DKIM, dmarc.Identifier{Verdict: authres.Pass, Domain: sub + dkim}, dmarc.Identifier{Verdict: authres.TempError, Domain: sub + spf})
		}
		res := v.Verify(t.Context(), r)
		for q, n := range zone.asked {
			if name, _, _ := strings.Cut(q, " "); n > 1 || !dns.ValidName(name) {
				t.Errorf("%q was asked %d times", q, n)
			}
		}
		if n := len(zone.asked); n > 81 {
			t.Errorf("%d questions", n)
		}
		if pass := res.Verdict == authres.Pass; pass != (res.AlignedSPF || res.AlignedDKIM) || pass && res.Record == nil {
			t.Errorf("%+v", res)
		}
		if (res.Domain == "") == (res.FromProblem == "") || res.Disposition != dmarc.None && res.Verdict != authres.Fail {
			t.Errorf("%+v", res)
		}
		if strings.ContainsFunc(res.Problem, func(r rune) bool { return r < ' ' || r > '~' || r == '"' }) {
			t.Errorf("%q", res.Problem)
		}
		if res.Record != nil {
			v.Destinations(t.Context(), res.PolicyDomain, res.Record.RUA)
		}
	})
}
