package mx_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/netip"
	"os"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

var content = smtp.BytesContent([]byte("Subject: hello\r\n\r\nHello!\r\n"))

// start starts a server, for all addresses that dial is asked for.
func start(configure ...func(*smtptest.Server)) (s *smtptest.Server, dial func(context.Context, string, string, netip.Addr) (net.Conn, error)) {
	s = smtptest.NewUnstartedServer()
	for _, f := range configure {
		f(s)
	}
	if err := s.Start(); err != nil {
		log.Fatal(err)
	}
	return s, func(ctx context.Context, _, _ string, _ netip.Addr) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", s.Addr)
	}
}

// A message to two recipients of a domain.
func ExampleClient() {
	s, dial := start()
	defer s.Close()
	s.Fault(smtptest.On("RCPT").For("nobody@example.org").Reply(550, "5.1.1", "no such user"))

	c := &mx.Client{
		Router: &mx.Router{Resolver: zone, Hostnames: []string{"relay.example"}},
		Hello:  "relay.example",
		Dial:   dial, // only for this example
	}
	defer c.Close()

	env, err := smtp.NewEnvelope("me@example.com", "you@example.org", "nobody@example.org")
	if err != nil {
		log.Fatal(err)
	}
	results, err := c.Deliver(context.Background(), "example.org", &mx.Message{Envelope: env, Content: content})
	if err != nil {
		log.Fatal(err) // nobody has the message
	}
	for _, r := range results {
		fmt.Println(r.Recipient, r.Status, r.Host, r.TLS != nil, r.Reply)
	}
	// Output:
	// <you@example.org> relayed mx1.example.org true 250 2.0.0 message accepted
	// <nobody@example.org> failed mx1.example.org true 550 5.1.1 no such user
}

// Everything goes to a smarthost, as one of its users.
func ExampleNextHop() {
	s, dial := start(smtptest.Submission)
	defer s.Close()
	s.AddAccount("relay", "secret")

	c := &mx.Client{
		Dial:      dial, // only for this example, and
		TLSConfig: s.ClientTLSConfig(),
		NextHop: func(domain string, m *mx.Message) *mx.NextHop {
			return &mx.NextHop{
				Hosts:       []string{"[localhost]:587"},
				Auth:        client.PasswordAuth("relay", "secret"),
				Credentials: "relay",
			}
		},
	}
	defer c.Close()

	env, err := smtp.NewEnvelope("me@example.com", "you@example.org")
	if err != nil {
		log.Fatal(err)
	}
	results, err := c.Deliver(context.Background(), "example.org", &mx.Message{Envelope: env, Content: content})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(results[0].Status, results[0].Policy.Level, s.Messages()[0].Identity)
	// Output: relayed verify relay
}

// What happened on the way.
func ExampleTrace() {
	s, dial := start()
	defer s.Close()
	s.Fault(smtptest.OnGreeting().Reply(421, "4.3.2", "restarting").Times(1))

	c := &mx.Client{
		Router: &mx.Router{Resolver: zone},
		Dial:   dial,
		Trace: &mx.Trace{Attempted: func(_ context.Context, a *mx.Attempt) {
			fmt.Println(a.Host.Name, a.Addr, a.Policy.Level, a.Next, a.Err)
		}},
	}
	defer c.Close()

	env, err := smtp.NewEnvelope("me@example.com", "you@example.org")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := c.Deliver(context.Background(), "example.org", &mx.Message{Envelope: env, Content: content}); err != nil {
		log.Fatal(err)
	}
	// Output:
	// mx1.example.org [2001:db8::1]:25 may true smtp: 421 4.3.2 restarting
	// mx1.example.org 192.0.2.1:25 may false <nil>
}

// An Attempt knows how to be logged. LogTrace logs all of them.
func ExampleAttempt() {
	l := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	a := &mx.Attempt{Host: mx.Host{Name: "mx1.example.org"}, Addr: "192.0.2.1:25", Next: true, Err: errors.New("dial: connection refused")}
	l.Info("attempt", "attempt", a)
	// Output: level=INFO msg=attempt attempt.host=mx1.example.org attempt.addr=192.0.2.1:25 attempt.level=may attempt.source=default attempt.took=0s attempt.err="dial: connection refused" attempt.next=true
}

// No more than two messages at a time for each site.
func ExampleSiteLimiter() {
	l := &mx.SiteLimiter{PerSite: 2}
	one, _ := l.Acquire(context.Background(), "mx.example.org")
	two, _ := l.Acquire(context.Background(), "mx.example.org")
	defer two()

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := l.Acquire(ctx, "mx.example.org")
	fmt.Println(err)
	one()
	_, err = l.Acquire(ctx, "mx.example.org")
	fmt.Println(err)
	// Output:
	// context canceled
	// <nil>
}

// away is a Limiter that lets nothing through to some sites.
type away map[string]bool

func (a away) Acquire(_ context.Context, site string) (func(), error) {
	if a[site] {
		return nil, errors.New("paused by the operator")
	}
	return func() {}, nil
}

// A Limiter of one's own can say no, and everybody is deferred.
func ExampleLimiter() {
	c := &mx.Client{Router: &mx.Router{Resolver: zone}, Limiter: away{"mx1.example.org": true}}
	defer c.Close()
	env, err := smtp.NewEnvelope("me@example.com", "you@example.org")
	if err != nil {
		log.Fatal(err)
	}
	results, err := c.Deliver(context.Background(), "example.org", &mx.Message{Envelope: env, Content: content})
	fmt.Println(err)
	fmt.Println(results[0].Status, results[0].Scope)
	// Output:
	// mx: example.org: 451 4.4.5 too many messages are on their way to the site: paused by the operator
	// deferred site
}
