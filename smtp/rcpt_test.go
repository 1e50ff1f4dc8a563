package smtp

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParseRcpt(t *testing.T) {
	long := strings.Repeat("x", 500-len("rfc822;"))
	tests := []struct {
		section string
		arg     string
		to      string
		want    RcptParams
		line    string // "" when AppendRcpt gives arg again
	}{
		{"4.1.1.3", "TO:<a@b>", "<a@b>", RcptParams{}, ""},
		{"4.1.1.3", "TO:<Postmaster>", "<Postmaster>", RcptParams{}, ""},
		{"2.4", "to: <a@b>", "<a@b>", RcptParams{}, "TO:<a@b>"},
		{"C", "TO:<@x:a@b>", "<a@b>", RcptParams{}, "TO:<a@b>"},
		{"RFC 6531 3.3", "TO:<ü@b>", "<ü@b>", RcptParams{}, ""},
		{"RFC 3461 4.1", "TO:<a@b> NOTIFY=NEVER", "<a@b>", RcptParams{Notify: NotifyNever}, ""},
		{"RFC 3461 4.1", "TO:<a@b> NOTIFY=SUCCESS", "<a@b>", RcptParams{Notify: NotifySuccess}, ""},
		{"RFC 3461 4.1", "TO:<a@b> notify=delay,Failure,SUCCESS", "<a@b>", RcptParams{Notify: NotifySuccess | NotifyFailure | NotifyDelay}, "TO:<a@b> NOTIFY=SUCCESS,FAILURE,DELAY"},
		{"RFC 3461 4.1", "TO:<a@b> NOTIFY=DELAY,DELAY", "<a@b>", RcptParams{Notify: NotifyDelay}, "TO:<a@b> NOTIFY=DELAY"},
		{"RFC 3461 4.2", "TO:<a@b> ORCPT=rfc822;a+2Bx@b", "<a@b>", RcptParams{ORcpt: ORcpt{"rfc822", "a+x@b"}}, ""},
		{"RFC 3461 4.2", "TO:<a@b> ORCPT=rfc822;not+20an+20address", "<a@b>", RcptParams{ORcpt: ORcpt{"rfc822", "not an address"}}, ""},
		{"RFC 3461 4.2", "TO:<a@b> ORCPT=X.400;c+3Dde", "<a@b>", RcptParams{}, "no type"},
		{"RFC 3461 4.2", "TO:<a@b> ORCPT=x400;c+3Dde;p", "<a@b>", RcptParams{ORcpt: ORcpt{"x400", "c=de;p"}}, ""},
		{"RFC 3461 4.2", "TO:<a@b> ORCPT=rfc822;", "<a@b>", RcptParams{ORcpt: ORcpt{"rfc822", ""}}, ""},
		{"RFC 3461 4.2", "TO:<a@b> ORCPT=rfc822;" + long, "<a@b>", RcptParams{ORcpt: ORcpt{"rfc822", long}}, ""},
		{"RFC 6533 3 unitext", "TO:<a@b> ORCPT=utf-8;jürgen@b", "<a@b>", RcptParams{ORcpt: ORcpt{"utf-8", "jürgen@b"}}, `TO:<a@b> ORCPT=utf-8;j\x{FC}rgen@b`},
		{"RFC 6533 3 xtext", `TO:<a@b> ORCPT=UTF-8;j\x{FC}rgen@b`, "<a@b>", RcptParams{ORcpt: ORcpt{"UTF-8", "jürgen@b"}}, ""},
		{"RFC 6533 3 HEXPOINT", `TO:<a@b> ORCPT=utf-8;\x{A0}\x{5C}\x{20}\x{2B}\x{3D}\x{6E2C}\x{1F600}`, "<a@b>", RcptParams{ORcpt: ORcpt{"utf-8", "\u00a0\\ +=測😀"}}, ""},
		{"RFC 6533 3 address", "TO:<a@b> ORCPT=utf-8;a+b@c", "<a@b>", RcptParams{ORcpt: ORcpt{"utf-8", "a+b@c"}}, `TO:<a@b> ORCPT=utf-8;a\x{2B}b@c`},
	}
	for _, test := range tests {
		var p RcptParams
		to, err := ParseRcpt(test.arg, every(), &p)
		if test.line == "no type" {
			if err == nil {
				t.Errorf("%s: ParseRcpt(%q) = %+v", test.section, test.arg, p)
			}
			continue
		}
		if err != nil || to.String() != test.to || !reflect.DeepEqual(p, test.want) {
			t.Errorf("%s: ParseRcpt(%q) = %v %+v, %v", test.section, test.arg, to, p, err)
			continue
		}
		if err := p.Validate(); err != nil {
			t.Errorf("%s: %q: Validate() = %v", test.section, test.arg, err)
		}
		want := test.line
		if want == "" {
			want = test.arg
		}
		if got := string(AppendRcpt(nil, to, &p)); got != "RCPT "+want+"\r\n" {
			t.Errorf("%s: %q is written %q", test.section, test.arg, got)
		}
		if _, err := ParseRcpt(test.arg, every(), nil); err != nil {
			t.Errorf("%s: %q without RcptParams: %v", test.section, test.arg, err)
		}
	}
}

