package server_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"slices"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// A Message is the envelope, the connection and the octets, with a Received
// field on top.
func ExampleMessage() {
	srv := &server.Server{
		Hostname: "mx.example",
		Handler: server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
			n, err := io.Copy(io.Discard, m)
			fmt.Println(m.Envelope.Recipients[0].To, n > m.Received(), m.Received())
			return smtp.Reply{}, err
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
	// <b@example.com> true 8
	// S: 250 2.0.0 message accepted
}

// An extension of one's own: a parameter of MAIL and a verb.
func ExampleExtension() {
	srv := &server.Server{
		Hostname: "mx.example",
		Handler:  discard,
		Extensions: []server.Extension{{
			Param: "1..9",
			Row: &smtp.Extension{
				Keyword:    "X-URGENCY",
				Mail:       []smtp.MailParam{{Name: "X-URGENCY"}},
				MailGrowth: len(" X-URGENCY=1"),
			},
			Verbs: map[smtp.Verb]server.VerbFunc{
				"X-LOAD": func(context.Context, *server.Conn, server.Session, string) (smtp.Reply, error) {
					return smtp.Reply{Code: 250, Text: "7 messages are waiting"}, nil
				},
			},
		}},
	}
	converse(srv, "EHLO client.example", "X-LOAD", "MAIL FROM:<> X-URGENCY=3", "QUIT")
	// Output:
	// S: 220 mx.example ESMTP
	// C: EHLO client.example
	// S: 250-mx.example
	// S: 250-PIPELINING
	// S: 250-SIZE 67108864
	// S: 250-8BITMIME
	// S: 250-ENHANCEDSTATUSCODES
	// S: 250-CHUNKING
	// S: 250-LIMITS RCPTMAX=1000
	// S: 250 X-URGENCY 1..9
	// C: X-LOAD
	// S: 250 2.0.0 7 messages are waiting
	// C: MAIL FROM:<> X-URGENCY=3
	// S: 250 2.1.0 OK
	// C: QUIT
	// S: 221 2.0.0 bye
}

// A command of one's own answers as a Session does.
func ExampleVerbFunc() {
	var echo server.VerbFunc = func(_ context.Context, c *server.Conn, _ server.Session, arg string) (smtp.Reply, error) {
		if arg == "" {
			return smtp.Reply{}, smtp.Reject(501, smtp.Enh(5, 4), "X-ECHO what?")
		}
		return smtp.Reply{Code: 250, Text: c.Hello() + " says " + arg}, nil
	}
	srv := &server.Server{
		Hostname:   "mx.example",
		Handler:    discard,
		Extensions: []server.Extension{{Keyword: "X-ECHO", Verbs: map[smtp.Verb]server.VerbFunc{"X-ECHO": echo}}},
	}
	converse(srv, "EHLO client.example", "X-ECHO", "X-ECHO hello")
	// Output:
	// S: 220 mx.example ESMTP
	// C: EHLO client.example
	// S: 250-mx.example
	// S: 250-PIPELINING
	// S: 250-SIZE 67108864
	// S: 250-8BITMIME
	// S: 250-ENHANCEDSTATUSCODES
	// S: 250-CHUNKING
	// S: 250-LIMITS RCPTMAX=1000
	// S: 250 X-ECHO
	// C: X-ECHO
	// S: 501 5.5.4 X-ECHO what?
	// C: X-ECHO hello
	// S: 250 2.0.0 client.example says hello
}

// Passwords makes an Authenticator of a function. Without TLS AUTH is offered
// on loopback only, and only if one says so.
func ExampleAuthenticator() {
	srv := &server.Server{
		Hostname: "mx.example",
		Role:     server.Submission,
		Handler:  discard,
		Auth: server.Passwords(func(_ context.Context, user, password string) error {
			if user != "alice" || password != "sesame" {
				return server.ErrCredentials
			}
			return nil
		}),
		PlaintextAuthOnLoopback: true,
	}
	converse(srv, "HELO client.example", "MAIL FROM:<alice@example.org>",
		"AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00alice\x00password")),
		"AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00alice\x00sesame")),
		"MAIL FROM:<alice@example.org>")
	// Output:
	// S: 220 mx.example ESMTP
	// C: HELO client.example
	// S: 250 mx.example
	// C: MAIL FROM:<alice@example.org>
	// S: 530 5.7.0 authentication required
	// C: AUTH PLAIN AGFsaWNlAHBhc3N3b3Jk
	// S: 535 5.7.8 authentication credentials invalid
	// C: AUTH PLAIN AGFsaWNlAHNlc2FtZQ==
	// S: 235 2.7.0 authenticated
	// C: MAIL FROM:<alice@example.org>
	// S: 250 2.1.0 OK
}

