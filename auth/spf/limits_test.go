package spf_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/internal/costtest"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

// repeat returns format for the numbers from 1 to n, joined by spaces.
func repeat(format string, n int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf(format, i+1)
	}
	return strings.Join(words, " ")
}

func TestTermLimit(t *testing.T) {
	const hosts = "*.h.example A 198.51.100.1"
	tests := []struct {
		name  string
		lines []string
		want  authres.Verdict
		terms int
	}{
		{"at the limit", []string{"example.org v=spf1 " + repeat("a:h%d.h.example", 10) + " -all"}, authres.Fail, 10},
		{"over it", []string{"example.org v=spf1 " + repeat("a:h%d.h.example", 11) + " -all"}, authres.PermError, 10},
		{"ip4, ip6, all, exp and others are free", []string{
			"example.org v=spf1 " + repeat("a:h%d.h.example", 10) + " " + repeat("ip4:198.51.100.%d", 20) + repeat(" x%d=y", 20) + " exp=why.example.org -all",
			`why.example.org TXT "no"`}, authres.Fail, 10},
		{"every kind counts", []string{
			"example.org v=spf1 a mx ptr exists:no.example include:i.example a mx ptr exists:no.example redirect=r.example",
			"example.org A 198.51.100.1", "example.org MX 1 a.h.example", "3.2.0.192.in-addr.arpa PTR x.h.example",
			"i.example v=spf1 -all", "r.example v=spf1 -all"}, authres.Fail, 10},
		{"shared with an include", []string{
			"example.org v=spf1 a:h.h.example include:i.example a:h.h.example -all",
			"i.example v=spf1 " + repeat("a:h%d.h.example", 8)}, authres.PermError, 10},
		{"shared with a redirect", []string{
			"example.org v=spf1 a:h.h.example redirect=i.example",
			"i.example v=spf1 " + repeat("a:h%d.h.example", 9) + " -all"}, authres.PermError, 10},
		{"the redirect is one too many", []string{
			"example.org v=spf1 " + repeat("a:h%d.h.example", 10) + " redirect=i.example",
			"i.example v=spf1 +all"}, authres.PermError, 10},
		{"a match before the limit", []string{
			"example.org v=spf1 a:h.h.example ip4:192.0.2.3 " + repeat("a:h%d.h.example", 11) + " -all"}, authres.Pass, 1},
		{"redirect to itself", []string{"example.org v=spf1 redirect=example.org"}, authres.PermError, 10},
		{"include of itself", []string{"example.org v=spf1 include:example.org -all"}, authres.PermError, 10},
		{"include in a circle", []string{
			"example.org v=spf1 include:a.example -all", "a.example v=spf1 include:b.example", "b.example v=spf1 redirect=example.org"}, authres.PermError, 10},
		{"a tree", []string{
			"example.org v=spf1 include:a.example include:b.example -all",
			"a.example v=spf1 include:b.example include:b.example include:b.example -all",
			"b.example v=spf1 include:c.example include:c.example -all", "c.example v=spf1 -all"}, authres.PermError, 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := in(t, append(tt.lines, hosts)...)
			if r := c.gives(t, tt.want); r.Lookups != tt.terms {
				t.Errorf("%d terms, want %d", r.Lookups, tt.terms)
			}
			if n := len(c.zone.Queries()); n > 30 {
				t.Errorf("%d queries", n)
			}
		})
	}
}

