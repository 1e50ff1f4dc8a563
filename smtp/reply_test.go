package smtp

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEnhanced(t *testing.T) {
	tests := []struct {
		in     string
		class  int
		detail Enhanced
	}{
		{"2.0.0", 2, Enh(0, 0)},
		{"4.7.1", 4, Enh(7, 1)},
		{"5.1.10", 5, Enh(1, 10)},
		{"5.999.999", 5, Enh(999, 999)},
		{"", 0, Enhanced{}},
		{"5.1", 0, Enhanced{}},
		{"4.10.1", 4, Enh(10, 1)},
		{"5.123", 0, Enhanced{}},
		{"5.1.", 0, Enhanced{}},
		{"5..1", 0, Enhanced{}},
		{"3.1.1", 0, Enhanced{}},
		{"5.1.1 ", 0, Enhanced{}},
		{"5.1.1.1", 0, Enhanced{}},
		{"5.1000.1", 0, Enhanced{}},
		{"5.01.1", 0, Enhanced{}},
		{"5.1.00", 0, Enhanced{}},
		{"5.a.1", 0, Enhanced{}},
		{"55.1.1", 0, Enhanced{}},
	}
	for _, test := range tests {
		class, e, ok := ParseEnhanced(test.in)
		if ok != (test.class != 0) || ok && (class != test.class || e != test.detail) {
			t.Errorf("ParseEnhanced(%q) = %d, %v, %v", test.in, class, e, ok)
		}
		if ok {
			if got := (Reply{Code: class * 100, Enhanced: e}).EnhancedString(); got != test.in {
				t.Errorf("%q is written %q", test.in, got)
			}
		}
	}
	if e := Enh(1, 10); e.Subject() != 1 || e.Detail() != 10 || e.String() != "x.1.10" || e.IsZero() {
		t.Errorf("%d %d %s", e.Subject(), e.Detail(), e)
	}
	if e := Enh(0, 0); e.IsZero() || e.String() != "x.0.0" {
		t.Errorf("x.0.0 is %v", e)
	}
	for _, e := range []Enhanced{{}, Enh(-1, 0), Enh(0, 1000)} {
		if !e.IsZero() || e.Subject() != 0 || e.Detail() != 0 || e.String() != "" {
			t.Errorf("%+v is not zero", e)
		}
	}
}

func TestReplyAppendTo(t *testing.T) {
	word := strings.Repeat("w", 300)
	tests := []struct {
		section string
		reply   Reply
		want    string
	}{
		{"4.2", Reply{Code: 250, Text: "OK"}, "250 OK\r\n"},
		{"4.2.1 SP without text", Reply{Code: 250}, "250 \r\n"},
		{"RFC 4954 4", Reply{Code: 334}, "334 \r\n"},
		{"RFC 2034 4", Reply{Code: 550, Enhanced: Enh(1, 1), Text: "no"}, "550 5.1.1 no\r\n"},
		{"RFC 2034 4", Reply{Code: 450, Enhanced: Enh(2, 999), Text: "no"}, "450 4.2.999 no\r\n"},
		{"RFC 2034 3 not in 3xx", Reply{Code: 354, Enhanced: Enh(0, 0), Text: "go"}, "354 go\r\n"},
		{"RFC 2034 4 every line", Reply{Code: 550, Enhanced: Enh(1, 1), Text: "a\nb\n"}, "550-5.1.1 a\r\n550-5.1.1 b\r\n550 5.1.1 \r\n"},
		{"4.2.1", Reply{Code: 250, Text: "a\n\nc"}, "250-a\r\n250-\r\n250 c\r\n"},
		{"UTF-8", Reply{Code: 550, Text: "grö\u00a0ße"}, "550 grö\u00a0ße\r\n"},
		{"HT", Reply{Code: 550, Text: "a\tb"}, "550 a\tb\r\n"},
		{"CR", Reply{Code: 550, Text: "a\r\nb\rc"}, "550-a\r\n550 bc\r\n"},
		{"controls", Reply{Code: 550, Text: "a\x00b\x7fc\u0085d\xffe\xc3"}, "550 a?b?c?d?e?\r\n"},
		{"no code", Reply{Text: "x"}, "451 x\r\n"},
		{"no code", Reply{Code: 600, Enhanced: Enh(1, 1), Text: "x"}, "451 4.1.1 x\r\n"},
		{"no code", Reply{Code: 199}, "451 \r\n"},
		{"Raw does not count", Reply{Code: 250, Text: "x", Raw: "550 y"}, "250 x\r\n"},
		{"4.5.3.1.5", Reply{Code: 550, Enhanced: Enh(1, 1), Text: word + " " + word}, "550-5.1.1 " + word + "\r\n550 5.1.1 " + word + "\r\n"},
		{"4.5.3.1.5", Reply{Code: 550, Text: strings.Repeat("x", 506)}, "550 " + strings.Repeat("x", 506) + "\r\n"},
		{"4.5.3.1.5", Reply{Code: 550, Text: strings.Repeat("x", 507)}, "550-" + strings.Repeat("x", 506) + "\r\n550 x\r\n"},
		{"4.5.3.1.5", Reply{Code: 550, Text: "x" + strings.Repeat("ü", 253)}, "550-x" + strings.Repeat("ü", 252) + "\r\n550 ü\r\n"},
		{"4.5.3.1.5", Reply{Code: 550, Text: strings.Repeat("\xbf", 507)}, "550-" + strings.Repeat("?", 502) + "\r\n550 ?????\r\n"},
	}
	for _, test := range tests {
		got := string(test.reply.AppendTo([]byte("x")))
		if got != "x"+test.want {
			t.Errorf("%s: %+v is written\n%q, want\n%q", test.section, test.reply, got[1:], test.want)
		}
		for line := range strings.SplitAfterSeq(test.want, "\r\n") {
			if len(line) > MaxReplyLine || !utf8.ValidString(line) {
				t.Errorf("%s: line of %d octets: %q", test.section, len(line), line)
			}
		}
	}
}

