package authres

import (
	"reflect"
	"strings"
	"testing"
)

// one is a field of one result.
func one(id string, r Result) Field { return Field{AuthServID: id, Results: []Result{r}} }

var parsed = []struct {
	value string
	want  Field
}{
	// RFC 8601 appendix B.
	{" example.org 1; none", Field{AuthServID: "example.org"}},
	{" example.com;\r\n          spf=pass smtp.mailfrom=example.net\r\n", one("example.com",
		Result{Method: "spf", Verdict: Pass, Properties: []Property{{"smtp", "mailfrom", "example.net"}}})},
	{" example.com;\r\n auth=pass (cram-md5) smtp.auth=sender@example.net;\r\n spf=pass smtp.mailfrom=example.net", Field{AuthServID: "example.com", Results: []Result{
		{Method: "auth", Verdict: Pass, Comment: "cram-md5", Properties: []Property{{"smtp", "auth", "sender@example.net"}}},
		{Method: "spf", Verdict: Pass, Properties: []Property{{"smtp", "mailfrom", "example.net"}}},
	}}},
	{" example.com;\r\n dkim=pass reason=\"good signature\"\r\n  header.i=@mail-router.example.net;\r\n dkim=fail reason=\"bad signature\"\r\n  header.i=@newyork.example.com", Field{AuthServID: "example.com", Results: []Result{
		{Method: "dkim", Verdict: Pass, Reason: "good signature", Properties: []Property{{"header", "i", "@mail-router.example.net"}}},
		{Method: "dkim", Verdict: Fail, Reason: "bad signature", Properties: []Property{{"header", "i", "@newyork.example.com"}}},
	}}},
	{" foo.example.net (foobar) 1 (baz);\r\n dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n policy (A dot can go here) . (like that) expired\r\n (this surprised me) = (as I wasn't expecting it) 1362471462",
		one("foo.example.net", Result{Method: "dkim", Verdict: Fail, Properties: []Property{{"policy", "expired", "1362471462"}}})},
	// RFC 6008.
	{"a; dkim=pass header.d=newyork.example.com header.b=oINEO8hg", one("a",
		Result{Method: "dkim", Verdict: Pass, Properties: []Property{{"header", "d", "newyork.example.com"}, {"header", "b", "oINEO8hg"}}})},
	// Spellings.
	{"\"mx.example.org\"; SPF=Pass", one("mx.example.org", Result{Method: "spf", Verdict: Pass})},
	{"(c)\r\n (d (e))mx(f)001(g);(h)spf(i)=(j)pass(k)\r\n\t(l)", one("mx", Result{Method: "spf", Verdict: Pass, Comment: "k"})},
	{"a; spf=pass (nested (so) \\) \\\\ \"quotes) reason=word", one("a", Result{Method: "spf", Verdict: Pass, Comment: `nested (so) ) \ "quotes`, Reason: "word"})},
	{`a; spf=pass reason = "a \"b\" \\ c" smtp . mailfrom = "x\;y" smtp.helo="a"smtp.rcptto=b`, one("a", Result{Method: "spf", Verdict: Pass,
		Reason: `a "b" \ c`, Properties: []Property{{"smtp", "mailfrom", "x;y"}, {"smtp", "helo", "a"}, {"smtp", "rcptto", "b"}}})},
	{"a; spf=pass reason=\"fold\r\n ed\ttext\"", one("a", Result{Method: "spf", Verdict: Pass, Reason: "fold ed text"})},
	{`a; spf=pass smtp.mailfrom="a b"@example.org`, one("a", Result{Method: "spf", Verdict: Pass, Properties: []Property{{"smtp", "mailfrom", `"a b"@example.org`}}})},
	{"a; spf=pass reason.x=1", one("a", Result{Method: "spf", Verdict: Pass, Properties: []Property{{"reason", "x", "1"}}})},
	// What is in use.
	{"a; arc=none header.oldest-pass=0;\r\n", one("a", Result{Method: "arc", Verdict: None, Properties: []Property{{"header", "oldest-pass", "0"}}})},
	{"a; dmarc=fail action=oreject header.from=x; x_y=pass", Field{AuthServID: "a", Results: []Result{
		{Method: "dmarc", Verdict: Fail, Properties: []Property{{"header", "from", "x"}}}, {Method: "x_y", Verdict: Pass}}}},
	{"a; spf=pass smtp.remote-ip=2001:db8::1 header.b=a/b+c= header.d=", one("a", Result{Method: "spf", Verdict: Pass,
		Properties: []Property{{"smtp", "remote-ip", "2001:db8::1"}, {"header", "b", "a/b+c="}, {"header", "d", ""}}})},
	// Methods in other versions say nothing to us.
	{"a; dkim/2=pass; spf/1=fail", one("a", Result{Method: "spf", Verdict: Fail})},
	// RFC 6532.
	{"bücher.example; spf=pass smtp.mailfrom=grün@bücher.example", Field{AuthServID: "bücher.example", UTF8: true,
		Results: []Result{{Method: "spf", Verdict: Pass, Properties: []Property{{"smtp", "mailfrom", "grün@bücher.example"}}}}}},
	{"a;;none;", Field{AuthServID: "a"}},
}

