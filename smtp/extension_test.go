package smtp

import (
	"errors"
	"reflect"
	"slices"
	"testing"
)

func TestParseOffers(t *testing.T) {
	tests := []struct {
		section string
		lines   []string
		want    Offers
	}{
		{"4.1.1.1", nil, Offers{}},
		{"4.1.1.1", []string{"PIPELINING", "SIZE 1000"}, Offers{ExtPipelining: "", ExtSize: "1000"}},
		{"2.4", []string{"8bitmime", "Size 1"}, Offers{Ext8BitMIME: "", ExtSize: "1"}},
		{"4.1.1.1 blanks", []string{"SIZE  1000 ", "DSN\t", "DSN "}, Offers{ExtSize: "1000", ExtDSN: ""}},
		{"first counts", []string{"SIZE 1", "SIZE 2"}, Offers{ExtSize: "1"}},
		{"RFC 4954 3", []string{"AUTH PLAIN LOGIN"}, Offers{ExtAuth: "PLAIN LOGIN"}},
		{"old servers", []string{"AUTH=LOGIN PLAIN"}, Offers{ExtAuth: "LOGIN PLAIN"}},
		{"old servers", []string{"AUTH PLAIN", "auth=LOGIN"}, Offers{ExtAuth: "PLAIN LOGIN"}},
		{"old servers", []string{"AUTH", "AUTH=LOGIN"}, Offers{ExtAuth: "LOGIN"}},
		{"old servers", []string{"AUTH PLAIN", "AUTH="}, Offers{ExtAuth: "PLAIN"}},
		{"old servers", []string{"AUTH="}, Offers{ExtAuth: ""}},
		{"malformed", []string{"", " ", " SIZE", "-X", "X_Y", "X=Y", "SIZE\x00", "SIZE 1\r", "ü", "X ü", "DSN"}, Offers{ExtDSN: ""}},
		{"own", []string{"X-OWN a b=c"}, Offers{"X-OWN": "a b=c"}},
	}
	for _, test := range tests {
		if got := ParseOffers(test.lines); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: ParseOffers(%q) = %q", test.section, test.lines, got)
		}
	}
}

func TestOffers(t *testing.T) {
	o := Offers{ExtSize: "1000", ExtAuth: "plain LOGIN  PLAIN"}
	if !o.Has(ExtSize) || o.Has(ExtDSN) || Offers(nil).Has(ExtSize) {
		t.Error("Has")
	}
	if s, ok := o.Param(ExtSize); s != "1000" || !ok {
		t.Error("Param", s, ok)
	}
	if got := o.AuthMechanisms(); !slices.Equal(got, []string{"PLAIN", "LOGIN"}) {
		t.Errorf("AuthMechanisms() = %q", got)
	}
	sizes := []struct {
		offers Offers
		size   int64
		ok     bool
	}{
		{o, 1000, true},
		{Offers{}, 0, false},
		{Offers{ExtSize: ""}, 0, true},
		{Offers{ExtSize: "0"}, 0, true},
		{Offers{ExtSize: "x"}, 0, true},
		{Offers{ExtSize: "99999999999999999999"}, 1<<63 - 1, true},
	}
	for _, test := range sizes {
		if size, ok := test.offers.MaxSize(); size != test.size || ok != test.ok {
			t.Errorf("%v.MaxSize() = %d, %v", test.offers, size, ok)
		}
	}
}

func TestMaxLine(t *testing.T) {
	tests := []struct {
		section string
		offers  Offers
		verb    Verb
		want    int
	}{
		{"4.5.3.1.4", nil, MAIL, 512},
		{"RFC 1870 3", Offers{ExtSize: ""}, MAIL, 538},
		{"RFC 6152 2", Offers{Ext8BitMIME: ""}, MAIL, 529},
		{"RFC 6531 3.1", Offers{ExtSMTPUTF8: ""}, MAIL, 522},
		{"RFC 3030 3", Offers{ExtBinaryMIME: ""}, MAIL, 528},
		{"RFC 4954 3", Offers{ExtAuth: ""}, MAIL, 1012},
		{"RFC 4954 4", Offers{ExtAuth: ""}, AUTH, 12288},
		{"RFC 4954 4", nil, AUTH, 512},
		{"RFC 3461", Offers{ExtDSN: ""}, MAIL, 512 + 116},
		{"RFC 3461", Offers{ExtDSN: ""}, RCPT, 512 + 536},
		{"4.5.3.1.4", every(), NOOP, 512},
		{"4.5.3.1.4", every(), MAIL, 512 + 26 + 17 + 16 + 10 + 500 + 116 + 17 + 11 + 15 + 34 + 1007 + 5},
	}
	for _, test := range tests {
		if got := test.offers.MaxLine(test.verb); got != test.want {
			t.Errorf("%s: MaxLine(%s) = %d, want %d", test.section, test.verb, got, test.want)
		}
	}
}

