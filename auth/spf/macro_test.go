package spf_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/auth/authres"
)

// The examples of RFC 7208 §7.4, and more, as they are looked up.
func TestMacrosInNames(t *testing.T) {
	const label63 = "a23456789012345678901234567890123456789012345678901234567890123"
	for _, tt := range []struct{ spec, want string }{
		{"%{o}", "email.example.com"},
		{"%{d}", "email.example.com"},
		{"%{d4}", "email.example.com"},
		{"%{d3}", "email.example.com"},
		{"%{d2}", "example.com"},
		{"%{d1}", "com"},
		{"%{dr}", "com.example.email"},
		{"%{d2r}", "example.email"},
		{"%{l}.x.example", "strong-bad.x.example"},
		{"%{l-}.x.example", "strong.bad.x.example"},
		{"%{lr}.x.example", "strong-bad.x.example"},
		{"%{lr-}.x.example", "bad.strong.x.example"},
		{"%{l1r-}.x.example", "strong.x.example"},
		{"%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"},
		{"%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"},
		{"%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"},
		{"%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"},
		{"%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"},
		{"%{i1}.%{i2r}.x.example", "3.0.192.x.example"},
		{"%{h}", "mx.email.example.com"},
		{"%{H2}", "example.com"},
		{"%{p}.x.example", "unknown.x.example"},
		{"%{d127}.%{d0001}", "email.example.com.com"},
		{"%{d18446744073709551617}.x.example", "email.example.com.x.example"}, // 1 if it overflowed
		{"%{dr.}.x.example", "com.example.email.x.example"},
		{"%{d-}.x.example", "email.example.com.x.example"},
		{"x.example.", "x.example"},
		{"a%%b%_c%-d:e/f.x.example", "a%b c%20d:e/f.x.example"},
		// 253 octets at most, and whole labels.
		{strings.Repeat(label63+".", 3) + label63[:53] + ".example", strings.Repeat(label63+".", 3) + label63[:53] + ".example"},
		{strings.Repeat(label63+".", 3) + label63[:54] + ".example", strings.Repeat(label63+".", 2) + label63[:54] + ".example"},
		{strings.Repeat("%{d}.", 500) + "example", "example.com." + strings.Repeat("email.example.com.", 13) + "example"},
		{label63 + "x." + strings.Repeat(label63+".", 3) + "example", strings.Repeat(label63+".", 3) + "example"},
		// What cannot be looked up matches nothing.
		{"%{s}.x.example", ""},
		{"%{S}.x.example", ""},
		{"a..x.example", ""},
		{".x.example", ""},
		{"%{h}.%{l4-}..x.example", ""},
		{label63 + "x.x.example", ""},
		{strings.Repeat("a", 300) + ".example", "example"},
		{"%{d}" + strings.Repeat("a", 300) + "%{v}", ""},
		{`a\046b.x.example`, ""},
		{`a"b.x.example`, ""},
		{"a(b).x.example", ""},
		{"a@b.x.example", ""},
		{"*.x.example", ""},
	} {
		c := in(t, "email.example.com v=spf1 exists:"+tt.spec+" ?all")
		c.From, c.Hello = from("strong-bad", "email.example.com"), "mx.email.example.com"
		c.gives(t, authres.Neutral)
		want := []string{"email.example.com TXT"}
		if strings.Contains(tt.spec, "%{p}") {
			want = append(want, "3.2.0.192.in-addr.arpa PTR")
		}
		if tt.want != "" {
			want = append(want, tt.want+" A")
		}
		c.asked(t, want...)
	}
}

func TestMacrosOfIPv6(t *testing.T) {
	c := in(t, "example.org v=spf1 exists:%{ir}.%{v}._spf.%{d2} exists:%{i}.x ?all")
	c.IP = addr("2001:db8::cb01%eth0")
	c.gives(t, authres.Neutral)
	c.asked(t, "example.org TXT",
		"1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.org A",
		"2.0.0.1.0.d.b.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.c.b.0.1.x A")
}

// An IPv4 address mapped into IPv6 is an IPv4 address (§5).
func TestMappedIPv4(t *testing.T) {
	c := in(t, "example.org v=spf1 -exists:%{i}.%{v}.no -ip6:::/0 -a//0 a ?all", "example.org A 192.0.2.3", "example.org AAAA ::1")
	c.IP = addr("::ffff:192.0.2.3")
	c.gives(t, authres.Fail)
	c.asked(t, "example.org TXT", "192.0.2.3.in-addr.no A", "example.org A")
}

