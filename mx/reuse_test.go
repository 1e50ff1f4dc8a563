package mx_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

// Messages to domains that share a host share its connection. What differs in
// address, local address, EHLO name, credentials or what TLS has to prove does not.
func TestReuse(t *testing.T) {
	n := newNetwork(t)
	s := n.server("192.0.2.1", requireTLSServer(t))
	var hop *mx.NextHop
	policy := mx.Policy{}
	c := n.client(dnstest.MustParse(`
		example.org  MX 10 mx.example.org
		example.net  MX 10 mx.example.org
		example.com  MX 10 www.example.org
		mx.example.org A 192.0.2.1
		www.example.org A 192.0.2.1
	`))
	c.TLSConfig = trusting(t)
	c.NextHop = func(string, *mx.Message) *mx.NextHop { return hop }
	mx.SetPolicy(c, func(host string) (mx.Policy, error) {
		p := policy
		p.Names = []string{host}
		return p, nil
	})
	for i, tt := range []struct {
		domain string
		hop    *mx.NextHop
		level  mx.Level
		fresh  bool
	}{
		{"example.org", nil, mx.LevelMay, true},
		{"example.org", nil, mx.LevelMay, false},
		{"example.net", nil, mx.LevelMay, false},
		{"example.com", nil, mx.LevelMay, false},
		{"example.org", &mx.NextHop{Hello: "other.example"}, mx.LevelMay, true},
		{"example.net", &mx.NextHop{Hello: "other.example"}, mx.LevelMay, false},
		{"example.org", &mx.NextHop{LocalAddrs: []netip.Addr{netip.MustParseAddr("192.0.2.50")}}, mx.LevelMay, true},
		{"example.org", &mx.NextHop{Credentials: "somebody"}, mx.LevelMay, true},
		{"example.org", nil, mx.LevelEncrypt, true},
		{"example.net", nil, mx.LevelEncrypt, false},
		{"example.org", nil, mx.LevelVerify, true},
		{"example.net", nil, mx.LevelVerify, false},
		{"example.org", nil, mx.LevelNone, true},
		{"example.org", nil, mx.LevelMay, false},
	} {
		hop, policy = tt.hop, mx.Policy{Level: tt.level}
		var attempt *mx.Attempt
		c.Trace = &mx.Trace{Attempted: func(_ context.Context, a *mx.Attempt) { attempt = a }}
		results, err := c.Deliver(t.Context(), tt.domain, message(t, "to@"+tt.domain))
		if err != nil {
			t.Fatal(err)
		}
		if dials := len(n.dialled()); dials > 0 != tt.fresh || attempt.Reused == tt.fresh {
			t.Errorf("%d: %d connections made, reused %t", i, dials, attempt.Reused)
		}
		if encrypted := results[0].TLS != nil; encrypted != (tt.level != mx.LevelNone) {
			t.Errorf("%d: TLS %t at level %s", i, encrypted, tt.level)
		}
	}
	if got := len(s.Messages()); got != 14 {
		t.Errorf("%d messages", got)
	}
	c.CloseIdle()
	if stats := c.Stats(); stats.Open != 0 {
		t.Errorf("%+v", stats)
	}
}

// That TLS has failed once makes nobody do without the next time.
func TestNoReuseOfPlaintext(t *testing.T) {
	n := newNetwork(t)
	s := n.server("192.0.2.1", requireTLSServer(t))
	s.Fault(smtptest.On("STARTTLS").Drop().Times(1))
	c := n.client(dnstest.MustParse("example.org A 192.0.2.1"))
	for _, encrypted := range []bool{false, true} {
		results, err := c.Deliver(t.Context(), "example.org", message(t, "to@example.org"))
		if err != nil || (results[0].TLS != nil) != encrypted {
			t.Errorf("TLS %t, want %t, %v", results[0].TLS != nil, encrypted, err)
		}
	}
}

// A connection for SMTP is not used for LMTP.
func TestNoReuseForLMTP(t *testing.T) {
	n := newNetwork(t)
	n.server("192.0.2.1", smtptest.NoTLS)
	c := n.client(dnstest.MustParse("example.org A 192.0.2.1"))
	if _, err := c.Deliver(t.Context(), "example.org", message(t, "to@example.org")); err != nil {
		t.Fatal(err)
	}
	c.NextHop = func(string, *mx.Message) *mx.NextHop {
		return &mx.NextHop{Hosts: []string{"[192.0.2.1]:25"}, LMTP: true}
	}
	if _, err := c.Deliver(t.Context(), "example.org", message(t, "to@example.org")); err == nil {
		t.Error("delivered by SMTP")
	}
}

// A connection that the server has closed in the meantime costs nothing.
func TestReuseOfAClosedConnection(t *testing.T) {
	n := newNetwork(t)
	s := n.server("192.0.2.1", smtptest.NoTLS)
	c := n.client(dnstest.MustParse("example.org A 192.0.2.1"))
	for range 3 {
		results, err := c.Deliver(t.Context(), "example.org", message(t, "to@example.org"))
		if err != nil || results[0].Status != mx.Relayed {
			t.Fatal(err)
		}
		s.CloseClientConnections()
	}
}

// 1,000 messages to 100 domains that share one server.
func BenchmarkDeliver(b *testing.B) {
	const messages, domains = 1000, 100
	for _, tls := range []bool{false, true} {
		for _, reuse := range []bool{true, false} {
			b.Run(fmt.Sprintf("tls=%t/reuse=%t", tls, reuse), func(b *testing.B) {
				benchmarkDeliver(b, messages, domains, tls, reuse)
			})
		}
	}
}

func benchmarkDeliver(b *testing.B, messages, domains int, tls, reuse bool) {
	zone := dnstest.MustParse("mx.example.org A 192.0.2.1")
	for i := range domains {
		if err := zone.Add(fmt.Sprintf("d%d.example MX 10 mx.example.org", i)); err != nil {
			b.Fatal(err)
		}
	}
	s := smtptest.NewServer(b, func(s *smtptest.Server) {
		if !tls {
			smtptest.NoTLS(s)
		}
		s.MaxMessages = 1
		s.Config.Handler = discard
	})
	c := &mx.Client{
		Router: &mx.Router{Resolver: &dns.Cache{Resolver: zone}, Network: "ip4"},
		Hello:  "relay.example",
		Dial: func(ctx context.Context, _, _ string, _ netip.Addr) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", s.Addr)
		},
	}
	if !reuse {
		c.MaxIdle = -1
	}
	defer c.Close()
	m := &mx.Message{Content: smtp.BytesContent(make([]byte, 0))}
	m.Content = smtp.BytesContent([]byte("Subject: hello\r\n\r\nHello!\r\n"))
	env, err := smtp.NewEnvelope("from@example.com", "to@example.org")
	if err != nil {
		b.Fatal(err)
	}
	m.Envelope = env
	b.ResetTimer()
	for b.Loop() {
		for i := range messages {
			if _, err := c.Deliver(context.Background(), fmt.Sprintf("d%d.example", i%domains), m); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*messages), "µs/message")
}
