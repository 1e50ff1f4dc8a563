//go:build interop

package interop

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// newEnvelope is a message from author.
func newEnvelope(t *testing.T, to ...string) smtp.Envelope {
	t.Helper()
	env, err := smtp.NewEnvelope(author, to...)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// events is what a client's connections wrote and read, in order.
type events struct {
	mu  sync.Mutex
	all []string
}

func (e *events) add(s string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, s)
}

func (e *events) trace() *client.Trace {
	return &client.Trace{
		Wrote: func(_ client.ConnInfo, line string) { e.add("C: " + line) },
		Got:   func(_ client.ConnInfo, r smtp.Reply) { e.add("S: " + r.String()) },
	}
}

// pipelined reports whether what begins with last was written before the first
// reply to what begins with first was read.
func (e *events) pipelined(first, last string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	from := slices.IndexFunc(e.all, func(s string) bool { return strings.HasPrefix(s, "C: "+first) })
	if from < 0 {
		return false
	}
	for _, s := range e.all[from:] {
		switch {
		case strings.HasPrefix(s, "S: "):
			return false
		case strings.HasPrefix(s, "C: "+last):
			return true
		}
	}
	return false
}

// refused checks that the server refused a recipient with that code.
func refused(t *testing.T, r client.RecipientResult, verb smtp.Verb, code int, enhanced string) {
	t.Helper()
	var e *smtp.Error
	if !errors.As(r.Err, &e) || e.Verb != verb || e.Reply.Code != code || e.Reply.EnhancedString() != enhanced {
		t.Errorf("%s: %v, want %d %s to %q", r.To, r.Err, code, enhanced, verb)
	}
}

// Dovecot stores by LMTP what it gives back by IMAP. One recipient is unknown to
// it, for another it finds out after the data that it cannot store: each has a
// reply of its own, and the others have the message, octet for octet.
func TestLMTPToDovecot(t *testing.T) {
	certs := newCertificates(t)
	d := startDovecot(t, certs, dovecotOptions{})
	large := func(subject string) []byte {
		return append(message(subject), bytes.Repeat([]byte(strings.Repeat("0123456789abcdef", 4)+"\r\n"), 80_000)...)
	}
	for _, test := range []struct {
		name          string
		network, addr string
		chunking      bool
		ends          string // the last command of those written at once
		message       func(string) []byte
	}{
		{"unix", "unix", d.socket, false, "DATA", message},
		{"unix-bdat", "unix", d.socket, true, "RCPT", message},
		{"unix-large", "unix", d.socket, true, "RCPT", large},
		{"tcp-starttls", "tcp", address(d.lmtp), false, "DATA", message},
		{"tcp-bdat", "tcp", address(d.lmtp), true, "RCPT", large},
	} {
		t.Run(test.name, func(t *testing.T) {
			var seen events
			c := &client.Client{LMTP: true, Network: test.network, Addr: test.addr, Chunking: test.chunking,
				TLSConfig: certs.client(t), Timeouts: client.EveryTimeout(30 * time.Second), Trace: seen.trace()}
			defer c.Close()
			for n := range 2 { // the second on the connection of the first
				subject := "lmtp " + test.name + strings.Repeat(" again", n)
				msg := test.message(subject)
				env := newEnvelope(t, one, "nobody@"+mailDomain, "full@"+mailDomain, two)
				res, err := c.Send(t.Context(), env, smtp.BytesContent(msg))
				if err != nil {
					t.Fatal(err)
				}
				for _, i := range []int{0, 3} {
					if r := res.Recipients[i]; !r.Delivered() || r.Reply.Code != 250 {
						t.Errorf("%s: %v", r.To, r.Err)
					}
				}
				refused(t, res.Recipients[1], smtp.RCPT, 550, "5.1.1")
				end := smtp.Verb("")
				if test.chunking {
					end = smtp.BDAT
				}
				refused(t, res.Recipients[2], end, 451, "4.2.0")
				for _, user := range []string{one, two} {
					sameBytes(t, original(t, d.delivered(t, user, subject)), msg)
				}
			}
			if !seen.pipelined("MAIL", test.ends) {
				t.Errorf("not pipelined: %q", seen.all)
			}
			if bdat := slices.ContainsFunc(seen.all, func(s string) bool { return strings.HasPrefix(s, "C: BDAT") }); bdat != test.chunking {
				t.Errorf("by BDAT: %t", bdat)
			}
		})
	}
}
