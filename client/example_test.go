package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

// start starts a server of the examples' own, with STARTTLS and an account.
func start(configure ...func(*smtptest.Server)) *smtptest.Server {
	s := smtptest.NewUnstartedServer()
	for _, f := range configure {
		f(s)
	}
	watch(s)
	s.AddAccount("alice", "secret")
	if err := s.Start(); err != nil {
		log.Fatal(err)
	}
	return s
}

var (
	env, _  = smtp.NewEnvelope("alice@example.org", "bob@example.com", "carol@example.com")
	content = smtp.BytesContent([]byte("Subject: hello\r\n\r\nHow are you?\r\n"))
)

func ExampleClient() {
	s := start(smtptest.Submission)
	defer s.Close()

	c := &client.Client{
		Addr:      s.Addr,
		TLSConfig: s.ClientTLSConfig(), // nil for a server whose certificate everybody trusts
		Auth:      client.PasswordAuth("alice", "secret"),
	}
	defer c.Close()
	res, err := c.Send(context.Background(), env, content)
	fmt.Println(res.Delivered(), err)

	m := s.Messages()[0]
	fmt.Println(m.To(), m.Header("Subject"), m.TLS, m.Identity)
	// Output:
	// 2 <nil>
	// [bob@example.com carol@example.com] hello true alice
}

// A server on a unix socket that delivers into mailboxes.
func ExampleClient_lmtp() {
	s := start(smtptest.LMTP, smtptest.NoTLS)
	defer s.Close()
	s.Fault(smtptest.AfterData().For("carol@example.com").Reply(452, "4.2.2", "mailbox is full"))

	c := &client.Client{
		Addr: "/run/dovecot/lmtp", Network: "unix", LMTP: true,
		Dial: s.Dial, // only here, where there is no such socket
	}
	defer c.Close()
	res, err := c.Send(context.Background(), env, content)
	fmt.Println(err)
	for _, r := range res.Recipients {
		fmt.Println(r.To, r.Reply.Code, r.Reply.EnhancedString())
	}
	// Output:
	// <nil>
	// <bob@example.com> 250 2.0.0
	// <carol@example.com> 452 4.2.2
}

// Dial puts whatever there is between the client and the server: a SOCKS or HTTP
// proxy, a local address, an ssh tunnel.
func ExampleClient_dial() {
	s := start()
	defer s.Close()

	c := &client.Client{
		Addr:      "mail.example.com:587",
		TLSConfig: s.ClientTLSConfig(),
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			fmt.Println("dial", network, addr)
			return new(net.Dialer).DialContext(ctx, network, s.Addr)
		},
	}
	defer c.Close()
	_, err := c.Send(context.Background(), env, content)
	fmt.Println(err)
	// Output:
	// dial tcp mail.example.com:587
	// <nil>
}

