package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// mailboxes keeps mail for the users of one domain, in memory.
type mailboxes struct {
	domain string
	mail   map[string][]string
}

func (m *mailboxes) NewSession(context.Context, *server.Conn) (server.Session, error) {
	return &delivery{mailboxes: m}, nil
}

// delivery is the session of one client.
type delivery struct {
	*mailboxes
	to []string
}

func (d *delivery) Mail(context.Context, smtp.ReversePath, *smtp.MailParams) (smtp.Reply, error) {
	return smtp.Reply{}, nil // anybody may write to us
}

func (d *delivery) Rcpt(_ context.Context, to smtp.ForwardPath, _ *smtp.RcptParams) (smtp.Reply, error) {
	user := strings.ToLower(to.Local)
	switch _, known := d.mail[user]; {
	case !strings.EqualFold(to.Domain, d.domain):
		return smtp.Reply{}, smtp.Reject(550, smtp.Enh(7, 1), "relaying denied")
	case !known:
		return smtp.Reply{}, smtp.Reject(550, smtp.Enh(1, 1), "no such user")
	}
	d.to = append(d.to, user)
	return smtp.Reply{}, nil
}

func (d *delivery) Data(_ context.Context, b *server.Body) (smtp.Reply, error) {
	var text strings.Builder
	if _, err := io.Copy(&text, b); err != nil {
		return smtp.Reply{}, err // it never came to its end
	}
	for _, user := range d.to {
		d.mail[user] = append(d.mail[user], text.String())
	}
	return smtp.Reply{Code: 250, Text: fmt.Sprintf("delivered to %d", len(d.to))}, nil
}

func (d *delivery) Reset(context.Context, server.ResetReason) { d.to = nil }

func (d *delivery) Close(reason error) {
	if errors.Is(reason, io.EOF) {
		fmt.Println("the client has gone without QUIT")
	}
}

// A Session decides about each recipient, and keeps what it has accepted.
func ExampleSession() {
	boxes := &mailboxes{domain: "example.com", mail: map[string][]string{"bob": nil}}
	srv := &server.Server{Hostname: "mx.example.com", Handler: boxes}
	converse(srv,
		"HELO client.example",
		"MAIL FROM:<alice@example.org>",
		"RCPT TO:<bob@elsewhere.example>",
		"RCPT TO:<carol@example.com>",
		"RCPT TO:<Bob@example.com>",
		"DATA",
		"Hello!\n.",
		"QUIT")
	fmt.Printf("%q\n", boxes.mail["bob"])
	// Output:
	// S: 220 mx.example.com ESMTP
	// C: HELO client.example
	// S: 250 mx.example.com
	// C: MAIL FROM:<alice@example.org>
	// S: 250 2.1.0 OK
	// C: RCPT TO:<bob@elsewhere.example>
	// S: 550 5.7.1 relaying denied
	// C: RCPT TO:<carol@example.com>
	// S: 550 5.1.1 no such user
	// C: RCPT TO:<Bob@example.com>
	// S: 250 2.1.5 OK
	// C: DATA
	// S: 354 end data with <CRLF>.<CRLF>
	// C: Hello!
	// C: .
	// S: 250 2.0.0 delivered to 1
	// C: QUIT
	// S: 221 2.0.0 bye
	// ["Hello!\r\n"]
}
