package middleware

import (
	"bytes"
	"context"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// MaxHops returns middleware that refuses a message with so many Received fields or
// more with 554 5.4.6: it goes round in a loop (RFC 5321 §6.3). If max is zero, 100.
func MaxHops(max int) func(server.Handler) server.Handler {
	if max == 0 {
		max = 100 // §6.3
	}
	return wrap(func(w wrapped) server.Session { return &hopping{w, max} })
}

var tooManyHops = smtp.Reject(554, smtp.Enh(4, 6), "the message has been through too many hosts, there is a loop") // RFC 3463 §3.5

type hopping struct {
	wrapped
	max int
}

func (s *hopping) Data(ctx context.Context, b *server.Body) (smtp.Reply, error) {
	header, err := b.Header()
	if err != nil {
		return smtp.Reply{}, err
	}
	if hops(header) >= s.max {
		return smtp.Reply{}, tooManyHops
	}
	return s.Session.Data(ctx, b)
}

// hops counts the hosts that a message has been through.
func hops(header []byte) (n int) {
	for line := range bytes.Lines(header) {
		name, _, found := bytes.Cut(line, []byte(":"))
		if found && bytes.EqualFold(bytes.TrimRight(name, " \t"), []byte("Received")) {
			n++
		}
	}
	return n
}
