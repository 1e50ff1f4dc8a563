package spf_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/spf"
	"github.com/postrider/postrider/smtp"
)

// Identities without a domain that could have a policy: none, and nobody is
// asked (§4.3).
func TestNoDomain(t *testing.T) {
	label := strings.Repeat("a", 63)
	for _, domain := range []string{
		"", ".", "localhost", "localhost.", "com", "[192.0.2.3]", "[IPv6:::1]", "[", "192.0.2.3", "::1", "a..example", ".a.example", "a.example..",
		label + "a.example", strings.Repeat(label+".", 3) + label, "a b.example", "a/b.example", "a:b.example", "a%b.example", "a\x00b.example", "a\r\nb.example",
		"*.example", "a@b.example", `a\.b.example`, "\xff.example", "xn--é.example", "a\u200db.example", strings.Repeat("é", 1000) + ".example",
	} {
		c := in(t, "*.example v=spf1 +all")
		c.Hello, c.From = domain, smtp.ReversePath{}
		r := c.gives(t, authres.None)
		if r.Domain != "" || r.Problem == "" {
			t.Errorf("%q: %+v", domain, r)
		}
		c.From = from("a", domain)
		c.gives(t, authres.None)
		c.asked(t)
	}
	for domain, problem := range map[string]string{
		"[192.0.2.3]": "address literal instead of a domain", "192.0.2.3": "address instead of a domain", "": "no domain", "mx": "not a fully qualified domain name",
	} {
		c := in(t)
		c.From = from("a", domain)
		if r := c.gives(t, authres.None); r.Problem != problem {
			t.Errorf("%s: %q, want %q", domain, r.Problem, problem)
		}
	}
	c := in(t, "example.org v=spf1 +all")
	c.From = from(strings.Repeat("a", 256), "example.org")
	c.gives(t, authres.None)
	c.Request = spf.Request{From: from("a", "example.org")} // no address
	c.gives(t, authres.None)
	c.asked(t)
}

func TestIdentities(t *testing.T) {
	lines := []string{"example.org v=spf1 -all exp=e.example", "mx.example.org v=spf1 a -all exp=e.example", "mx.example.org A 192.0.2.3", `e.example TXT "%{s} %{l} %{o} %{h}"`}
	for _, tt := range []struct {
		name        string
		from        smtp.ReversePath
		hello, ip   string
		helloOnly   bool
		want        authres.Verdict
		identity    spf.Identity
		domain      string
		sender      string
		explanation string
		property    string
	}{
		{"MAIL FROM", from("a", "example.org"), "mx.example.org", client, false, authres.Fail, spf.MailFrom, "example.org", "a@example.org", "a@example.org a example.org mx.example.org", "smtp.mailfrom=a@example.org"},
		{"case and final dot stay apart", from("A", "Example.ORG"), "MX", client, false, authres.Fail, spf.MailFrom, "Example.ORG", "A@Example.ORG", "A@Example.ORG A Example.ORG MX", "smtp.mailfrom=A@Example.ORG"},
		{"no local-part", from("", "example.org"), "x", client, false, authres.Fail, spf.MailFrom, "example.org", "postmaster@example.org", "postmaster@example.org postmaster example.org x", "smtp.mailfrom=postmaster@example.org"},
		{"null reverse-path", smtp.ReversePath{}, "mx.example.org", client, false, authres.Pass, spf.Hello, "mx.example.org", "postmaster@mx.example.org", "", "smtp.helo=mx.example.org"},
		{"null reverse-path, fail", smtp.ReversePath{}, "mx.example.org.", "192.0.2.4", false, authres.Fail, spf.Hello, "mx.example.org", "postmaster@mx.example.org.", "postmaster@mx.example.org postmaster mx.example.org mx.example.org.", "smtp.helo=mx.example.org."},
		{"HELO", from("a", "example.org"), "mx.example.org", client, true, authres.Pass, spf.Hello, "mx.example.org", "postmaster@mx.example.org", "", "smtp.helo=mx.example.org"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := in(t, lines...)
			req := spf.Request{IP: addr(tt.ip), Hello: tt.hello, From: tt.from}
			r := c.Verify(t.Context(), req)
			if tt.helloOnly {
				r = c.VerifyHello(t.Context(), req)
			}
			a := r.AuthRes()
			p := a.Properties[0]
			got := fmt.Sprint(r.Verdict, r.Identity, r.Domain, r.Sender, r.Explanation, fmt.Sprintf(" %s.%s=%s", p.Type, p.Name, p.Value), a.Method, a.Verdict)
			want := fmt.Sprint(tt.want, tt.identity, tt.domain, tt.sender, tt.explanation, " "+tt.property, "spf", tt.want)
			if got != want || len(a.Properties) != 1 {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
		})
	}
}