// riddle is a mechanism that asks one question.
type riddle struct{ solved bool }

func (r *riddle) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case response == nil:
		return []byte("What is my name?"), false, nil
	case string(response) != "Rumpelstiltskin":
		return nil, false, server.ErrCredentials
	}
	r.solved = true
	return nil, true, nil
}

func (r *riddle) Identity() string { return "queen" }

// riddles offers it.
type riddles struct{}

func (riddles) Mechanisms(*server.Conn) []string { return []string{"X-RIDDLE"} }

func (riddles) Begin(context.Context, *server.Conn, string) (server.Exchange, error) {
	return new(riddle), nil
}

// A SASL mechanism of one's own: challenges go out and responses come in.
func ExampleExchange() {
	srv := &server.Server{Hostname: "mx.example", Handler: discard, Auth: riddles{}, PlaintextAuthOnLoopback: true}
	converse(srv, "HELO client.example", "AUTH X-RIDDLE", base64.StdEncoding.EncodeToString([]byte("Rumpelstiltskin")))
	// Output:
	// S: 220 mx.example ESMTP
	// C: HELO client.example
	// S: 250 mx.example
	// C: AUTH X-RIDDLE
	// S: 334 V2hhdCBpcyBteSBuYW1lPw==
	// C: UnVtcGVsc3RpbHRza2lu
	// S: 235 2.7.0 authenticated
}

// counter counts events by their kind.
type counter map[server.EventKind]int

func (c counter) Observe(e server.Event) { c[e.Kind]++ }

// An Observer for metrics.
func ExampleObserver() {
	counts := make(counter)
	srv := &server.Server{Hostname: "mx.example", Handler: discard, Observer: counts}
	converse(srv, "HELO client.example", "QUIT")
	fmt.Println(counts[server.CommandReceived], "commands,", counts[server.ReplySent], "replies")
	// Output:
	// S: 220 mx.example ESMTP
	// C: HELO client.example
	// S: 250 mx.example
	// C: QUIT
	// S: 221 2.0.0 bye
	// 2 commands, 3 replies
}

// A function is enough for an Observer. LogObserver is a ready one for slog.
func ExampleObserverFunc() {
	srv := &server.Server{
		Hostname: "mx.example",
		Handler:  discard,
		Limits:   server.Limits{MaxErrors: 1},
		Observer: server.ObserverFunc(func(e server.Event) {
			if e.Kind == server.LimitHit {
				fmt.Println("limit:", e.Reply)
			}
		}),
	}
	converse(srv, "NONSENSE", "NONSENSE")
	// Output:
	// S: 220 mx.example ESMTP
	// C: NONSENSE
	// S: 500 5.5.1 command not recognized
	// C: NONSENSE
	// limit: 421 4.7.0 too many errors
	// S: 421 4.7.0 too many errors
}

// Credentials never reach an Observer.
func ExampleEvent() {
	srv := &server.Server{
		Hostname: "mx.example",
		Handler:  discard,
		Observer: server.ObserverFunc(func(e server.Event) {
			if e.Kind == server.CommandReceived {
				fmt.Printf("%s: %q\n", e.Verb, e.Line)
			}
		}),
	}
	converse(srv, "HELO client.example", "AUTH PLAIN AGFsaWNlAHNlc2FtZQ==")
	// Output:
	// S: 220 mx.example ESMTP
	// C: HELO client.example
	// HELO: "HELO client.example"
	// S: 250 mx.example
	// C: AUTH PLAIN AGFsaWNlAHNlc2FtZQ==
	// AUTH: "AUTH PLAIN ***"
	// S: 502 5.5.1 command not implemented
}

// The name of a kind is fit for a log.
func ExampleEventKind() {
	fmt.Println(server.MessageAccepted)
	// Output: message accepted
}

// forgetful tells why it has to forget.
type forgetful struct{ server.Session }

