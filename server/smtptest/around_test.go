package smtptest

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// picky is a Session of a caller's with opinions of its own. It reads messages
// only as far as it must.
type picky struct{}

func (p *picky) say(what string) (smtp.Reply, error) {
	switch {
	case strings.Contains(what, "refuse"):
		return smtp.Reply{}, smtp.Reject(550, smtp.Enh(1, 1), "not that")
	case strings.Contains(what, "mistake"):
		return smtp.Reply{Code: 354, Text: "not a final reply"}, nil
	}
	return smtp.Reply{Code: 250, Enhanced: smtp.Enh(0, 0), Text: "mine"}, nil
}

func (p *picky) Mail(_ context.Context, from smtp.ReversePath, _ *smtp.MailParams) (smtp.Reply, error) {
	return p.say(from.Local)
}

func (p *picky) Rcpt(_ context.Context, to smtp.ForwardPath, _ *smtp.RcptParams) (smtp.Reply, error) {
	return p.say(to.Local)
}

func (p *picky) Data(_ context.Context, b *server.Body) (smtp.Reply, error) {
	var start [7]byte
	if _, err := io.ReadFull(b, start[:]); err != nil {
		return smtp.Reply{}, err
	}
	return p.say(string(start[:]))
}

func (p *picky) Reset(context.Context, server.ResetReason) {}

func (p *picky) Close(error) {}

func (p *picky) Verify(context.Context, string) (smtp.Reply, error) {
	return smtp.Reply{Code: 250, Enhanced: smtp.Enh(1, 5), Text: "<picky@example.com>"}, nil
}

func newPicky(t *testing.T, configure ...func(*Server)) *Server {
	return newServer(t, append(configure, func(s *Server) {
		s.Config.Handler = server.HandlerFunc(func(context.Context, *server.Conn) (server.Session, error) { return new(picky), nil })
	})...)
}

// What the caller's Handler has accepted is recorded, and that only: whole,
// though it has not read it all.
func TestOwnHandlerRecords(t *testing.T) {
	s := newPicky(t)
	rest := "C: <repeat 3000 \"0123456789\">\nC: .\n"
	talk(t, s, hello, "C: VRFY x\nS: 250 2.1.5 <picky@example.com>",
		"C: MAIL FROM:<refuse@example.org>\nS: 550 5.1.1 not that\nC: MAIL FROM:<a@example.org>\nS: 250 2.0.0 mine",
		"C: RCPT TO:<refuse@example.com>\nS: 550 5.1.1 not that\nC: RCPT TO:<mistake@example.com>\nS: 451 ...\nC: RCPT TO:<b@example.com>\nS: 250 2.0.0 mine",
		"C: DATA\nS: 354 ...\nC: accept\n"+rest+"S: 250 2.0.0 mine",
		envelopeOf("mine"), "C: refuse\n"+rest+"S: 550 5.1.1 not that",
		envelopeOf("mine"), "C: mistake\n"+rest+"S: 451 ...",
		envelopeOf("mine"), "C: x\nC: .\nS: 451 ...",
		"C: MAIL FROM:<>\nC: RCPT TO:<c@example.com>\nS: 250 ...\nS: 250 ...\nC: BDAT 7\nC: accept!\\\nS: 250 ...\nC: RSET\nS: 250 ...", quit)
	all := s.Messages()
	if len(all) != 1 {
		t.Fatalf("%d messages", len(all))
	}
	m := all[0]
	if want := "accept\r\n" + strings.Repeat("0123456789", 3000) + "\r\n"; string(m.Data) != want {
		t.Errorf("%d octets of %d", len(m.Data), len(want))
	}
	if to := strings.Join(m.To(), " "); m.From() != "a@example.org" || to != "b@example.com" {
		t.Errorf("from %s to %s", m.From(), to)
	}
	if s.recorder.octets != int64(len(m.Data)) {
		t.Errorf("%d octets are taken, for %d", s.recorder.octets, len(m.Data))
	}
}

func envelopeOf(says string) string {
	return strings.Replace(envelope, "S: 250 ...\nS: 250 ...", "S: 250 2.0.0 "+says+"\nS: 250 2.0.0 "+says, 1)
}

// Without memory nothing more is recorded, but what the Handler says holds.
func TestOwnHandlerWithoutMemory(t *testing.T) {
	for _, limit := range []func(*Server){
		func(s *Server) { s.MaxMessages = 1 },
		func(s *Server) { s.MaxOctets = 15 },
	} {
		s := newPicky(t, limit)
		message := "C: accept\nC:\nC: 1\nC: .\nS: 250 2.0.0 mine"
		chunks := "C: MAIL FROM:<>\nC: RCPT TO:<c@example.com>\nS: 250 ...\nS: 250 ...\nC: BDAT 7\nC: accept!\\\nS: 250 ...\nC: BDAT 5 LAST\nC: and b\\\nS: 250 2.0.0 mine"
		talk(t, s, hello, envelope, message, envelope, message, chunks, envelope, message, quit)
		if n := len(s.Messages()); n != 1 {
			t.Errorf("%d messages", n)
		}
		s.Reset()
		if s.recorder.octets != 0 {
			t.Errorf("%d octets are taken", s.recorder.octets)
		}
		talk(t, s, hello, envelope, message, quit)
		if n := len(s.Messages()); n != 1 {
			t.Errorf("%d messages after Reset", n)
		}
	}
}

// Faults after the data answer in the Handler's place, others come before it.
func TestOwnHandlerFaults(t *testing.T) {
	s := newPicky(t)
	s.Fault(AfterData().Reply(250, "2.0.0", "not mine").Times(1))
	s.Fault(AfterData().Reply(452, "4.3.1", "after it").Times(1))
	s.Fault(InData(3).Skip(2).Reply(554, "5.6.0", "before it"))
	message := "C: accept\nC: .\n"
	talk(t, s, hello, envelope, message+"S: 250 2.0.0 not mine", envelope, message+"S: 452 4.3.1 after it", envelope, message+"S: 554 5.6.0 before it", quit)
	if n := len(s.Messages()); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// A Handler that panics over a message leaves no memory taken.
func TestPanicGivesMemoryBack(t *testing.T) {
	s := NewServer(t, InMemory, func(s *Server) {
		s.MaxOctets = 15
		s.Config.Logger = slog.New(slog.DiscardHandler)
		s.Config.Handler = server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
			text, err := io.ReadAll(m)
			if strings.Contains(string(text), "panic") {
				panic("at the message")
			}
			return smtp.Reply{}, err
		})
	})
	const begin = "S: 220 ...\nC: EHLO a\nS: 250-*\nS: 250 ...\nC: MAIL FROM:<>\nS: 250 ...\nC: RCPT TO:<b@example.com>\nS: 250 ...\nC: DATA\nS: 354 ..."
	for range 3 {
		talk(t, s, begin, "C: panic panic\nC: .\nS: 421 ...\nS: <close>")
	}
	talk(t, s, begin, "C: good\nC: .\nS: 250 ...", "C: QUIT\nS: 221 ...\nS: <close>")
	if n := len(s.Messages()); n != 1 {
		t.Errorf("%d messages are recorded", n)
	}
}
