package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

// Parts of conversations. With LMTP, EHLO is LHLO.
const (
	greeted = `S: 220 mx.example
C: EHLO client.example
S: 250-mx.example
S: 250 PIPELINING
`
	group = `C: MAIL FROM:<a@example.org>
C: RCPT TO:<b@example.net>
C: RCPT TO:<c@example.net>
C: RCPT TO:<d@example.net>
C: DATA
`
	taken = `S: 250 ok
S: 250 ok
S: 250 ok
S: 250 ok
S: 354 go
`
	data = "C: A: b\nC: .\n"
	bye  = "C: QUIT\nS: 221 bye\n"
)

// A failure is what a server does, and what becomes of b, c and d.
type failure struct {
	name   string
	script string
	end    []string // replies after the data, in the place of $END: with SMTP only the first
	set    func(*client.Client)
	size   int      // of the message; if 0, "A: b"
	cancel string   // the line, or the reply's code, after which the context ends
	want   []string // of all; or one for all
	lmtp   []string // as want; if nil, the same
	nobody bool     // no server was reached
}

var failures = []failure{
	{name: "dial", set: func(c *client.Client) {
		c.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route") }
	}, want: []string{"dial: no route, temporary"}, nobody: true},
	{name: "greeting 554", script: "S: 554 5.7.1 not you\nC: QUIT\n", want: []string{"554 5.7.1 not you, permanent"}},
	{name: "greeting 421", script: "S: 421 4.3.2 too many\nC: QUIT\n", want: []string{"421 4.3.2 too many, temporary"}},
	{name: "greeting lost", script: "S: <close>\n", want: []string{"greeting lost, temporary"}},
	{name: "EHLO 550", script: "S: 220 hi\nC: EHLO client.example\nS: 550 5.7.1 not you\n$HELO", want: []string{"HELO 550 5.7.1 not you, permanent"},
		lmtp: []string{"LHLO 550 5.7.1 not you, permanent"}},
	{name: "EHLO 421", script: "S: 220 hi\nC: EHLO client.example\nS: 421 4.3.2 later\n", want: []string{"EHLO 421 4.3.2 later, temporary"},
		lmtp: []string{"LHLO 421 4.3.2 later, temporary"}},
	{name: "EHLO lost", script: "S: 220 hi\nC: EHLO client.example\nS: <close>\n", want: []string{"EHLO lost, temporary"},
		lmtp: []string{"LHLO lost, temporary"}},
	{name: "no STARTTLS", script: greeted + "C: QUIT\n", set: startTLS, want: []string{"STARTTLS: the server does not offer STARTTLS, temporary"}},
	{name: "STARTTLS 454", script: "S: 220 hi\nC: EHLO client.example\nS: 250-hi\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 4.7.0 no\nC: QUIT\n", set: startTLS,
		want: []string{"STARTTLS 454 4.7.0 no, temporary"}},
	{name: "handshake", script: "S: 220 hi\nC: EHLO client.example\nS: 250-hi\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nS: <close>\n", set: startTLS,
		want: []string{"TLS handshake lost, temporary"}},
	{name: "AUTH 535", script: "S: 220 hi\nC: EHLO client.example\nS: 250-hi\nS: 250 AUTH PLAIN\nC: AUTH PLAIN AHUAcA==\nS: 535 5.7.8 no\nC: QUIT\n", set: auth,
		want: []string{"AUTH 535 5.7.8 no, permanent"}},
	{name: "AUTH 454", script: "S: 220 hi\nC: EHLO client.example\nS: 250-hi\nS: 250 AUTH PLAIN\nC: AUTH PLAIN AHUAcA==\nS: 454 4.7.0 no\nC: QUIT\n", set: auth,
		want: []string{"AUTH 454 4.7.0 no, temporary"}},
	{name: "MAIL 550", script: greeted + group + "S: 550 5.7.1 not from you\nS: 503 no\nS: 503 no\nS: 503 no\nS: 503 no\n" + bye,
		want: []string{"MAIL 550 5.7.1 not from you, permanent"}},
	{name: "MAIL 451", script: greeted + group + "S: 451 4.3.0 later\nS: 503 no\nS: 503 no\nS: 503 no\nS: 503 no\n" + bye,
		want: []string{"MAIL 451 4.3.0 later, temporary"}},
	{name: "MAIL 421", script: greeted + group + "S: 421 4.3.2 later\nS: <close>\n", want: []string{"MAIL 421 4.3.2 later, temporary"}},
	{name: "MAIL lost", script: greeted + group + "S: <close>\n", want: []string{"MAIL lost, temporary"}},
	{name: "RCPT one", script: greeted + group + "S: 250 ok\nS: 550 5.1.1 who?\nS: 250 ok\nS: 250 ok\nS: 354 go\n" + data + "$END" + bye,
		end:  []string{"250 2.0.0 queued", "250 2.0.0 for d"},
		want: []string{"RCPT 550 5.1.1 who?, permanent", "250 2.0.0 queued", "250 2.0.0 queued"},
		lmtp: []string{"RCPT 550 5.1.1 who?, permanent", "250 2.0.0 queued", "250 2.0.0 for d"}},
	{name: "RCPT all", script: greeted + group + "S: 250 ok\nS: 550 5.1.1 who?\nS: 450 4.2.1 later\nS: 551 5.1.6 gone\nS: 503 no\n" + bye,
		want: []string{"RCPT 550 5.1.1 who?, permanent", "RCPT 450 4.2.1 later, temporary", "RCPT 551 5.1.6 gone, permanent"}},
	{name: "RCPT 421", script: greeted + group + "S: 250 ok\nS: 550 5.1.1 who?\nS: 421 4.3.2 later\nS: <close>\n",
		want: []string{"RCPT 550 5.1.1 who?, permanent", "RCPT 421 4.3.2 later, temporary", "RCPT 421 4.3.2 later, temporary"}},
	{name: "RCPT lost", script: greeted + group + "S: 250 ok\nS: 250 ok\nS: 550 5.1.1 who?\nS: <close>\n",
		want: []string{"RCPT lost, temporary", "RCPT 550 5.1.1 who?, permanent", "RCPT lost, temporary"}},
	{name: "all or nothing", script: greeted + strings.TrimSuffix(group, "C: DATA\n") + "S: 250 ok\nS: 250 ok\nS: 550 5.1.1 who?\nS: 250 ok\n" + bye,
		set:  func(c *client.Client) { c.AllOrNothing = true },
		want: []string{client.ErrOther.Error() + ", temporary", "RCPT 550 5.1.1 who?, permanent", client.ErrOther.Error() + ", temporary"}},
	{name: "DATA 554", script: greeted + group + "S: 250 ok\nS: 250 ok\nS: 250 ok\nS: 550 5.1.1 who?\nS: 554 5.7.1 no\n" + bye,
		want: []string{"DATA 554 5.7.1 no, permanent", "DATA 554 5.7.1 no, permanent", "RCPT 550 5.1.1 who?, permanent"}},
	{name: "DATA 421", script: greeted + group + "S: 250 ok\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: 421 4.3.2 later\nS: <close>\n",
		want: []string{"DATA 421 4.3.2 later, temporary"}},
	{name: "DATA lost", script: greeted + group + "S: 250 ok\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: <close>\n",
		want: []string{"DATA lost, temporary"}},
	{name: "data cut", script: greeted + group + taken + "S: <close>\n", size: 64 << 20, want: []string{"message data lost, temporary"}},
	{name: "end 550", script: greeted + group + taken + data + "$END" + bye,
		end:  []string{"550 5.7.1 spam", "452 4.2.2 full", "250 2.0.0 for d"},
		want: []string{"550 5.7.1 spam, permanent"},
		lmtp: []string{"550 5.7.1 spam, permanent", "452 4.2.2 full, temporary", "250 2.0.0 for d"}},
	{name: "end 451", script: greeted + group + taken + data + "$END" + bye,
		end:  []string{"451 4.3.0 later", "250 2.0.0 for c", "550 5.7.1 spam"},
		want: []string{"451 4.3.0 later, temporary"},
		lmtp: []string{"451 4.3.0 later, temporary", "250 2.0.0 for c", "550 5.7.1 spam, permanent"}},
	{name: "end 421", script: greeted + group + taken + data + "S: 421 4.3.2 later\nS: <close>\n",
		want: []string{"421 4.3.2 later, temporary"},
		lmtp: []string{"421 4.3.2 later, temporary", "end of data lost, unknown", "end of data lost, unknown"}},
	{name: "end lost", script: greeted + group + taken + data + "S: <close>\n", want: []string{"end of data lost, unknown"}},
	{name: "end lost in between", script: greeted + group + taken + data + "$ENDS: <close>\n", end: []string{"250 2.0.0 ok", "550 5.7.1 spam"},
		want: []string{"250 2.0.0 ok"},
		lmtp: []string{"250 2.0.0 ok", "550 5.7.1 spam, permanent", "end of data lost, unknown"}},
	{name: "BDAT 552", script: "S: 220 hi\nC: EHLO client.example\nS: 250-hi\nS: 250-PIPELINING\nS: 250 CHUNKING\n" + strings.TrimSuffix(group, "C: DATA\n") +
		"S: 250 ok\nS: 250 ok\nS: 250 ok\nS: 550 5.1.1 who?\nC: BDAT 6 LAST\nC: A: b\n$END" + bye,
		end:  []string{"552 5.3.4 too big", "250 2.0.0 for c"},
		set:  func(c *client.Client) { c.Chunking = true },
		want: []string{"BDAT 552 5.3.4 too big, permanent", "BDAT 552 5.3.4 too big, permanent", "RCPT 550 5.1.1 who?, permanent"},
		lmtp: []string{"BDAT 552 5.3.4 too big, permanent", "250 2.0.0 for c", "RCPT 550 5.1.1 who?, permanent"}},
	{name: "context in MAIL", script: greeted + group + "C: <close>\n", cancel: "DATA", want: []string{"MAIL canceled, temporary"}},
	{name: "context in RCPT", script: greeted + strings.TrimSuffix(group, "C: DATA\n") + "S: 250 ok\nS: 550 5.1.1 who?\nC: <close>\n", cancel: "550",
		set:  func(c *client.Client) { c.AllOrNothing = true },
		want: []string{"RCPT 550 5.1.1 who?, permanent", "RCPT canceled, temporary", "RCPT canceled, temporary"}},
	{name: "context at the end", script: greeted + group + "S: 250 ok\nS: 250 ok\nS: 250 ok\nS: 550 5.1.1 who?\nS: 354 go\n" + data + "C: <close>\n", cancel: ".",
		want: []string{"end of data canceled, unknown", "end of data canceled, unknown", "RCPT 550 5.1.1 who?, permanent"}},
	{name: "time", script: greeted + group + "S: 250 ok\nS: 550 5.1.1 who?\nC: <close>\n", set: func(c *client.Client) { c.Timeouts.Rcpt = 50 * time.Millisecond },
		want: []string{"RCPT 550 5.1.1 who?, permanent", "RCPT timeout, temporary", "RCPT timeout, temporary"}},
}