func TestCheckMail(t *testing.T) {
	tests := []struct {
		p       MailParams
		missing Keyword
		param   string
	}{
		{MailParams{Size: 1}, ExtSize, "SIZE"},
		{MailParams{Body: Body7Bit}, Ext8BitMIME, "BODY"},
		{MailParams{Body: Body8BitMIME}, Ext8BitMIME, "BODY"},
		{MailParams{Body: BodyBinaryMIME}, ExtBinaryMIME, "BODY"},
		{MailParams{UTF8: true}, ExtSMTPUTF8, "SMTPUTF8"},
		{MailParams{Auth: "<>"}, ExtAuth, "AUTH"},
		{MailParams{Ret: RetFull}, ExtDSN, "RET"},
		{MailParams{EnvID: "x"}, ExtDSN, "ENVID"},
		{MailParams{Other: []Param{{"body", "BinaryMIME"}}}, ExtBinaryMIME, "BODY"},
	}
	for _, test := range tests {
		var missing *NotOfferedError
		err := without(test.missing).CheckMail(&test.p)
		if !errors.As(err, &missing) || *missing != (NotOfferedError{Keyword: test.missing, Param: test.param}) {
			t.Errorf("%+v: %v, want %s", test.p, err, test.missing)
		}
		if err := every().CheckMail(&test.p); err != nil {
			t.Errorf("%+v: %v", test.p, err)
		}
	}
	if err := (Offers)(nil).CheckMail(&MailParams{Other: []Param{{"X", "1"}}}); err != nil {
		t.Error(err)
	}
	if err := (Offers)(nil).CheckMail(nil); err != nil {
		t.Error(err)
	}
	for want, p := range map[string]RcptParams{"NOTIFY": {Notify: NotifyNever}, "ORCPT": {ORcpt: ORcpt{"rfc822", "x"}}} {
		var missing *NotOfferedError
		if err := without(ExtDSN).CheckRcpt(&p); !errors.As(err, &missing) || missing.Param != want {
			t.Errorf("%+v: %v", p, err)
		}
		if err := every().CheckRcpt(&p); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
}

func TestDropAdvisory(t *testing.T) {
	full := MailParams{Size: 1, Body: Body7Bit, UTF8: true, Auth: "<>", Ret: RetFull, EnvID: "x"}
	p := full
	every().DropAdvisory(&p)
	if !reflect.DeepEqual(p, full) {
		t.Errorf("%+v", p)
	}
	Offers(nil).DropAdvisory(&p)
	if want := (MailParams{UTF8: true, Ret: RetFull, EnvID: "x"}); !reflect.DeepEqual(p, want) {
		t.Errorf("%+v", p)
	}
	p = MailParams{Body: Body8BitMIME}
	Offers(nil).DropAdvisory(&p)
	if p.Body != Body8BitMIME {
		t.Error("8BITMIME was dropped")
	}
}

func TestExtensions(t *testing.T) {
	seen := map[Keyword]bool{}
	for row := range Extensions() {
		if seen[row.Keyword] || row.RFC == "" || !isEsmtpKeyword(string(row.Keyword)) {
			t.Errorf("row %+v", row)
		}
		seen[row.Keyword] = true
		for _, p := range row.Mail {
			if p.Parse == nil || p.Append == nil {
				t.Errorf("%s: MAIL parameter %s lacks a function", row.Keyword, p.Name)
			}
		}
		for _, p := range row.Rcpt {
			if p.Parse == nil || p.Append == nil {
				t.Errorf("%s: RCPT parameter %s lacks a function", row.Keyword, p.Name)
			}
		}
		if len(row.Mail) > 0 != (row.MailGrowth > 0) || len(row.Rcpt) > 0 != (row.RcptGrowth > 0) {
			t.Errorf("%s: growth does not fit its parameters", row.Keyword)
		}
	}
	for _, k := range []Keyword{ExtPipelining, ExtSize, Ext8BitMIME, ExtSMTPUTF8, ExtEnhancedStatusCodes, ExtStartTLS, ExtAuth, ExtChunking, ExtBinaryMIME, ExtDSN} {
		if !seen[k] {
			t.Errorf("no row for %s", k)
		}
	}
	for range Extensions() {
		break
	}
}

func TestExtensionsAreCopies(t *testing.T) {
	row := LookupExtension("8bitmime")
	if row == nil || LookupExtension("X") != nil {
		t.Fatal("LookupExtension")
	}
	row.Keyword = "X"
	row.Mail[0].Name = "X"
	row.Mail[0].Values[0] = "X"
	again := LookupExtension(Ext8BitMIME)
	if again == nil || again.Mail[0].Name != "BODY" || again.Mail[0].Values[0] != "7BIT" {
		t.Errorf("the table was changed: %+v", again)
	}
	LookupExtension(ExtChunking).Verbs[0] = "X"
	LookupExtension(ExtDSN).Rcpt[0].Name = "X"
	if LookupExtension(ExtChunking).Verbs[0] != BDAT || LookupExtension(ExtDSN).Rcpt[0].Name != "NOTIFY" {
		t.Error("the table was changed")
	}
}

func TestNotOfferedError(t *testing.T) {
	for want, err := range map[string]*NotOfferedError{
		"smtp: BODY needs BINARYMIME, which the server does not offer": {ExtBinaryMIME, "BODY", ""},
		"smtp: the server does not offer SMTPUTF8":                     {ExtSMTPUTF8, "SMTPUTF8", ""},
		"smtp: the server does not offer CHUNKING":                     {ExtChunking, "", ""},
		"smtp: BY: less than the server's minimum":                     {ExtDeliverBy, "BY", "less than the server's minimum"},
	} {
		if err.Error() != want {
			t.Errorf("%q", err)
		}
	}
}
