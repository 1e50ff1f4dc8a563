package spf_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/spf"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/smtp"
)

// client is who sends in these tests, if nothing else is said.
const client = "192.0.2.3"

// A check is a verification of a message from someone@example.org against a
// zone.
type check struct {
	spf.Verifier
	spf.Request
	zone *dnstest.Zone
}

// in returns a check in a zone. Lines are as in a zone's text, but v=spf1 and
// what follows is quoted and given its type.
func in(t testing.TB, lines ...string) *check {
	t.Helper()
	zone := new(dnstest.Zone)
	for _, line := range lines {
		if name, record, ok := strings.Cut(line, " v=spf1"); ok {
			line = name + " TXT " + dnstest.Quote("v=spf1"+record)
		}
		if err := zone.Add(line); err != nil {
			t.Fatal(err)
		}
	}
	return &check{
		Verifier: spf.Verifier{Resolver: zone, Explain: true},
		Request:  spf.Request{IP: netip.MustParseAddr(client), Hello: "mx.example.org", From: from("someone", "example.org")},
		zone:     zone,
	}
}

func from(local, domain string) smtp.ReversePath {
	return smtp.ReversePath{Mailbox: smtp.Mailbox{Local: local, Domain: domain}}
}

// gives checks the verdict and returns the result.
func (c *check) gives(t *testing.T, want authres.Verdict) spf.Result {
	t.Helper()
	r := c.Verify(t.Context(), c.Request)
	if r.Verdict != want {
		t.Errorf("%s, want %s: %+v\nqueries: %v", r.Verdict, want, r, c.zone.Queries())
	}
	failed := r.Verdict == authres.None || r.Verdict == authres.TempError || r.Verdict == authres.PermError
	if failed != (r.Problem != "") || failed != (r.Mechanism == "") {
		t.Errorf("%s with the problem %q and the mechanism %q", r.Verdict, r.Problem, r.Mechanism)
	}
	if r.Err != nil && !failed {
		t.Errorf("%s with the error %v", r.Verdict, r.Err)
	}
	return r
}

// asked checks the queries, "name TYPE" each.
func (c *check) asked(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, q := range c.zone.Queries() {
		got = append(got, q.String())
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("asked:\n%s\nwant:\n%s", g, w)
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// zoneWith returns the check's zone with another text at name.
func zoneWith(c *check, name, text string) dns.Resolver {
	return resolverFunc(func(ctx context.Context, asked string, typ dns.Type) (dns.Answer, error) {
		if asked == name && typ == dns.TXT {
			return dns.Answer{TXT: []string{text}}, nil
		}
		return c.zone.Resolve(ctx, asked, typ)
	})
}
