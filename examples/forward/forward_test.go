package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/mxtest"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

// Every hop puts its Received on top, and one copy travels to all recipients of a
// destination.
func TestThreeHops(t *testing.T) {
	inBothModes(t, func(t *testing.T, l *line) {
		res, err := l.send(t, envelope(t, "me@example.com", "a@example.org", "b@EXAMPLE.org", "c@other.example"))
		if err != nil {
			t.Fatal(err)
		}
		l.rest()
		if want := map[bool]string{false: "250 2.0.0 message accepted", true: "250 2.0.0 accepted, to be relayed"}[l.hops[0].bounce]; res.Recipients[0].Reply.String() != want {
			t.Errorf("answered %q, want %q", res.Recipients[0].Reply, want)
		}
		for i, h := range l.hosts { // one copy for all on the way that they share
			if got := h.Messages(); len(got) != 1 || len(got[0].To()) != 3 {
				t.Errorf("hop %d: %+v", i+1, got)
			}
		}
		if got := l.other.Messages(); len(got) != 1 || !slices.Equal(got[0].To(), []string{"c@other.example"}) {
			t.Errorf("the other domain: %+v", got)
		}
		got := l.last.Messages()
		if len(got) != 1 || !slices.Equal(got[0].To(), []string{"a@example.org", "b@EXAMPLE.org"}) || got[0].From() != "me@example.com" {
			t.Fatalf("the last hop: %+v", got)
		}
		data := string(got[0].Data)
		if !strings.HasSuffix(data, text) || strings.Count(data, "\r\nReceived:") != 3 {
			t.Fatalf("not the message with three fields more:\n%s", data)
		}
		fields := strings.Split(strings.TrimSuffix(data, text), "Received: from ")[1:]
		for i, want := range []string{ // the last hop's first (RFC 5321 §4.4)
			"hop2.example.net by hop3.example.net with ESMTPS",
			"hop1.example.net by hop2.example.net with ESMTPS",
			"client.example.com by hop1.example.net with ESMTPS",
		} {
			if field := without(fields[i]); !strings.HasPrefix(field, want) {
				t.Errorf("field %d: %q, want %q", i, field, want)
			}
		}
		if len(l.home.Messages()) > 0 {
			t.Errorf("a notice of success that nobody wants:\n%s", l.home.Messages()[0].Data)
		}
	})
}

// without returns a field without its comments and folding.
func without(field string) string {
	for {
		open := strings.IndexByte(field, '(')
		if open < 0 {
			return strings.Join(strings.Fields(field), " ")
		}
		end := open + strings.IndexByte(field[open:], ')') + 1
		field = field[:open] + field[end:]
	}
}

// A 550 of the last hop comes back in the session, or as a notice.
func TestRefusedByTheLastHop(t *testing.T) {
	inBothModes(t, func(t *testing.T, l *line) {
		l.last.Fault(smtptest.On("RCPT").Reply(550, "5.1.1", "no such user here"))
		res, err := l.send(t, envelope(t, "me@example.com", "nobody@example.org"))
		l.rest()
		reply := res.Recipients[0].Reply
		if !l.hops[0].bounce {
			if err == nil || reply.String() != "550 5.1.1 no such user here" {
				t.Errorf("answered %q", reply)
			}
			if len(l.home.Messages()) > 0 {
				t.Error("and told by mail what the client has heard")
			}
			return
		}
		if err != nil {
			t.Errorf("answered %q", reply)
		}
		report := l.notice(t)
		if report.ReportingMTA.Host() != "hop3.example.net" || report.ReceivedFrom.Host() != "hop2.example.net" || report.MessageID() != "<1@example.com>" {
			t.Errorf("%+v", report)
		}
		r := report.Recipients[0]
		if r.Action != dsn.Failed || r.Status.String() != "5.1.1" || r.Final.Text != "nobody@example.org" || r.RemoteMTA.Host() != "mx.example.org" || r.Diagnostic.Text != "550 5.1.1 no such user here" {
			t.Errorf("%+v", r)
		}
	})
}

