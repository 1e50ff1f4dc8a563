package mxtest_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"os/exec"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/mtasts"
	"github.com/postrider/postrider/mx/mxtest"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

// mail returns a message; in a test one has one's own.
func mail(to string) *mx.Message {
	env, err := smtp.NewEnvelope("me@example.com", to)
	if err != nil {
		log.Fatal(err)
	}
	return &mx.Message{Envelope: env, Content: smtp.BytesContent([]byte("Subject: hello\r\n\r\nHello!\r\n"))}
}

// A domain with two hosts, of which one takes no mail today. In a test it is
// mxtest.New(t), and closes itself.
func ExampleInternet() {
	inet := mxtest.New(nil)
	defer inet.Close()
	mx1 := inet.Host("mx1.example.org")
	mx2 := inet.Host("mx2.example.org")
	inet.Domain("example.org", mxtest.MX(10, mx1), mxtest.MX(20, mx2))
	mx1.Fault(smtptest.OnGreeting().Reply(421, "4.3.2", "restarting"))

	results, err := inet.Client().Deliver(context.Background(), "example.org", mail("you@example.org"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(results[0].Status, results[0].Host)
	fmt.Println(mx2.Messages()[0].To())
	// Output:
	// relayed mx2.example.org
	// [you@example.org]
}

// Hosts differ in addresses, ports, certificates and in what their servers do.
func ExampleHost() {
	inet := mxtest.New(nil)
	defer inet.Close()
	inet.Host("mx.example.org",
		mxtest.Addrs("192.0.2.25", "2001:db8::25"),
		mxtest.Names("mail.example.net"),
	)
	inet.Host("old.example.org", mxtest.SMTP(smtptest.NoTLS))
	relay := inet.Host("smtp.example.net", mxtest.Ports(465, 587), mxtest.SMTP(smtptest.Submission))
	relay.AddAccount("me", "secret")

	answer, err := inet.Zone.Resolve(context.Background(), "mx.example.org", dns.AAAA)
	fmt.Println(answer.Addrs, err)

	c := &client.Client{
		Addr:      "smtp.example.net:587",
		Auth:      client.PasswordAuth("me", "secret"),
		Dial:      inet.Dial,
		TLSConfig: inet.TLSConfig(),
	}
	defer c.Close()
	m := mail("you@example.org")
	if _, err := c.Send(context.Background(), m.Envelope, m.Content); err != nil {
		log.Fatal(err)
	}
	fmt.Println(relay.Messages()[0].Identity)
	// Output:
	// [2001:db8::25] <nil>
	// me
}

// One of the addresses of a host is out of order.
func ExampleLink() {
	inet := mxtest.New(nil)
	defer inet.Close()
	h := inet.Host("mx.example.org", mxtest.Addrs("192.0.2.1", "2001:db8::1"))
	inet.Domain("example.org", mxtest.MX(10, h))
	h.SetLink(mxtest.Refused, netip.MustParseAddr("2001:db8::1"))

	results, err := inet.Client().Deliver(context.Background(), "example.org", mail("you@example.org"))
	fmt.Println(results[0].Addr, err)
	// Output: 192.0.2.1:25 <nil>
}

// A program outside of the test is told where the DNS is, and which port hosts have.
func ExampleLoopback() {
	inet := mxtest.New(nil, mxtest.Loopback)
	defer inet.Close()
	h := inet.Host("mx.example.org")
	inet.Domain("example.org", mxtest.MX(10, h))

	cmd := exec.Command("forward", "-for", "example.org", "-next", "[mx.example.org]", "-resolver", inet.DNS().String(), "-port", fmt.Sprint(inet.Port))
	if err := cmd.Start(); err != nil {
		log.Fatal(err)
	}
	defer cmd.Process.Kill()
	messages, err := h.Wait(context.Background(), 1)
	fmt.Println(messages, err)
}

// A host with TLSA records of its own, and one with those of another.
func ExampleInternet_DANE() {
	inet := mxtest.New(nil)
	defer inet.Close()
	mx1 := inet.Host("mx1.example.org", mxtest.SelfSigned)
	mx2 := inet.Host("mx2.example.org")
	inet.Domain("example.org", mxtest.MX(10, mx1), mxtest.MX(20, mx2))
	inet.Sign("example.org")
	inet.DANE(mx1)
	inet.DANE(mx2, mx1.TLSA(3, 1, 1)) // not its own

	c := inet.Client()
	results, err := c.Deliver(context.Background(), "example.org", mail("you@example.org"))
	fmt.Println(results[0].Host, results[0].Policy.Level, err)
	mx1.SetLink(mxtest.Refused)
	c.CloseIdle()
	results, _ = c.Deliver(context.Background(), "example.org", mail("you@example.org"))
	fmt.Println(results[0].Host, results[0].Status, results[0].Reply)
	// Output:
	// mx1.example.org dane <nil>
	// mx2.example.org deferred 451 4.7.5 TLS with the host has failed
}

// A policy that no host satisfies.
func ExampleInternet_STS() {
	inet := mxtest.New(nil)
	defer inet.Close()
	h := inet.Host("mx.example.org", mxtest.Expired)
	inet.Domain("example.org", mxtest.MX(10, h))
	inet.STS("example.org", mtasts.Policy{Mode: mtasts.Enforce, MX: []string{"*.example.org"}, MaxAge: time.Hour})

	results, _ := inet.Client().Deliver(context.Background(), "example.org", mail("you@example.org"))
	fmt.Println(results[0].Policy.Level, results[0].Policy.Source)
	fmt.Println(results[0].Status, results[0].Reply)
	// Output:
	// verify mta-sts
	// deferred 451 4.7.5 TLS with the host has failed
}