func startTLS(c *client.Client) { c.TLSMode = client.StartTLSRequired }

func auth(c *client.Client) {
	c.Auth, c.Addr = client.PlainAuth("u", "p"), "127.0.0.1:25"
}

// Wherever a message fails, every recipient has an outcome: which reply decided, or
// what was being done, whether it may pass, and whose word it is.
func TestFailures(t *testing.T) {
	for _, f := range failures {
		for _, lmtp := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%s", f.name, map[bool]string{false: "SMTP", true: "LMTP"}[lmtp]), func(t *testing.T) {
				fail(t, &f, lmtp)
			})
		}
	}
}

func fail(t *testing.T, f *failure, lmtp bool) {
	text, end, want := f.script, f.end, f.want
	helo := "C: HELO client.example\nS: 550 5.7.1 not you\n"
	switch {
	case lmtp:
		text, helo = strings.ReplaceAll(text, "EHLO", "LHLO"), ""
		if f.lmtp != nil {
			want = f.lmtp
		}
	case len(end) > 0:
		end = end[:1]
	}
	text = strings.Replace(text, "$HELO", helo, 1)
	if len(end) > 0 {
		text = strings.Replace(text, "$END", "S: "+strings.Join(end, "\nS: ")+"\n", 1)
	}
	var scripts []*smtptest.Script
	if !f.nobody {
		script, err := smtptest.ParseScript(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		scripts = append(scripts, script)
	}
	c := playing(t, scripts...)
	if c.LMTP = lmtp; f.set != nil {
		f.set(c.Client)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if f.cancel != "" {
		c.Trace = &client.Trace{
			Wrote: func(_ client.ConnInfo, line string) {
				if line == f.cancel {
					cancel()
				}
			},
			Got: func(_ client.ConnInfo, r smtp.Reply) {
				if fmt.Sprint(r.Code) == f.cancel {
					cancel()
				}
			},
		}
	}
	message := []byte("A: b\r\n")
	if f.size > 0 {
		message = bytes.Repeat(message, f.size/len(message))
	}

	res, err := c.Send(ctx, envelope(t, 3), smtp.BytesContent(message))
	for i := range res.Recipients {
		r := &res.Recipients[i]
		if got, want := outcome(r), want[i%len(want)]; got != want {
			t.Errorf("%s: %s, want %s", r.To, got, want)
		}
		host, addr := hostOf(c.Addr), "127.0.0.1:"
		if f.nobody {
			host, addr = "", ""
		}
		if r.Host != host || !strings.HasPrefix(r.Addr, addr) || r.To != envelope(t, 3).Recipients[i].To {
			t.Errorf("%s: from %q at %q", r.To, r.Host, r.Addr)
		}
	}
	var failed *client.SendError
	switch delivered := res.Delivered() > 0; {
	case delivered != (err == nil):
		t.Errorf("%d delivered, error %v", res.Delivered(), err)
	case !delivered && (!errors.As(err, &failed) || failed.Host != res.Recipients[0].Host || errors.Is(err, client.ErrUnknown) != res.Unknown()):
		t.Errorf("error %#v", err)
	}
}

func hostOf(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	return host
}

// outcome describes the result of one recipient.
func outcome(r *client.RecipientResult) string {
	var refused *smtp.Error
	var lost *client.ConnError
	var network *net.OpError
	var s string
	switch {
	case r.Delivered():
		return strings.TrimSpace(r.Reply.String())
	case errors.As(r.Err, &refused):
		s = strings.TrimSpace(string(refused.Verb) + " " + refused.Reply.String())
		if refused.Reply.String() != r.Reply.String() {
			s += " with reply " + r.Reply.String()
		}
	case !errors.As(r.Err, &lost):
		s = r.Err.Error()
	case errors.Is(lost, context.Canceled):
		s = lost.Op + " canceled"
	case lost.Timeout():
		s = lost.Op + " timeout"
	case errors.Is(lost, io.EOF), errors.As(lost.Err, &network):
		s = lost.Op + " lost"
	default:
		s = lost.Op + ": " + lost.Err.Error()
	}
	switch {
	case r.Unknown():
		return s + ", unknown"
	case r.Temporary():
		return s + ", temporary"
	}
	return s + ", permanent"
}