func TestVoidLookups(t *testing.T) {
	const nodata = "nodata.example NS ns.example"
	tests := []struct {
		name  string
		lines []string
		limit int
		want  authres.Verdict
		voids int
	}{
		{"at the limit", []string{"example.org v=spf1 a:no.example exists:nodata.example ?all"}, 0, authres.Neutral, 2},
		{"over it", []string{"example.org v=spf1 a:no.example mx:no.example exists:nodata.example ?all"}, 0, authres.PermError, 3},
		{"shared with an include", []string{
			"example.org v=spf1 include:i.example a:no.example ?all", "i.example v=spf1 mx:no.example exists:no.example"}, 0, authres.PermError, 3},
		{"shared with a redirect", []string{
			"example.org v=spf1 a:no.example redirect=i.example", "i.example v=spf1 mx:no.example exists:no.example"}, 0, authres.PermError, 3},
		{"a limit of one's own", []string{"example.org v=spf1 a:no.example mx:no.example exists:no.example ?all"}, 3, authres.Neutral, 3},
		{"none at all", []string{"example.org v=spf1 a:no.example ?all"}, -1, authres.PermError, 1},
		{"mx counts once, though no host has an address", []string{
			"example.org v=spf1 mx a:no.example ?all", "example.org MX 1 x.no.example", "example.org MX 2 y.no.example", "example.org MX 3 z.no.example"}, 0, authres.Neutral, 2},
		{"mx that matches does not count", []string{
			"example.org v=spf1 mx a:no.example ?all", "example.org MX 1 x.no.example", "example.org MX 2 y.example", "y.example A 192.0.2.3"}, -1, authres.Pass, 0},
		{"the null MX is no void", []string{"example.org v=spf1 mx ?all", "example.org MX 0 ."}, -1, authres.Neutral, 0},
		{"a client without names", []string{"example.org v=spf1 ptr ptr ?all"}, 0, authres.Neutral, 2},
		{"names of the client that lead nowhere", []string{
			"example.org v=spf1 ptr ?all", "3.2.0.192.in-addr.arpa PTR a.example.org", "3.2.0.192.in-addr.arpa PTR b.example.org",
			"3.2.0.192.in-addr.arpa PTR c.example.org"}, 0, authres.Neutral, 0},
		{"names for a macro", []string{
			"example.org v=spf1 exists:%{p}.example exists:%{p}.example ?all", "unknown.example A 127.0.0.1"}, -1, authres.Pass, 0},
		{"an explanation", []string{"example.org v=spf1 -all exp=no.example"}, -1, authres.Fail, 0},
		{"names that cannot be looked up", []string{"example.org v=spf1 " + repeat("a:%%{h}..x%d.example", 9) + " ?all"}, -1, authres.Neutral, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := in(t, append(tt.lines, nodata)...)
			c.MaxVoidLookups = tt.limit
			r := c.gives(t, tt.want)
			if r.VoidLookups != tt.voids {
				t.Errorf("%d void lookups, want %d", r.VoidLookups, tt.voids)
			}
			if strings.Contains(r.Problem, "-1") {
				t.Errorf("problem %q", r.Problem)
			}
		})
	}
}

// An AAAA record that is not there is a void lookup too.
func TestVoidAAAA(t *testing.T) {
	c := in(t, "example.org v=spf1 a a a ?all", "example.org A 192.0.2.3")
	c.IP = addr("2001:db8::3")
	c.gives(t, authres.PermError)
}

func TestMXLimit(t *testing.T) {
	lines := []string{"example.org v=spf1 mx ?all"}
	for i := range 11 {
		// Those of low preference come last in the answer.
		lines = append(lines, fmt.Sprintf("example.org MX %d h%02d.example", 50-i, i), fmt.Sprintf("h%02d.example A 198.51.100.%d", i, i))
	}
	c := in(t, lines[:21]...)
	c.gives(t, authres.Neutral)
	if n := len(c.zone.Queries()); n != 12 {
		t.Errorf("%d queries, want 12", n)
	}
	c = in(t, lines...)
	c.gives(t, authres.PermError)
	if n := len(c.zone.Queries()); n != 12 {
		t.Errorf("%d queries, want 12", n)
	}
	c = in(t, lines...)
	c.IP = addr("198.51.100.10") // h10, the last in the answer and the most preferred
	c.gives(t, authres.Pass)
	c = in(t, lines...)
	c.IP = addr("198.51.100.0") // h00, the first in the answer and the least preferred
	c.gives(t, authres.PermError)
}

func TestPTRLimit(t *testing.T) {
	lines := []string{"example.org v=spf1 ptr ?all"}
	for i := range 11 {
		lines = append(lines, fmt.Sprintf("3.2.0.192.in-addr.arpa PTR h%02d.example.org", i), fmt.Sprintf("h%02d.example.org A 198.51.100.1", i))
	}
	c := in(t, append(lines, "h10.example.org A 192.0.2.3")...)
	c.gives(t, authres.Neutral)
	if n := len(c.zone.Queries()); n != 12 {
		t.Errorf("%d queries, want 12", n)
	}
	in(t, append(lines, "h09.example.org A 192.0.2.3")...).gives(t, authres.Pass)
}

// The names of a client are looked up once, however many terms ask for them.
func TestPTROnce(t *testing.T) {
	c := in(t, "example.org v=spf1 ptr ptr:a.example exists:%{p}.%{p}.x ptr ?all",
		"3.2.0.192.in-addr.arpa PTR a.example.org", "3.2.0.192.in-addr.arpa PTR b.example", "3.2.0.192.in-addr.arpa PTR c.example.org",
		"a.example.org A 198.51.100.1", "b.example A 198.51.100.1", "c.example.org TIMEOUT")
	c.gives(t, authres.Neutral)
	c.asked(t, "example.org TXT", "3.2.0.192.in-addr.arpa PTR", "a.example.org A", "c.example.org A", "b.example A", "unknown.unknown.x A")
}

