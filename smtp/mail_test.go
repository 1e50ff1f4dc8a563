package smtp

import (
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// every offers all that the table has.
func every() Offers {
	o := Offers{}
	for row := range Extensions() {
		o[row.Keyword] = ""
	}
	return o
}

// without offers all but k.
func without(k ...Keyword) Offers {
	o := every()
	for _, k := range k {
		delete(o, k)
	}
	return o
}

func TestParseMail(t *testing.T) {
	tests := []struct {
		section string
		arg     string
		from    string
		want    MailParams
		line    string // "" when AppendMail gives arg again
	}{
		{"4.1.1.2", "FROM:<a@b>", "<a@b>", MailParams{}, ""},
		{"4.1.1.2", "FROM:<>", "<>", MailParams{}, ""},
		{"2.4", "from:<a@b>", "<a@b>", MailParams{}, "FROM:<a@b>"},
		{"3.3", "FROM: \t<a@b>", "<a@b>", MailParams{}, "FROM:<a@b>"},
		{"C", "FROM:<@x,@y:a@b>", "<a@b>", MailParams{}, "FROM:<a@b>"},
		{"4.1.2", `FROM:<"> SIZE=1 <"@b> SIZE=2`, `<"> SIZE=1 <"@b>`, MailParams{Size: 2}, ""},
		{"4.1.2 blanks", "FROM:<a@b>  SIZE=1 \t BODY=7BIT", "<a@b>", MailParams{Size: 1, Body: Body7Bit}, "FROM:<a@b> SIZE=1 BODY=7BIT"},
		{"RFC 1870 6", "FROM:<a@b> size=123456", "<a@b>", MailParams{Size: 123456}, "FROM:<a@b> SIZE=123456"},
		{"RFC 1870 6", "FROM:<a@b> SIZE=0", "<a@b>", MailParams{}, "FROM:<a@b>"},
		{"RFC 1870 6 20 digits", "FROM:<a@b> SIZE=99999999999999999999", "<a@b>", MailParams{Size: math.MaxInt64}, "FROM:<a@b> SIZE=9223372036854775807"},
		{"RFC 1870 6", "FROM:<a@b> SIZE=9223372036854775807", "<a@b>", MailParams{Size: math.MaxInt64}, ""},
		{"RFC 6152 2", "FROM:<a@b> BODY=8BITMIME", "<a@b>", MailParams{Body: Body8BitMIME}, ""},
		{"RFC 6152 2", "FROM:<a@b> body=8bitmime", "<a@b>", MailParams{Body: Body8BitMIME}, "FROM:<a@b> BODY=8BITMIME"},
		{"RFC 6152 2", "FROM:<a@b> BODY=7bit", "<a@b>", MailParams{Body: Body7Bit}, "FROM:<a@b> BODY=7BIT"},
		{"RFC 3030 3", "FROM:<a@b> BODY=binaryMIME", "<a@b>", MailParams{Body: BodyBinaryMIME}, "FROM:<a@b> BODY=BINARYMIME"},
		{"RFC 6531 3.4", "FROM:<ü@bücher.example> SMTPUTF8", "<ü@bücher.example>", MailParams{UTF8: true}, ""},
		{"RFC 6531 3.4", "FROM:<a@b> smtputf8", "<a@b>", MailParams{UTF8: true}, "FROM:<a@b> SMTPUTF8"},
		{"RFC 4954 5", "FROM:<a@b> AUTH=<>", "<a@b>", MailParams{Auth: "<>"}, ""},
		{"RFC 4954 5", "FROM:<a@b> AUTH=e+3Dmc2@example.com", "<a@b>", MailParams{Auth: "e=mc2@example.com"}, ""},
		{"RFC 3461 4", "FROM:<a@b> AUTH=e+3dmc2@example.com", "<a@b>", MailParams{Auth: "e=mc2@example.com"}, "FROM:<a@b> AUTH=e+3Dmc2@example.com"},
		{"RFC 4954 5", `FROM:<a@b> AUTH="a+20b"@c`, "<a@b>", MailParams{Auth: `"a b"@c`}, ""},
		{"RFC 3461 4.3", "FROM:<a@b> RET=FULL", "<a@b>", MailParams{Ret: RetFull}, ""},
		{"RFC 3461 4.3", "FROM:<a@b> ret=hdrs", "<a@b>", MailParams{Ret: RetHeaders}, "FROM:<a@b> RET=HDRS"},
		{"RFC 3461 4.4", "FROM:<a@b> ENVID=a+20b+2Bc", "<a@b>", MailParams{EnvID: "a b+c"}, ""},
		{"RFC 3461 4.4", "FROM:<a@b> ENVID=" + strings.Repeat("x", 100), "<a@b>", MailParams{EnvID: strings.Repeat("x", 100)}, ""},
		{"all", "FROM:<a@b> SIZE=1 BODY=8BITMIME SMTPUTF8 AUTH=<> RET=FULL ENVID=x", "<a@b>",
			MailParams{Size: 1, Body: Body8BitMIME, UTF8: true, Auth: "<>", Ret: RetFull, EnvID: "x"}, ""},
	}
	for _, test := range tests {
		p := MailParams{EnvID: "what was there", Other: []Param{{"A", "B"}}}
		from, err := ParseMail(test.arg, every(), &p)
		if err != nil || from.String() != test.from || !reflect.DeepEqual(p, test.want) {
			t.Errorf("%s: ParseMail(%q) = %v %+v, %v", test.section, test.arg, from, p, err)
			continue
		}
		if err := p.Validate(); err != nil {
			t.Errorf("%s: %q: Validate() = %v", test.section, test.arg, err)
		}
		want := test.line
		if want == "" {
			want = test.arg
		}
		if got := string(AppendMail(nil, from, &p)); got != "MAIL "+want+"\r\n" {
			t.Errorf("%s: %q is written %q", test.section, test.arg, got)
		}
		if _, err := ParseMail(test.arg, every(), nil); err != nil {
			t.Errorf("%s: %q without MailParams: %v", test.section, test.arg, err)
		}
	}
}

func TestParseMailErrors(t *testing.T) {
	all, none := every(), Offers{}
	many := "FROM:<a@b>"
	row := &Extension{Keyword: "MANY"}
	for i := range 33 {
		row.Mail = append(row.Mail, MailParam{Name: "P" + strconv.Itoa(i)})
		many += " P" + strconv.Itoa(i)
	}
	all["MANY"] = ""
	tests := []struct {
		section string
		arg     string
		offers  Offers
		code    int
		enh     Enhanced
		offset  int
		reason  string
	}{
		{"4.1.1.2", "", all, 501, Enh(5, 2), 0, "FROM: and a path are missing"},
		{"4.1.1.2", "<a@b>", all, 501, Enh(5, 2), 0, "FROM: and a path are missing"},
		{"4.1.1.2", "FROM <a@b>", all, 501, Enh(5, 2), 0, "FROM: and a path are missing"},
		{"4.1.1.2", "FROM :<a@b>", all, 501, Enh(5, 2), 0, "FROM: and a path are missing"},
		{"4.1.1.2", "TO:<a@b>", all, 501, Enh(5, 2), 0, "FROM: and a path are missing"},
		{"4.1.1.2", "FROM:", all, 501, Enh(1, 7), 5, "path must stand in angle brackets"},
		{"4.1.1.2", "FROM:a@b", all, 501, Enh(1, 7), 5, "path must stand in angle brackets"},
		{"4.1.1.2", "FROM: SIZE=1", all, 501, Enh(1, 7), 6, "path must stand in angle brackets"},
		{"4.1.1.2", "FROM:<a@b", all, 501, Enh(1, 7), 9, "closing angle bracket is missing"},
		{"4.1.1.3 only RCPT", "FROM:<postmaster>", all, 501, Enh(1, 7), 16, "@ and a domain are missing"},
		{"4.1.2", "FROM:<a@b>SIZE=1", all, 501, Enh(1, 7), 10, "blank is missing after the path"},
		{"4.1.2", "FROM:<a@b>>", all, 501, Enh(1, 7), 10, "blank is missing after the path"},
		{"4.1.2 control", "FROM:<a\r\n@b>", all, 501, Enh(1, 7), 7, "character not allowed in a local-part"},
		{"4.1.2 esmtp-keyword", "FROM:<a@b> =1", all, 501, Enh(5, 4), 11, "parameter name is missing"},
		{"4.1.2 esmtp-keyword", "FROM:<a@b> -SIZE=1", all, 501, Enh(5, 4), 11, "parameter name is missing"},
		{"4.1.2 esmtp-keyword", "FROM:<a@b> SI_ZE=1", all, 501, Enh(5, 4), 13, "character not allowed in a parameter name"},
		{"4.1.2 esmtp-keyword", "FROM:<a@b> SIZE\x00", all, 501, Enh(5, 4), 15, "character not allowed in a parameter name"},
		{"4.1.2 esmtp-value", "FROM:<a@b> SIZE=", all, 501, Enh(5, 4), 16, "parameter value is empty"},
		{"4.1.2 esmtp-value", "FROM:<a@b> SIZE= 1", all, 501, Enh(5, 4), 16, "parameter value is empty"},
		{"4.1.2 esmtp-value", "FROM:<a@b> SIZE=1=2", all, 501, Enh(5, 4), 17, "character not allowed in a parameter value"},
		{"4.1.2 esmtp-value", "FROM:<a@b> SIZE=1\r", all, 501, Enh(5, 4), 17, "character not allowed in a parameter value"},
		{"RFC 6531 3.3", "FROM:<a@b> ENVID=ü", without(ExtSMTPUTF8), 501, Enh(5, 4), 17, "character not allowed in a parameter value"},
		{"RFC 6531 3.3", "FROM:<a@b> ENVID=ü", all, 501, Enh(5, 4), 17, "character not allowed in xtext"},
		{"RFC 6531 3.3", "FROM:<a@b> ENVID=\xff", all, 501, Enh(5, 4), 17, "character not allowed in a parameter value"},
		{"4.1.1.11", "FROM:<a@b> FOO", all, 555, Enh(5, 4), 11, "parameter not recognized"},
		{"4.1.1.11", "FROM:<a@b> FOO=bar", all, 555, Enh(5, 4), 11, "parameter not recognized"},
		{"4.1.1.11 of RCPT", "FROM:<a@b> NOTIFY=NEVER", all, 555, Enh(5, 4), 11, "parameter not recognized"},
		{"4.1.1.11", "FROM:<a@b> SIZE=1", none, 555, Enh(5, 4), 11, "parameter not offered here"},
		{"4.1.1.11", "FROM:<a@b> RET=FULL", nil, 555, Enh(5, 4), 11, "parameter not offered here"},
		{"4.1.1.11", "FROM:<a@b> BODY=7BIT", without(Ext8BitMIME), 555, Enh(5, 4), 11, "parameter not offered here"},
		{"4.1.1.11", "FROM:<a@b> BODY=X", none, 555, Enh(5, 4), 11, "parameter not offered here"},
		{"RFC 3030 3", "FROM:<a@b> BODY=BINARYMIME", without(ExtBinaryMIME), 555, Enh(5, 4), 11, "parameter not offered here"},
		{"RFC 6152 2", "FROM:<a@b> BODY=X", without(ExtBinaryMIME), 501, Enh(5, 4), 16, "parameter value not recognized"},
		{"RFC 6152 2", "FROM:<a@b> BODY", all, 501, Enh(5, 4), 15, "parameter value not recognized"},
		{"RFC 3461 4.5", "FROM:<a@b> RET=FULL RET=FULL", all, 501, Enh(5, 4), 20, "parameter given twice"},
		{"twice", "FROM:<a@b> SIZE=1 size=1", all, 501, Enh(5, 4), 18, "parameter given twice"},
		{"twice", "FROM:<a@b> BODY=BINARYMIME BODY=7BIT", all, 501, Enh(5, 4), 27, "parameter given twice"},
		{"too many", many, all, 501, Enh(5, 4), 129, "more than 32 parameters"},
		{"RFC 1870 6", "FROM:<a@b> SIZE", all, 501, Enh(5, 4), 15, "SIZE is not a number of at most 20 digits"},
		{"RFC 1870 6", "FROM:<a@b> SIZE=1k", all, 501, Enh(5, 4), 16, "SIZE is not a number of at most 20 digits"},
		{"RFC 1870 6", "FROM:<a@b> SIZE=-1", all, 501, Enh(5, 4), 16, "SIZE is not a number of at most 20 digits"},
		{"RFC 1870 6", "FROM:<a@b> SIZE=000000000000000000001", all, 501, Enh(5, 4), 16, "SIZE is not a number of at most 20 digits"},
		{"RFC 6531 3.4", "FROM:<a@b> SMTPUTF8=1", all, 501, Enh(5, 4), 20, "SMTPUTF8 takes no value"},
		{"RFC 6531 3.5", "FROM:<ü@b>", all, 550, Enh(6, 7), 6, "address is not ASCII and SMTPUTF8 was not given"},
		{"RFC 6531 3.5", "FROM:<a@ü.example>", none, 550, Enh(6, 7), 8, "address is not ASCII and SMTPUTF8 was not given"},
		{"RFC 4954 5", "FROM:<a@b> AUTH=", all, 501, Enh(5, 4), 16, "parameter value is empty"},
		{"RFC 4954 5", "FROM:<a@b> AUTH", all, 501, Enh(5, 4), 15, "AUTH is not a mailbox"},
		{"RFC 4954 5", "FROM:<a@b> AUTH=user", all, 501, Enh(5, 4), 16, "AUTH is not a mailbox"},
		{"RFC 4954 5", "FROM:<a@b> AUTH=<a@b>", all, 501, Enh(5, 4), 16, "AUTH is not a mailbox"},
		{"RFC 4954 5", "FROM:<a@b> AUTH=a+0D+0A@b", all, 501, Enh(5, 4), 16, "AUTH is not a mailbox"},
		{"RFC 3461 4", "FROM:<a@b> AUTH=a+4@b", all, 501, Enh(5, 4), 17, "plus sign without two hexadecimal digits"},
		{"RFC 3461 4.3", "FROM:<a@b> RET=ALL", all, 501, Enh(5, 4), 15, "parameter value not recognized"},
		{"RFC 3461 4.4", "FROM:<a@b> ENVID", all, 501, Enh(5, 4), 16, "ENVID has no value"},
		{"RFC 3461 4.4", "FROM:<a@b> ENVID=a+0Ab", all, 501, Enh(5, 4), 17, "ENVID is not printable ASCII"},
		{"RFC 3461 4.4", "FROM:<a@b> ENVID=a+C3+BC", all, 501, Enh(5, 4), 17, "ENVID is not printable ASCII"},
		{"RFC 3461 4.4", "FROM:<a@b> ENVID=" + strings.Repeat("x", 101), all, 501, Enh(5, 4), 117, "ENVID is longer than 100 octets"},
	}
	for _, test := range tests {
		var p MailParams
		from, err := ParseMail(test.arg, test.offers, &p, row)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%s: ParseMail(%q) = %v %+v, %v", test.section, test.arg, from, p, err)
			continue
		}
		want := SyntaxError{test.code, test.enh, test.offset, test.reason}
		if *syntax != want || !from.IsNull() {
			t.Errorf("%s: ParseMail(%q): %+v, want %+v", test.section, test.arg, *syntax, want)
		}
	}
}

