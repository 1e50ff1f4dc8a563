package server_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// What the extensions carry reaches the session.
func TestParametersReachTheSession(t *testing.T) {
	var mail smtp.MailParams
	var rcpt smtp.RcptParams
	s := start(t, withTLS, withExtensions)
	s.mail = func(_ context.Context, _ smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error) {
		mail = *p
		return smtp.Reply{}, nil
	}
	s.rcpt = func(_ context.Context, _ smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
		rcpt = *p
		return smtp.Reply{}, nil
	}
	p := s.dial()
	p.expect("220")
	p.do("EHLO a", "250")
	p.do("MAIL FROM:<> BY=120;NT MT-PRIORITY=3 HOLDFOR=90 SOLICIT=org.example:NEWS PRDR", "250")
	p.do("RCPT TO:<b@example.com> RRVS=2014-04-03T23:01:00Z;C", "250")
	want(t, "BY", mail.By.String(), "120;NT")
	want(t, "MT-PRIORITY", mail.Priority, smtp.NewPriority(3))
	want(t, "HOLDFOR", mail.Hold.For, 90*time.Second)
	want(t, "SOLICIT", mail.Solicit, "org.example:NEWS")
	want(t, "PRDR", mail.PRDR, true)
	want(t, "RRVS", rcpt.RRVS.String(), "2014-04-03T23:01:00Z;C")
	p.do("QUIT", "221")
}

// The observer hears the reply that decides.
func TestPRDR(t *testing.T) {
	s := start(t, func(s *testServer) { s.Extensions = []server.Extension{server.PRDR} })
	var each []bool
	s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
		text, err := io.ReadAll(b)
		each = append(each, b.PerRecipient())
		for i, c := range strings.TrimSpace(string(text)) {
			b.SetReply(i, map[rune]smtp.Reply{'-': {Code: 550, Text: "not me"}, '~': {Code: 450, Text: "not now"}, '+': {Code: 250, Text: "me"}}[c])
		}
		return smtp.Reply{}, err
	}
	for _, test := range []struct{ params, data, replies, event string }{
		{" PRDR", "+-", "353 250 550 250", "message accepted: 250 2.0.0 message accepted (4 octets, 2 recipients)"},
		{" PRDR", "--", "353 550 550 550", "message refused: 550 5.7.1 no recipient accepted the message (4 octets, 2 recipients)"},
		{" PRDR", "~-", "353 450 550 450", "message refused: 450 4.7.1 no recipient accepted the message for now (4 octets, 2 recipients)"},
		{" PRDR", "--~", "353 550 550 550", "message refused: 550 5.7.1 no recipient accepted the message (5 octets, 2 recipients)"}, // there is no third
		{"", "--", "250", "message accepted: 250 2.0.0 message accepted (4 octets, 2 recipients)"},
	} {
		p := s.dial()
		p.expect("220")
		p.do("EHLO a", "250")
		p.do("MAIL FROM:<>"+test.params, "250")
		p.do("RCPT TO:<b@example.com>", "250")
		p.do("RCPT TO:<c@example.com>", "250")
		p.do("DATA", "354")
		s.events.take()
		p.send(test.data + "\n.\n")
		for code := range strings.FieldsSeq(test.replies) {
			p.expect(code)
		}
		p.do("QUIT", "221")
		if events := s.events.take(); !strings.Contains(events, test.event) {
			t.Errorf("%v\nevents:\n%s", test, events)
		}
	}
	want(t, "PerRecipient", fmt.Sprint(each), "[true true true true false]")
}

// A MAIL that an extension refuses takes none of the places, nor of the
// address's share of the minute.
func TestRefusedByExtension(t *testing.T) {
	s := start(t, func(s *testServer) {
		s.Extensions = []server.Extension{server.NoSoliciting("org.example:ADV")}
		s.Limits.MaxTransactions, s.Limits.MaxMessageRate = 1, 1
	})
	p := s.hello()
	for range 3 {
		p.do("MAIL FROM:<> SOLICIT=org.example:ADV", "550")
	}
	p.do("MAIL FROM:<> SOLICIT=org.example:NEWS", "250")
	p.do("QUIT", "221")
}

// FUTURERELEASE belongs to submission (RFC 4865 §3): it is offered to those
// who have said who they are.
func TestFutureReleaseAfterAuth(t *testing.T) {
	s := start(t, submission, func(s *testServer) { s.Extensions = []server.Extension{server.FutureRelease(time.Hour)} })
	p := s.dial()
	p.expect("220")
	p.send("EHLO a\n")
	if r, _ := p.reply(); strings.Contains(r, "FUTURERELEASE") {
		t.Errorf("before AUTH: %q", r)
	}
	p.do("AUTH PLAIN "+b64("\x00"+user+"\x00"+password), "235")
	p.send("EHLO a\n")
	r, _ := p.reply()
	_, offer, _ := strings.Cut(r, "FUTURERELEASE ")
	interval, last, ok := smtp.Offers{smtp.ExtFutureRelease: offer}.FutureRelease()
	if until := time.Until(last); !ok || interval != time.Hour || until > time.Hour || until < 58*time.Minute {
		t.Errorf("after AUTH: %q", r)
	}
	p.do("MAIL FROM:<> HOLDFOR=3600", "250")
	p.do("QUIT", "221")
}

// An EHLO reply that differs from connection to connection does not fill the
// memory, and is right for each.
func TestManyDifferentOffers(t *testing.T) {
	n := 0
	s := start(t, func(s *testServer) {
		s.Extensions = []server.Extension{{
			Row:   &smtp.Extension{Keyword: "XCOUNT"},
			Offer: func(*server.Conn) (string, bool) { n++; return fmt.Sprint(n), true },
		}}
	})
	for i := range 100 {
		p := s.dial()
		p.expect("220")
		p.send("EHLO a\n")
		if r, _ := p.reply(); !strings.HasSuffix(r, fmt.Sprintf("XCOUNT %d", i+1)) {
			t.Fatalf("%q", r)
		}
		p.do("QUIT", "221")
	}
}

// LIMITS names the limits that there are, and no other (RFC 9422 §3).
func TestLimitsOffered(t *testing.T) {
	for _, test := range []struct {
		limits server.Limits
		want   string
	}{
		{server.Limits{}, "LIMITS RCPTMAX=1000"},
		{server.Limits{MaxMessages: 3, MaxRecipients: 2_000_000, MaxRecipientDomains: 1}, "LIMITS MAILMAX=3 RCPTMAX=999999 RCPTDOMAINMAX=1"},
		{server.Limits{MaxRecipients: -1, MaxMessages: -1, MaxRecipientDomains: -1}, ""},
	} {
		s := start(t, limits(test.limits))
		p := s.dial()
		p.expect("220")
		p.send("EHLO a\n")
		r, _ := p.reply()
		got := ""
		if i := strings.Index(r, "LIMITS"); i >= 0 {
			got, _, _ = strings.Cut(r[i:], "\n")
		}
		want(t, "offer", got, test.want)
		p.do("QUIT", "221")
	}
}