// U-labels are looked up as A-labels, and a local-part that is not ASCII matches
// nothing where a policy asks for it (RFC 8616 §4).
func TestInternationalized(t *testing.T) {
	const domain = "xn--bcher-kva.example"
	c := in(t, domain+" v=spf1 exists:%{d}.no exists:%{o}.no -all exp=e.example", `e.example TXT "%{l} of %{o}, %{S}"`)
	c.From = from("jürgen", "Bücher.example")
	r := c.gives(t, authres.Fail)
	if want := "j??rgen of " + domain + ", j%C3%BCrgen%40" + domain; r.Explanation != want {
		t.Errorf("explanation %q, want %q", r.Explanation, want)
	}
	if r.Domain != domain {
		t.Errorf("domain %q", r.Domain)
	}
	c.asked(t, domain+" TXT", domain+".no A", domain+".no A", "e.example TXT")

	c = in(t, domain+" v=spf1 -all")
	c.Hello, c.From = "bücher.example", smtp.ReversePath{}
	c.gives(t, authres.Fail)

	for _, term := range []string{
		"-include:%{l}.example", "-include:%{s}.x.example", "-a:%{l}.example", "-mx:%{L}.example", "-ptr:%{l}.example", "-exists:%{lr}.example",
		"-exists:%{s1}.example", "-exists:x.%{d}.%{l}.example",
		"-exists:%{l}." + strings.Repeat("a.", 130) + "example", // truncated
	} {
		c := in(t, "example.org v=spf1 "+term+" ?all", "*.example v=spf1 +all", "*.example A 192.0.2.3")
		c.From = from("jürgen.x", "example.org")
		c.gives(t, authres.Neutral)
		c.asked(t, "example.org TXT")
	}
	c = in(t, "example.org v=spf1 redirect=%{l}.example", "*.example v=spf1 +all")
	c.From = from("é", "example.org")
	c.gives(t, authres.PermError) // §6.1
}

// Hosts that the DNS names and that cannot be looked up.
func TestNamesInAnswers(t *testing.T) {
	c := in(t, "example.org v=spf1 mx ptr ?all", `example.org MX 1 "a@b.example"`, `example.org MX 2 "a..b.example"`, `example.org MX 3 "a\\.example"`,
		`example.org MX 4 "\228.example"`, "example.org MX 5 "+strings.Repeat("a", 64)+".example", "example.org MX 6 .", "example.org MX 7 mx.example",
		`3.2.0.192.in-addr.arpa PTR "a/b.example.org"`, "3.2.0.192.in-addr.arpa PTR a..example.org", "3.2.0.192.in-addr.arpa PTR example.org..")
	c.gives(t, authres.Neutral)
	c.asked(t, "example.org TXT", "example.org MX", "mx.example A", "3.2.0.192.in-addr.arpa PTR")
}

// Domains of include and redirect that can have no policy (§5.2, §6.1).
func TestTargetsWithoutPolicy(t *testing.T) {
	for _, target := range []string{"%{h}", "%{h}.example", "a..example", "%{v}", "no.example", strings.Repeat("a", 64) + ".example", "com.%{h}", "texts.example"} {
		for _, term := range []string{"include:" + target + " +all", "redirect=" + target} {
			c := in(t, "example.org v=spf1 "+term, "in-addr v=spf1 +all", `texts.example TXT "v=spf10 +all"`, `texts.example TXT "text"`)
			c.Hello = "[192.0.2.3]"
			c.gives(t, authres.PermError)
			for _, q := range c.zone.Queries() {
				if strings.Contains(q.Name, "[") || !strings.Contains(q.Name, ".") {
					t.Errorf("%s: asked for %s", term, q)
				}
			}
		}
	}
}

func TestRecordSelection(t *testing.T) {
	for _, tt := range []struct {
		texts []string
		want  authres.Verdict
	}{
		{nil, authres.None},
		{[]string{`"v=spf1 +all"`}, authres.Pass},
		{[]string{`"v=spf1 " "+a" "ll"`}, authres.Pass},
		{[]string{`"text"`, `"V=SPF1 +all"`, `""`, `"v=spf1x"`, `"v=spf1.0 -all"`, `"\195\164"`}, authres.Pass},
		{[]string{`"v=spf1 +all"`, `"v=spf1"`}, authres.PermError},
		{[]string{`"v=spf1 +all"`, `"v=spf1 +all"`}, authres.PermError},
		{[]string{`"v=spf1"`}, authres.Neutral},
		{[]string{`"v=spf1 +all moo"`}, authres.PermError},
		{[]string{`"spf2.0/mfrom +all"`}, authres.None},
	} {
		var lines []string
		for _, text := range tt.texts {
			lines = append(lines, "example.org TXT "+text)
		}
		in(t, lines...).gives(t, tt.want)
	}
	in(t, "example.org CNAME a.example", "a.example v=spf1 a:b.example -all", "b.example CNAME c.example", "c.example A 192.0.2.3").gives(t, authres.Pass)
}

