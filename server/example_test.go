package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// converse serves on loopback, says each of the lines as a client, and prints
// the conversation.
func converse(srv *server.Server, lines ...string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	done := make(chan error)
	go func() { done <- srv.Serve(l) }()
	defer func() {
		srv.Shutdown(context.Background())
		if err := <-done; !errors.Is(err, server.ErrServerClosed) {
			fmt.Println(err)
		}
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	for i := 0; ; i++ {
		for more := true; more; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			fmt.Println("S:", strings.TrimSuffix(line, "\r\n"))
			more = len(line) > 3 && line[3] == '-'
		}
		if i == len(lines) {
			return
		}
		for line := range strings.SplitSeq(lines[i], "\n") {
			fmt.Println(strings.TrimRight("C: "+line, " "))
		}
		io.WriteString(conn, strings.ReplaceAll(lines[i], "\n", "\r\n")+"\r\n")
	}
}

// discard is a handler that accepts everything and keeps nothing.
var discard = server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
	_, err := io.Copy(io.Discard, m)
	return smtp.Reply{}, err
})

// The shortest server that does something: it prints what it gets.
func ExampleServer() {
	srv := &server.Server{
		Hostname: "mx.example",
		Handler: server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
			text, err := mail.ReadMessage(m)
			if err != nil {
				return smtp.Reply{}, err
			}
			body, err := io.ReadAll(text.Body)
			if err != nil {
				return smtp.Reply{}, err // the message never came to its end
			}
			fmt.Println(m.Envelope.From, m.Envelope.Recipients[0].To)
			fmt.Printf("%s: %q\n", text.Header.Get("Subject"), body)
			return smtp.Reply{}, nil
		}),
	}
	converse(srv, "HELO client.example", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.com>", "DATA", "Subject: hi\n\nHello!\n.", "QUIT")
	// Output:
	// S: 220 mx.example ESMTP
	// C: HELO client.example
	// S: 250 mx.example
	// C: MAIL FROM:<a@example.org>
	// S: 250 2.1.0 OK
	// C: RCPT TO:<b@example.com>
	// S: 250 2.1.5 OK
	// C: DATA
	// S: 354 end data with <CRLF>.<CRLF>
	// C: Subject: hi
	// C:
	// C: Hello!
	// C: .
	// <a@example.org> <b@example.com>
	// hi: "Hello!\r\n"
	// S: 250 2.0.0 message accepted
	// C: QUIT
	// S: 221 2.0.0 bye
}

// A Handler as middleware: it turns clients away by their address, before they
// see the greeting, and leaves the others to the next Handler.
func ExampleHandler() {
	blocked := netip.MustParsePrefix("127.0.0.0/8")
	next := discard
	srv := &server.Server{
		Hostname: "mx.example",
		Handler: server.HandlerFunc(func(ctx context.Context, c *server.Conn) (server.Session, error) {
			if blocked.Contains(c.RemoteIP()) {
				return nil, smtp.Reject(554, smtp.Enhanced{}, "no mail from "+blocked.String())
			}
			return next.NewSession(ctx, c)
		}),
	}
	converse(srv, "EHLO client.example", "QUIT")
	// Output:
	// S: 554 no mail from 127.0.0.0/8
	// C: EHLO client.example
	// S: 503 this connection was refused, send QUIT
	// C: QUIT
	// S: 221 2.0.0 bye
}

// A function is enough for a Handler; here it refuses everybody for now.
func ExampleHandlerFunc() {
	srv := &server.Server{
		Handler: server.HandlerFunc(func(context.Context, *server.Conn) (server.Session, error) {
			return nil, smtp.Reject(421, smtp.Enhanced{}, "closed for the holidays")
		}),
	}
	converse(srv)
	// Output:
	// S: 421 closed for the holidays
}