func TestParseReply(t *testing.T) {
	tests := []struct {
		section  string
		raw      string
		code     int
		enh      Enhanced
		text     string
		mismatch bool
		str      string
	}{
		{"4.2", "250 OK", 250, Enhanced{}, "OK", false, "250 OK"},
		{"4.2", "250 OK\r\n", 250, Enhanced{}, "OK", false, "250 OK"},
		{"4.2 text left out", "250", 250, Enhanced{}, "", false, "250"},
		{"4.2 text left out", "250 \r\n", 250, Enhanced{}, "", false, "250"},
		{"4.2.1", "250-a\r\n250-\r\n250 c\r\n", 250, Enhanced{}, "a\n\nc", false, "250 a /  / c"},
		{"RFC 2034 4", "550 5.1.1 no such user", 550, Enh(1, 1), "no such user", false, "550 5.1.1 no such user"},
		{"RFC 2034 4", "550 5.1.1", 550, Enh(1, 1), "", false, "550 5.1.1"},
		{"RFC 2034 4", "550-5.1.1 a\r\n550 5.1.1 b", 550, Enh(1, 1), "a\nb", false, "550 5.1.1 a / b"},
		{"RFC 2034 4 only once", "550-a\r\n550 5.1.1 b", 550, Enh(1, 1), "a\nb", false, "550 5.1.1 a / b"},
		{"RFC 2034 4 two codes", "550-5.1.1 a\r\n550 5.7.1 b", 550, Enh(1, 1), "a\n5.7.1 b", false, "550 5.1.1 a / 5.7.1 b"},
		{"RFC 2034 4 mismatch", "550 4.2.1 a", 550, Enh(2, 1), "a", true, "550 5.2.1 a"},
		{"RFC 2034 3", "354 3.0.0 go", 354, Enhanced{}, "3.0.0 go", false, "354 3.0.0 go"},
		{"RFC 2034 3", "334 2.0.0 go", 334, Enhanced{}, "2.0.0 go", false, "334 2.0.0 go"},
		{"no enhanced code", "550 5.1.1x", 550, Enhanced{}, "5.1.1x", false, "550 5.1.1x"},
		{"no enhanced code", "250 2.0", 250, Enhanced{}, "2.0", false, "250 2.0"},
		{"second digit", "571 no", 571, Enhanced{}, "no", false, "571 no"},
		{"octets kept", "550 \x00\xff\u0085", 550, Enhanced{}, "\x00\xff\u0085", false, "550 ???"},
	}
	for _, test := range tests {
		r, err := ParseReply(test.raw)
		want := Reply{test.code, test.enh, test.text, strings.TrimSuffix(test.raw, "\r\n")}
		if err != nil || r != want {
			t.Errorf("%s: ParseReply(%q) = %+v, %v", test.section, test.raw, r, err)
			continue
		}
		if r.ClassMismatch() != test.mismatch || r.String() != test.str {
			t.Errorf("%s: %q: mismatch %v, %q", test.section, test.raw, r.ClassMismatch(), r)
		}
		if got := slices.Collect(r.Lines()); !slices.Equal(got, strings.Split(test.text, "\n")) {
			t.Errorf("%s: %q: lines %q", test.section, test.raw, got)
		}
	}
}

