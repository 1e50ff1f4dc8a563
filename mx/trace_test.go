package mx_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

// attempts records what a Trace is told.
type attempts struct {
	routed []string
	lines  []string
}

func (r *attempts) trace() *mx.Trace {
	return &mx.Trace{
		Routed: func(_ context.Context, domain string, route *mx.Route, err error) {
			if err != nil {
				r.routed = append(r.routed, domain+" "+errorText(err))
				return
			}
			r.routed = append(r.routed, domain+" "+routeText(route, nil))
		},
		Attempted: func(_ context.Context, a *mx.Attempt) {
			line := fmt.Sprintf("%s %s %s", a.Host.Name, a.Addr, a.Policy.Level)
			if s := a.Server; s != nil {
				line += fmt.Sprintf(" greeted %d tls %t", s.Greeting.Code, s.TLS != nil)
			}
			if a.Plaintext != nil {
				line += " plaintext"
			}
			if a.Err != nil {
				line += " failed"
			}
			if a.Next {
				line += " next"
			}
			for _, res := range a.Results {
				line += ", " + sentence(res)
			}
			r.lines = append(r.lines, line)
		},
	}
}

// Every attempt is told of, in order, with what is known of it.
func TestTrace(t *testing.T) {
	n := newNetwork(t)
	n.script("192.0.2.1", "S: 421 busy\nS: <close>\n")
	n.script("192.0.2.2", startTLS("S: 220 go\nS: <close>"), plain("S: 421 bye\nS: <close>"))
	n.server("192.0.2.4", requireTLSServer(t))
	c := n.client(dnstest.MustParse(`
		example.org MX 10 a.example.org
		example.org MX 20 b.example.org
		example.org MX 30 c.example.org
		example.org MX 40 d.example.org
		a.example.org A 192.0.2.1
		b.example.org A 192.0.2.2
		d.example.org A 192.0.2.4
	`))
	c.MaxSessions = 10
	var r attempts
	c.Trace = r.trace()
	if _, err := c.Deliver(t.Context(), "example.org", message(t, "to@example.org")); err != nil {
		t.Error(err)
	}
	c.Deliver(t.Context(), "gone.example", message(t, "to@gone.example"))
	equal(t, "routed", r.routed, []string{
		"example.org 10 a.example.org, 20 b.example.org, 30 c.example.org, 40 d.example.org",
		"gone.example 550 5.1.2 site",
	})
	equal(t, "attempts", r.lines, []string{
		"a.example.org 192.0.2.1:25 may greeted 0 tls false failed next, deferred host 421",
		"b.example.org 192.0.2.2:25 may greeted 220 tls false failed next",
		"b.example.org 192.0.2.2:25 may greeted 220 tls false plaintext failed next, deferred host 421",
		"c.example.org  may failed next, failed host 550 5.4.4 ours",
		"d.example.org 192.0.2.4:25 may greeted 220 tls true, relayed 250 2.0.0",
	})
}

// What is said on the connections is told to Trace.Conn, and what Ready is told does
// not keep it from the Attempt.
func TestTraceConn(t *testing.T) {
	n := newNetwork(t)
	n.server("192.0.2.1", smtptest.NoTLS)
	c := n.client(dnstest.MustParse("example.org A 192.0.2.1"))
	var said []string
	var conn uint64
	c.Trace = &mx.Trace{
		Conn: &client.Trace{
			Wrote: func(i client.ConnInfo, line string) { said = append(said, line) },
			Got:   func(_ client.ConnInfo, reply smtp.Reply) { said = append(said, fmt.Sprint(reply.Code)) },
			Ready: func(_ context.Context, i client.ConnInfo, _ *client.ServerInfo, err error) {
				said = append(said, "ready at "+i.Host)
			},
		},
		Attempted: func(_ context.Context, a *mx.Attempt) { conn = a.Server.ConnID },
	}
	if _, err := c.Deliver(t.Context(), "example.org", message(t, "to@example.org")); err != nil {
		t.Fatal(err)
	}
	equal(t, "said", said[:4], []string{"220", "EHLO relay.example", "250", "ready at example.org"})
	if conn != 1 {
		t.Errorf("connection %d", conn)
	}
}

// The log of a delivery, for people who read logs.
func TestLogTrace(t *testing.T) {
	var buf bytes.Buffer
	log := slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "took" {
			return slog.Attr{}
		}
		return a
	}}))
	n := newNetwork(t)
	n.hosts["192.0.2.1"] = func(context.Context) (net.Conn, error) { return nil, fmt.Errorf("connection refused") }
	s := n.server("192.0.2.2", smtptest.NoTLS)
	s.Fault(smtptest.On("RCPT").For("b@example.org").Reply(550, "5.1.1", "no such user"))
	c := n.client(dnstest.MustParse("example.org MX 10 a.example.org\nexample.org MX 20 b.example.org\na.example.org A 192.0.2.1\nb.example.org A 192.0.2.2\nnull.example MX 0 .\n"))
	c.Trace = mx.LogTrace(log)
	c.Deliver(t.Context(), "example.org", message(t, "a@example.org", "b@example.org"))
	c.Deliver(t.Context(), "null.example", message(t, "a@null.example"))
	want := strings.TrimLeft(`
level=DEBUG msg=route domain=example.org route.domain=example.org route.hosts="[a.example.org b.example.org]" route.implicit=false route.secure=false
level=WARN msg=attempt attempt.host=a.example.org attempt.addr=192.0.2.1:25 attempt.level=may attempt.source=default attempt.domain=example.org attempt.err="dial: connection refused" attempt.next=true
level=INFO msg=attempt attempt.host=b.example.org attempt.addr=192.0.2.2:25 attempt.level=may attempt.source=default attempt.domain=example.org attempt.conn=1 attempt.reused=false attempt.tls=none
level=INFO msg=relayed domain=example.org result.to=<a@example.org> result.host=b.example.org result.reply="250 2.0.0 message accepted"
level=WARN msg=failed domain=example.org result.to=<b@example.org> result.host=b.example.org result.reply="550 5.1.1 no such user" result.scope=recipient result.unknown=false result.err="smtp: RCPT: 550 5.1.1 no such user"
level=WARN msg="no route" domain=null.example err="mx: null.example: 556 5.1.10 the domain takes no mail"
level=WARN msg=failed domain=null.example result.to=<a@null.example> result.host="" result.reply="556 5.1.10 the domain takes no mail" result.scope=site result.unknown=false result.err="mx: null.example: 556 5.1.10 the domain takes no mail"
`, "\n")
	if got := buf.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