func TestParseRcptErrors(t *testing.T) {
	all := every()
	tests := []struct {
		section string
		arg     string
		offers  Offers
		code    int
		enh     Enhanced
		offset  int
		reason  string
	}{
		{"4.1.1.3", "<a@b>", all, 501, Enh(5, 2), 0, "TO: and a path are missing"},
		{"4.1.1.3", "TO:<>", all, 501, Enh(1, 3), 4, "local-part is empty"},
		{"4.1.1.3", "TO:a@b", all, 501, Enh(1, 3), 3, "path must stand in angle brackets"},
		{"4.1.1.3", "TO:<user>", all, 501, Enh(1, 3), 8, "@ and a domain are missing"},
		{"4.1.2", "TO:<a@b> ,<c@d>", all, 501, Enh(5, 4), 9, "parameter name is missing"},
		{"RFC 6531 3.5", "TO:<ü@b>", without(ExtSMTPUTF8), 553, Enh(6, 7), 4, "address is not ASCII and SMTPUTF8 is not offered"},
		{"4.1.1.11", "TO:<a@b> SIZE=1", all, 555, Enh(5, 4), 9, "parameter not recognized"},
		{"4.1.1.11", "TO:<a@b> NOTIFY=NEVER", without(ExtDSN), 555, Enh(5, 4), 9, "parameter not offered here"},
		{"RFC 3461 4.5", "TO:<a@b> NOTIFY=NEVER NOTIFY=NEVER", all, 501, Enh(5, 4), 22, "parameter given twice"},
		{"RFC 3461 4.1", "TO:<a@b> NOTIFY", all, 501, Enh(5, 4), 15, "NOTIFY takes NEVER, or SUCCESS, FAILURE and DELAY"},
		{"RFC 3461 4.1", "TO:<a@b> NOTIFY=ALWAYS", all, 501, Enh(5, 4), 16, "NOTIFY takes NEVER, or SUCCESS, FAILURE and DELAY"},
		{"RFC 3461 4.1", "TO:<a@b> NOTIFY=DELAY,", all, 501, Enh(5, 4), 22, "NOTIFY takes NEVER, or SUCCESS, FAILURE and DELAY"},
		{"RFC 3461 4.1", "TO:<a@b> NOTIFY=DELAY,,SUCCESS", all, 501, Enh(5, 4), 22, "NOTIFY takes NEVER, or SUCCESS, FAILURE and DELAY"},
		{"RFC 3461 4.1 a", "TO:<a@b> NOTIFY=NEVER,DELAY", all, 501, Enh(5, 4), 16, "NOTIFY=NEVER does not stand alone"},
		{"RFC 3461 4.1 a", "TO:<a@b> NOTIFY=DELAY,NEVER", all, 501, Enh(5, 4), 22, "NOTIFY=NEVER does not stand alone"},
		{"RFC 3461 4.1 a", "TO:<a@b> NOTIFY=NEVER,NEVER", all, 501, Enh(5, 4), 16, "NOTIFY=NEVER does not stand alone"},
		{"RFC 3461 4.2", "TO:<a@b> ORCPT", all, 501, Enh(5, 4), 14, "ORCPT does not begin with an address type"},
		{"RFC 3461 4.2", "TO:<a@b> ORCPT=a@b", all, 501, Enh(5, 4), 15, "ORCPT does not begin with an address type"},
		{"RFC 3461 4.2", "TO:<a@b> ORCPT=;a@b", all, 501, Enh(5, 4), 15, "ORCPT does not begin with an address type"},
		{"RFC 3461 4.2", "TO:<a@b> ORCPT=(x);a@b", all, 501, Enh(5, 4), 15, "ORCPT does not begin with an address type"},
		{"RFC 3461 4", "TO:<a@b> ORCPT=rfc822;a+b@c", all, 501, Enh(5, 4), 23, "plus sign without two hexadecimal digits"},
		{"RFC 3461 4.2", "TO:<a@b> ORCPT=rfc822;a+0D+0Ab", all, 501, Enh(5, 4), 22, "ORCPT is not printable ASCII"},
		{"RFC 3461 4.2", "TO:<a@b> ORCPT=rfc822;ü@b", all, 501, Enh(5, 4), 22, "character not allowed in xtext"},
		{"RFC 3461 4.2", "TO:<a@b> ORCPT=rfc822;" + strings.Repeat("x", 494), all, 501, Enh(5, 4), 515, "ORCPT is longer than 500 octets"},
		{"RFC 6533 3", "TO:<a@b> ORCPT=utf-8;ü@b", without(ExtSMTPUTF8), 501, Enh(5, 4), 21, "character not allowed in a parameter value"},
		{"RFC 6533 3", `TO:<a@b> ORCPT=utf-8;\x{D800}`, all, 501, Enh(5, 4), 21, "backslash that does not begin a code point"},
		{"RFC 6533 3", `TO:<a@b> ORCPT=utf-8;\x{0D}`, all, 501, Enh(5, 4), 21, "backslash that does not begin a code point"},
		{"RFC 6533 3", `TO:<a@b> ORCPT=utf-8;\x{85}`, all, 501, Enh(5, 4), 21, "backslash that does not begin a code point"},
		{"RFC 6533 3", `TO:<a@b> ORCPT=utf-8;\x{110000}`, all, 501, Enh(5, 4), 21, "backslash that does not begin a code point"},
		{"RFC 6533 3", `TO:<a@b> ORCPT=utf-8;\x{1000000}`, all, 501, Enh(5, 4), 21, "backslash that does not begin a code point"},
		{"RFC 6533 3", `TO:<a@b> ORCPT=utf-8;\x{}`, all, 501, Enh(5, 4), 21, "backslash that does not begin a code point"},
		{"RFC 6533 3", `TO:<a@b> ORCPT=utf-8;a\b`, all, 501, Enh(5, 4), 22, "backslash that does not begin a code point"},
		{"RFC 6533 3", `TO:<a@b> ORCPT=utf-8;\x{FC`, all, 501, Enh(5, 4), 21, "backslash that does not begin a code point"},
	}
	for _, test := range tests {
		var p RcptParams
		to, err := ParseRcpt(test.arg, test.offers, &p)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%s: ParseRcpt(%q) = %v %+v, %v", test.section, test.arg, to, p, err)
			continue
		}
		want := SyntaxError{test.code, test.enh, test.offset, test.reason}
		if *syntax != want || !to.IsZero() {
			t.Errorf("%s: ParseRcpt(%q): %+v, want %+v", test.section, test.arg, *syntax, want)
		}
	}
}

