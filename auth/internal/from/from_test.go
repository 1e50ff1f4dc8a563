package from

import (
	"net/mail"
	"strings"
	"testing"
	"unicode"
)

var cases = []struct {
	field string
	want  string // the domain, or else
	why   Problem
}{
	// As people write it.
	{"alice@example.org", "example.org", ""},
	{" Alice@EXAMPLE.Org\r\n", "example.org", ""},
	{"<alice@example.org>", "example.org", ""},
	{" Alice <alice@example.org>\r\n", "example.org", ""},
	{"John Q. Public <john.q.public@example.com>", "example.com", ""}, // §4.1, and §A.6.1 has it
	{`"Alice, that is" <alice@example.org>`, "example.org", ""},
	{`"Alice \"the\" Great" <alice@example.org>`, "example.org", ""},
	{`"alice@evil.example" <alice@example.org>`, "example.org", ""}, // display names are what they are (RFC 9989 §11.4)
	{"alice@example.org (Alice)", "example.org", ""},
	{"(Alice) alice@example.org", "example.org", ""},
	{"Alice (of (Wonder\\) land)) <alice@example.org> (me)", "example.org", ""},
	{"\r\n\tAlice\r\n <alice@example.org>\r\n", "example.org", ""},
	{"< alice@example.org\r\n >", "example.org", ""},
	{"=?utf-8?q?Alice_=3Ca=40evil=2Eexample=3E?= <alice@example.org>", "example.org", ""},
	{`"john doe"@example.org`, "example.org", ""},
	{`"john..doe"@example.org`, "example.org", ""},
	{"alice@mail", "mail", ""},
	{"alice@_x.example.org", "_x.example.org", ""},
	// RFC 5322 Appendix A.1
	{"Pete <pete@silly.example>", "silly.example", ""},
	{`"Joe Q. Public" <john.q.public@example.com>`, "example.com", ""},
	{"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "", Ambiguous}, // A.5, legal, but see cfws
	// Quotation marks forgotten, and no doubt whom it shows.
	{"Alice, Inc. <alice@example.org>", "example.org", ""},
	{" Alice, Inc.\r\n <alice@example.org>\r\n", "example.org", ""},
	{"alice@example.org <alice@example.org>", "example.org", ""},
	{"Alice@Example.org <alice@example.org>", "example.org", ""},
	{"Müller, Zoë <zoe@bücher.example>", "xn--bcher-kva.example", ""},
	{"alice@example.net <alice@example.org>", "", Malformed},
	{"Alice, Inc. <alice@example.org>, Bob", "", Malformed},
	{"Alice, Inc. <alice@example.org> <evil@evil.example>", "", Malformed},
	{"Alice, <evil@evil.example> Inc. <alice@example.org>", "", Malformed},
	{"Alice, Inc. <alice@exam\u00adple.org>", "", Ambiguous},
	{"Alice, Inc. <alice@[192.0.2.1]>", "", Malformed},
	{"Alice, Inc. <\"evil@evil.example\"@example.org>", "", Malformed},
	{"Alice\uff1c, Inc. <alice@example.org>", "", Malformed}, // FULLWIDTH LESS-THAN SIGN
	{"Alice, (Inc. <alice@example.org>", "", Malformed},
	{"Alice, Inc. < alice@example.org>", "", Malformed},
	{"Alice, Inc. <>", "", Malformed},
	{"Alice, Inc. <alice@.example.org>", "", Malformed},
	{"Alice, Inc. <@example.org>", "", Malformed},
	{"Alice\r\n \r\n <alice@example.org>", "", Malformed}, // what check finds is not about quotation marks
	{"\r\n \r\n <alice@example.org>", "", Malformed},
	{"<\x81@example.org>", "", Malformed},
	// Several mailboxes.
	{"alice@example.org, bob@EXAMPLE.ORG", "example.org", ""},
	{"Alice <alice@example.org>,\r\n \"Bob\" <bob@example.org>", "example.org", ""},
	{"us: alice@example.org, bob@example.org;", "example.org", ""}, // RFC 6854
	{"us: a@example.org;, them: b@example.org;", "example.org", ""},
	{"alice@bücher.example, bob@xn--bcher-kva.example", "xn--bcher-kva.example", ""},
	{"alice@example.org, bob@example.net", "", SeveralDomains},
	{"alice@example.org, bob@mail.example.org", "", SeveralDomains},
	{"us: a@example.org; , b@example.net", "", SeveralDomains},
	{"us: a@example.org, b@example.net;", "", SeveralDomains},
	{"a@example.org, b@[192.0.2.1]", "", NoDomain},
	// UTF-8 (RFC 6532) and A-labels (RFC 9989 §5.3.1).
	{"Zoë <zoë@bücher.example>", "xn--bcher-kva.example", ""},
	{"a@BÜCHER.example", "xn--bcher-kva.example", ""},
	{"a@BÜCHER.EXAMPLE", "xn--bcher-kva.example", ""},
	{"a@XN--BCHER-KVA.example", "xn--bcher-kva.example", ""},
	{"a@例え.テスト", "xn--r8jz45g.xn--zckzah", ""},
	{"a@xn--bcher-kva.bücher.example", "xn--bcher-kva.xn--bcher-kva.example", ""},
	{"a@exam\u00adple.org", "", Ambiguous}, // a soft hyphen that nobody sees
	{"a@example\u3002org", "", Ambiguous},  // IDEOGRAPHIC FULL STOP
	{"a@bücher\u3002example", "", Ambiguous},
	{"a@\u212aelvin.example", "", Ambiguous}, // KELVIN SIGN
	{"a@ｅｘａｍｐｌｅ.org", "", Ambiguous},         // full width
	{"a@exam\u200bple.org", "", Ambiguous},
	{"a@bü\u00adcher.example", "", Ambiguous},
	{"a@bü\u202echer.example", "", NoDomain},
	{"a@" + strings.Repeat("ü", 300) + ".example", "", NoDomain},
	{"a@" + strings.Repeat("ü.", 1000) + "example", "", NoDomain},
	{"Al\xedce <alice@example.org>", "", Malformed},
	{"a@b\xfccher.example", "", Malformed},
	{"Al\u0085ice <alice@example.org>", "", Control},
	// Nothing to look up.
	{"alice@[192.0.2.1]", "", NoDomain},
	{"alice@[IPv6:2001:db8::1]", "", NoDomain},
	{"Alice <alice@[192.0.2.1]>", "", NoDomain},
	{"nobody:;", "", NoDomain},
	{"nobody: (here) ;", "", NoDomain},
	{"alice@exa!mple.org", "", NoDomain},
	{"alice@" + strings.Repeat("x", 64) + ".org", "", NoDomain},
	{"alice@" + strings.Repeat("x.", 130) + "org", "", NoDomain},
	// No From that RFC 5322 knows.
	{"", "", Malformed},
	{"\r\n", "", Malformed},
	{" ", "", Malformed},
	{"alice", "", Malformed},
	{"Alice", "", Malformed},
	{"Alice <>", "", Malformed},
	{"<>", "", Malformed},
	{"@example.org", "", Malformed},
	{"alice@", "", Malformed},
	{"alice@example.org.", "", Malformed},
	{"alice@.example.org", "", Malformed},
	{"alice@exa..mple.org", "", Malformed},
	{"alice.@example.org", "example.org", ""},
	{".alice@example.org", "", Malformed},
	{"al..ice@example.org", "example.org", ""},
	{"Alice <a..b.@example.org>", "example.org", ""},
	{"Alice, Inc. <a..b.@example.org>", "example.org", ""},
	{"al ice@example.org", "", Malformed},
	{`"al"."ice"@example.org`, "", Malformed}, // §4.4
	{"alice@example.org,", "", Malformed},
	{",alice@example.org", "", Malformed},
	{"alice@example.org,,bob@example.org", "", Malformed}, // §4.4
	{"alice@example.org; bob@example.org", "", Malformed},
	{"alice@example.org bob@example.org", "", Malformed},
	{"alice@example.org@example.net", "", Malformed},
	{"alice@example.org <evil@evil.example>", "", Malformed},
	{"<alice@example.org> <evil@evil.example>", "", Malformed},
	{"<alice@example.org>evil@evil.example", "", Malformed},
	{"<alice@example.org> evil", "", Malformed},
	{"<alice@example.org", "", Malformed},
	{"alice@example.org>", "", Malformed},
	{"<<alice@example.org>>", "", Malformed},
	{"<alice@example.org,evil@evil.example>", "", Malformed},
	{`"Alice <alice@example.org>`, "", Malformed},
	{`Alice" <alice@example.org>`, "", Malformed},
	{`"Alice\" <alice@example.org>`, "", Malformed},
	{`"Alice\`, "", Malformed},
	{"(Alice <alice@example.org>", "", Ambiguous},
	{"(Alice alice", "", Malformed},
	{"(Alice\\", "", Malformed},
	{"(\\@) alice@example.org", "", Malformed},
	{") alice@example.org", "", Malformed},
	{strings.Repeat("(", 100) + strings.Repeat(")", 100) + "a@example.org", "", Malformed},
	{strings.Repeat("(", 16) + strings.Repeat(")", 16) + "a@example.org", "example.org", ""},
	{". <alice@example.org>", "example.org", ""},
	{": a@example.org;", "", Malformed},
	{"us: a@example.org", "", Malformed},
	{"us: a@example.org,;", "", Malformed},
	{"us: them: a@example.org;;", "", Malformed},
	{"us: a@example.org; x", "", Malformed},
	{"us: ;;", "", Malformed},
	{"us: (", "", Malformed},
	{"alice@[192.0.2.1", "", Malformed},
	{"alice@[192.0.2.1\\]]", "", Malformed},
	{"alice@example . org", "", Malformed}, // §4.4
	{"alice@good.example(x).evil.example", "", Malformed},
	{"=?utf-8?b?YWxpY2VAZXhhbXBsZS5vcmc=?=", "", Malformed},
	{"=?utf-8?q?Alice,_Inc.?= <alice@example.org>", "", Malformed},
	// Legal, or nearly, but not the same to everybody.
	{"<@evil.example:alice@example.org>", "", Ambiguous},
	{"Alice < @a.example,@b.example:alice@example.org>", "", Ambiguous},
	{`"alice@example.org"@evil.example`, "", Ambiguous},
	{`"alice@example.org>"@evil.example`, "", Ambiguous},
	{`"a\"b"@evil.example`, "", Ambiguous},
	{"=?utf-8?q?alice=40example=2Eorg?=@evil.example", "", Ambiguous},
	{`"<alice@example.org>" <evil@evil.example>`, "", Ambiguous},
	{`"x" "y <alice@example.org>" z <evil@evil.example>`, "", Ambiguous},
	{`"a\" <alice@example.org>, " <evil@evil.example>`, "", Ambiguous},
	{`"<alice@example.org>": evil@evil.example;`, "", Ambiguous},
	{"evil@evil.example (<alice@example.org>)", "", Ambiguous},
	{"(alice@example.org) <evil@evil.example>", "", Ambiguous},
	{"us:evil@evil.example,(@)b@evil.example;", "", Ambiguous},
	{"alice (x) @example.org", "", Ambiguous},
	{"alice @example.org", "", Ambiguous},
	{"alice@ example.org", "", Ambiguous},
	{"alice@\r\n example.org", "", Ambiguous},
	{"alice@(x)example.org", "", Ambiguous},
	{"<alice@example.org(x)>", "", Ambiguous},
	{"<(x)alice@example.org>", "", Ambiguous},
	// Octets that no header has.
	{"alice@example.org\x00", "", Control},
	{"alice@example.org\x00<evil@evil.example>", "", Control},
	{"alice@example.org\r <evil@evil.example>", "", Control},
	{"alice@example.org\n <evil@evil.example>", "", Control},
	{"alice@example.org\r\nFrom: evil@evil.example", "", Control},
	{"alice@example.org\r\n\r\n", "", Control},
	{"alice@example.org\r", "", Control},
	{"alice@example.org\n", "", Control},
	{"\x1b[2KAlice <alice@example.org>", "", Control},
	{"Alice\x7f <alice@example.org>", "", Control},
	{"alice@example.org\r\n \r\n x", "", Malformed},
	{"alice@example.org\r\n \r\n", "", Malformed},
	{"alice@example.org\r\n ", "", Malformed},
	{"Alice <" + strings.Repeat("x", 64<<10) + "@example.org>", "", TooLong},
}

func TestParse(t *testing.T) {
	for _, tt := range cases {
		if got := Parse([]string{tt.field}); got != (Author{tt.want, tt.why}) {
			t.Errorf("%.200q: %+v, want %q %q", tt.field, got, tt.want, tt.why)
		}
	}
}

func TestOneField(t *testing.T) {
	for _, tt := range []struct {
		fields []string
		why    Problem
	}{
		{nil, Missing},
		{[]string{" a@example.org\r\n", " a@example.org\r\n"}, Repeated},
		{[]string{" a@example.org\r\n", ""}, Repeated},
	} {
		if got := Parse(tt.fields); got != (Author{"", tt.why}) {
			t.Errorf("%q: %+v, want %q", tt.fields, got, tt.why)
		}
	}
}

// However long the field, the work is in proportion to it.
func TestParseIsLinear(t *testing.T) {
	for _, field := range []string{
		strings.Repeat("a@example.org,", 4000) + "a@example.org",
		strings.Repeat("a@bücher.example,", 3500) + "a@bücher.example",
		strings.Repeat("a ", 30000) + "<a@example.org>",
		strings.Repeat("(a) ", 15000) + "a@example.org",
		strings.Repeat(`"a" `, 15000) + "<a@example.org>",
		strings.Repeat(".", 60000) + "@example.org",
		strings.Repeat("((((((((((((((((", 4000),
		"a@" + strings.Repeat("a.", 30000) + "a",
	} {
		if n := testing.AllocsPerRun(1, func() { Parse([]string{field}) }); n > 20_000 {
			t.Errorf("%.40q…: %v allocations", field, n)
		}
	}
}

// Where there is a domain, the standard library's parser reads the same.
func FuzzParse(f *testing.F) {
	for _, tt := range cases {
		f.Add(tt.field)
	}
	f.Fuzz(func(t *testing.T, field string) {
		got := Parse([]string{field})
		if (got.Domain == "") == (got.Problem == "") {
			t.Fatalf("%q: %+v", field, got)
		}
		if got.Problem != "" {
			return
		}
		if strings.ContainsFunc(got.Domain, func(r rune) bool { return r > unicode.MaxASCII || unicode.IsUpper(r) }) {
			t.Errorf("%q: %q", field, got.Domain)
		}
		list, err := mail.ParseAddressList(strings.ReplaceAll(field, "\r\n", ""))
		if err != nil {
			return
		}
		for _, a := range list {
			_, domain, _ := strings.Cut(a.Address[strings.LastIndexByte(a.Address, '@'):], "@")
			if again := Parse([]string{"x@" + domain}); again != got {
				t.Errorf("%q: %+v, net/mail reads %q", field, got, a.Address)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	fields := []string{" \"Alice, that is\" <alice@example.org>\r\n"}
	b.ReportAllocs()
	for b.Loop() {
		if Parse(fields).Domain == "" {
			b.Fatal("no domain")
		}
	}
}
