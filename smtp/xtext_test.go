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

func TestUnitext(t *testing.T) {
	for _, test := range []struct{ plain, encoded string }{
		{"a@b.example", "a@b.example"},
		{"jörg+x=y@b.example", `j\x{F6}rg\x{2B}x\x{3D}y@b.example`},
		{`"a b\"@例え.example`, `"a\x{20}b\x{5C}"@\x{4F8B}\x{3048}.example`},
		{"😀", `\x{1F600}`},
	} {
		if got := string(AppendUnitext(nil, test.plain)); got != test.encoded {
			t.Errorf("%q is encoded %q", test.plain, got)
		}
		if got, err := DecodeUnitext(test.encoded); err != nil || got != test.plain {
			t.Errorf("%q is decoded %q, %v", test.encoded, got, err)
		}
	}
	for in, offset := range map[string]int{"a b": 1, `a\x{0A}`: 1, `\x{D800}`: 0, `\y`: 0, "a=b": 1, "\xff": 0, "ab\x00": 2} {
		var syntax *SyntaxError
		if got, err := DecodeUnitext(in); !errors.As(err, &syntax) || syntax.Offset != offset || got != "" {
			t.Errorf("DecodeUnitext(%q) = %q, %v", in, got, err)
		}
	}
}
