package server_test

import (
	"context"
	"strings"
	"testing"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// XFORWARD commands add up until a mail transaction ends, or what would end
// one; what they did not give is unavailable.
func TestXForward(t *testing.T) {
	one := "[UNAVAILABLE] 192.0.2.7 [UNAVAILABLE] [UNAVAILABLE] [UNAVAILABLE] [UNAVAILABLE] [UNAVAILABLE]"
	for _, tt := range []struct{ send, want string }{
		{"", ""},
		{"XFORWARD ADDR=192.0.2.7", one},
		{"XFORWARD ADDR=IPV6:2001:db8::7", strings.Replace(one, "192.0.2.7", "2001:db8::7", 1)},
		{"XFORWARD NAME=a.example ADDR=192.0.2.8 PORT=40000 PROTO=ESMTP\nXFORWARD HELO=b.example IDENT=4bZx SOURCE=REMOTE ADDR=192.0.2.7",
			"a.example 192.0.2.7 40000 ESMTP b.example 4bZx REMOTE"},
		{"XFORWARD ADDR=192.0.2.7\nXFORWARD ADDR=here", one},                  // a refused one changes nothing
		{"XFORWARD ADDR=192.0.2.7\nMAIL FROM:<reject@example.org>", one},      // nor does a refused MAIL
		{"XFORWARD ADDR=192.0.2.7\nMAIL FROM:<>\nXFORWARD ADDR=1.1.1.1", one}, // nor one in a transaction
		{"XFORWARD ADDR=192.0.2.7\nNOOP\nVRFY a", one},
		{"XFORWARD ADDR=192.0.2.7\nRSET", ""},
		{"XFORWARD ADDR=192.0.2.7\nMAIL FROM:<>\nRSET", ""},
		{"XFORWARD ADDR=192.0.2.7\nEHLO filter.example", ""},
		{"XFORWARD ADDR=192.0.2.7\nMAIL FROM:<>\nEHLO filter.example", ""},
		{"XFORWARD ADDR=192.0.2.7\nXCLIENT NAME=a.example\nEHLO filter.example", ""},
		{"XFORWARD ADDR=192.0.2.7\n" + transaction + "DATA\n.", ""},
		{"XFORWARD ADDR=192.0.2.7\n" + transaction + "BDAT 0 LAST", ""},
		{"XFORWARD ADDR=192.0.2.7\n" + transaction + "DATA\n.\nXFORWARD PORT=9", strings.NewReplacer("192.0.2.7 [UNAVAILABLE]", "[UNAVAILABLE] 9").Replace(one)},
	} {
		t.Run(tt.send, func(t *testing.T) {
			s := start(t, trusting("127.0.0.1/32"))
			var conn *server.Conn
			s.newSession = func(_ context.Context, c *server.Conn) error { conn = c; return nil }
			s.mail = func(_ context.Context, from smtp.ReversePath, _ *smtp.MailParams) (smtp.Reply, error) {
				return smtp.Reply{}, rejected(from.Local)
			}
			p := s.hello()
			for command := range strings.SplitSeq(strings.TrimSuffix(tt.send, "\n"), "\n") {
				if command != "" {
					p.do(command, "")
				}
			}
			f := conn.Info().Forwarded
			got := strings.Join([]string{f.Name, f.Addr, f.Port, f.Proto, f.Helo, f.Ident, f.Source}, " ")
			want(t, "forwarded", strings.TrimSpace(got), tt.want)
		})
	}
}

// All of a transaction sees what was forwarded for it, to the last.
func TestXForwardInTheTransaction(t *testing.T) {
	s := start(t, withTLS, trusting("127.0.0.1/32"))
	var conn *server.Conn
	var seen []string
	note := func(what string) { seen = append(seen, what+"="+conn.Info().Forwarded.Ident) }
	s.newSession = func(_ context.Context, c *server.Conn) error { conn = c; return nil }
	s.mail = func(context.Context, smtp.ReversePath, *smtp.MailParams) (smtp.Reply, error) {
		note("mail")
		return smtp.Reply{}, nil
	}
	s.data = func(context.Context, *server.Body) (smtp.Reply, error) { note("data"); return smtp.Reply{}, nil }
	s.reset = func(context.Context, server.ResetReason) { note("reset") }
	p := s.hello()
	p.send("XFORWARD IDENT=one\n" + transaction + "DATA\nx\n.\n" + transaction + "DATA\nx\n.\nXFORWARD IDENT=two\nRSET\n")
	p.expect("250", "250", "250", "354", "250", "250", "250", "354", "250", "250", "250")
	p.do("XFORWARD IDENT=three", "250")
	p.startTLS()
	p.do("EHLO filter.example", "250")
	want(t, "seen", strings.Join(seen, " "), "mail=one data=one reset=one mail= data= reset= reset=two reset=three")
	want(t, "after TLS", conn.Info().Forwarded, smtp.XForward{})
}
