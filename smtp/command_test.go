package smtp

import (
	"math"
	"strings"
	"testing"
)

var allVerbs = []Verb{HELO, EHLO, LHLO, MAIL, RCPT, DATA, BDAT, RSET, VRFY, EXPN, HELP, NOOP, QUIT, STARTTLS, AUTH, ETRN, XCLIENT, XFORWARD}

func TestParseVerb(t *testing.T) {
	for _, want := range allVerbs {
		for _, line := range []string{string(want), strings.ToLower(string(want)), string(want[:1]) + strings.ToLower(string(want[1:]))} {
			if v, arg, ok := ParseVerb([]byte(line)); v != want || len(arg) != 0 || !ok {
				t.Errorf("ParseVerb(%q) = %q, %q, %v", line, v, arg, ok)
			}
		}
	}
	tests := []struct {
		section string
		line    string
		verb    Verb
		word    string
		arg     string
	}{
		{"4.1.1", "NOOP  a  b ", NOOP, "NOOP", "a  b"},
		{"4.1.1", "NOOP\ta\t", NOOP, "NOOP", "a"},
		{"4.1.1", "NOOP ", NOOP, "NOOP", ""},
		{"2.4", "mail FROM:<a@b>", MAIL, "mail", "FROM:<a@b>"},
		{"unknown", "", "", "", ""},
		{"unknown", " ", "", "", ""},
		{"unknown", " NOOP", "", "", "NOOP"},
		{"unknown", "NOO", "", "NOO", ""},
		{"unknown", "NOOPS x", "", "NOOPS", "x"},
		{"unknown", "MAIL:x", "", "MAIL:x", ""},
		{"unknown", "XFORWARDX", "", "XFORWARDX", ""},
		{"unknown", "\x00\x00\x00\x00NOOP", "", "\x00\x00\x00\x00NOOP", ""},
		{"unknown", "NO\xefOP", "", "NO\xefOP", ""},
		{"unknown", "N/OP", "", "N/OP", ""},
	}
	for _, test := range tests {
		v, arg, ok := ParseVerb([]byte(test.line))
		word, arg2 := CutVerb([]byte(test.line))
		if v != test.verb || ok != (test.verb != "") || string(arg) != test.arg || string(word) != test.word || string(arg2) != test.arg {
			t.Errorf("%s: ParseVerb(%q) = %q, %q, %v; CutVerb = %q, %q", test.section, test.line, v, arg, ok, word, arg2)
		}
	}
}

func TestParseBdat(t *testing.T) {
	tests := []struct {
		arg    string
		size   int64
		last   bool
		reason string
	}{
		{"0", 0, false, ""},
		{"86", 86, false, ""},
		{"86 LAST", 86, true, ""},
		{"0 last", 0, true, ""},
		{"7  LAST", 7, true, ""},
		{"007", 7, false, ""},
		{"9223372036854775807", math.MaxInt64, false, ""},
		{"9223372036854775808", 0, false, "chunk size is too large"},
		{"99999999999999999999999", 0, false, "chunk size is too large"},
		{"", 0, false, "chunk size is missing"},
		{"LAST", 0, false, "chunk size is missing"},
		{"-1", 0, false, "chunk size is missing"},
		{"+1", 0, false, "chunk size is missing"},
		{"1x", 0, false, "chunk size is not a number"},
		{"1LAST", 0, false, "chunk size is not a number"},
		{"1 LASTS", 0, false, "only LAST may follow the chunk size"},
		{"1 LAST x", 0, false, "only LAST may follow the chunk size"},
		{"1 xxxxxxxxLAST", 0, false, "only LAST may follow the chunk size"},
		{"1 ", 0, false, "only LAST may follow the chunk size"},
		{"1\x00", 0, false, "chunk size is not a number"},
	}
	for _, test := range tests {
		size, last, err := ParseBdat([]byte(test.arg))
		reason := ""
		if err != nil {
			reason = err.(*SyntaxError).Reason
		}
		if size != test.size || last != test.last || reason != test.reason {
			t.Errorf("ParseBdat(%q) = %d, %v, %v", test.arg, size, last, err)
		}
	}
}

func TestAppendBdat(t *testing.T) {
	for want, got := range map[string][]byte{
		"BDAT 0\r\n":       AppendBdat(nil, 0, false),
		"BDAT 86 LAST\r\n": AppendBdat(nil, 86, true),
		"xBDAT 0 LAST\r\n": AppendBdat([]byte("x"), -1, true),
	} {
		if string(got) != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
