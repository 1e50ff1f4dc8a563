package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/netip"
	"strings"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

// Fifty recipients, to a server that takes twenty at a time: three transactions.
func ExampleClient_limits() {
	s := start(func(s *smtptest.Server) { s.Config.Limits.MaxRecipients = 20 })
	defer s.Close()

	var to []string
	for i := range 50 {
		to = append(to, fmt.Sprintf("user%d@example.com", i))
	}
	env, err := smtp.NewEnvelope("alice@example.org", to...)
	if err != nil {
		log.Fatal(err)
	}
	c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig()}
	defer c.Close()
	res, err := c.Send(context.Background(), env, content)
	fmt.Println(res.Delivered(), err)
	for _, m := range s.Messages() {
		fmt.Println(len(m.To()))
	}
	// Output:
	// 50 <nil>
	// 20
	// 20
	// 10
}

// A long reader cannot be read again for those who have no room in the first
// transaction.
func ExampleErrLimit() {
	s := start(func(s *smtptest.Server) { s.Config.Limits.MaxRecipients = 1 })
	defer s.Close()

	c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig()}
	defer c.Close()
	lines := strings.NewReader("Subject: long\r\n\r\n" + strings.Repeat("And so on.\r\n", 10000))
	res, err := c.Send(context.Background(), env, smtp.ReaderContent(io.MultiReader(lines)))
	fmt.Println(err)
	for _, r := range res.Recipients {
		fmt.Println(r.To, r.Delivered(), errors.Is(r.Err, client.ErrLimit), r.Temporary())
	}
	// Output:
	// <nil>
	// <bob@example.com> true false false
	// <carol@example.com> false true true
}

// A server with PRDR may refuse a message for one recipient and take it for the
// other when it has seen it.
func ExampleClient_prdr() {
	s := start(func(s *smtptest.Server) { s.Config.Extensions = []server.Extension{server.PRDR} })
	defer s.Close()
	s.Fault(smtptest.AfterData().For("carol@example.com").Reply(550, "5.6.0", "carol does not like it"))

	c := &client.Client{Addr: s.Addr, TLSConfig: s.ClientTLSConfig()}
	defer c.Close()
	res, err := c.Send(context.Background(), env, content)
	fmt.Println(err)
	for _, r := range res.Recipients {
		fmt.Println(r.To, r.Reply.Code)
	}
	// Output:
	// <nil>
	// <bob@example.com> 250
	// <carol@example.com> 550
}

// trustingServer is a server that believes what this machine says of others.
func trustingServer(s *smtptest.Server) {
	s.Config.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// dial connects and says EHLO.
func dial(ctx context.Context, s *smtptest.Server) *client.Conn {
	c, err := client.Dial(ctx, "tcp", s.Addr, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := c.Hello(ctx, "filter.example.org"); err != nil {
		log.Fatal(err)
	}
	return c
}

// How would the server treat somebody else?
func ExampleConn_XClient() {
	s := start(trustingServer)
	defer s.Close()
	ctx := context.Background()
	c := dial(ctx, s)
	defer c.Close()

	err := c.XClient(ctx, smtp.XClient{Addr: "192.0.2.7", Name: "spike.example.net"})
	fmt.Println(err, c.Offers() == nil)
	if err := c.Hello(ctx, "spike.example.net"); err != nil {
		log.Fatal(err)
	}
	_, err = c.Send(ctx, env, content)
	fmt.Println(err)
	// Output:
	// <nil> true
	// <nil>
}

// A content filter tells the server behind it where a message came from.
func ExampleConn_XForward() {
	s := start(trustingServer)
	defer s.Close()
	ctx := context.Background()
	c := dial(ctx, s)
	defer c.Close()

	if err := c.XForward(ctx, smtp.XForward{Addr: "192.0.2.7", Name: "spike.example.net", Ident: "4711"}); err != nil {
		log.Fatal(err)
	}
	res, err := c.Send(ctx, env, content)
	fmt.Println(res.Delivered(), err)
	// Output: 2 <nil>
}

// Somebody who is online now and then asks for what has waited.
func ExampleConn_Etrn() {
	s := start(func(s *smtptest.Server) {
		s.Config.Extensions = []server.Extension{
			server.ETRN(func(_ context.Context, _ *server.Conn, _ server.Session, node smtp.Etrn) (smtp.Reply, error) {
				return smtp.Reply{Code: 253, Text: "5 messages for " + node.Name}, nil
			}),
		}
	})
	defer s.Close()
	ctx := context.Background()
	c := dial(ctx, s)
	defer c.Close()

	reply, err := c.Etrn(ctx, "example.org")
	fmt.Println(reply.Code, reply.Text, err)
	// Output: 253 5 messages for example.org <nil>
}
