package dsn

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/postrider/postrider/smtp"
)

const (
	never   = smtp.NotifyNever
	success = smtp.NotifySuccess
	failure = smtp.NotifyFailure
	delay   = smtp.NotifyDelay
)

// Who hears of what (RFC 3461 §4.1, §5.2).
func TestWanted(t *testing.T) {
	traced := smtp.DeliverBy{Within: time.Hour, Mode: smtp.DeliverReturn, Trace: true}
	late := smtp.DeliverBy{Within: time.Hour, Mode: smtp.DeliverNotify}
	for _, test := range []struct {
		section string
		action  Action
		notify  smtp.Notify
		by      smtp.DeliverBy
		delays  bool
		want    bool
	}{
		{"5.2.6 c", Failed, 0, smtp.DeliverBy{}, false, true},
		{"5.2.6 a", Failed, failure, smtp.DeliverBy{}, false, true},
		{"5.2.6 a", Failed, success | failure, smtp.DeliverBy{}, false, true},
		{"5.2.6 b", Failed, success | delay, smtp.DeliverBy{}, true, false},
		{"5.2.6 b", Failed, never, smtp.DeliverBy{}, true, false},
		{"5.2.5 b", Delayed, 0, smtp.DeliverBy{}, false, false},
		{"5.2.5 b", Delayed, 0, smtp.DeliverBy{}, true, true},
		{"5.2.5 a", Delayed, delay, smtp.DeliverBy{}, false, true},
		{"5.2.5 c", Delayed, success | failure, smtp.DeliverBy{}, true, false},
		{"5.2.5 c", Delayed, failure, late, true, false},
		{"5.2.5 c", Delayed, never, late, true, false},
		{"RFC 2852", Delayed, 0, late, false, true},
		{"5.2.3 a", Delivered, success, smtp.DeliverBy{}, false, true},
		{"5.2.3 b", Delivered, failure | delay, smtp.DeliverBy{}, true, false},
		{"5.2.3 c", Delivered, 0, traced, true, false},
		{"4.1", Delivered, never, smtp.DeliverBy{}, true, false},
		{"5.2.2 b", Relayed, success | failure, smtp.DeliverBy{}, false, true},
		{"5.2.2 e", Relayed, 0, smtp.DeliverBy{}, true, false},
		{"5.2.2 d", Relayed, never, traced, true, false},
		{"5.2.2", Relayed, failure, smtp.DeliverBy{}, true, false},
		{"RFC 2852", Relayed, 0, traced, false, true},
		{"5.2.7.3 c", Expanded, success, smtp.DeliverBy{}, false, true},
		{"5.2.7.3 c", Expanded, failure, smtp.DeliverBy{}, true, false},
		{"5.2.7.3 c", Expanded, 0, smtp.DeliverBy{}, true, false},
		{"nothing happened", 0, success | failure | delay, traced, true, false},
		{"no such action", 17, success | failure | delay, traced, true, false},
	} {
		m := message(t, "alice@example.org", simple)
		m.Envelope.MailParams.By = test.by
		r := recipient(t, "b@example.net")
		r.Action, r.Notify = test.action, test.notify
		c := &Composer{NotifyDelay: test.delays}
		if got := c.Wanted(m, &r); got != test.want {
			t.Errorf("%s: %v with NOTIFY=%v: %t", test.section, test.action, test.notify, got)
		}
		n, err := c.Compose(m, r)
		if (err == nil) != test.want || !test.want && !errors.Is(err, ErrUnwanted) {
			t.Errorf("%s: %v with NOTIFY=%v: %v, %v", test.section, test.action, test.notify, n, err)
		}
		m.Envelope.From = smtp.ReversePath{} // §5.2: never about a message without reverse-path
		if _, err := c.Compose(m, r); !errors.Is(err, ErrUnwanted) {
			t.Errorf("%s: %v for the null reverse-path: %v", test.section, test.action, err)
		}
	}
}

