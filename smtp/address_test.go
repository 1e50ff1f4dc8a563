package smtp

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestParseMailbox(t *testing.T) {
	local64 := strings.Repeat("l", 64)
	label63 := strings.Repeat("d", 63)
	tests := []struct {
		section string
		in      string
		local   string
		domain  string
	}{
		{"4.1.2 Dot-string", "user@example.com", "user", "example.com"},
		{"4.1.2 Dot-string", "a.b.c@example.com", "a.b.c", "example.com"},
		{"4.1.2 Dot-string", "1@2", "1", "2"},
		{"RFC 5322 3.2.3 atext", "!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~", "example.com"},
		{"2.4 case is kept", "UsEr@ExAmPlE.com", "UsEr", "ExAmPlE.com"},
		{"4.1.2 Quoted-string", `"user"@example.com`, "user", "example.com"},
		{"4.1.2 Quoted-string", `""@example.com`, "", "example.com"},
		{"4.1.2 Quoted-string", `"a b@c>d"@example.com`, "a b@c>d", "example.com"},
		{"4.1.2 qtextSMTP", `"!#[]~ ."@example.com`, "!#[]~ .", "example.com"},
		{"4.1.2 quoted-pairSMTP", `"a\"b\\c"@example.com`, `a"b\c`, "example.com"},
		{"4.1.2 quoted-pairSMTP", `"\a\ \@"@example.com`, "a @", "example.com"},
		{"4.1.2 Domain", "a@b-c.d--e.example", "a", "b-c.d--e.example"},
		{"4.1.2 Domain", "a@xn--bcher-kva.example", "a", "xn--bcher-kva.example"},
		{"4.1.2 Domain", "a@192.0.2.1", "a", "192.0.2.1"},
		{"4.1.3 IPv4", "a@[192.0.2.1]", "a", "[192.0.2.1]"},
		{"4.1.3 IPv4", "a@[255.255.255.255]", "a", "[255.255.255.255]"},
		{"4.1.3 IPv6-full", "a@[IPv6:2001:db8:0:0:0:0:0:1]", "a", "[IPv6:2001:db8:0:0:0:0:0:1]"},
		{"4.1.3 IPv6-comp", "a@[IPv6:2001:db8::1]", "a", "[IPv6:2001:db8::1]"},
		{"4.1.3 IPv6-comp", "a@[IPv6:::]", "a", "[IPv6:::]"},
		{"4.1.3 tag of any case", "a@[ipv6:2001:DB8::1]", "a", "[ipv6:2001:DB8::1]"},
		{"4.1.3 IPv6v4-full", "a@[IPv6:1:2:3:4:5:6:192.0.2.1]", "a", "[IPv6:1:2:3:4:5:6:192.0.2.1]"},
		{"4.1.3 IPv6v4-comp", "a@[IPv6:::ffff:192.0.2.1]", "a", "[IPv6:::ffff:192.0.2.1]"},
		{"4.1.3 General", "a@[x-tag:content]", "a", "[x-tag:content]"},
		{"4.1.3 dcontent", "a@[t:!\"#<>@^~,;:]", "a", "[t:!\"#<>@^~,;:]"},
		{"4.5.3.1.1", local64 + "@example.com", local64, "example.com"},
		{"2.3.5", "a@" + label63 + ".example", "a", label63 + ".example"},
		{"RFC 6531 3.3 atext", "jürgen.测试@example.com", "jürgen.测试", "example.com"},
		{"RFC 6531 3.3 qtextSMTP", `"jürgen 测试"@example.com`, "jürgen 测试", "example.com"},
		{"RFC 6531 3.3 with a pair", `"ü\"ü"@example.com`, `ü"ü`, "example.com"},
		{"RFC 6531 3.3 sub-domain", "a@bücher.example", "a", "bücher.example"},
		{"RFC 6531 3.3 sub-domain", "a@例え.テスト", "a", "例え.テスト"},
		{"RFC 5891 5.3 mapped case", "a@BÜCHER.example", "a", "BÜCHER.example"},
		{"RFC 5893 right to left", "a@אבג.example", "a", "אבג.example"},
	}
	for _, test := range tests {
		m, err := ParseMailbox(test.in)
		if err != nil || m.Local != test.local || m.Domain != test.domain {
			t.Errorf("%s: ParseMailbox(%q) = %q %q, %v", test.section, test.in, m.Local, m.Domain, err)
			continue
		}
		if err := m.Validate(); err != nil {
			t.Errorf("%s: %q.Validate() = %v", test.section, test.in, err)
		}
		if again, err := ParseMailbox(m.String()); err != nil || again != m {
			t.Errorf("%s: %q is written %q, which reads %+v, %v", test.section, test.in, m, again, err)
		}
	}
}