func TestMailParamsValidate(t *testing.T) {
	tests := []struct {
		p      MailParams
		reason string
	}{
		{MailParams{Size: -1}, "SIZE is negative"},
		{MailParams{Body: "8BITMIME\r\nRSET"}, "BODY has an unknown value"},
		{MailParams{Body: "8bitmime"}, "BODY has an unknown value"},
		{MailParams{Ret: "X"}, "RET has an unknown value"},
		{MailParams{EnvID: "a\r\nb"}, "ENVID is not printable ASCII"},
		{MailParams{EnvID: "ü"}, "ENVID is not printable ASCII"},
		{MailParams{EnvID: strings.Repeat(" ", 34)}, "ENVID is longer than 100 octets"},
		{MailParams{Auth: "user"}, "AUTH is not a mailbox"},
		{MailParams{Auth: "a@b\r\n"}, "AUTH is not a mailbox"},
		{MailParams{Other: []Param{{"", ""}}}, "parameter name has a character that is not allowed"},
		{MailParams{Other: []Param{{"A B", ""}}}, "parameter name has a character that is not allowed"},
		{MailParams{Other: []Param{{"A\r\n", ""}}}, "parameter name has a character that is not allowed"},
		{MailParams{Other: []Param{{"A", "b c"}}}, "parameter value has a character that is not allowed"},
		{MailParams{Other: []Param{{"A", "b=c"}}}, "parameter value has a character that is not allowed"},
		{MailParams{Other: []Param{{"A", "b\r\nRSET"}}}, "parameter value has a character that is not allowed"},
		{MailParams{Other: []Param{{"A", "\u0085"}}}, "parameter value has a character that is not allowed"},
		{MailParams{Other: []Param{{"size", "1"}}}, "parameter in Other has a field of its own"},
		{MailParams{Other: []Param{{"A", "1"}, {"a", "2"}}}, "parameter given twice"},
		{MailParams{Other: make([]Param, 33)}, "more than 32 parameters"},
		{MailParams{Other: []Param{{"A", "ü"}}}, ""},
	}
	for _, test := range tests {
		reason := ""
		if err := test.p.Validate(); err != nil {
			reason = err.(*SyntaxError).Reason
		}
		if reason != test.reason {
			t.Errorf("%+v: %q, want %q", test.p, reason, test.reason)
		}
		line := string(AppendMail(nil, ReversePath{}, &test.p))
		if i := strings.IndexAny(line, "\r\n"); i != len(line)-2 {
			t.Errorf("%+v breaks out of its line: %q", test.p, line)
		}
	}
	if err := (*MailParams)(nil).Validate(); err != nil {
		t.Error(err)
	}
	if got := string(AppendMail(nil, ReversePath{}, nil)); got != "MAIL FROM:<>\r\n" {
		t.Errorf("%q", got)
	}
}

