package mx_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/smtp"
)

var zone = dnstest.MustParse(`
	example.org         MX    10 mx1.example.org
	example.org         MX    20 mx2.example.org
	mx1.example.org     A     192.0.2.1
	mx1.example.org     AAAA  2001:db8::1
	mx2.example.org     A     192.0.2.2
	silent.example      MX    0 .
`)

// Where does the mail of a domain go?
func ExampleRouter() {
	router := &mx.Router{Resolver: zone}
	route, err := router.Route(context.Background(), "Example.ORG")
	if err != nil {
		log.Fatal(err)
	}
	for _, host := range route.Hosts {
		found, err := router.Addrs(context.Background(), host.Name)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(host.Preference, host.Name, found.Addrs)
	}
	// Output:
	// 10 mx1.example.org [2001:db8::1 192.0.2.1]
	// 20 mx2.example.org [192.0.2.2]
}

func ExampleRoute() {
	router := &mx.Router{Resolver: zone}
	route, err := router.Route(context.Background(), "mx2.example.org")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(route.Domain, route.Implicit, len(route.Hosts))
	// Output: mx2.example.org true 1
}

// With mx2 as our own name nothing remains of its preference and above.
func ExampleHost() {
	router := &mx.Router{Resolver: zone, Hostnames: []string{"mx2.example.org"}}
	route, err := router.Route(context.Background(), "example.org")
	if err != nil {
		log.Fatal(err)
	}
	for _, h := range route.Hosts {
		fmt.Println(h.Preference, h.Name)
	}
	// Output: 10 mx1.example.org
}

func ExampleAddrs() {
	router := &mx.Router{Resolver: zone, Network: "ip4"}
	found, err := router.Addrs(context.Background(), "mx1.example.org")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(found.Addrs, found.Canonical, found.Secure)
	// Output: [192.0.2.1] mx1.example.org false
}

// The reply in an Error is what a report to the sender gives.
func ExampleError() {
	router := &mx.Router{Resolver: zone}
	_, err := router.Route(context.Background(), "silent.example")
	fmt.Println(err)
	var refused *mx.Error
	if errors.As(err, &refused) {
		fmt.Println(refused.Temporary(), refused.Scope, refused.Reply.EnhancedString())
	}
	// Output:
	// mx: silent.example: 556 5.1.10 the domain takes no mail
	// false site 5.1.10
}

func ExampleScope() {
	fmt.Println(mx.ScopeRecipient, mx.ScopeHost, mx.ScopePolicy)
	// Output: recipient host policy
}

func ExampleStatus() {
	fmt.Println(mx.Delivered, mx.Deferred)
	// Output: delivered deferred
}

// A Policy that nobody has made is opportunistic.
func ExamplePolicy() {
	var p mx.Policy
	fmt.Println(p.Level, p.Source)
	// Output: may default
}

func ExampleLevel() {
	fmt.Println(mx.LevelMay < mx.LevelVerify, mx.LevelDANE)
	// Output: true dane
}

func ExampleSource() {
	fmt.Println(mx.SourceMTASTS, mx.SourceRequireTLS)
	// Output: mta-sts requiretls
}

func ExampleMessage() {
	env, err := smtp.NewEnvelope("me@example.com", "you@example.org")
	if err != nil {
		log.Fatal(err)
	}
	env.MailParams.RequireTLS = true // RFC 8689
	m := &mx.Message{Envelope: env, Content: smtp.BytesContent([]byte("Subject: hello\r\n\r\nHello!\r\n"))}
	fmt.Println(m.Envelope.From, m.Envelope.Recipients[0].To, m.Content.Size)
	// Output: <me@example.com> <you@example.org> 26
}

// What a log may say of a recipient.
func ExampleResult() {
	r := mx.Result{
		Status: mx.Delivered,
		Reply:  smtp.Reply{Code: 250, Enhanced: smtp.Enh(0, 0), Text: "queued as 4bQ"},
		Host:   "mx1.example.org",
		Addr:   "192.0.2.1:25",
		TLS:    &tls.ConnectionState{Version: tls.VersionTLS13},
	}
	fmt.Println(r.Status, r.Host, r.Addr, tls.VersionName(r.TLS.Version), r.Reply)
	// Output: delivered mx1.example.org 192.0.2.1:25 TLS 1.3 250 2.0.0 queued as 4bQ
}