func TestParse(t *testing.T) {
	for _, tt := range parsed {
		got, err := Parse(tt.value)
		if err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q:\n got %+v %v\nwant %+v", tt.value, got, err, tt.want)
		}
	}
}

var malformed = []string{
	"", ";", "; none", "a", "a 1", "a b; none", "a 2; none", "a 10; none", "spf=pass; none",
	"a; spf", "a; spf=", "a; =pass", "a; spf=pass header", "a; spf=pass header.", "a; spf=pass header.d", "a; spf=pass .d=x",
	"a; spf=pass (open", "a; spf=pass (open (closed)", "a; spf=pass reason=\"open", "\"open; none", "a; spf=pass )",
	"a; spf=pass, dkim=pass", "a; spf=pass smtp.helo=\"x\"y", "a; spf/=pass", "a; spf/x=pass", "a; s.p=pass", "a@b; none", "=?utf-8?q?a?=; none",
	"a;\r\nspf=pass", "a;\nspf=pass", "a;\n spf=pass", "a; spf\r=pass", "a; spf=pass reason=\"\x00\"", "a; spf=pass reason=\"\\\n\"", "a; spf=pass (\x7f)", "a; spf=pass \xff.x=y",
	"a; spf=pass " + strings.Repeat("(", 17) + strings.Repeat(")", 17),
	"a" + strings.Repeat("; spf=pass", 101),
	"a; spf=pass" + strings.Repeat(" x.y=z", 101),
	"a; none" + strings.Repeat(" ", 64<<10),
}

func TestParseRefuses(t *testing.T) {
	for _, value := range malformed {
		if f, err := Parse(value); err == nil {
			t.Errorf("%.80q gives %+v", value, f)
		}
	}
	for _, value := range []string{
		"a; spf=pass " + strings.Repeat("(", 16) + strings.Repeat(")", 16),
		"a" + strings.Repeat("; spf=pass", 100),
		"a; spf=pass" + strings.Repeat(" x.y=z", 100),
	} {
		if _, err := Parse(value); err != nil {
			t.Errorf("%.80q: %v", value, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, tt := range parsed {
		f.Add(tt.value)
	}
	for _, value := range malformed {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		first, err := Parse(value)
		if err != nil {
			return
		}
		if claims(value, []string{sameName(first.AuthServID)}) != ours && sameName(first.AuthServID) != "" {
			t.Fatalf("%q: Strip does not know %q", value, first.AuthServID)
		}
		text := wellFormed(t, first)
		second := reparse(t, text)
		if again := second.String(); again != text {
			t.Fatalf("%q becomes %q", text, again)
		}
		if want := written(first); !reflect.DeepEqual(second, want) {
			t.Fatalf("%q:\n got %+v\nwant %+v", text, second, want)
		}
	})
}