func TestRcptParamsValidate(t *testing.T) {
	tests := []struct {
		p      RcptParams
		reason string
	}{
		{RcptParams{Notify: NotifyNever | NotifyDelay}, "NOTIFY=NEVER does not stand alone"},
		{RcptParams{Notify: 16}, "NOTIFY has an unknown member"},
		{RcptParams{ORcpt: ORcpt{"", "a@b"}}, "ORCPT has a bad address type"},
		{RcptParams{ORcpt: ORcpt{"rfc822\r\n", "a@b"}}, "ORCPT has a bad address type"},
		{RcptParams{ORcpt: ORcpt{"a=b", "a@b"}}, "ORCPT has a bad address type"},
		{RcptParams{ORcpt: ORcpt{"rfc822", "a\r\n@b"}}, "ORCPT is not printable ASCII"},
		{RcptParams{ORcpt: ORcpt{"rfc822", "ü@b"}}, "ORCPT is not printable ASCII"},
		{RcptParams{ORcpt: ORcpt{"utf-8", "ü@b\n"}}, "ORCPT is not UTF-8 of graphic characters"},
		{RcptParams{ORcpt: ORcpt{"utf-8", "\xff@b"}}, "ORCPT is not UTF-8 of graphic characters"},
		{RcptParams{ORcpt: ORcpt{"utf-8", "\u0085@b"}}, "ORCPT is not UTF-8 of graphic characters"},
		{RcptParams{ORcpt: ORcpt{"rfc822", strings.Repeat("+", 165)}}, "ORCPT is longer than 500 octets"},
		{RcptParams{Other: []Param{{"orcpt", "x"}}}, "parameter in Other has a field of its own"},
		{RcptParams{Other: []Param{{"A", "\r\n"}}}, "parameter value has a character that is not allowed"},
		{RcptParams{Notify: NotifyDelay, ORcpt: ORcpt{"utf-8", "ü @b"}, Other: []Param{{"A", "b"}}}, ""},
	}
	for _, test := range tests {
		reason := ""
		if err := test.p.Validate(); err != nil {
			reason = err.(*SyntaxError).Reason
		}
		if reason != test.reason {
			t.Errorf("%+v: %q, want %q", test.p, reason, test.reason)
		}
		line := string(AppendRcpt(nil, ForwardPath{}, &test.p))
		if i := strings.IndexAny(line, "\r\n"); i != len(line)-2 {
			t.Errorf("%+v breaks out of its line: %q", test.p, line)
		}
	}
	if err := (*RcptParams)(nil).Validate(); err != nil {
		t.Error(err)
	}
}