// notice returns the only message for the sender, who is not to be told twice.
func (l *line) notice(t *testing.T) *dsn.Report {
	t.Helper()
	got := l.home.Messages()
	if len(got) != 1 || got[0].From() != "" || !slices.Equal(got[0].To(), []string{"me@example.com"}) {
		t.Fatalf("want one notice: %+v", got)
	}
	report, err := dsn.Parse(bytes.NewReader(got[0].Data))
	if err != nil || len(report.Recipients) != 1 {
		t.Fatalf("%v\n%s", err, got[0].Data)
	}
	return report
}

// Some have the message and others do not: the client hears that it is accepted,
// lest it sends it to all again, and the sender of the others.
func TestRefusedForOne(t *testing.T) {
	inBothModes(t, func(t *testing.T, l *line) {
		l.last.Fault(smtptest.On("RCPT").For("nobody@example.org").Reply(550, "5.1.1", "no such user here"))
		res, err := l.send(t, envelope(t, "me@example.com", "nobody@example.org", "a@example.org"))
		if err != nil || res.Delivered() != 2 {
			t.Errorf("%+v, %v", res, err)
		}
		l.rest()
		if got := l.last.Messages(); len(got) != 1 || !slices.Equal(got[0].To(), []string{"a@example.org"}) {
			t.Errorf("%+v", got)
		}
		if r := l.notice(t).Recipients[0]; r.Action != dsn.Failed || r.Final.Text != "nobody@example.org" {
			t.Errorf("%+v", r)
		}
	})
}

// What may be better later is the client's to try again, or given up at once.
func TestTemporary(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault smtptest.Fault
		want  string // the reply
	}{
		{"a temporary refusal", smtptest.On("RCPT").Reply(450, "4.2.1", "busy"), "450 4.2.1 busy"},
		{"a server that closes", smtptest.OnGreeting().Reply(421, "4.3.2", "restarting"), "451 4.3.2 restarting"},
		{"an unknown outcome", smtptest.AfterData().Drop(), "451 4.4.2 the connection was lost before the host said what became of the message"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBothModes(t, func(t *testing.T, l *line) {
				l.last.Fault(tt.fault)
				res, err := l.send(t, envelope(t, "me@example.com", "a@example.org"))
				l.rest()
				if !l.hops[0].bounce {
					if got := res.Recipients[0].Reply.String(); got != tt.want || len(l.home.Messages()) > 0 {
						t.Errorf("answered %q, want %q", got, tt.want)
					}
					return
				}
				if err != nil {
					t.Error(err)
				}
				r := l.notice(t).Recipients[0]
				if r.Action != dsn.Failed || r.Status.Class != 4 {
					t.Errorf("%+v", r)
				}
				if theirs := !strings.Contains(tt.name, "unknown"); theirs != (r.RemoteMTA.Host() == "mx.example.org") {
					t.Errorf("said by %q", r.RemoteMTA)
				}
			})
		})
	}
}

// Of what comes with the null reverse-path nobody is told (RFC 5321 §4.5.5).
func TestNoBounceOfABounce(t *testing.T) {
	inBothModes(t, func(t *testing.T, l *line) {
		l.last.Fault(smtptest.On("RCPT").For("nobody@example.org").Reply(550, "5.1.1", "no such user here"))
		if _, err := l.send(t, envelope(t, "", "nobody@example.org", "a@example.org")); err != nil {
			t.Error(err)
		}
		l.rest()
		if len(l.home.Messages()) > 0 || len(l.last.Messages()) != 1 {
			t.Errorf("%d notices, %d messages", len(l.home.Messages()), len(l.last.Messages()))
		}
	})
}

// The parameters of the envelope reach the last hop.
func TestParameters(t *testing.T) {
	inBothModes(t, func(t *testing.T, l *line) {
		env := envelope(t, "mé@example.com", "ä@example.org")
		env.MailParams = smtp.MailParams{UTF8: true, RequireTLS: true, Ret: smtp.RetHeaders, EnvID: "QQ1", Priority: smtp.NewPriority(3)}
		env.Recipients[0].RcptParams = smtp.RcptParams{Notify: smtp.NotifyFailure, ORcpt: smtp.ORcpt{Type: "rfc822", Address: "old@example.com"}}
		if _, err := l.send(t, env); err != nil {
			t.Fatal(err)
		}
		l.rest()
		got := l.last.Messages()
		if len(got) != 1 {
			t.Fatalf("%+v", got)
		}
		have := got[0].Envelope
		want := env
		want.MailParams.Size, want.MailParams.Body = have.MailParams.Size, have.MailParams.Body // each hop's own
		if fmt.Sprint(have) != fmt.Sprint(want) {
			t.Errorf("%+v, want %+v", have, want)
		}
		if !got[0].TLS {
			t.Error("not over TLS")
		}
	})
}

