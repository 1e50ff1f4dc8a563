package smtp

import (
	"errors"
	"testing"
)

func TestXtext(t *testing.T) {
	tests := []struct {
		section string
		plain   string
		encoded string
	}{
		{"RFC 3461 4", "", ""},
		{"RFC 3461 4", "abc!~;<>", "abc!~;<>"},
		{"RFC 3461 4", "e=mc2", "e+3Dmc2"},
		{"RFC 3461 4", "a+b c", "a+2Bb+20c"},
		{"RFC 3461 4", "\x00\r\n\x7f\xff", "+00+0D+0A+7F+FF"},
	}
	for _, test := range tests {
		if got := string(AppendXtext(nil, test.plain)); got != test.encoded {
			t.Errorf("%s: %q is encoded %q", test.section, test.plain, got)
		}
		if got, err := DecodeXtext(test.encoded); err != nil || got != test.plain {
			t.Errorf("%s: %q is decoded %q, %v", test.section, test.encoded, got, err)
		}
	}
	if got, err := DecodeXtext("+3d+41"); err != nil || got != "=A" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestXtextErrors(t *testing.T) {
	tests := []struct {
		in     string
		offset int
	}{
		{"+", 0}, {"a+4", 1}, {"a+4g", 1}, {"+ 4", 0}, {"a=b", 1}, {"a b", 1}, {"+41\x00", 3}, {"ü", 0}, {"\r\n", 0},
	}
	for _, test := range tests {
		got, err := DecodeXtext(test.in)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Offset != test.offset || got != "" {
			t.Errorf("DecodeXtext(%q) = %q, %v", test.in, got, err)
		}
	}
}