// %{d} is whose policy it is, %{o} and the rest stay the sender's (§7.2).
func TestMacrosThroughIncludeAndRedirect(t *testing.T) {
	c := in(t, "example.org v=spf1 include:i.%{d} redirect=r.%{d}", "i.example.org v=spf1 exists:%{d}.%{o}.no",
		"r.example.org v=spf1 -all exp=e.%{d}", `e.r.example.org TXT "%{d} for %{o} and %{s}"`)
	if r := c.gives(t, authres.Fail); r.Explanation != "r.example.org for example.org and someone@example.org" {
		t.Errorf("explanation %q", r.Explanation)
	}
}

// The domain itself first, then what is below it, then any (§7.3).
func TestValidatedName(t *testing.T) {
	const reverse = "3.2.0.192.in-addr.arpa PTR "
	for _, tt := range []struct {
		names string
		want  string
	}{
		{"", "unknown"},
		{"other.example", "other.example"},
		{"other.example x.example.org", "x.example.org"},
		{"other.example x.example.org Example.ORG", "example.org"},
		{"notexample.org x.example.org", "x.example.org"},
		{"bad.example", "unknown"}, // not validated
		{"bad.example bad.example.org other.example", "other.example"},
		{"bad..example *.example -.example/ other.example", "other.example"},
	} {
		lines := []string{"example.org v=spf1 exists:%{p}.no -all"}
		for name := range strings.FieldsSeq(tt.names) {
			lines = append(lines, reverse+name)
			if !strings.HasPrefix(name, "bad") {
				lines = append(lines, name+" A 192.0.2.3")
			}
		}
		c := in(t, lines...)
		c.gives(t, authres.Fail)
		if q := c.zone.Queries(); q[len(q)-1].Name != tt.want+".no" {
			t.Errorf("%s: %v, want %s", tt.names, q, tt.want)
		}
		for _, q := range c.zone.Queries() {
			if strings.ContainsAny(q.Name, "*/") || strings.Contains(q.Name, "..") {
				t.Errorf("asked for %s", q)
			}
		}
	}
}

func explained(t *testing.T, text string, change func(*check)) string {
	t.Helper()
	c := in(t, "example.org v=spf1 -all exp=e.%{d}", `e.example.org TXT "x"`)
	c.Hostname = "mx.example.com"
	c.Resolver = zoneWith(c, "e.example.org", text)
	if change != nil {
		change(c)
	}
	return c.gives(t, authres.Fail).Explanation
}

