package smtp

import (
	"errors"
	"strings"
	"testing"
)

func TestNewEnvelope(t *testing.T) {
	for _, from := range []string{"", "<>"} {
		e, err := NewEnvelope(from, "b@c.example", "<postmaster>")
		if err != nil || !e.From.IsNull() || len(e.Recipients) != 2 || !e.Recipients[1].To.IsPostmaster() {
			t.Errorf("%q: %+v, %v", from, e, err)
		}
		if err := e.Validate(); err != nil {
			t.Error(err)
		}
	}
	var syntax *SyntaxError
	if _, err := NewEnvelope("a\r\n@b"); !errors.As(err, &syntax) || strings.ContainsAny(err.Error(), "\r\n") {
		t.Error(err)
	}
	if _, err := NewEnvelope("a@b", "c@d", ""); !errors.As(err, &syntax) {
		t.Error(err)
	}
}

func TestEnvelopeNeedsUTF8(t *testing.T) {
	plain := Recipient{To: ForwardPath{Mailbox{"a", "b"}}}
	tests := []struct {
		e    Envelope
		want bool
	}{
		{Envelope{}, false},
		{Envelope{Recipients: []Recipient{plain}}, false},
		{Envelope{From: ReversePath{Mailbox{"ü", "b"}}}, true},
		{Envelope{From: ReversePath{Mailbox{"a", "ü.example"}}}, true},
		{Envelope{Recipients: []Recipient{plain, {To: ForwardPath{Mailbox{"ü", "b"}}}}}, true},
		{Envelope{MailParams: MailParams{Other: []Param{{"A", "ü"}}}}, true},
		{Envelope{Recipients: []Recipient{{RcptParams: RcptParams{Other: []Param{{"A", "ü"}}}}}}, true},
		{Envelope{Recipients: []Recipient{{RcptParams: RcptParams{ORcpt: ORcpt{"utf-8", "ü"}}}}}, false},
	}
	for _, test := range tests {
		if test.e.NeedsUTF8() != test.want {
			t.Errorf("%+v: not %v", test.e, test.want)
		}
	}
}

func TestEnvelopeValidate(t *testing.T) {
	good, err := NewEnvelope("a@b", "c@d")
	if err != nil {
		t.Fatal(err)
	}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Envelope){
		"smtp: reverse-path: offset 1":       func(e *Envelope) { e.From.Local = "a\r\nRSET" },
		"ENVID is not printable":             func(e *Envelope) { e.MailParams.EnvID = "\n" },
		"no recipient":                       func(e *Envelope) { e.Recipients = nil },
		"smtp: recipient 0: offset 2: domai": func(e *Envelope) { e.Recipients[0].To.Domain = "" },
		"smtp: recipient 0: ORCPT has a bad": func(e *Envelope) { e.Recipients[0].RcptParams.ORcpt.Address = "x" },
	} {
		e, _ := NewEnvelope("a@b", "c@d")
		change(&e)
		if err := e.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