// One verb, one method.
func ExampleConn() {
	s := start()
	defer s.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	c, err := client.Dial(ctx, "tcp", s.Addr, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if err := c.Hello(ctx, "client.example.org"); err != nil {
		log.Fatal(err)
	}
	if err := c.StartTLS(ctx, s.ClientTLSConfig()); err != nil {
		log.Fatal(err)
	}
	if err := c.Hello(ctx, "client.example.org"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Offers().Has(smtp.ExtPipelining), c.Offers().Has(smtp.ExtStartTLS))

	reply, err := c.Mail(ctx, env.From, nil)
	fmt.Println(reply.Code, err)
	reply, err = c.Rcpt(ctx, env.Recipients[0].To, nil)
	fmt.Println(reply.Code, err)
	replies, err := c.Data(ctx, strings.NewReader("Subject: hello\r\n\r\nHow are you?\r\n"))
	fmt.Println(replies[0].Code, err)
	fmt.Println(c.Quit(ctx))
	// Output:
	// true false
	// 250 <nil>
	// 250 <nil>
	// 250 <nil>
	// <nil>
}

func ExampleConnConfig() {
	s := start(smtptest.LMTP, smtptest.NoTLS)
	defer s.Close()
	ctx := context.Background()

	c, err := client.Dial(ctx, "tcp", s.Addr, &client.ConnConfig{
		LMTP:     true,
		Timeouts: client.EveryTimeout(10 * time.Second),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if err := c.Hello(ctx, ""); err != nil {
		log.Fatal(err)
	}
	res, err := c.Send(ctx, env, content)
	fmt.Println(len(res.Recipients), res.Delivered(), err)
	// Output: 2 2 <nil>
}

func ExampleResult() {
	s := start()
	defer s.Close()
	s.Fault(smtptest.On("RCPT").For("carol@example.com").Reply(450, "4.2.1", "try later"))

	c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig()}
	defer c.Close()
	res, err := c.Send(context.Background(), env, content)
	fmt.Println(res.Delivered(), "of", len(res.Recipients), err)

	var again smtp.Envelope // whom to try again
	again.From = env.From
	for i, r := range res.Recipients {
		if r.Temporary() && !r.Unknown() {
			again.Recipients = append(again.Recipients, env.Recipients[i])
		}
	}
	fmt.Println(again.Recipients[0].To)
	// Output:
	// 1 of 2 <nil>
	// <carol@example.com>
}

// The error of Send is nil when one recipient has the message. This tells of the
// others.
func ExampleResult_Failed() {
	s := start()
	defer s.Close()
	s.Fault(smtptest.On("RCPT").For("carol@example.com").Reply(550, "5.1.1", "no such user"))

	c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig()}
	defer c.Close()
	res, err := c.Send(context.Background(), env, content)
	if err != nil {
		log.Fatal(err)
	}
	for r := range res.Failed() {
		fmt.Println(r.To, r.Err)
	}
	// Output: <carol@example.com> smtp: RCPT: 550 5.1.1 no such user
}

func ExampleRecipientResult() {
	s := start()
	defer s.Close()
	s.Fault(smtptest.On("RCPT").For("bob@example.com").Reply(550, "5.1.1", "no such user"))

	c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig()}
	defer c.Close()
	res, _ := c.Send(context.Background(), env, content)
	for _, r := range res.Recipients {
		fmt.Println(r.To, r.Delivered(), r.Reply.Code, r.Reply.EnhancedString(), r.Host)
	}
	// Output:
	// <bob@example.com> false 550 5.1.1 127.0.0.1
	// <carol@example.com> true 250 2.0.0 127.0.0.1
}

func ExampleSendError() {
	s := start()
	defer s.Close()
	s.Fault(smtptest.On("MAIL").Reply(550, "5.7.1", "not from you"))

	c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig()}
	defer c.Close()
	_, err := c.Send(context.Background(), env, content)

	var failed *client.SendError
	var refused *smtp.Error
	switch {
	case errors.Is(err, client.ErrUnknown):
		fmt.Println("it may have been delivered")
	case errors.As(err, &failed) && failed.Temporary():
		fmt.Println("to be tried again")
	case errors.As(err, &refused):
		fmt.Println(refused.Verb, refused.Reply)
	}
	// Output: MAIL 550 5.7.1 not from you
}

func ExampleConnError() {
	s := start()
	defer s.Close()
	s.Fault(smtptest.AfterData().Drop()) // accepted, and never said

	c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig()}
	defer c.Close()
	_, err := c.Send(context.Background(), env, content)
	var lost *client.ConnError
	if errors.As(err, &lost) {
		fmt.Println(lost.Op, lost.Unknown, errors.Is(err, client.ErrUnknown), len(s.Messages()))
	}
	// Output: end of data true true 1
}

func ExampleProtocolError() {
	s := start()
	defer s.Close()
	s.Fault(smtptest.On("DATA").Reply(250, "", "delivered, believe me"))

	c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig()}
	defer c.Close()
	_, err := c.Send(context.Background(), env, content)
	var broken *client.ProtocolError
	fmt.Println(errors.As(err, &broken), broken)
	// Output: true protocol error: success before the data
}

func ExampleContentError() {
	s := start()
	defer s.Close()
	s.Hide("8BITMIME")

	c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig()}
	defer c.Close()
	_, err := c.Send(context.Background(), env, smtp.BytesContent([]byte("Subject: hello\r\n\r\nÇa va ?\r\n")))
	var needs *client.ContentError
	if errors.As(err, &needs) {
		fmt.Println(needs.Need)
	}
	// Output: 8BITMIME
}

func ExampleAuthError() {
	s := start(smtptest.Submission)
	defer s.Close()

	c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig(), Auth: client.PlainAuth("alice", "guess")}
	defer c.Close()
	_, err := c.Send(context.Background(), env, content)
	var failed *client.AuthError
	var refused *smtp.Error
	if errors.As(err, &failed) && errors.As(err, &refused) {
		fmt.Println(failed.Mechanism, refused.Reply.Code, failed.Temporary())
	}
	// Output: PLAIN 535 false
}