// Of a notification there is no notification, whatever becomes of it, and nothing is
// read to find that out.
func TestNoBounceOfABounce(t *testing.T) {
	n := compose(t, composer(), message(t, "alice@example.org", simple), recipient(t, "b@example.net"))
	content := n.Content
	content.Open = func() (io.ReadCloser, error) { t.Error("opened"); return nil, io.EOF }
	for a := Failed; a <= Expanded; a++ {
		r := NewRecipient(n.Envelope.Recipients[0])
		r.Action, r.Notify = a, success|failure|delay
		if n, err := composer().Compose(&Message{Envelope: n.Envelope, Content: content}, r); !errors.Is(err, ErrUnwanted) {
			t.Errorf("%v: %v, %v", a, n, err)
		}
	}
}

// Recipients of whom the sender does not want to hear are not in the report
// (RFC 3461 §5.2.8).
func TestOnlyWantedRecipients(t *testing.T) {
	a, b := recipient(t, "a@example.net"), recipient(t, "b@example.net")
	a.Notify = never
	given := []Recipient{a, b}
	n := compose(t, composer(), message(t, "alice@example.org", simple), given...)
	if r := n.Report.Recipients; len(r) != 1 || r[0].Final.Text != "b@example.net" {
		t.Errorf("%+v", r)
	}
	if given[0].Notify != never || !given[1].Status.IsZero() {
		t.Errorf("the caller's recipients were changed: %+v", given)
	}
}

func TestNewRecipient(t *testing.T) {
	to := smtp.Recipient{To: smtp.ForwardPath{Mailbox: smtp.Mailbox{Local: "ü", Domain: "example.net"}},
		RcptParams: smtp.RcptParams{Notify: delay, ORcpt: smtp.ORcpt{Type: "x400", Address: "/C=de/"}}}
	r := NewRecipient(to)
	if r.Final != (Typed{"utf-8", "ü@example.net"}) || r.Original != (Typed{"x400", "/C=de/"}) || r.Notify != delay || r.Action != 0 {
		t.Errorf("%+v", r)
	}
}

func TestStatusFromWhatIsKnown(t *testing.T) {
	for _, test := range []struct {
		action Action
		reply  smtp.Reply
		want   string
	}{
		{Failed, smtp.Reply{Code: 550, Enhanced: smtp.Enh(7, 26)}, "5.7.26"},
		{Failed, smtp.Reply{Code: 550}, "5.0.0"},
		{Failed, smtp.Reply{Code: 421, Enhanced: smtp.Enh(4, 7)}, "4.4.7"}, // RFC 3464 §2.3.3
		{Failed, smtp.Reply{}, "5.0.0"},
		{Failed, smtp.Reply{Code: 354}, "5.0.0"},
		{Delayed, smtp.Reply{}, "4.0.0"},
		{Delayed, smtp.Reply{Code: 450}, "4.0.0"},
		{Delivered, smtp.Reply{}, "2.0.0"},
		{Relayed, smtp.Reply{Code: 250, Enhanced: smtp.Enh(1, 5)}, "2.1.5"},
		{Expanded, smtp.Reply{}, "2.0.0"},
		// A reply that was not the last word about the recipient.
		{Delayed, smtp.Reply{Code: 554, Enhanced: smtp.Enh(7, 1)}, "4.7.1"},
		{Delayed, smtp.Reply{Code: 554}, "4.0.0"},
		{Failed, smtp.Reply{Code: 250}, "5.0.0"},
		{Relayed, smtp.Reply{Code: 450, Enhanced: smtp.Enh(2, 1)}, "2.2.1"},
	} {
		r := recipient(t, "b@example.net")
		r.Action, r.Notify, r.Diagnostic = test.action, success|failure|delay, Diagnostic(test.reply)
		n := compose(t, composer(), message(t, "alice@example.org", simple), r)
		if got := n.Report.Recipients[0].Status.String(); got != test.want {
			t.Errorf("%v %v: %s, want %s", test.action, test.reply, got, test.want)
		}
	}
}