// REQUIRETLS ends where it cannot be kept (RFC 8689 §4.2.1).
func TestRequireTLS(t *testing.T) {
	inBothModes(t, func(t *testing.T, l *line) {
		l.last.Hide("REQUIRETLS")
		env := envelope(t, "me@example.com", "a@example.org")
		env.MailParams.RequireTLS = true
		res, _ := l.send(t, env)
		l.rest()
		if len(l.last.Messages()) > 0 {
			t.Error("delivered")
		}
		if !l.hops[0].bounce {
			if got := res.Recipients[0].Reply; got.Code != 550 || got.EnhancedString() != "5.7.30" {
				t.Errorf("answered %q", got)
			}
			return
		}
		if r := l.notice(t).Recipients[0]; r.Action != dsn.Failed || r.Status.String() != "5.7.30" || !l.home.Messages()[0].Envelope.MailParams.RequireTLS {
			t.Errorf("%+v", r)
		}
	})
}

// Who asked to hear of success is told by the hop behind which nobody knows of
// DSN (RFC 3461 §5.2.2).
func TestRelayedNotice(t *testing.T) {
	inBothModes(t, func(t *testing.T, l *line) {
		l.last.Hide("DSN")
		env := envelope(t, "me@example.com", "a@example.org")
		env.Recipients[0].RcptParams.Notify = smtp.NotifySuccess
		if _, err := l.send(t, env); err != nil {
			t.Fatal(err)
		}
		l.rest()
		report := l.notice(t)
		if r := report.Recipients[0]; report.ReportingMTA.Host() != "hop3.example.net" || r.Action != dsn.Relayed || r.RemoteMTA.Host() != "mx.example.org" {
			t.Errorf("%+v", report)
		}
	})
}

// Two forwarders that take each other for the next hop.
func TestLoop(t *testing.T) {
	inBothModes(t, func(t *testing.T, l *line) {
		l.hops[2].next = []string{"[hop1.example.net]"}
		res, err := l.send(t, envelope(t, "me@example.com", "a@example.org"))
		l.rest()
		if !l.hops[0].bounce {
			if reply := res.Recipients[0].Reply; err == nil || reply.Code != 554 || reply.EnhancedString() != "5.4.6" {
				t.Errorf("answered %q", reply)
			}
		} else if r := l.notice(t).Recipients[0]; r.Status.String() != "5.4.6" {
			t.Errorf("%+v", r)
		}
		// One Received is there at the start, and the tenth is refused.
		if n := len(l.hosts[0].Messages()) + len(l.hosts[1].Messages()) + len(l.hosts[2].Messages()); l.hops[0].bounce && n != 9 {
			t.Errorf("%d hops, want 9", n)
		}
	})
}

// A domain whose best host is this one.
func TestOwnHost(t *testing.T) {
	inBothModes(t, func(t *testing.T, l *line) {
		l.inet.Domain("example.org", mxtest.MX(10, l.hosts[2]), mxtest.MX(20, l.last))
		res, err := l.send(t, envelope(t, "me@example.com", "a@example.org"))
		l.rest()
		if !l.hops[0].bounce {
			if reply := res.Recipients[0].Reply; err == nil || reply.Code != 554 || reply.EnhancedString() != "5.4.6" {
				t.Errorf("answered %q", reply)
			}
		} else if r := l.notice(t).Recipients[0]; r.Status.String() != "5.4.6" {
			t.Errorf("%+v", r)
		}
		if got := l.hosts[2].Transcripts(); len(got) != 1 {
			t.Errorf("the message has come back: %d connections", len(got))
		}
	})
}

