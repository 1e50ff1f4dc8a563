package smtp

import (
	"errors"
	"strings"
	"testing"
)

func TestEtrn(t *testing.T) {
	tests := []struct {
		section string
		arg     string
		want    Etrn
	}{
		{"RFC 1985 5", "sigurd.innosoft.com", Etrn{EtrnNode, "sigurd.innosoft.com"}},
		{"RFC 1985 5.3", "@foo.com", Etrn{EtrnDomain, "foo.com"}},
		{"RFC 1985 5.3", "#uucp", Etrn{EtrnQueue, "uucp"}},
		{"RFC 1985 5.3", "#@#!", Etrn{EtrnQueue, "@#!"}},
		{"4.5.3.1.2", "#" + strings.Repeat("x", 255), Etrn{EtrnQueue, strings.Repeat("x", 255)}},
	}
	for _, test := range tests {
		got, err := ParseEtrn(test.arg)
		if err != nil || got != test.want || got.String() != test.arg {
			t.Errorf("%s: ParseEtrn(%q) = %+v, %v", test.section, test.arg, got, err)
		}
		if line := string(AppendEtrn(nil, got)); line != "ETRN "+test.arg+"\r\n" {
			t.Errorf("%s: %q is written %q", test.section, test.arg, line)
		}
	}
}

func TestEtrnErrors(t *testing.T) {
	long := strings.Repeat("a.", 128)
	tests := []struct {
		section string
		arg     string
		offset  int
		reason  string
	}{
		{"RFC 1985 7", "", 0, "ETRN has no name"},
		{"RFC 1985 5.3", "@", 1, "ETRN has no name"},
		{"RFC 1985 5.3", "#", 1, "ETRN has no name"},
		{"RFC 1985 7", "localname", 0, "domain is not fully qualified"},
		{"RFC 1985 8", "@com", 1, "domain is not fully qualified"},
		{"RFC 1985 5.3", "@@foo.com", 1, "character not allowed in a domain"},
		{"RFC 1985 5", "foo.com bar.com", 7, "unexpected character after the domain"},
		{"RFC 1985 5", "foo.com:25", 7, "unexpected character after the domain"},
		{"RFC 1985 5", "foo.com.", 8, "domain ends with a dot"},
		{"RFC 1985 5", "foo..com", 4, "domain label is empty"},
		{"RFC 1985 5", "f_o.com", 1, "character not allowed in a domain"},
		{"RFC 1985 5", "[192.0.2.1]", 0, "character not allowed in a domain"},
		{"RFC 1985 5", "bücher.example", 0, "domain is not ASCII"},
		{"RFC 1985 5", "foo.com\r\nRSET", 7, "character not allowed in a domain"},
		{"4.5.3.1.2", "@" + long + "a", 256, "name is longer than 255 octets"},
		{"RFC 1985 5.3", "#a b", 2, "character not allowed in the name of a queue"},
		{"RFC 1985 5.3", "#a\r\n", 2, "character not allowed in the name of a queue"},
		{"RFC 1985 5.3", "#ü", 1, "character not allowed in the name of a queue"},
		{"4.5.3.1.2", "#" + strings.Repeat("x", 256), 256, "name is longer than 255 octets"},
	}
	for _, test := range tests {
		got, err := ParseEtrn(test.arg)
		var syntax *SyntaxError
		want := SyntaxError{501, Enh(5, 4), test.offset, test.reason}
		if !errors.As(err, &syntax) || *syntax != want || got != (Etrn{}) {
			t.Errorf("%s: ParseEtrn(%q) = %+v, %v, want %+v", test.section, test.arg, got, err, want)
		}
	}
	for _, e := range []Etrn{{}, {'x', "foo.com"}, {EtrnNode, "localname"}, {EtrnNode, "foo.com\r\nRSET"}, {EtrnQueue, "a b"}} {
		if got := string(AppendEtrn([]byte("x"), e)); got != "x" || e.Validate() == nil || e.Validate().(*SyntaxError).Offset != -1 {
			t.Errorf("%+v is written %q", e, got)
		}
	}
}