func TestEvaluation(t *testing.T) {
	for _, tt := range []struct {
		record    string
		want      authres.Verdict
		mechanism string
	}{
		{"", authres.Neutral, "default"},
		{"-all", authres.Fail, "-all"},
		{"?all +all", authres.Neutral, "?all"},
		{"ip4:192.0.2.0/24", authres.Pass, "ip4:192.0.2.0/24"},
		{"ip4:192.0.2.128/25 ~ALL", authres.SoftFail, "~ALL"},
		{"ip4:192.0.2.255/24 -all", authres.Pass, "ip4:192.0.2.255/24"}, // host bits do not matter
		{"ip4:192.0.2.1/0 -all", authres.Pass, "ip4:192.0.2.1/0"},
		{"ip6:::/0 -all", authres.Fail, "-all"},
		{"a -all", authres.Fail, "-all"},
		{"a/31 -all", authres.Pass, "a/31"},
		{"a/31//0 -all", authres.Pass, "a/31//0"},
		{"a:nothing.example/0 -all", authres.Fail, "-all"},
		{"mx/31 -all", authres.Pass, "mx/31"},
		{"exists:example.org -all", authres.Pass, "exists:example.org"},
		{"ptr -all", authres.Pass, "ptr"},
		{"ptr:RG -all", authres.PermError, ""},
		{"ptr:mple.org -all", authres.Fail, "-all"},
		{"ptr:X.Example.org. -all", authres.Pass, "ptr:X.Example.org."},
		{"include:pass.example -all", authres.Pass, "include:pass.example"},
		{"-include:pass.example +all", authres.Fail, "-include:pass.example"},
		{"include:fail.example ?all", authres.Neutral, "?all"},
		{"include:softfail.example ?all", authres.Neutral, "?all"},
		{"include:neutral.example -all", authres.Fail, "-all"},
		{"include:bad.example +all", authres.PermError, ""},
		{"redirect=softfail.example", authres.SoftFail, "~all"},
		{"redirect=empty.example", authres.Neutral, "default"},
		{"redirect=pass.example ?all", authres.Neutral, "?all"},
		{"?all redirect=bad.example", authres.Neutral, "?all"},
		{"redirect=bad.example ip4:192.0.2.3", authres.Pass, "ip4:192.0.2.3"},
		{"redirect=pass.example ip4:192.0.2.4", authres.Pass, "+all"},
		{"redirect=bad.example", authres.PermError, ""},
		{"unknown=x -all", authres.Fail, "-all"},
	} {
		c := in(t, strings.TrimSpace("example.org v=spf1 "+tt.record), "example.org A 192.0.2.2", "example.org MX 1 example.org",
			"3.2.0.192.in-addr.arpa PTR x.example.org", "x.example.org A 192.0.2.3",
			"pass.example v=spf1 +all", "fail.example v=spf1 -all", "softfail.example v=spf1 ~all", "neutral.example v=spf1 ?all",
			"empty.example v=spf1", "bad.example v=spf1 moo")
		if r := c.gives(t, tt.want); r.Mechanism != tt.mechanism {
			t.Errorf("%s: mechanism %q, want %q", tt.record, r.Mechanism, tt.mechanism)
		}
	}
}

func TestProblems(t *testing.T) {
	for _, tt := range []struct{ record, problem string }{
		{"-all moo", `record of example.org: octet 12: term "moo": unknown mechanism`},
		{"a:\xe4.example", `record of example.org: octet 9: term "a:\xe4.example": octet that is not allowed`},
		{"include:x.example", `x.example has no SPF record`},
		{"redirect=%{h}", `redirect=%{h}: domain that cannot have a policy`},
		{"include:moo.example", `record of moo.example: octet 7: term "moo": unknown mechanism`},
		{"redirect=example.org", `more than 10 terms that cause lookups, at the record of example.org`},
		{"a:x.example a:y.example mx:z.example", `more than 2 terms for which the DNS has nothing, the last z.example`},
		{"include:two.example", `two.example has more than one SPF record`},
	} {
		c := in(t, "example.org v=spf1 "+tt.record, "moo.example v=spf1 moo", "two.example v=spf1", "two.example v=spf1 +all")
		c.Hello = "hello"
		if r := c.gives(t, authres.PermError); r.Problem != tt.problem {
			t.Errorf("problem %q, want %q", r.Problem, tt.problem)
		}
	}
}

func TestTrace(t *testing.T) {
	c := in(t, "example.org v=spf1 include:%{v}.example a:%{h} redirect=r.example", "in-addr.example v=spf1 -exists:no.%{d}", "r.example v=spf1 -all")
	c.Hello = "[192.0.2.3]"
	c.Trace = true
	r := c.gives(t, authres.Fail)
	want := []spf.Step{
		{Depth: 1, Domain: "in-addr.example", Term: "-exists:no.%{d}", Target: "no.in-addr.example"},
		{Domain: "example.org", Term: "include:%{v}.example", Target: "in-addr.example"},
		{Domain: "example.org", Term: "a:%{h}"},
		{Domain: "example.org", Term: "redirect=r.example", Target: "r.example"},
		{Domain: "r.example", Term: "-all", Match: true},
	}
	if fmt.Sprint(r.Trace) != fmt.Sprint(want) {
		t.Errorf("\n got %v\nwant %v", r.Trace, want)
	}
	c.Trace = false
	if r := c.gives(t, authres.Fail); r.Trace != nil {
		t.Errorf("a trace that nobody asked for: %v", r.Trace)
	}
}