func TestParseMailboxErrors(t *testing.T) {
	label64 := strings.Repeat("d", 64)
	tests := []struct {
		section string
		in      string
		offset  int
		reason  string
	}{
		{"4.1.2 Mailbox", "", 0, "local-part is empty"},
		{"4.1.2 Mailbox", "user", 4, "@ and a domain are missing"},
		{"4.1.2 Mailbox", "@example.com", 0, "local-part is empty"},
		{"4.1.2 Mailbox", "a@", 2, "domain is empty"},
		{"4.1.2 Mailbox", "a@b@c", 3, "character not allowed in a domain"},
		{"4.1.2 Mailbox", "a@b c", 3, "unexpected character after the address"},
		{"4.1.2 Mailbox", "<a@b>", 0, "character not allowed in a local-part"},
		{"4.1.2 Dot-string", ".a@b", 0, "local-part begins with a dot"},
		{"4.1.2 Dot-string", "a.@b", 2, "local-part ends with a dot"},
		{"4.1.2 Dot-string", "a..b@c", 2, "two dots in a row in the local-part"},
		{"4.1.2 Atom", "a b@c", 1, "character not allowed in a local-part"},
		{"4.1.2 Atom", "a(b)@c", 1, "character not allowed in a local-part"},
		{"4.1.2 Atom", "a.(@c", 2, "local-part ends with a dot"},
		{"4.1.2 control", "a\r@b", 1, "character not allowed in a local-part"},
		{"4.1.2 control", "a\n@b", 1, "character not allowed in a local-part"},
		{"4.1.2 control", "a\x00@b", 1, "character not allowed in a local-part"},
		{"4.1.2 control", "a\x7f@b", 1, "character not allowed in a local-part"},
		{"4.1.2 control", "a@b\r\n", 3, "character not allowed in a domain"},
		{"4.1.2 control", "a@\x01", 2, "character not allowed in a domain"},
		{"4.1.2 Quoted-string", `"a@b`, 4, "closing quote is missing"},
		{"4.1.2 Quoted-string", `"a"b@c`, 3, "character not allowed in a local-part"},
		{"4.1.2 Quoted-string", "\"\t\"@c", 1, "character not allowed in a quoted string"},
		{"4.1.2 Quoted-string", "\"\r\n\"@c", 1, "character not allowed in a quoted string"},
		{"4.1.2 quoted-pairSMTP", "\"\\\n\"@c", 1, "backslash before a character that cannot be quoted"},
		{"4.1.2 quoted-pairSMTP", `"\`, 1, "backslash before a character that cannot be quoted"},
		{"4.1.2 quoted-pairSMTP", `"\ü"@c`, 1, "backslash before a character that cannot be quoted"},
		{"4.1.2 sub-domain", "a@-b", 2, "domain label begins with a hyphen"},
		{"4.1.2 sub-domain", "a@b-", 3, "domain label ends with a hyphen"},
		{"4.1.2 sub-domain", "a@b-.c", 3, "domain label ends with a hyphen"},
		{"4.1.2 sub-domain", "a@b..c", 4, "domain label is empty"},
		{"4.1.2 sub-domain", "a@.b", 2, "domain is empty"},
		{"2.3.5 trailing dot", "a@b.", 4, "domain ends with a dot"},
		{"2.3.5 underscore", "a@b_c", 3, "character not allowed in a domain"},
		{"2.3.5 label", "a@" + label64, 65, "domain label is longer than 63 octets"},
		{"4.1.3", "a@[192.0.2.1", 12, "closing bracket of the address literal is missing"},
		{"4.1.3", "a@[]", 3, "address literal is not an IPv4 address"},
		{"4.1.3", "a@[192.0.2]", 3, "address literal is not an IPv4 address"},
		{"4.1.3 Snum", "a@[192.0.2.256]", 3, "address literal is not an IPv4 address"},
		{"4.1.3 Snum", "a@[192.0.2.01]", 3, "address literal is not an IPv4 address"},
		{"4.1.3", "a@[2001:db8::1]", 3, "IPv6 address literal lacks the tag IPv6"},
		{"4.1.3 IPv6", "a@[IPv6:]", 8, "address literal is not an IPv6 address"},
		{"4.1.3 IPv6", "a@[IPv6:192.0.2.1]", 8, "address literal is not an IPv6 address"},
		{"4.1.3 IPv6", "a@[IPv6:1:2:3]", 8, "address literal is not an IPv6 address"},
		{"4.1.3 IPv6", "a@[IPv6:fe80::1%eth0]", 8, "address literal is not an IPv6 address"},
		{"4.1.3 IPv6", "a@[IPv6:1:2:3:4:5:6:7:8:9]", 8, "address literal is not an IPv6 address"},
		{"4.1.3 General", "a@[x-:y]", 3, "address literal has a bad tag"},
		{"4.1.3 General", "a@[:y]", 3, "address literal has a bad tag"},
		{"4.1.3 General", "a@[x_y:z]", 3, "address literal has a bad tag"},
		{"4.1.3 General", "a@[x:]", 5, "address literal is empty after its tag"},
		{"4.1.3 dcontent", "a@[x:a b]", 6, "closing bracket of the address literal is missing"},
		{"4.1.3 dcontent", "a@[x:\x1f]", 5, "closing bracket of the address literal is missing"},
		{"4.1.3", "a@[192.0.2.1].example", 13, "unexpected character after the address"},
		{"4.5.3.1.1", strings.Repeat("l", 65) + "@b", 64, "local-part is longer than 64 octets"},
		{"4.5.3.1.1", `"` + strings.Repeat("l", 63) + `"@b`, 64, "local-part is longer than 64 octets"},
		{"4.5.3.1.1", strings.Repeat("ü", 33) + "@b", 64, "local-part is longer than 64 octets"},
		{"4.5.3.1.2", "a@" + strings.Repeat("d.", 127) + "dd", 257, "domain is longer than 255 octets"},
		{"4.5.3.1.2", "a@[x:" + strings.Repeat("y", 255) + "]", 257, "address literal is longer than 255 octets"},
		{"4.5.3.1.3", "aa@" + strings.Repeat("d.", 126) + "d", 254, "address is longer than 254 octets"},
		{"RFC 6531 3.3 not UTF-8", "a\xff@b", 1, "character not allowed in a local-part"},
		{"RFC 6531 3.3 overlong", "a\xc0\x80@b", 1, "character not allowed in a local-part"},
		{"RFC 6531 3.3 surrogate", "a\xed\xa0\x80@b", 1, "character not allowed in a local-part"},
		{"RFC 6531 3.3 cut short", "a@b\xc3", 3, "character not allowed in a domain"},
		{"C1 control", "a\u0085@b", 1, "character not allowed in a local-part"},
		{"C1 control", "\"\u009f\"@b", 1, "character not allowed in a quoted string"},
		{"RFC 5890 2.3.2.1 not a U-label", "a@ⓔxample.com", 2, "domain has a label that is not a U-label"},
		{"RFC 5890 2.3.2.1 not a U-label", "a@ｅｘ.com", 2, "domain has a label that is not a U-label"},
		{"RFC 5890 2.3.2.1 full stop", "a@ex。com", 2, "domain has a label that is not a U-label"},
		{"RFC 5890 2.3.2.1 disallowed", "a@☃\u200d.com", 2, "domain has a label that is not a U-label"},
		{"RFC 5893 mixed directions", "a@אb.example", 2, "domain has a label that is not a U-label"},
		{"RFC 5890 2.3.2.1 too long", "a@" + strings.Repeat("üö", 50) + ".com", 2, "domain has a label that is not a U-label"},
	}
	for _, test := range tests {
		m, err := ParseMailbox(test.in)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%s: ParseMailbox(%q) = %+v, %v", test.section, test.in, m, err)
			continue
		}
		if syntax.Offset != test.offset || syntax.Reason != test.reason || syntax.Code != 501 || syntax.Enhanced != Enh(1, 3) {
			t.Errorf("%s: ParseMailbox(%q): %+v", test.section, test.in, syntax)
		}
		if m != (Mailbox{}) {
			t.Errorf("%s: ParseMailbox(%q) returns %+v beside its error", test.section, test.in, m)
		}
	}
}

func TestParseMailboxLongest(t *testing.T) {
	in := "aa@" + strings.Repeat("d.", 125) + "d"
	if len(in) != MaxPath-2 {
		t.Fatal(len(in))
	}
	if m, err := ParseMailbox(in); err != nil || m.Validate() != nil {
		t.Error(err, m.Validate())
	}
	if err := ParseDomain(strings.Repeat("d.", 127) + "d"); err != nil {
		t.Error(err)
	}
	if _, err := ParseForwardPath("<" + in + ">"); err != nil {
		t.Error(err)
	}
}

func TestParsePath(t *testing.T) {
	const bad = "bad"
	tests := []struct {
		section string
		in      string
		reverse string
		forward string
	}{
		{"4.1.1.2", "<>", "<>", bad},
		{"4.1.2 Path", "<a@b.example>", "<a@b.example>", "<a@b.example>"},
		{"API: bare", "a@b.example", "<a@b.example>", "<a@b.example>"},
		{"API: bare", "", bad, bad},
		{"4.1.2 A-d-l", "<@x.example:a@b.example>", "<a@b.example>", "<a@b.example>"},
		{"4.1.2 A-d-l", "<@x.example,@y.example:a@b.example>", "<a@b.example>", "<a@b.example>"},
		{"4.1.2 A-d-l", `<@x:"a>b"@[IPv6:::1]>`, `<"a>b"@[IPv6:::1]>`, `<"a>b"@[IPv6:::1]>`},
		{"4.1.1.3", "<Postmaster>", bad, "<Postmaster>"},
		{"4.1.1.3", "<POSTMASTER>", bad, "<POSTMASTER>"},
		{"4.1.1.3", "<postmaster@b.example>", "<postmaster@b.example>", "<postmaster@b.example>"},
		{"API: bare", "postmaster", bad, "<postmaster>"},
		{"4.1.2 quotes", `<"a>b"@c>`, `<"a>b"@c>`, `<"a>b"@c>`},
		{"4.1.2 dcontent", "<a@[x:>]>", "<a@[x:>]>", "<a@[x:>]>"},
		{"4.1.2 Path", "<a@b", bad, bad},
		{"4.1.2 Path", "<a@b>>", bad, bad},
		{"4.1.2 Path", "<a@b> ", bad, bad},
		{"4.1.2 Path", "<", bad, bad},
		{"4.1.2 Path", "< >", bad, bad},
		{"4.1.2 Path", "< a@b>", bad, bad},
		{"4.1.2 Path", "<<a@b>>", bad, bad},
		{"4.1.1.3", "<user>", bad, bad},
		{"4.1.1.3", "<postmaster", bad, bad},
		{"4.1.2 A-d-l", "<@x", bad, bad},
		{"4.1.2 A-d-l", "<@x>", bad, bad},
		{"4.1.2 A-d-l", "<@x:>", bad, bad},
		{"4.1.2 A-d-l", "<@x,:a@b>", bad, bad},
		{"4.1.2 A-d-l", "<@x,y:a@b>", bad, bad},
		{"4.1.2 A-d-l", "<@:a@b>", bad, bad},
		{"4.1.2 A-d-l", "<@[192.0.2.1]:a@b>", bad, bad},
		{"4.5.3.1.3", "<@" + strings.Repeat("x.", 121) + "x:a@b.example>", bad, bad},
	}
	for _, test := range tests {
		reverse, forward := bad, bad
		if p, err := ParseReversePath(test.in); err == nil {
			reverse = p.String()
			if again, err := ParseReversePath(reverse); err != nil || again != p || string(p.AppendTo(nil)) != reverse {
				t.Errorf("%s: reverse %q, again %q, %v", test.section, reverse, again, err)
			}
			if p.IsNull() != (reverse == "<>") || p.Validate() != nil {
				t.Errorf("%s: reverse %q: IsNull %v, Validate %v", test.section, reverse, p.IsNull(), p.Validate())
			}
		} else if syntax := err.(*SyntaxError); syntax.Code != 501 || syntax.Enhanced != Enh(1, 7) {
			t.Errorf("%s: %q: %+v", test.section, test.in, syntax)
		}
		if p, err := ParseForwardPath(test.in); err == nil {
			forward = p.String()
			if again, err := ParseForwardPath(forward); err != nil || again != p || string(p.AppendTo(nil)) != forward {
				t.Errorf("%s: forward %q, again %q, %v", test.section, forward, again, err)
			}
			if p.IsPostmaster() != strings.EqualFold(forward, "<postmaster>") || p.Validate() != nil {
				t.Errorf("%s: forward %q: IsPostmaster %v, Validate %v", test.section, forward, p.IsPostmaster(), p.Validate())
			}
		} else if syntax := err.(*SyntaxError); syntax.Code != 501 || syntax.Enhanced != Enh(1, 3) {
			t.Errorf("%s: %q: %+v", test.section, test.in, syntax)
		}
		if reverse != test.reverse || forward != test.forward {
			t.Errorf("%s: %q: reverse %s, forward %s", test.section, test.in, reverse, forward)
		}
	}
}

func TestParseDomainAndHello(t *testing.T) {
	tests := []struct {
		section string
		in      string
		domain  bool
		hello   bool
	}{
		{"4.1.2", "example.com", true, true},
		{"4.1.2", "localhost", true, true},
		{"4.1.2", "192.0.2.1", true, true},
		{"2.3.5", "a_b.example", false, true},
		{"2.3.5", "_a.example", false, true},
		{"4.1.3", "[192.0.2.1]", false, true},
		{"4.1.3", "[IPv6:2001:db8::1]", false, true},
		{"4.1.3", "[x:y]", false, true},
		{"4.1.3", "[192.0.2.1", false, false},
		{"4.1.3", "[192.0.2.1]x", false, false},
		{"RFC 6531 3.7.1", "bücher.example", true, false},
		{"4.1.1.1", "", false, false},
		{"4.1.1.1", "a b", false, false},
		{"4.1.1.1", "a>", false, false},
		{"2.3.5", "example.com.", false, false},
		{"2.3.5", "-a.example", false, false},
		{"2.3.5", "a..example", false, false},
		{"2.3.5", "a\r\n", false, false},
		{"2.3.5", "a\x00", false, false},
		{"4.5.3.1.2", strings.Repeat("d.", 128) + "d", false, false},
	}
	for _, test := range tests {
		if err := ParseDomain(test.in); (err == nil) != test.domain {
			t.Errorf("%s: ParseDomain(%q) = %v", test.section, test.in, err)
		}
		if err := ParseHello(test.in); (err == nil) != test.hello {
			t.Errorf("%s: ParseHello(%q) = %v", test.section, test.in, err)
		}
	}
}

func TestMailboxString(t *testing.T) {
	tests := []struct {
		m    Mailbox
		want string
	}{
		{Mailbox{}, ""},
		{Mailbox{"a.b", "c"}, "a.b@c"},
		{Mailbox{"", "c"}, `""@c`},
		{Mailbox{"a b", "c"}, `"a b"@c`},
		{Mailbox{".a", "c"}, `".a"@c`},
		{Mailbox{`a"b\c`, "d"}, `"a\"b\\c"@d`},
		{Mailbox{"ü", "ü.example"}, "ü@ü.example"},
		{Mailbox{"postmaster", ""}, "postmaster"},
		// What a caller fills in by hand never breaks out.
		{Mailbox{"a\r\nRSET\r\n", "c"}, `"a??RSET??"@c`},
		{Mailbox{"a\x00\xff\u0085", "c"}, `"a????"@c`},
		{Mailbox{"a", "c> SIZE=1\r\n"}, "a@c??SIZE?1??"},
		{Mailbox{"a", "c\u0085\xff"}, "a@c???"},
		{Mailbox{"a", "[x:>\r\n] y]"}, "a@[x:>????y]"},
	}
	for _, test := range tests {
		if got := test.m.String(); got != test.want {
			t.Errorf("%+v is written %s, want %s", test.m, got, test.want)
		}
	}
}

func TestMailboxValidate(t *testing.T) {
	tests := []struct {
		m      Mailbox
		offset int
		reason string
	}{
		{Mailbox{}, 3, "domain is empty"},
		{Mailbox{"a", ""}, 2, "domain is empty"},
		{Mailbox{"a\r\n", "b"}, 1, "character not allowed in a local-part"},
		{Mailbox{"a\u0080", "b"}, 1, "character not allowed in a local-part"},
		{Mailbox{"a", "b\r\n"}, 3, "character not allowed in a domain"},
		{Mailbox{"a", "b>"}, 3, "character not allowed in a domain"},
		{Mailbox{"a", "b c"}, 3, "character not allowed in a domain"},
		{Mailbox{"a", "[1.2.3.4]\n"}, 11, "character not allowed in a domain"},
		{Mailbox{"a", "[1.2.3\n.4]"}, 8, "closing bracket of the address literal is missing"},
		{Mailbox{strings.Repeat("a", 65), "b"}, 64, "local-part is longer than 64 octets"},
		{Mailbox{strings.Repeat(`"`, 32), "b"}, 64, "local-part is longer than 64 octets"},
		{Mailbox{"aa", strings.Repeat("d.", 126) + "d"}, 254, "address is longer than 254 octets"},
	}
	for _, test := range tests {
		err := test.m.Validate()
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Offset != test.offset || syntax.Reason != test.reason {
			t.Errorf("%+v.Validate() = %v, want offset %d: %s", test.m, err, test.offset, test.reason)
		}
	}
	if err := (ForwardPath{Mailbox{"postmaster", ""}}).Validate(); err != nil {
		t.Error(err)
	}
	if err := (ReversePath{Mailbox{"postmaster", ""}}).Validate(); err == nil {
		t.Error("a reverse-path without a domain is valid")
	}
	if err := (ForwardPath{}).Validate(); err == nil {
		t.Error("an empty forward-path is valid")
	}
}

func TestMailboxIDNA(t *testing.T) {
	tests := []struct {
		m       Mailbox
		ascii   string // "" for an error
		unicode string
	}{
		{Mailbox{"a", "example.com"}, "example.com", "example.com"},
		{Mailbox{"a", "EXAMPLE.com"}, "EXAMPLE.com", "EXAMPLE.com"},
		{Mailbox{"a", "bücher.example"}, "xn--bcher-kva.example", "bücher.example"},
		{Mailbox{"a", "straße.example"}, "xn--strae-oqa.example", "straße.example"},
		{Mailbox{"a", "xn--bcher-kva.example"}, "xn--bcher-kva.example", "bücher.example"},
		{Mailbox{"a", "XN--BCHER-KVA.example"}, "XN--BCHER-KVA.example", "bücher.example"},
		{Mailbox{"a", "[192.0.2.1]"}, "[192.0.2.1]", "[192.0.2.1]"},
		{Mailbox{"a", "xn--a.example"}, "xn--a.example", ""},
		{Mailbox{"a", "☃\u200d.example"}, "", "☃\u200d.example"},
		{Mailbox{"ü", "example.com"}, "", "example.com"},
	}
	for _, test := range tests {
		if got, err := test.m.ToASCII(); got.Domain != test.ascii || (err == nil) != (test.ascii != "") {
			t.Errorf("%+v.ToASCII() = %+v, %v", test.m, got, err)
		}
		if got, err := test.m.ToUnicode(); got.Domain != test.unicode || (err == nil) != (test.unicode != "") {
			t.Errorf("%+v.ToUnicode() = %+v, %v", test.m, got, err)
		}
	}
}

func TestMailboxLiteral(t *testing.T) {
	tests := []struct{ domain, want string }{
		{"[192.0.2.1]", "192.0.2.1"},
		{"[IPv6:2001:db8::1]", "2001:db8::1"},
		{"[ipv6:2001:DB8:0::1]", "2001:db8::1"},
		{"[IPv6:::ffff:192.0.2.1]", "::ffff:192.0.2.1"},
		{"[x:y]", ""},
		{"[IPv6:1.2.3.4]", ""},
		{"[2001:db8::1]", ""},
		{"192.0.2.1", ""},
		{"x192.0.2.1]", ""},
		{"[192.0.2.1x", ""},
		{"[", ""},
		{"", ""},
	}
	for _, test := range tests {
		addr, ok := Mailbox{"a", test.domain}.Literal()
		want, _ := netip.ParseAddr(test.want)
		if ok != (test.want != "") || addr != want {
			t.Errorf("literal of %q = %v, %v", test.domain, addr, ok)
		}
	}
}

func TestMailboxEqual(t *testing.T) {
	tests := []struct {
		section string
		a, b    Mailbox
		want    bool
	}{
		{"2.4", Mailbox{"a", "b.example"}, Mailbox{"a", "B.Example"}, true},
		{"2.4", Mailbox{"a", "b.example"}, Mailbox{"A", "b.example"}, false},
		{"2.4", Mailbox{"a", "b.example"}, Mailbox{"a", "c.example"}, false},
		{"RFC 5890", Mailbox{"a", "bücher.example"}, Mailbox{"a", "xn--bcher-kva.EXAMPLE"}, true},
		{"RFC 5890", Mailbox{"a", "BÜCHER.example"}, Mailbox{"a", "bücher.example"}, true},
		{"RFC 5890", Mailbox{"a", "bücher.example"}, Mailbox{"a", "bucher.example"}, false},
		{"RFC 5890", Mailbox{"a", "☃\u200d.example"}, Mailbox{"a", "ü.example"}, false},
		{"RFC 5890", Mailbox{"a", "ü.example"}, Mailbox{"a", "☃\u200d.example"}, false},
		{"4.1.3", Mailbox{"a", "[IPv6:2001:db8::1]"}, Mailbox{"a", "[ipv6:2001:DB8:0:0::1]"}, true},
		{"4.1.3", Mailbox{"a", "[192.0.2.1]"}, Mailbox{"a", "192.0.2.1"}, false},
		{"4.1.3", Mailbox{"a", "[192.0.2.1]"}, Mailbox{"a", "[192.0.2.2]"}, false},
		{"RFC 5321 2.4 only letters fold", Mailbox{"a", "[x:^{]"}, Mailbox{"a", "[x:~{]"}, false},
		{"RFC 5321 2.4 only letters fold", Mailbox{"a", "[x:@]"}, Mailbox{"a", "[x:`]"}, false},
		{"RFC 5321 2.4 only letters fold", Mailbox{"a", "[x:a{]"}, Mailbox{"a", "[x:a[]"}, false},
		{"KELVIN SIGN is no k", Mailbox{"a", "\u212a.example"}, Mailbox{"a", "l.example"}, false},
	}
	for _, test := range tests {
		if test.a.Equal(test.b) != test.want || test.b.Equal(test.a) != test.want {
			t.Errorf("%s: %v equal to %v: not %v", test.section, test.a, test.b, test.want)
		}
	}
}

func TestIsASCII(t *testing.T) {
	for n := range 40 {
		text := []byte(strings.Repeat("\x7f", n))
		if !isASCII(string(text)) {
			t.Errorf("%d octets of ASCII", n)
		}
		for i := range text {
			text[i] = 0x80
			if isASCII(string(text)) {
				t.Errorf("%d octets, of which %d is not ASCII", n, i)
			}
			text[i] = 0
		}
	}
}
