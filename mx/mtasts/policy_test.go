package mtasts_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/mx/mtasts"
)

const policyText = "version: STSv1\r\nmode: enforce\r\nmx: mx.example.org\r\nmx: *.example.net\r\nmax_age: 604800\r\n"

func TestParsePolicy(t *testing.T) {
	const week = 7 * 24 * time.Hour
	both := []string{"mx.example.org", "*.example.net"}
	one := []string{"mx.example.org"}
	enforce := func(age time.Duration, mx ...string) *mtasts.Policy {
		return &mtasts.Policy{Mode: mtasts.Enforce, MX: mx, MaxAge: age}
	}
	edit := func(old, new string) string { return strings.Replace(policyText, old, new, 1) }
	for _, tt := range []struct {
		section, text string
		want          *mtasts.Policy // nil: invalid
	}{
		{"§3.2 example", policyText, enforce(week, both...)},
		{"§3.2 LF", strings.ReplaceAll(policyText, "\r\n", "\n"), enforce(week, both...)},
		{"§3.2 no end of line at the end", strings.TrimSuffix(policyText, "\r\n"), enforce(week, both...)},
		{"§3.2 LF and CRLF", edit("\r\n", "\n"), enforce(week, both...)},
		{"§3.2 no blank", strings.ReplaceAll(policyText, ": ", ":"), enforce(week, both...)},
		{"§3.2 *WSP behind", strings.ReplaceAll(policyText, "\r\n", " \t\r\n"), enforce(week, both...)},
		{"§3.2 *WSP before the value", strings.ReplaceAll(policyText, ": ", ":\t  "), enforce(week, both...)},
		{"§3.2 any order", "max_age: 604800\nmx: mx.example.org\nmode: enforce\nversion: STSv1\n", enforce(week, one...)},
		{"§3.2 unknown keys", policyText + "x: y\r\na-b_c.d: gr\u00fc\u00dfe: = ;\r\n", enforce(week, both...)},
		{"§3.2 unknown key without a value", policyText + "x:\r\n", enforce(week, both...)},
		{"§3.2 the first mode counts", policyText + "mode: none\r\n", enforce(week, both...)},
		{"§3.2 the first max_age counts", policyText + "max_age: x\r\n", enforce(week, both...)},
		{"§3.2 the first version counts", policyText + "version: STSv2\r\n", enforce(week, both...)},
		{"§3.2 empty lines", "\r\n" + edit("\r\n", "\r\n\n \r\n") + "\r\n", enforce(week, both...)},
		{"§3.2 testing", edit("enforce", "testing"), &mtasts.Policy{Mode: mtasts.Testing, MX: both, MaxAge: week}},
		{"§3.2 none", edit("enforce", "none"), &mtasts.Policy{Mode: mtasts.None, MX: both, MaxAge: week}},
		{"§3.2 none needs no mx", "version: STSv1\nmode: none\nmax_age: 604800", &mtasts.Policy{Mode: mtasts.None, MaxAge: week}},
		{"§3.2 max_age 0", edit("604800", "0"), enforce(0, both...)},
		{"§3.2 the largest", edit("604800", "31557600"), enforce(31_557_600*time.Second, both...)},
		{"§3.2 larger", edit("604800", "31557601"), enforce(31_557_600*time.Second, both...)},
		{"§3.2 ten digits", edit("604800", "9999999999"), enforce(31_557_600*time.Second, both...)},
		{"§3.2 zeros before", edit("604800", "0000604800"), enforce(week, both...)},
		{"§3.2 mx in capitals", edit("mx.example.org", "MX.Example.ORG"), enforce(week, both...)},
		{"§3.2 mx with a final dot", edit("mx.example.org", "mx.example.org."), enforce(week, both...)},
		{"§3.2 mx that is one label", edit("mx.example.org", "localhost"), enforce(week, "localhost", "*.example.net")},
		{"§3.3 64 KiB", policyText + "x: " + strings.Repeat("y", 64<<10-len(policyText)-3), enforce(week, both...)},

		{"§3.3 over 64 KiB", policyText + "x: " + strings.Repeat("y", 64<<10-len(policyText)-2), nil},
		{"§3.2 empty", "", nil},
		{"§3.2 no version", edit("version: STSv1\r\n", ""), nil},
		{"§3.2 another version", edit("STSv1", "STSv2"), nil},
		{"§3.2 %s\"STSv1\"", edit("STSv1", "stsv1"), nil},
		{"§3.2 no mode", edit("mode: enforce\r\n", ""), nil},
		{"§3.2 %s\"enforce\"", edit("enforce", "Enforce"), nil},
		{"§3.2 another mode", edit("enforce", "report"), nil},
		{"§3.2 the first mode counts", edit("mode: enforce", "mode: x\r\nmode: enforce"), nil},
		{"§3.2 %s\"mode\"", edit("mode", "Mode"), nil},
		{"§3.2 no mx", edit("mx: mx.example.org\r\nmx: *.example.net\r\n", ""), nil},
		{"§3.2 no max_age", edit("max_age: 604800\r\n", ""), nil},
		{"§3.2 eleven digits", edit("604800", "00000604800"), nil},
		{"§3.2 negative", edit("604800", "-1"), nil},
		{"§3.2 a sign", edit("604800", "+604800"), nil},
		{"§3.2 a fraction", edit("604800", "604800.5"), nil},
		{"§3.2 a unit", edit("604800", "7d"), nil},
		{"§3.2 digits with underscores", edit("604800", "604_800"), nil},
		{"§3.2 hexadecimal", edit("604800", "0x10"), nil},
		{"§3.2 no value", edit("604800", ""), nil},
		{"§3.2 a line without a colon", policyText + "hello\r\n", nil},
		{"§3.2 a comment", "# my policy\r\n" + policyText, nil},
		{"§3.2 a blank before the key", edit("mode", " mode"), nil},
		{"§3.2 a blank before the colon", edit("mode:", "mode :"), nil},
		{"§3.2 no key", policyText + ": x\r\n", nil},
		{"§3.2 a long key", policyText + strings.Repeat("x", 33) + ": y\r\n", nil},
		{"§3.2 CR alone", strings.ReplaceAll(policyText, "\r\n", "\r"), nil},
		{"§3.2 NUL", policyText + "x: \x00\r\n", nil},
		{"§3.2 not UTF-8", policyText + "x: \xff\r\n", nil},
		{"§3.2 a byte order mark", "\ufeff" + policyText, nil},
		{"§3.2 a page", "<!DOCTYPE html>\r\n<p>hello: world</p>\r\n", nil},
		{"§4.1 * within", edit("*.example.net", "mx*.example.net"), nil},
		{"§4.1 * further right", edit("*.example.net", "mx.*.net"), nil},
		{"§4.1 two *", edit("*.example.net", "*.*.net"), nil},
		{"§4.1 only *", edit("*.example.net", "*"), nil},
		{"§4.1 only *.", edit("*.example.net", "*."), nil},
		{"§4.1 a suffix, as in drafts", edit("*.example.net", ".example.net"), nil},
		{"§3.2 two final dots", edit("mx.example.org", "mx.example.org.."), nil},
		{"§3.2 an empty mx", edit("mx.example.org", ""), nil},
		{"§3.2 U-labels", edit("mx.example.org", "b\u00fccher.example"), nil},
		{"§3.2 two names in a line", edit("mx.example.org", "mx1.example.org, mx2.example.org"), nil},
		{"§3.2 an address", edit("mx.example.org", "[192.0.2.1]"), nil},
	} {
		got, err := mtasts.ParsePolicy(tt.text)
		if (err != nil) != (tt.want == nil) {
			t.Errorf("%s: %.80q: %+v, %v", tt.section, tt.text, got, err)
			continue
		}
		if err != nil {
			continue
		}
		if got.Mode != tt.want.Mode || got.MaxAge != tt.want.MaxAge || !slices.Equal(got.MX, tt.want.MX) {
			t.Errorf("%s: %.80q: %+v, want %+v", tt.section, tt.text, got, tt.want)
		}
	}
}

