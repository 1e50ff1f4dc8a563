package server_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// The order in which an Observer is told.
func TestEvents(t *testing.T) {
	s := start(t, withTLS, withAuth, limits(server.Limits{MaxMessageSize: 2000}))
	p := s.hello()
	p.startTLS()
	p.do("EHLO x.example", "250")
	p.do("AUTH LOGIN", "334")
	p.do(b64(user), "334")
	p.do(b64(password), "235")
	p.do("AUTH PLAIN "+b64("\x00"+user+"\x00"+password), "503")
	p.send(transaction + "DATA\n")
	p.expect("250", "250", "354")
	p.do("x\n.", "250")
	p.send(transaction + "BDAT 1\nx")
	p.expect("250", "250", "250")
	p.do("RSET", "250")
	p.do("NONSENSE x", "500")
	p.send(transaction + "BDAT 3000\n" + strings.Repeat("x", 3000) + "RSET\n")
	p.expect("250", "250", "552", "250")
	p.send("NOOP\n" + strings.Repeat("y", 20000) + "\n")
	p.expect("250", "500")
	p.do("QUIT", "221")
	p.closed()
	s.stop()
	var got []string
	for line := range strings.Lines(s.events.take()) {
		line, _, _ = strings.Cut(strings.TrimSuffix(line, "\n"), " / ")
		got = append(got, line)
	}
	want(t, "events", strings.Join(got, "\n"), `connection opened
reply: 220 mx.example ESMTP
command EHLO: "EHLO client.example"
reply EHLO: 250 mx.example
command STARTTLS: "STARTTLS"
reply STARTTLS: 220 2.0.0 ready to start TLS
TLS started
command EHLO: "EHLO x.example"
reply EHLO: 250 mx.example
command AUTH: "AUTH LOGIN"
reply AUTH: 334 ***
command AUTH: "***"
reply AUTH: 334 ***
command AUTH: "***"
reply AUTH: 235 2.7.0 authenticated
command AUTH: "AUTH PLAIN ***"
reply AUTH: 503 5.5.1 already authenticated
command MAIL: "MAIL FROM:<a@example.org>"
reply MAIL: 250 2.1.0 OK
command RCPT: "RCPT TO:<b@example.com>"
reply RCPT: 250 2.1.5 OK
command DATA: "DATA"
reply DATA: 354 end data with <CRLF>.<CRLF>
reply DATA: 250 2.0.0 message accepted
message accepted: 250 2.0.0 message accepted (3 octets, 1 recipients)
command MAIL: "MAIL FROM:<a@example.org>"
reply MAIL: 250 2.1.0 OK
command RCPT: "RCPT TO:<b@example.com>"
reply RCPT: 250 2.1.5 OK
command BDAT: "BDAT 1"
reply BDAT: 250 2.0.0 chunk received
command RSET: "RSET"
message refused (1 octets, 1 recipients) [smtp server: message cut short: mail transaction abandoned by the client]
reply RSET: 250 2.0.0 reset
command: "NONSENSE x"
reply: 500 5.5.1 command not recognized
command MAIL: "MAIL FROM:<a@example.org>"
reply MAIL: 250 2.1.0 OK
command RCPT: "RCPT TO:<b@example.com>"
reply RCPT: 250 2.1.5 OK
command BDAT: "BDAT 3000"
reply BDAT: 552 5.3.4 message exceeds the size limit
message refused: 552 5.3.4 message exceeds the size limit (3000 octets, 1 recipients) [smtp: 552 5.3.4 message exceeds the size limit]
command RSET: "RSET"
reply RSET: 250 2.0.0 reset
command NOOP: "NOOP"
reply NOOP: 250 2.0.0 OK
command: ""
reply: 500 5.5.2 line too long
command QUIT: "QUIT"
reply QUIT: 221 2.0.0 bye
connection closed`)
}