// What a handler may ask of the connection at any time.
func ExampleConn() {
	srv := &server.Server{
		Hostname: "mx.example",
		Handler: server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
			if _, err := io.Copy(io.Discard, m); err != nil {
				return smtp.Reply{}, err
			}
			c := m.Conn
			fmt.Println(c.Hello(), c.RemoteIP(), c.TLS() != nil, c.Identity() == "")
			return smtp.Reply{Code: 250, Text: "queued"}, nil
		}),
	}
	converse(srv, "HELO client.example", "MAIL FROM:<>", "RCPT TO:<b@example.com>", "DATA", ".")
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
	// C: .
	// client.example 127.0.0.1 false true
	// S: 250 2.0.0 queued
}

// Protocol is the word for the "with" clause of a Received field.
func ExampleInfo() {
	info := server.Info{Role: server.Submission, HelloVerb: smtp.EHLO, Identity: "alice@example.org"}
	fmt.Println(info.Protocol())
	// Output: ESMTPA
}

// A handler that looks at the beginning of a message and decides. What it
// leaves unread is dropped.
func ExampleBody() {
	srv := &server.Server{
		Hostname: "mx.example",
		Handler: server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
			lines := bufio.NewScanner(m.Body)
			for lines.Scan() {
				if subject, ok := strings.CutPrefix(lines.Text(), "Subject: "); ok {
					return smtp.Reply{}, smtp.Reject(550, smtp.Enh(7, 1), "we have heard enough of "+subject)
				}
			}
			return smtp.Reply{}, lines.Err()
		}),
	}
	converse(srv, "HELO client.example", "MAIL FROM:<>", "RCPT TO:<b@example.com>", "DATA", "Subject: pills\n\nQUIT\n.", "QUIT")
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
	// C: Subject: pills
	// C:
	// C: QUIT
	// C: .
	// S: 550 5.7.1 we have heard enough of pills
	// C: QUIT
	// S: 221 2.0.0 bye
}

// A message that is cut short never ends in io.EOF, so half of it cannot be
// taken for the whole.
func ExampleBodyError() {
	srv := &server.Server{
		Hostname: "mx.example",
		Handler: server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
			_, err := io.ReadAll(m)
			var cut *server.BodyError
			fmt.Println(errors.As(err, &cut), err)
			return smtp.Reply{}, err
		}),
	}
	converse(srv, "EHLO client.example", "MAIL FROM:<>", "RCPT TO:<b@example.com>", "BDAT 8\nhalf a", "RSET")
	// Output:
	// S: 220 mx.example ESMTP
	// C: EHLO client.example
	// S: 250-mx.example
	// S: 250-PIPELINING
	// S: 250-SIZE 67108864
	// S: 250-8BITMIME
	// S: 250-ENHANCEDSTATUSCODES
	// S: 250-CHUNKING
	// S: 250 LIMITS RCPTMAX=1000
	// C: MAIL FROM:<>
	// S: 250 2.1.0 OK
	// C: RCPT TO:<b@example.com>
	// S: 250 2.1.5 OK
	// C: BDAT 8
	// C: half a
	// S: 250 2.0.0 chunk received
	// C: RSET
	// true smtp server: message cut short: mail transaction abandoned by the client
	// S: 250 2.0.0 reset
}

// The defaults are safe; a service that knows its clients can be stricter.
func ExampleLimits() {
	srv := &server.Server{
		Hostname: "mx.example",
		Handler:  discard,
		Limits: server.Limits{
			MaxMessageSize: 1 << 20,
			MaxRecipients:  1,
			CommandTimeout: 30 * time.Second,
			MaxErrors:      -1, // as many as they like
		},
	}
	converse(srv, "EHLO client.example", "MAIL FROM:<> SIZE=1048577", "MAIL FROM:<> SIZE=1048576", "RCPT TO:<b@example.com>", "RCPT TO:<c@example.com>")
	// Output:
	// S: 220 mx.example ESMTP
	// C: EHLO client.example
	// S: 250-mx.example
	// S: 250-PIPELINING
	// S: 250-SIZE 1048576
	// S: 250-8BITMIME
	// S: 250-ENHANCEDSTATUSCODES
	// S: 250-CHUNKING
	// S: 250 LIMITS RCPTMAX=1
	// C: MAIL FROM:<> SIZE=1048577
	// S: 552 5.3.4 message exceeds the size limit
	// C: MAIL FROM:<> SIZE=1048576
	// S: 250 2.1.0 OK
	// C: RCPT TO:<b@example.com>
	// S: 250 2.1.5 OK
	// C: RCPT TO:<c@example.com>
	// S: 452 4.5.3 too many recipients, send the rest separately
}