func TestPolicyString(t *testing.T) {
	p, err := mtasts.ParsePolicy(policyText)
	if err != nil || p.String() != policyText {
		t.Errorf("%q, %v", p, err)
	}
	want := []string{"version: STSv1", "mode: enforce", "mx: mx.example.org", "mx: *.example.net", "max_age: 604800"}
	if !slices.Equal(p.Lines(), want) {
		t.Errorf("%q", p.Lines())
	}
}

func TestMatches(t *testing.T) {
	p := &mtasts.Policy{Mode: mtasts.Enforce, MX: []string{"mx.example.org", "*.example.net", "*.xn--bcher-kva.example"}}
	for _, tt := range []struct {
		section, host string
		want          bool
	}{
		{"§4.1", "mx.example.org", true},
		{"§4.1 case", "MX.Example.Org", true},
		{"§4.1 absolute", "mx.example.org.", true},
		{"§4.1 wildcard", "mail.example.net", true},
		{"§4.1 wildcard", "mail.example.net.", true},
		{"§4.1 A-labels", "mx.xn--bcher-kva.example", true},
		{"§4.1 not the name itself", "example.net", false},
		{"§4.1 only one label", "a.mail.example.net", false},
		{"§4.1 no empty label", ".example.net", false},
		{"§4.1 no part of a label", "mailexample.net", false},
		{"§4.1 another", "example.org", false},
		{"§4.1 another", "a.mx.example.org", false},
		{"§4.1 another", "mx.example.organic", false},
		{"§4.1 the pattern itself is no host", "", false},
		{"§4.1 an address", "192.0.2.1", false},
		{"§4.1 the root", ".", false},
	} {
		if got := p.Matches(tt.host); got != tt.want {
			t.Errorf("%s: %q: %t", tt.section, tt.host, got)
		}
	}
	if (&mtasts.Policy{Mode: mtasts.None}).Matches("mx.example.org") {
		t.Error("a policy without mx matches")
	}
}
