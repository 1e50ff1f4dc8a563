package server_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/intercept"
	"github.com/postrider/postrider/smtp"
)

// script answers in the server's place for the verbs it names.
func script(actions map[string]intercept.Action) func(*testServer) {
	return func(s *testServer) {
		s.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
			return intercept.With(ctx, func(_ context.Context, verb string, _ []byte) (intercept.Action, bool) {
				a, ok := actions[verb]
				return a, ok
			})
		}
	}
}

// What a test's script answers keeps the session in step: the octets of a
// chunk are consumed, 421 ends the connection, a refused greeting refuses all.
func TestIntercepted(t *testing.T) {
	s := start(t, script(map[string]intercept.Action{
		string(smtp.BDAT): {Reply: []byte("451 4.3.0 not now\r\n")},
		string(smtp.RSET): {Reply: []byte("nonsense\r\n")},
		string(smtp.NOOP): {Reply: []byte("250-one\r\n250 two\r\n")},
		string(smtp.VRFY): {Reply: []byte("421 4.3.2 enough\r\n")},
	}))
	p := s.hello()
	p.do("NOOP", "250-one\n250 two")
	p.raw("BDAT 6\r\nQUIT\r\n")
	p.expect("451 4.3.0 not now")
	p.send(transaction + "BDAT 6 LAST\nQUIT\n")
	p.expect("250", "250", "451 4.3.0 not now")
	p.do("VRFY x", "421 4.3.2 enough")
	p.closed()
	s.stop()
	want(t, "messages", len(s.messages()), 0)
	if events := s.events.take(); !strings.Contains(events, "reply NOOP: 250 one / two") {
		t.Errorf("events: %s", events)
	}

	s = start(t, script(map[string]intercept.Action{"": {Reply: []byte("554 go away\r\n")}}))
	p = s.dial()
	p.expect("554 go away")
	p.do("NOOP", "503")
	p.do("QUIT", "221")

	s = start(t, script(map[string]intercept.Action{
		string(smtp.MAIL): {Reply: []byte("250 2.1.0 O"), Drop: true},
		string(smtp.BDAT): {Drop: true},
	}))
	p = s.hello()
	p.send("MAIL FROM:<>\n")
	if got, err := p.reply(); got != "250 2.1.0 O" || err == nil {
		t.Errorf("%q, %v", got, err)
	}
	p = s.hello()
	p.raw("BDAT 6\r\nQUIT\r\n")
	p.closed()
}

func TestHiddenExtensions(t *testing.T) {
	s := start(t, withTLS, func(s *testServer) {
		s.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
			return intercept.WithHidden(ctx, func(keyword string) bool { return keyword == "CHUNKING" })
		}
	})
	p := s.dial()
	p.expect("220")
	p.send("EHLO x.example\n")
	if r, _ := p.reply(); strings.Contains(r, "CHUNKING") || !strings.Contains(r, "STARTTLS") {
		t.Errorf("%q", r)
	}
	p.send(transaction)
	p.expect("250", "250")
	p.raw("BDAT 6\r\nQUIT\r\n")
	p.expect("502 5.5.1 not offered")
}