// An LMTP server answers for each recipient by itself.
func ExampleRole() {
	srv := &server.Server{
		Hostname: "store.example",
		Role:     server.LMTP,
		Handler: server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
			if _, err := io.Copy(io.Discard, m); err != nil {
				return smtp.Reply{}, err
			}
			for i, r := range m.Envelope.Recipients {
				if r.To.Local == "full" {
					m.SetReply(i, smtp.Reply{Code: 452, Enhanced: smtp.Enh(2, 2), Text: "mailbox full"})
				}
			}
			return smtp.Reply{}, nil
		}),
	}
	converse(srv, "LHLO mx.example", "MAIL FROM:<a@example.org>", "RCPT TO:<full@example.com>", "RCPT TO:<b@example.com>", "DATA", ".", "NOOP")
	// Output:
	// S: 220 store.example LMTP
	// C: LHLO mx.example
	// S: 250-store.example
	// S: 250-PIPELINING
	// S: 250-SIZE 67108864
	// S: 250-8BITMIME
	// S: 250-ENHANCEDSTATUSCODES
	// S: 250-CHUNKING
	// S: 250 LIMITS RCPTMAX=1000
	// C: MAIL FROM:<a@example.org>
	// S: 250 2.1.0 OK
	// C: RCPT TO:<full@example.com>
	// S: 250 2.1.5 OK
	// C: RCPT TO:<b@example.com>
	// S: 250 2.1.5 OK
	// C: DATA
	// S: 354 end data with <CRLF>.<CRLF>
	// C: .
	// S: 452 4.2.2 mailbox full
	// C: NOOP
	// S: 250 2.0.0 message accepted
}

// A bare LF is refused by default; a server may repair it instead. What ends
// the data does not depend on that.
func ExamplePolicy() {
	srv := &server.Server{
		Hostname:    "mx.example",
		ChunkPolicy: server.Normalize,
		Handler: server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
			text, err := io.ReadAll(m)
			fmt.Printf("%q\n", text[len(text)-8:])
			return smtp.Reply{}, err
		}),
	}
	converse(srv, "EHLO client.example", "MAIL FROM:<>", "RCPT TO:<b@example.com>", "BDAT 8 LAST\nline 1", "QUIT")
	// Output:
	// S: 220 mx.example ESMTP
	// C: EHLO client.example
	// S: 250-mx.example
	// S: 250-PIPELINING
	// S: 250-SIZE 67108864
	// S: 250-8BITMIME
	// S: 250-ENHANCEDSTATUSCODES
	// S: 250-CHUNKING
	// S: 250 LIMITS RCPTMAX=1000
	// C: MAIL FROM:<>
	// S: 250 2.1.0 OK
	// C: RCPT TO:<b@example.com>
	// S: 250 2.1.5 OK
	// C: BDAT 8 LAST
	// C: line 1
	// "line 1\r\n"
	// S: 250 2.0.0 message accepted
	// C: QUIT
	// S: 221 2.0.0 bye
}

// A Received field by hand. Deliver and NewReceived fill it in from the
// connection.
func ExampleReceived() {
	env, _ := smtp.NewEnvelope("a@example.org", "b@example.com")
	field := server.Received{
		Hello: "client.example",
		IP:    netip.MustParseAddr("192.0.2.1"),
		By:    "mx.example",
		With:  "ESMTP",
		ID:    "4711",
		For:   env.Recipients[0].To,
		Time:  time.Date(2026, 7, 9, 8, 5, 3, 0, time.UTC),
	}
	fmt.Println(strings.ReplaceAll(field.String(), "\r\n", "\n"))
	// Output:
	// Received: from client.example ([192.0.2.1])
	// 	by mx.example with ESMTP id 4711
	// 	for <b@example.com>;
	// 	Thu, 9 Jul 2026 08:05:03 +0000
}
