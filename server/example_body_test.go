package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/mail"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// A handler that looks at the header section before it decides where the
// message goes. Nothing is lost by that.
func ExampleBody_Header() {
	srv := &server.Server{
		Hostname: "mx.example",
		Handler: server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
			header, err := m.Header()
			if err != nil {
				return smtp.Reply{}, err
			}
			fields, err := mail.ReadMessage(bytes.NewReader(header))
			if err != nil {
				return smtp.Reply{}, smtp.Reject(554, smtp.Enh(6, 0), "header section is malformed")
			}
			fmt.Println("to the list", fields.Header.Get("List-Id"))
			_, err = io.Copy(io.Discard, m)
			return smtp.Reply{}, err
		}),
	}
	converse(srv, "HELO client.example", "MAIL FROM:<>", "RCPT TO:<b@example.com>", "DATA", "List-ID: <gophers.example>\n\nHello!\n.")
	// Output:
	// S: 220 mx.example ESMTP
	// C: HELO client.example
	// S: 250 mx.example
	// C: MAIL FROM:<>
	// S: 250 2.1.0 OK
	// C: RCPT TO:<b@example.com>
	// S: 250 2.1.5 OK
	// C: DATA
	// S: 354 end data with <CRLF>.<CRLF>
	// C: List-ID: <gophers.example>
	// C:
	// C: Hello!
	// C: .
	// to the list <gophers.example>
	// S: 250 2.0.0 message accepted
}

// summed is middleware's session: it computes a sum of each message that the
// wrapped session reads.
type summed struct{ server.Session }

func (s summed) Unwrap() server.Session { return s.Session }

func (s summed) Data(ctx context.Context, b *server.Body) (smtp.Reply, error) {
	sum := sha256.New()
	b.Tee(sum)
	reply, err := s.Session.Data(ctx, b)
	if err == nil {
		_, err = io.Copy(io.Discard, b) // what the handler has left unread
	}
	if err == nil {
		fmt.Printf("accepted %x\n", sum.Sum(nil)[:4])
	}
	return reply, err
}

// Middleware that looks at messages which another handler reads.
func ExampleBody_Tee() {
	srv := &server.Server{
		Hostname: "mx.example",
		Handler: server.HandlerFunc(func(ctx context.Context, c *server.Conn) (server.Session, error) {
			s, err := discard.NewSession(ctx, c)
			return summed{s}, err
		}),
	}
	converse(srv, "HELO client.example", "MAIL FROM:<>", "RCPT TO:<b@example.com>", "DATA", "Hello!\n.")
	// Output:
	// S: 220 mx.example ESMTP
	// C: HELO client.example
	// S: 250 mx.example
	// C: MAIL FROM:<>
	// S: 250 2.1.0 OK
	// C: RCPT TO:<b@example.com>
	// S: 250 2.1.5 OK
	// C: DATA
	// S: 354 end data with <CRLF>.<CRLF>
	// C: Hello!
	// C: .
	// accepted 1157c01d
	// S: 250 2.0.0 message accepted
}