func TestOwnMailParam(t *testing.T) {
	type mood string
	refusal := Reject(550, Enh(7, 1), "not in this mood")
	seen := mood("")
	own := &Extension{
		Keyword: "MOOD",
		Mail: []MailParam{
			{
				Name: "MOOD",
				Parse: func(p *MailParams, value string) error {
					switch value {
					case "syntax":
						return &SyntaxError{Code: 501, Offset: 2, Reason: "bad mood"}
					case "refused":
						return refusal
					case "secret":
						return errors.New("internal text")
					}
					seen = mood(value)
					return nil
				},
				Append: func(dst []byte, p *MailParams) []byte { return append(dst, " MOOD="+seen...) },
			},
			{Name: "PLAIN"},
		},
		MailGrowth: 100, RcptGrowth: 10, OtherGrowth: 1,
	}
	offers := Offers{"MOOD": ""}
	var p MailParams
	if _, err := ParseMail("FROM:<a@b> MOOD=good plain=x", offers, &p, own); err != nil || seen != "good" {
		t.Fatal(seen, err)
	}
	if !reflect.DeepEqual(p.Other, []Param{{"PLAIN", "x"}}) {
		t.Errorf("%+v", p)
	}
	if got := string(AppendMail(nil, ReversePath{}, &p, own)); got != "MAIL FROM:<> MOOD=good PLAIN=x\r\n" {
		t.Errorf("%q", got)
	}
	var syntax *SyntaxError
	if _, err := ParseMail("FROM:<a@b> MOOD=syntax", offers, &p, own); !errors.As(err, &syntax) || syntax.Offset != 18 || syntax.Reason != "bad mood" {
		t.Error(err)
	}
	if _, err := ParseMail("FROM:<a@b> MOOD=refused", offers, &p, own); err != error(refusal) {
		t.Error(err)
	}
	if _, err := ParseMail("FROM:<a@b> MOOD=secret", offers, &p, own); !errors.As(err, &syntax) || syntax.Code != 501 || strings.Contains(err.Error(), "internal") {
		t.Error(err)
	}
	if _, err := ParseMail("FROM:<a@b> MOOD=good", Offers{}, &p, own); !errors.As(err, &syntax) || syntax.Code != 555 {
		t.Error(err)
	}
	for v, want := range map[Verb]int{MAIL: 612, RCPT: 522, VRFY: 513} {
		if got := offers.MaxLine(v, own); got != want {
			t.Errorf("MaxLine(%s) = %d, want %d", v, got, want)
		}
	}
	var missing *NotOfferedError
	if err := (Offers{}).CheckMail(&MailParams{Other: []Param{{"plain", "x"}}}, &Extension{Keyword: "MOOD", Mail: []MailParam{{Name: "PLAIN", Values: []string{"y"}}, {Name: "PLAIN", Values: []string{"y", "X"}}}}); !errors.As(err, &missing) || missing.Keyword != "MOOD" {
		t.Error(err)
	}
}
