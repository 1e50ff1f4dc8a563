package authres

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// wellFormed writes the field and checks its lines.
func wellFormed(t *testing.T, f Field) string {
	t.Helper()
	text := f.String()
	oneField(t, text)
	return text
}

// oneField checks that text is one header field and nothing more.
func oneField(t *testing.T, text string) {
	t.Helper()
	body, ok := strings.CutSuffix(text, "\r\n")
	if !ok {
		t.Fatalf("%q does not end in CRLF", text)
	}
	for i, line := range strings.Split(body, "\r\n") {
		if strings.ContainsAny(line, "\r\n\x00") || len(line) > 998 || strings.TrimSpace(line) == "" {
			t.Fatalf("%q: line %d", text, i)
		}
		if begins := line[0] == ' ' || line[0] == '\t'; begins != (i > 0) {
			t.Fatalf("%q: line %d", text, i)
		}
	}
}

func reparse(t *testing.T, text string) Field {
	t.Helper()
	f, err := Parse(strings.TrimPrefix(text, FieldName+":"))
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return f
}

// written is what a Field is expected to become by being written and read:
// told by the rules of AppendTo's documentation, not by its code.
func written(f Field) Field {
	say := func(s string) string {
		if len(s) > 400 {
			s = strings.ToValidUTF8(s[:400], "")
		}
		return strings.TrimSpace(visible(s))
	}
	w := Field{AuthServID: visible(f.AuthServID), UTF8: f.UTF8}
	if len(w.AuthServID) > 400 {
		w.AuthServID = strings.ToValidUTF8(w.AuthServID[:400], "")
	}
	if w.AuthServID == "" {
		w.AuthServID = "localhost"
	}
	for _, r := range f.Results {
		if len(r.Method) > 32 || len(r.Verdict) > 32 || r.Method == "none" {
			continue
		}
		r.Comment, r.Reason = say(r.Comment), say(r.Reason)
		var props []Property
		for _, p := range r.Properties {
			if len(p.Type) <= 32 && len(p.Name) <= 32 && len(p.Value) <= 400 {
				p.Value = visible(p.Value)
				props = append(props, p)
			}
		}
		r.Properties = props
		w.Results = append(w.Results, r)
	}
	w.UTF8 = strings.ContainsFunc(w.String(), func(r rune) bool { return r > 0x7f })
	return w
}

func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\ufeff\ufffd", r) || r > 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