func TestOwnRcptParam(t *testing.T) {
	own := &Extension{Keyword: "COLOUR", Rcpt: []RcptParam{
		{Name: "COLOUR"},
		{Name: "SHADE", Parse: func(p *RcptParams, value string) error { return badValue(1, "too dark") }},
	}}
	var p RcptParams
	to, err := ParseRcpt("TO:<a@b> COLOUR=grün", Offers{"COLOUR": "", ExtSMTPUTF8: ""}, &p, own)
	if err != nil || !reflect.DeepEqual(p.Other, []Param{{"COLOUR", "grün"}}) {
		t.Fatal(p, err)
	}
	if got := string(AppendRcpt(nil, to, &p, own)); got != "RCPT TO:<a@b> COLOUR=grün\r\n" {
		t.Errorf("%q", got)
	}
	var syntax *SyntaxError
	if _, err := ParseRcpt("TO:<a@b> SHADE=5", Offers{"COLOUR": ""}, &p, own); !errors.As(err, &syntax) || syntax.Offset != 16 {
		t.Error(err)
	}
	var missing *NotOfferedError
	p = RcptParams{Other: []Param{{"colour", "red"}}}
	if err := (Offers{}).CheckRcpt(&p, own); !errors.As(err, &missing) || missing.Keyword != "COLOUR" {
		t.Error(err)
	}
	if err := (Offers{"COLOUR": ""}).CheckRcpt(&p, own); err != nil {
		t.Error(err)
	}
	if err := (Offers{}).CheckRcpt(nil); err != nil {
		t.Error(err)
	}
}