// A choice of one's own: the client certificate where the server takes it, else
// the password.
func ExampleAuth() {
	var auth client.Auth = func(ctx context.Context, info client.AuthInfo) (sasl.Client, error) {
		if info.Offers("EXTERNAL") {
			return sasl.NewExternalClient(""), nil
		}
		return client.PasswordAuth("alice", "secret")(ctx, info)
	}
	mechanism, err := auth(context.Background(), client.AuthInfo{Mechanisms: []string{"PLAIN", "LOGIN"}})
	if err != nil {
		log.Fatal(err)
	}
	name, _, _ := mechanism.Start()
	fmt.Println(name)
	// Output: PLAIN
}

func ExampleAuthInfo() {
	s := start(smtptest.Submission)
	defer s.Close()

	c := &client.Client{
		Addr: s.Addr, TLSConfig: s.ClientTLSConfig(),
		Auth: func(ctx context.Context, info client.AuthInfo) (sasl.Client, error) {
			fmt.Println(info.Offers(sasl.Plain), info.TLS.HandshakeComplete, info.Host)
			return sasl.NewPlainClient("", "alice", "secret"), nil
		},
	}
	defer c.Close()
	_, err := c.Send(context.Background(), env, content)
	fmt.Println(err)
	// Output:
	// true true 127.0.0.1
	// <nil>
}

func ExampleTLSMode() {
	s := start(smtptest.NoTLS)
	defer s.Close()

	for _, mode := range []client.TLSMode{client.TLSAuto, client.Opportunistic} {
		c := &client.Client{Addr: s.Addr, TLSMode: mode, TLSConfig: s.ClientTLSConfig()}
		_, err := c.Send(context.Background(), env, content)
		c.Close()
		fmt.Println(err)
	}
	// Output:
	// client: 127.0.0.1: STARTTLS: the server does not offer STARTTLS
	// <nil>
}

func ExampleTimeouts() {
	s := start()
	defer s.Close()
	s.Fault(smtptest.On("MAIL").Delay(time.Minute))

	c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig(), Timeouts: client.Timeouts{Mail: 50 * time.Millisecond}}
	defer c.Close()
	_, err := c.Send(context.Background(), env, content)
	var lost *client.ConnError
	if errors.As(err, &lost) {
		fmt.Println(lost.Op, lost.Timeout())
	}
	// Output: MAIL true
}

// The conversation as it goes over the wire, without what is secret.
func ExampleTrace() {
	s := start(smtptest.Submission)
	defer s.Close()

	c := &client.Client{
		Addr: s.Addr, TLSConfig: s.ClientTLSConfig(), Auth: client.PlainAuth("alice", "secret"), LocalName: "client.example.org",
		Trace: &client.Trace{
			Wrote:     func(_ client.ConnInfo, line string) { fmt.Println("C:", line) },
			WroteData: func(_ client.ConnInfo, octets int64) { fmt.Println("C:", octets, "octets") },
			Got:       func(_ client.ConnInfo, r smtp.Reply) { fmt.Println("S:", r.Code) }, // or all of r
		},
	}
	_, err := c.Send(context.Background(), env, content)
	c.Close()
	fmt.Println(err)
	// Output:
	// S: 220
	// C: EHLO client.example.org
	// S: 250
	// C: STARTTLS
	// S: 220
	// C: EHLO client.example.org
	// S: 250
	// C: AUTH PLAIN ***
	// S: 235
	// C: MAIL FROM:<alice@example.org> SIZE=32
	// C: RCPT TO:<bob@example.com>
	// C: RCPT TO:<carol@example.com>
	// C: DATA
	// S: 250
	// S: 250
	// S: 250
	// S: 354
	// C: 32 octets
	// C: .
	// S: 250
	// C: QUIT
	// S: 221
	// <nil>
}

func ExampleConnInfo() {
	s := start()
	defer s.Close()

	c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig()}
	c.Trace = &client.Trace{
		Connected: func(info client.ConnInfo) { fmt.Println("connection", info.ID, "to", info.Host) },
		Reused:    func(info client.ConnInfo) { fmt.Println("connection", info.ID, "again") },
	}
	defer c.Close()
	for range 2 {
		if _, err := c.Send(context.Background(), env, content); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// connection 1 to 127.0.0.1
	// connection 1 again
}