func TestWrite(t *testing.T) {
	f := Field{AuthServID: "mx.example.org", Results: []Result{
		{Method: "spf", Verdict: Pass, Properties: []Property{{"smtp", "mailfrom", "a@example.org"}, {"smtp", "helo", "a b"}}},
		{Method: "dkim", Verdict: Fail, Comment: "1024-bit key (short)", Reason: "the signature does not fit what the message says, not even by way of the simplest of changes", Properties: []Property{{"header", "d", "example.org"}, {"header", "b", "ab/cd"}}},
		{Method: "iprev", Verdict: Pass, Reason: "only just long enough for a line of its own, not more", Properties: []Property{{"policy", "iprev", "2001:db8::1"}}},
	}}
	const want = "Authentication-Results: mx.example.org;\r\n" +
		"\tspf=pass smtp.mailfrom=a@example.org smtp.helo=\"a b\";\r\n" +
		"\tdkim=fail (1024-bit key \\(short\\)) reason=\"the signature does not fit what\r\n" +
		" the message says, not even by way of the simplest of changes\"\r\n" +
		"\theader.d=example.org header.b=\"ab/cd\";\r\n" +
		"\tiprev=pass reason=\"only just long enough for a line of its own, not more\"\r\n" +
		"\tpolicy.iprev=\"2001:db8::1\"\r\n"
	if got := wellFormed(t, f); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := reparse(t, want); !reflect.DeepEqual(got, f) {
		t.Errorf("got %+v\nwant %+v", got, f)
	}
	if got, want := (Field{}).String(), "Authentication-Results: localhost; none\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// Values that try to say more than they are.
var breakouts = []string{
	"x\r\nAuthentication-Results: mx.example.org; dkim=pass", "x\r\n\r\nbody", "a; dkim=pass", "a dkim=pass", `a"; dkim=pass`, `a\`, `a\"`,
	"a) dkim=pass (", "(", ")", "\\)", "\x00", "\x7f", "\xff\xfe", "a\tb", "", " ", "   x   ", "a  b", "=?utf-8?q?a?=", "a@b; dkim=pass", "a@b (c)",
	`"a"@b`, `"a" x.y=z@b`, "@", "@@", "a@", "a@b@c", "a@[192.0.2.1]", "\u00ad", "a@\u00ad", "\u2028x", "\u202ex", "grün@bücher.example", "xn--", "é", "none", "1",
	strings.Repeat("x", 400), strings.Repeat("x", 401), strings.Repeat("\\", 400), strings.Repeat("a ", 200), strings.Repeat("é", 201), "x" + strings.Repeat("é", 200), strings.Repeat(" ", 401),
}

func TestNothingBreaksOut(t *testing.T) {
	for _, bad := range breakouts {
		for _, utf8 := range []bool{false, true} {
			f := Field{AuthServID: bad, UTF8: utf8, Results: []Result{
				{Method: "spf", Verdict: Pass, Comment: bad, Reason: bad, Properties: []Property{{"smtp", "mailfrom", bad}, {"header", "d", "example.org"}}},
				{Method: bad, Verdict: Pass}, {Method: "spf", Verdict: Verdict(bad)},
				{Method: "dkim", Verdict: Pass, Properties: []Property{{bad, "x", "y"}, {"x", bad, "y"}}},
			}}
			text := wellFormed(t, f)
			if !utf8 && !isASCII(text) {
				t.Errorf("%q: %q is not ASCII", bad, text)
			}
			got := reparse(t, text)
			if strings.ContainsAny(got.AuthServID, "\r\n") || got.AuthServID == "" {
				t.Errorf("%q: %+v", bad, got)
			}
			word := bad != "" && len(bad) <= 32 && all(bad, isKeyword)
			wantLen := 2
			if word {
				wantLen += 1
				if bad != "none" {
					wantLen++
				}
			}
			if len(got.Results) != wantLen {
				t.Errorf("%q: %d results in %q", bad, len(got.Results), text)
				continue
			}
			first := got.Results[0]
			n := 2
			if len(bad) > 400 {
				n = 1
			}
			if len(first.Properties) != n || first.Properties[n-1].Value != "example.org" {
				t.Errorf("%q: %+v", bad, first)
			}
			for _, s := range []string{first.Comment, first.Reason} {
				if len(s) > 400 || utf8 && strings.Contains(bad, "é") && strings.Contains(s, "?") || len(strings.Trim(bad, " ")) > 0 && s == "" {
					t.Errorf("%q becomes %q", bad, s)
				}
			}
		}
	}
}

// What is written can be read, however much there is.
func TestLongField(t *testing.T) {
	long := Result{Method: "dkim", Verdict: Pass, Comment: strings.Repeat("c", 400), Reason: strings.Repeat("r", 400)}
	full := Result{Method: "spf", Verdict: Pass}
	for range 100 {
		full.Properties = append(full.Properties, Property{"smtp", "mailfrom", strings.Repeat("(", 400)})
	}
	f := Field{AuthServID: "mx.example.org", Results: append(slices.Repeat([]Result{long}, 99), full)}
	if n := len(reparse(t, f.String()).Results); n < 70 || n > 80 {
		t.Errorf("%d results", n)
	}
	f.Results = []Result{full, long}
	if got := reparse(t, f.String()).Results; len(got) != 2 {
		t.Errorf("%d results", len(got))
	}
	full.Reason = strings.Repeat("\\", 400)
	for i := range full.Properties {
		full.Properties[i].Value = strings.Repeat(`"`, 400)
	}
	f.Results = []Result{full, long}
	if got := reparse(t, f.String()).Results; len(got) != 1 || got[0].Method != "dkim" {
		t.Errorf("%d results", len(got))
	}
}

func TestALabels(t *testing.T) {
	r := Result{Method: "spf", Verdict: Pass, Properties: []Property{{"smtp", "mailfrom", "a@bücher.example"}, {"header", "d", "bücher.example"}, {"smtp", "rcptto", "grün@example.org"}}}
	got := Field{AuthServID: "Bücher.example", Results: []Result{r}}.String()
	const want = "Authentication-Results: xn--bcher-kva.example;\r\n\tspf=pass smtp.mailfrom=a@xn--bcher-kva.example\r\n" +
		"\theader.d=xn--bcher-kva.example smtp.rcptto=gr?n@example.org\r\n"
	if got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func FuzzWrite(f *testing.F) {
	for _, bad := range breakouts {
		f.Add(bad, bad, bad, bad, true)
		f.Add("mx.example.org", "dkim", bad, bad, false)
	}
	f.Fuzz(func(t *testing.T, id, word, text, value string, utf8 bool) {
		field := Field{AuthServID: id, UTF8: utf8, Results: []Result{
			{Method: word, Verdict: Verdict(word), Comment: text, Reason: text, Properties: []Property{{word, "x", value}, {"x", word, value}, {"x", "y", value}}},
			{Method: "last", Verdict: Pass},
		}}
		got := reparse(t, wellFormed(t, field))
		if n := len(got.Results); n > 2 || got.Results[n-1].Method != "last" || len(got.Results[n-1].Properties) > 0 {
			t.Fatalf("%+v becomes %+v", field, got)
		}
		again := reparse(t, wellFormed(t, got))
		if !reflect.DeepEqual(again, got) {
			t.Fatalf("%+v becomes %+v", got, again)
		}
		oneField(t, ReceivedSPF{Verdict: Verdict(word), Comment: text, Receiver: id, EnvelopeFrom: value, Hello: value, Identity: word, Mechanism: text, Problem: text, UTF8: utf8}.String())
	})
}

func TestReceivedSPF(t *testing.T) {
	s := ReceivedSPF{
		Verdict: Pass, Comment: "example.com designates 192.0.2.1", Receiver: "mx.example.org", ClientIP: netip.MustParseAddr("::ffff:192.0.2.1"),
		EnvelopeFrom: "a@example.com", Hello: "foo.example.com", Identity: "mailfrom", Mechanism: "ip4:192.0.2.0/24",
	}
	const want = "Received-SPF: pass (example.com designates 192.0.2.1) receiver=mx.example.org;\r\n" +
		"\tclient-ip=192.0.2.1; envelope-from=\"a@example.com\"; helo=foo.example.com;\r\n" +
		"\tidentity=mailfrom; mechanism=\"ip4:192.0.2.0/24\"\r\n"
	if got := s.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, bad := range breakouts {
		s := ReceivedSPF{Verdict: Verdict(bad), Comment: bad, Receiver: bad, EnvelopeFrom: bad, Hello: bad, Identity: bad, Mechanism: bad, Problem: bad}
		text := s.String()
		oneField(t, text)
		if outside := unquoted(text); strings.Contains(outside, "dkim") || strings.ContainsAny(outside, "()\\") || !isASCII(text) {
			t.Errorf("%q: %q", bad, text)
		}
	}
}

// unquoted removes quoted strings and comments.
func unquoted(s string) string {
	var b strings.Builder
	p := scanner{s: strings.TrimPrefix(s, "Received-SPF:")}
	for !p.end() {
		switch {
		case p.is('"'):
			if _, why := p.quotedString(); why != "" {
				return s
			}
		case p.is('('):
			if _, why := p.comment(); why != "" {
				return s
			}
		default:
			b.WriteByte(p.s[p.i])
			p.i++
		}
	}
	return b.String()
}
