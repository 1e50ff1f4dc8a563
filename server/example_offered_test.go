package server_test

import (
	"context"
	"io"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// With ETRN a customer who is online for a few minutes fetches what has been
// held for him.
func ExampleETRN() {
	held := map[string]int{"example.org": 7}
	srv := &server.Server{
		Hostname: "mx.example",
		Handler:  server.Deliver(func(context.Context, *server.Message) (smtp.Reply, error) { return smtp.Reply{}, nil }),
		Extensions: []server.Extension{
			server.ETRN(func(_ context.Context, _ *server.Conn, _ server.Session, node smtp.Etrn) (smtp.Reply, error) {
				n, known := held[node.Name]
				switch {
				case !known:
					return smtp.Reply{}, smtp.Reject(459, smtp.Enh(7, 1), "node not served here")
				case n == 0:
					return smtp.Reply{Code: 251, Text: "no messages waiting"}, nil
				}
				return smtp.Reply{}, nil // and begin to send them
			}),
		},
		Limits: server.Limits{MaxRecipients: -1},
	}
	converse(srv, "EHLO client.example", "ETRN example.org", "ETRN example.net", "QUIT")
	// Output:
	// S: 220 mx.example ESMTP
	// C: EHLO client.example
	// S: 250-mx.example
	// S: 250-PIPELINING
	// S: 250-SIZE 67108864
	// S: 250-8BITMIME
	// S: 250-ENHANCEDSTATUSCODES
	// S: 250-CHUNKING
	// S: 250 ETRN
	// C: ETRN example.org
	// S: 250 2.0.0 queuing for node started
	// C: ETRN example.net
	// S: 459 4.7.1 node not served here
	// C: QUIT
	// S: 221 2.0.0 bye
}

// With PRDR each recipient's own filter can refuse a message that the others
// accept, as LMTP always could.
func Example_perRecipient() {
	filter := server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
		if _, err := io.Copy(io.Discard, m); err != nil {
			return smtp.Reply{}, err
		}
		for i, r := range m.Envelope.Recipients {
			if m.PerRecipient() && r.To.Local == "strict" {
				m.SetReply(i, smtp.Reply{Code: 550, Enhanced: smtp.Enh(7, 1), Text: "looks like spam"})
			}
		}
		return smtp.Reply{Code: 250, Text: "queued as 17"}, nil
	})
	srv := &server.Server{
		Hostname: "mx.example", Handler: filter, Extensions: []server.Extension{server.PRDR},
		Limits: server.Limits{MaxRecipients: -1},
	}
	converse(srv, "EHLO client.example", "MAIL FROM:<a@example.org> PRDR",
		"RCPT TO:<strict@example.com>", "RCPT TO:<b@example.com>", "DATA", "Subject: win\n\n.", "NOOP", "NOOP", "NOOP", "QUIT")
	// Output:
	// S: 220 mx.example ESMTP
	// C: EHLO client.example
	// S: 250-mx.example
	// S: 250-PIPELINING
	// S: 250-SIZE 67108864
	// S: 250-8BITMIME
	// S: 250-ENHANCEDSTATUSCODES
	// S: 250-CHUNKING
	// S: 250 PRDR
	// C: MAIL FROM:<a@example.org> PRDR
	// S: 250 2.1.0 OK
	// C: RCPT TO:<strict@example.com>
	// S: 250 2.1.5 OK
	// C: RCPT TO:<b@example.com>
	// S: 250 2.1.5 OK
	// C: DATA
	// S: 354 end data with <CRLF>.<CRLF>
	// C: Subject: win
	// C:
	// C: .
	// S: 353 one reply for each recipient follows
	// C: NOOP
	// S: 550 5.7.1 looks like spam
	// C: NOOP
	// S: 250 2.1.5 OK
	// C: NOOP
	// S: 250 2.0.0 queued as 17
	// C: QUIT
	// S: 250 2.0.0 OK
}