func TestRecordSize(t *testing.T) {
	record := "v=spf1" + strings.Repeat(" ", 8192-len("v=spf1 ip4:192.0.2.3")) + " ip4:192.0.2.3"
	in(t, "example.org TXT "+dnstest.Quote(record)).gives(t, authres.Pass)
	in(t, "example.org TXT "+dnstest.Quote(record+" ")).gives(t, authres.PermError)
	c := in(t, "example.org TXT "+dnstest.Quote(record+" "))
	c.MaxRecord = 10000
	c.gives(t, authres.Pass)
	c = in(t, "example.org v=spf1 -all exp=e.example", "e.example TXT "+dnstest.Quote(strings.Repeat("x", 8193)))
	if r := c.gives(t, authres.Fail); r.Explanation != "" {
		t.Errorf("explanation of %d octets", len(r.Explanation))
	}
	// Texts beside the policy are nobody's business.
	in(t, "example.org v=spf1 +all", "example.org TXT "+dnstest.Quote(strings.Repeat("x", 60000))).gives(t, authres.Pass)
}

func TestTermsAreClipped(t *testing.T) {
	c := in(t, "example.org v=spf1 a:"+strings.Repeat("a.", 1000)+"example exists:%{i}"+strings.Repeat(".b", 1000)+" -all include:"+strings.Repeat("c.", 500)+"example")
	c.Trace = true
	r := c.gives(t, authres.Fail)
	for _, s := range r.Trace {
		if len(s.Term) > 255 || len(s.Target) > 253 {
			t.Errorf("step with %d and %d octets", len(s.Term), len(s.Target))
		}
	}
	c = in(t, "example.org v=spf1 +exists:"+strings.Repeat("a.", 2000)+"example", "*.example A 192.0.2.3")
	if r := c.gives(t, authres.Pass); len(r.Mechanism) > 255 {
		t.Errorf("mechanism of %d octets", len(r.Mechanism))
	}
	c = in(t, "example.org v=spf1 +include:"+strings.Repeat("a", 2000)+".example", "*.example A 192.0.2.3")
	if r := c.gives(t, authres.PermError); len(r.Problem) > 255 {
		t.Errorf("problem of %d octets", len(r.Problem))
	}
}

func TestTraceLimit(t *testing.T) {
	c := in(t, "example.org v=spf1 include:i.example include:i.example -all", "i.example v=spf1"+strings.Repeat(" ?ip4:192.0.2.4", 400))
	c.Trace = true
	if r := c.gives(t, authres.Fail); len(r.Trace) != 500 {
		t.Errorf("%d steps", len(r.Trace))
	}
}

// The most expensive policies that fit into the limits.
func TestExpensivePolicies(t *testing.T) {
	macros := strings.Repeat("%{S1r-+,/_=.}", 8000/len("%{S1r-+,/_=.}"))
	for name, term := range map[string]string{
		"macros":       "exists:" + macros,
		"long macros":  "exists:" + strings.Repeat("%{S}", 2000),
		"names":        "exists:" + strings.Repeat("%{p}", 2000),
		"many terms":   "exists:no.example " + strings.Repeat("?ip4:192.0.2.1 ", 500),
		"many unknown": "exists:no.example " + strings.Repeat("a=b ", 2000),
	} {
		t.Run(name, func(t *testing.T) {
			lines := []string{"example.org v=spf1 include:l1.example"}
			for i := 1; i < 5; i++ {
				lines = append(lines, fmt.Sprintf("l%d.example v=spf1 %s include:l%d.example", i, term, i+1))
			}
			lines = append(lines, "l5.example v=spf1 "+term, "unknown.example A 192.0.2.1")
			for i := range 10 {
				lines = append(lines, fmt.Sprintf("3.2.0.192.in-addr.arpa PTR %s%d.example", strings.Repeat("a.", 100), i))
			}
			c := in(t, lines...)
			c.MaxVoidLookups = 10
			c.From = from(strings.Repeat("a-", 126)+"!", "example.org")
			c.Hello = strings.Repeat("%", 255)
			costtest.AtMost(t, 500, name, func() {
				if r := c.Verify(t.Context(), c.Request); r.Lookups < 5 {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}