func TestExplanations(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"plain  text.", "plain  text."},
		{"%{c} %{r} %{i} %{v} %{h}", "192.0.2.3 mx.example.com 192.0.2.3 in-addr mx.example.org"},
		{"100%% %_x%-", "100%  x%20"},
		{"http://%{d}/?s=%{S}&i=%{I}", "http://example.org/?s=someone%40example.org&i=192.0.2.3"},
		{" %{L} ", "someone"},
		{"", ""},
		{"%", ""}, {"%{x}", ""}, {"%{s", ""}, {"100% sure", ""}, {"%{s0}", ""}, // syntax errors (§6.2)
		{"b\xc3\xa4d", ""}, {"a\tb", ""}, {"a\r\n250 ok", ""}, {"a\x00", ""}, {"a\x7f", ""}, // §6.2: US-ASCII
	} {
		if got := explained(t, tt.text, nil); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestExplanationTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if got, want := explained(t, "%{t}", nil), strconv.FormatInt(time.Now().Unix(), 10); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

func TestExplanationHostname(t *testing.T) {
	if got := explained(t, "%{r}", func(c *check) { c.Hostname = "" }); got != "unknown" {
		t.Errorf("%q", got)
	}
}

// An explanation that is not asked for is not fetched, nor one for another
// verdict or from an include.
func TestExplanationNotAsked(t *testing.T) {
	c := in(t, "example.org v=spf1 -all exp=e.example", `e.example TXT "text"`)
	c.Explain = false
	if r := c.gives(t, authres.Fail); r.Explanation != "" {
		t.Errorf("%q", r.Explanation)
	}
	c.asked(t, "example.org TXT")
	for qualifier, verdict := range map[string]authres.Verdict{"~": authres.SoftFail, "?": authres.Neutral, "+": authres.Pass} {
		c = in(t, "example.org v=spf1 "+qualifier+"all exp=e.example", `e.example TXT "text"`)
		if r := c.gives(t, verdict); r.Explanation != "" {
			t.Errorf("%s: %q", verdict, r.Explanation)
		}
		c.asked(t, "example.org TXT")
	}
	c = in(t, "example.org v=spf1 include:i.example -all", "i.example v=spf1 -all exp=e.example", `e.example TXT "text"`)
	if r := c.gives(t, authres.Fail); r.Explanation != "" {
		t.Errorf("include: %q", r.Explanation)
	}
	c = in(t, "example.org v=spf1 redirect=i.example exp=e.example", "i.example v=spf1 -all", `e.example TXT "text"`)
	if r := c.gives(t, authres.Fail); r.Explanation != "" {
		t.Errorf("redirect: %q", r.Explanation)
	}
}

// Whatever macros bring, an explanation is one line of printable ASCII.
func TestExplanationInjection(t *testing.T) {
	evil := "x\r\n250 2.0.0 OK\r\n\x00\x1b[31m\u202e\xff\x80é\x7f\""
	for _, letters := range []string{"%{l}", "%{s}", "%{h}", "%{lr}", "%{s-}", "%{h2}", "%{L}", "%{S}", "%{H}"} {
		got := explained(t, "> "+letters+" <", func(c *check) {
			c.From, c.Hello = from(evil, "example.org"), evil
		})
		if got == "" || strings.ContainsFunc(got, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Errorf("%s: %q", letters, got)
		}
		if strings.ToUpper(letters) == letters && strings.ContainsAny(got, "\"[\\?") {
			t.Errorf("%s: not escaped: %q", letters, got)
		}
	}
}

func TestExplanationLength(t *testing.T) {
	for _, limit := range []int{0, 100} {
		want := limit
		if limit == 0 {
			want = 400
		}
		for _, text := range []string{strings.Repeat("x", 5000), strings.Repeat("%{s}", 1000), strings.Repeat("%%", 1000), strings.Repeat("x", want) + "%{s}"} {
			got := explained(t, text, func(c *check) { c.MaxExplanation = limit })
			if len(got) != want {
				t.Errorf("%d octets, want %d", len(got), want)
			}
		}
	}
}

// Parts without an octet are parts.
func TestEmptyParts(t *testing.T) {
	for _, tt := range []struct{ hello, spec, want string }{
		{".b.", "%{h2}", "b"}, // "b." is absolute
		{"..b", "%{h2}.x", ""},
		{"..b", "%{h3r}.x", ""},
		{"..b", "%{h1}.x", "b.x"},
		{"-b", "%{h-}.x", ""},
		{"a--b", "%{h-}.x", ""},
		{"a.example..", "%{h}", ""},
		{"a.example.", "%{h}", "a.example"},
		{strings.Repeat("b.", 128), "%{h1r}.x", "unknown.x"}, // too long for a name
	} {
		c := in(t, "example.org v=spf1 exists:"+tt.spec+" ?all")
		c.Hello = tt.hello
		c.gives(t, authres.Neutral)
		want := []string{"example.org TXT"}
		if tt.want != "" {
			want = append(want, tt.want+" A")
		}
		c.asked(t, want...)
	}
}

// The words of a client never become part of another name than they look like.
func TestClientsWordsInNames(t *testing.T) {
	for _, word := range []string{
		"a/b", "a:b", "a%b", "a b", "a@b", "a\x00b", "a\r\nb", `a\.b`, `a\046b`, "é", "a..b", ".", "", "[192.0.2.3]", "a*", strings.Repeat("a", 64),
	} {
		for _, spec := range []string{"%{h}.x", "%{l}.x", "%{H}.x", "%{L}.x", "%{s}.x", "%{h1}.x"} {
			if strings.HasSuffix(word, ".b") && spec == "%{h1}.x" {
				continue // it is the word b
			}
			c := in(t, fmt.Sprintf("example.org v=spf1 exists:%s a:%s mx:%s ptr:%s exists:a.%%{d}.%s -all exp=%s", spec, spec, spec, spec, spec, spec))
			c.From, c.Hello = from(word, "example.org"), word
			if word == "" {
				c.From = from("a/b", "example.org")
			}
			c.gives(t, authres.Fail)
			for _, q := range c.zone.Queries() {
				if q.Name != "example.org" && q.Name != "3.2.0.192.in-addr.arpa" {
					t.Errorf("%q in %s: asked for %s", word, spec, q)
				}
			}
		}
	}
}