// A sender who prefers delivery to TLS is heard by every hop (RFC 8689 §5).
func TestTLSOptional(t *testing.T) {
	inBothModes(t, func(t *testing.T, l *line) {
		l.inet.DANE(l.last, l.other.TLSA(3, 1, 1))
		l.send(t, envelope(t, "me@example.com", "a@example.org"))
		l.rest()
		if len(l.last.Messages()) > 0 {
			t.Error("DANE does not hold")
		}
		if _, err := l.send(t, envelope(t, "me@example.com", "a@example.org"), "TLS-Required: No\r\n"); err != nil {
			t.Error(err)
		}
		l.rest()
		if got := l.last.Messages(); len(got) != 1 || got[0].Header("TLS-Required") != "No" {
			t.Errorf("%+v", got)
		}
	})
}

// If nobody has the message it is sent again as long as that may help somebody.
func TestTemporaryForOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, false)
		l.last.Fault(smtptest.On("RCPT").For("full@example.org").Reply(452, "4.2.2", "full"))
		l.last.Fault(smtptest.On("RCPT").Reply(550, "5.1.1", "no such user here"))
		res, _ := l.send(t, envelope(t, "me@example.com", "nobody@example.org", "full@example.org", "none@example.org"))
		for _, r := range res.Recipients {
			if r.Reply.String() != "452 4.2.2 full" {
				t.Errorf("%v: answered %q", r.To, r.Reply)
			}
		}
	})
}

func TestRecipients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, false)
		res, err := l.send(t, envelope(t, "me@example.com", "a@elsewhere.example", "postmaster"))
		if err != nil {
			t.Fatal(err)
		}
		if got := res.Recipients[0].Reply; got.Code != 550 || got.EnhancedString() != "5.7.1" {
			t.Errorf("answered %q", got)
		}
		if got := l.last.Messages(); len(got) != 1 || !strings.EqualFold(got[0].To()[0], "postmaster@example.org") {
			t.Errorf("%+v", got)
		}
	})
}

// A server that is closed does not end the notice about those who have not got what
// others have.
func TestClosedBeforeTheNotice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, false)
		env := envelope(t, "me@example.com", "a@example.org", "nobody@example.org")
		p := &parcel{Message: dsn.Message{Envelope: env, Content: smtp.BytesContent([]byte(text))}}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		reply, err := l.hops[0].answer(ctx, p, []mx.Result{
			{Status: mx.Relayed, Reply: smtp.Reply{Code: 250}},
			{Status: mx.Failed, Reply: smtp.Reply{Code: 550, Enhanced: smtp.Enh(1, 1), Text: "no such user here"}},
		})
		if got := l.home.Messages(); err != nil || reply.Code != 250 || len(got) != 1 {
			t.Errorf("answered %q, %v, and %d notices", reply, err, len(got))
		}
	})
}

// There is an end to what is accepted and not yet relayed.
func TestNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine(t, true)
		l.hops[0].room = make(chan struct{}, 1)
		l.hosts[1].SetLink(mxtest.Silent)
		if _, err := l.send(t, envelope(t, "me@example.com", "a@example.org")); err != nil {
			t.Fatal(err)
		}
		res, err := l.send(t, envelope(t, "me@example.com", "b@example.org"))
		if reply := res.Recipients[0].Reply; err == nil || reply.Code != 451 {
			t.Errorf("answered %q", reply)
		}
		l.rest()
		if r := l.notice(t).Recipients[0]; r.Final.Text != "a@example.org" {
			t.Errorf("%+v", r)
		}
		if _, err := l.send(t, envelope(t, "me@example.com", "c@example.org")); err != nil {
			t.Error(err)
		}
		l.rest()
	})
}

func TestLook(t *testing.T) {
	for header, want := range map[string]string{
		"\r\n": "0 false",
		"Received: a\r\nRECEIVED : b\r\n\tReceived: folded\r\nReceived-SPF: x\r\nX-Received: y\r\n\r\n": "2 false",
		"TLS-Required: No\r\n\r\n":          "0 true",
		"tls-required:no \r\n\r\n":          "0 true",
		"TLS-Required: Yes\r\n\r\n":         "0 false",
		"Subject: TLS-Required: No\r\n\r\n": "0 false",
		"Received\r\n\r\n":                  "0 false",
	} {
		hops, optional := look([]byte(header))
		if got := fmt.Sprint(hops, optional); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}