func TestParseReplyErrors(t *testing.T) {
	tests := []struct {
		raw    string
		offset int
		reason string
	}{
		{"", 0, "reply line does not begin with a code"},
		{"\r\n", 0, "reply line does not begin with a code"},
		{"25", 0, "reply line does not begin with a code"},
		{"2500", 0, "reply line does not begin with a code"},
		{"250x", 0, "reply line does not begin with a code"},
		{"150 x", 0, "reply line does not begin with a code"},
		{"650 x", 0, "reply line does not begin with a code"},
		{"25: x", 0, "reply line does not begin with a code"},
		{"2x0 x", 0, "reply line does not begin with a code"},
		{" 250 x", 0, "reply line does not begin with a code"},
		{"250-a\r\n251 b", 7, "reply code differs between lines"},
		{"250-a\r\nb", 7, "reply line does not begin with a code"},
		{"250-a", 3, "reply has no last line"},
		{"250-", 3, "reply has no last line"},
		{"250 a\r\n250 b", 3, "reply goes on after its last line"},
		{"250\r\n250 b", 3, "reply goes on after its last line"},
		{"250 a\n250 b", 5, "reply has a CR or LF alone"},
		{"250 a\rb", 5, "reply has a CR or LF alone"},
		{"250 a\r\r\n", 5, "reply has a CR or LF alone"},
	}
	for _, test := range tests {
		r, err := ParseReply(test.raw)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || *syntax != (SyntaxError{Offset: test.offset, Reason: test.reason}) || !r.IsZero() {
			t.Errorf("ParseReply(%q) = %+v, %v", test.raw, r, err)
		}
	}
}

func TestReplyClass(t *testing.T) {
	for code, want := range map[int][4]bool{
		0: {}, 100: {}, 600: {},
		250: {true}, 354: {false, true}, 421: {false, false, true}, 599: {false, false, false, true},
	} {
		r := Reply{Code: code, Enhanced: Enh(0, 0)}
		if got := [4]bool{r.Positive(), r.Intermediate(), r.Temporary(), r.Permanent()}; got != want {
			t.Errorf("%d: %v", code, got)
		}
		if (r.EnhancedString() == "") == (want[0] || want[2] || want[3]) {
			t.Errorf("%d: %q", code, r.EnhancedString())
		}
	}
}

func TestError(t *testing.T) {
	tests := []struct {
		err       *Error
		text      string
		temporary bool
	}{
		{&Error{Verb: RCPT, Reply: Reply{Code: 550, Enhanced: Enh(1, 1), Text: "no such user"}}, "smtp: RCPT: 550 5.1.1 no such user", false},
		{&Error{Reply: Reply{Code: 421, Text: "a\nb\x07"}}, "smtp: 421 a / b?", true},
		{Reject(452, Enh(3, 1), "later"), "smtp: 452 4.3.1 later", true},
		{Reject(250, Enh(0, 0), "x"), "smtp: 554 5.0.0 x", false},
		{Reject(400, Enhanced{}, "x"), "smtp: 400 x", true},
		{Reject(599, Enhanced{}, "x"), "smtp: 599 x", false},
		{Reject(600, Enhanced{}, "x"), "smtp: 554 x", false},
		{Reject(0, Enhanced{}, ""), "smtp: 554", false},
	}
	for _, test := range tests {
		if test.err.Error() != test.text || test.err.Temporary() != test.temporary {
			t.Errorf("%q, %v, want %q", test.err, test.err.Temporary(), test.text)
		}
	}
	for s, want := range []string{"unknown", "recipient", "message", "session", "host", "unknown"} {
		if got := Scope(s).String(); got != want {
			t.Errorf("Scope(%d) = %s", s, got)
		}
	}
}

func TestSyntaxErrorReply(t *testing.T) {
	err := &SyntaxError{Code: 555, Enhanced: Enh(5, 4), Offset: 7, Reason: "parameter not recognized"}
	if got := string(err.Reply().AppendTo(nil)); got != "555 5.5.4 parameter not recognized (offset 7)\r\n" {
		t.Errorf("%q", got)
	}
	if got := (&SyntaxError{Reason: "x"}).Reply(); got.Code != 501 || got.Text != "x (offset 0)" {
		t.Error(got)
	}
	err = &SyntaxError{Code: 400, Offset: -1, Reason: "x"}
	if got := err.Reply(); got.Code != 400 || got.Text != "x" || err.Error() != "smtp: x" {
		t.Error(got, err)
	}
}

func TestReplyStringOfNoReply(t *testing.T) {
	if s := (Reply{}).String(); s != "" {
		t.Errorf("%q", s)
	}
}