// An LMTP message is accepted when it is for one recipient.
func TestEventsOfLMTP(t *testing.T) {
	for _, tt := range []struct {
		replies [2]int
		want    string
	}{
		{[2]int{250, 250}, "message accepted"},
		{[2]int{550, 250}, "message accepted"},
		{[2]int{250, 451}, "message accepted"},
		{[2]int{550, 451}, "message refused"},
	} {
		s := start(t, lmtp)
		s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
			for i, code := range tt.replies {
				b.SetReply(i, smtp.Reply{Code: code, Text: "so"})
			}
			return smtp.Reply{}, nil
		}
		p := s.hello()
		p.send(transaction + "RCPT TO:<c@example.com>\nBDAT 0 LAST\n")
		p.expect("250", "250", "250", fmt.Sprint(tt.replies[0]), fmt.Sprint(tt.replies[1]))
		p.do("QUIT", "221")
		p.closed()
		s.stop()
		if events := s.events.take(); !strings.Contains(events, tt.want) {
			t.Errorf("%v: %s", tt.replies, events)
		}
	}
}

// Without a Logger it is slog's default that hears of mistakes.
func TestDefaultLogger(t *testing.T) {
	var text bytes.Buffer
	old := slog.Default()
	defer slog.SetDefault(old)
	slog.SetDefault(slog.New(slog.NewTextHandler(&text, nil)))
	s := start(t, func(s *testServer) { s.Logger, s.Handler = nil, server.HandlerFunc(newRules) })
	p := s.hello()
	p.do("MAIL FROM:<internal@example.org>", "451 4.3.0")
	s.stop()
	if !strings.Contains(text.String(), "permission denied") {
		t.Errorf("%s", text.String())
	}
}

// Whatever a client does with its credentials, no event shows them. TestMain
// looks through all events of the run besides.
func TestCredentialsAreHidden(t *testing.T) {
	plain := b64("\x00" + user + "\x00" + password)
	for _, lines := range []string{
		"AUTH PLAIN " + plain,
		"auth plain " + plain,
		" AUTH PLAIN " + plain,
		"AUTH  PLAIN  " + plain,
		"AUTH\tPLAIN\t" + plain,
		"AUTH PLAIN\r\n" + plain,
		"AUTH LOGIN\r\n" + b64(user) + "\r\n" + b64(password),
		"AUTH LOGIN " + b64(user) + "\r\n" + b64(password),
		"AUTH " + plain,
		"AUTH " + strings.TrimRight(b64(password[:9]), "="),
		"AUTHPLAIN " + plain,
		"AUTH=PLAIN " + plain,
		"AUTHENTICATE PLAIN " + plain,
		"AUHT PLAIN " + plain,
		"XAUTH login " + b64(user) + "\r\n" + b64(password),
		"AUTH XOAUTH2 " + b64(xoauth2(user, token)),
		"AUTH OAUTHBEARER " + b64(bearer(user, token)),
		"AUTH PLAIN " + plain + " " + plain,
		"AUHT SCRAM-SHA-256 " + b64(first256) + "\r\n" + b64(final256),
		"AUHT CRAM-MD5\r\n" + b64(final256),
		"AUTH UNKNOWN " + plain,
		"AUTHENTICATE LOGIN\r\n" + b64(user) + "\r\n" + b64(password),
		"AUTH UNKNOWN\r\n" + plain + "\r\n" + plain,
		"a1 LOGIN " + user + " " + password, // IMAP
		"a1 AUTHENTICATE PLAIN " + plain,
		"a1 authenticate login\r\n" + b64(user) + "\r\n" + b64(password),
		"USER " + user + "\r\nPASS " + password, // POP3, FTP
		"pass " + password,
		"AUTH LOGIN\n" + b64(user) + "\r\n" + b64(password), // ends with a bare LF
	} {
		for _, options := range [][]func(*testServer){{}, {withAuth}, {withAuth, lmtp}, {submission}} {
			s := start(t, options...)
			for _, hello := range []bool{true, false} {
				p := s.dial()
				if hello {
					p = s.hello()
				}
				p.raw(lines + "\r\nQUIT\r\n")
				for {
					if _, err := p.reply(); err != nil {
						break
					}
				}
			}
			s.stop()
			events := s.events.take()
			for _, secret := range append(secrets, plain, b64(password[:9])) {
				if strings.Contains(events, secret) {
					t.Errorf("%q:\n%s", lines, events)
				}
			}
			if !strings.Contains(events, "***") {
				t.Errorf("%q: nothing was hidden:\n%s", lines, events)
			}
		}
	}
}