func (f forgetful) Reset(ctx context.Context, why server.ResetReason) {
	fmt.Println("reset:", why)
	f.Session.Reset(ctx, why)
}

// Unwrap lets the server see what is optional on the wrapped session.
func (f forgetful) Unwrap() server.Session { return f.Session }

// Middleware that watches how transactions end.
func ExampleResetReason() {
	srv := &server.Server{
		Hostname: "mx.example",
		Handler: server.HandlerFunc(func(ctx context.Context, c *server.Conn) (server.Session, error) {
			s, err := discard.NewSession(ctx, c)
			return forgetful{s}, err
		}),
	}
	converse(srv, "HELO client.example", "MAIL FROM:<>", "RSET", "MAIL FROM:<>", "HELO again.example")
	// Output:
	// S: 220 mx.example ESMTP
	// C: HELO client.example
	// S: 250 mx.example
	// C: MAIL FROM:<>
	// S: 250 2.1.0 OK
	// C: RSET
	// reset: RSET
	// S: 250 2.0.0 reset
	// C: MAIL FROM:<>
	// S: 250 2.1.0 OK
	// C: HELO again.example
	// reset: hello
	// S: 250 mx.example
}

// helpful is a session that answers more than it must.
type helpful struct {
	server.Session
	members []string
}

func (h helpful) Hello(_ context.Context, verb smtp.Verb, name string) error {
	if name == "localhost" {
		return smtp.Reject(550, smtp.Enhanced{}, "that is me")
	}
	return nil
}

func (h helpful) Verify(_ context.Context, query string) (smtp.Reply, error) {
	if slices.Contains(h.members, query) {
		return smtp.Reply{Code: 250, Enhanced: smtp.Enh(1, 5), Text: "<" + query + "@example.org>"}, nil
	}
	return smtp.Reply{}, smtp.Reject(550, smtp.Enh(1, 1), "nobody here has that name")
}

func (h helpful) Expand(_ context.Context, list string) (smtp.Reply, error) {
	text := ""
	for i, m := range h.members {
		if i > 0 {
			text += "\n"
		}
		text += "<" + m + "@example.org>"
	}
	return smtp.Reply{Code: 250, Enhanced: smtp.Enh(1, 5), Text: text}, nil
}

func newHelpful() *server.Server {
	return &server.Server{
		Hostname: "mx.example",
		Handler: server.HandlerFunc(func(ctx context.Context, c *server.Conn) (server.Session, error) {
			s, err := discard.NewSession(ctx, c)
			return helpful{s, []string{"alice", "bob"}}, err
		}),
	}
}

// A HelloSession may refuse a client by the name it gives itself.
func ExampleHelloSession() {
	srv := newHelpful()
	converse(srv, "HELO localhost", "HELO client.example")
	// Output:
	// S: 220 mx.example ESMTP
	// C: HELO localhost
	// S: 550 that is me
	// C: HELO client.example
	// S: 250 mx.example
}

// A VerifySession tells who exists.
func ExampleVerifySession() {
	srv := newHelpful()
	converse(srv, "VRFY alice", "VRFY carol")
	// Output:
	// S: 220 mx.example ESMTP
	// C: VRFY alice
	// S: 250 2.1.5 <alice@example.org>
	// C: VRFY carol
	// S: 550 5.1.1 nobody here has that name
}

// An ExpandSession tells who is on a list.
func ExampleExpandSession() {
	srv := newHelpful()
	converse(srv, "EXPN staff")
	// Output:
	// S: 220 mx.example ESMTP
	// C: EXPN staff
	// S: 250-2.1.5 <alice@example.org>
	// S: 250 2.1.5 <bob@example.org>
}

func ExampleCredentialList() {
	var file bytes.Buffer // or a real one, for LoadCredentials
	if err := server.WriteCredential(&file, "alice@example.org", "secret"); err != nil {
		panic(err)
	}
	list, err := server.ReadCredentials(&file)
	if err != nil {
		panic(err)
	}
	srv := &server.Server{Auth: &server.Credentials{Lookup: list.Lookup}}
	_, err = list.Lookup(context.Background(), "bob@example.org")
	fmt.Println(srv.Auth != nil, list, err)
	// Output: true map[alice@example.org:SCRAM-SHA-256$100000:***] smtp server: invalid credentials
}