// Whoever sees an exchange of SCRAM can guess passwords with it. Nobody does.
func TestSCRAMIsHidden(t *testing.T) {
	s := start(t, withPencils(nonce256))
	p := s.hello()
	p.say("SCRAM-SHA-256", first256, "<"+server256, final256, "<"+proof256, "", "<235 ")
	p.do("QUIT", "221")
	s.stop()
	events := s.events.take()
	for _, message := range []string{first256, server256, final256, proof256} {
		if strings.Contains(events, message) || strings.Contains(events, b64(message)) {
			t.Errorf("%s in\n%s", message, events)
		}
	}
	if shown := strings.Count(events, "reply AUTH: 334 ***"); shown != 2 || strings.Count(events, `command AUTH: "***"`) != 2 || !strings.Contains(events, `"AUTH SCRAM-SHA-256 ***"`) {
		t.Errorf("%s", events)
	}
}

// What is no credential is shown.
func TestOtherLinesAreShown(t *testing.T) {
	s := start(t, withAuth)
	p := s.hello()
	shown := []string{
		"AUTH PLAIN", "AUTH", "auth login", "AUTH SCRAM-SHA-256", "AUTH X_09AZ", "MAIL FROM:<plain@example.org> AUTH=<>", "NONSENSE login", "NOOP PLAIN x", "EXPN authors",
	}
	for _, line := range shown {
		p.send(line + "\n")
		r, _ := p.reply()
		if strings.HasPrefix(r, "334") {
			p.do("*", "501")
		}
	}
	s.stop()
	events := s.events.take()
	if events += "\n"; !strings.Contains(events, `"AUTH SCRAM-SHA-256"`) {
		t.Errorf("%s", events)
	}
	for _, line := range append(shown, "*") {
		if !strings.Contains(events, `: "`+line+`"`) {
			t.Errorf("%q is not shown:\n%s", line, events)
		}
	}
}

func TestLogObserver(t *testing.T) {
	for level, wants := range map[slog.Level][]string{
		slog.LevelInfo:  {"connection opened", "message accepted", "size=1 recipients=1", "connection closed", "limit hit", "message refused"},
		slog.LevelDebug: {"msg=command", "line=\"EHLO client.example\"", "verb=BDAT reply=\"250 2.0.0 message accepted\"", "conn.id="},
		slog.LevelError: nil,
	} {
		var text bytes.Buffer
		log := slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: level}))
		s := start(t, limits(server.Limits{MaxMessageSize: 2}), func(s *testServer) { s.Observer = server.LogObserver(log) })
		p := s.hello()
		p.send(transaction + "BDAT 1 LAST\nx")
		p.expect("250", "250", "250")
		p.do("MAIL FROM:<> SIZE=3", "552")
		p.send(transaction + "BDAT 3 LAST\nxxx")
		p.expect("250", "250", "552")
		s.stop()
		for _, w := range wants {
			if !strings.Contains(text.String(), w) {
				t.Errorf("no %q in\n%s", w, text.String())
			}
		}
		if level > slog.LevelDebug && strings.Contains(text.String(), "msg=command") || wants == nil && text.Len() > 0 {
			t.Errorf("at level %v:\n%s", level, text.String())
		}
	}
	if server.LogObserver(nil) == nil {
		t.Error("nil")
	}
}

func TestNames(t *testing.T) {
	seen := map[string]bool{"unknown": true}
	for k := server.ConnOpened; k <= server.ForeignProtocol; k++ {
		if name := k.String(); seen[name] {
			t.Errorf("kind %d: %q", k, name)
		}
		seen[k.String()] = true
	}
	for r := server.ResetDone; r <= server.ResetClosed; r++ {
		if name := r.String(); seen[name] {
			t.Errorf("reason %d: %q", r, name)
		}
		seen[r.String()] = true
	}
	for r := server.MX; r <= server.LMTP; r++ {
		if name := r.String(); seen[name] {
			t.Errorf("role %d: %q", r, name)
		}
		seen[r.String()] = true
	}
	want(t, "unknown", server.EventKind(0).String()+server.ResetReason(99).String(), "unknownunknown")
}
