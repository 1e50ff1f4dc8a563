package mx_test

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/server/smtptest"
)

const smarthosts = `
	relay.example       MX    10 a.relay.example
	relay.example       MX    20 b.relay.example
	a.relay.example     A     192.0.2.1
	b.relay.example     A     192.0.2.2
	single.example      A     192.0.2.3
	ours.example        MX    10 us.example
	null.example        MX    0 .
	bad.example         SERVFAIL
	inner.example       A     127.0.0.9
`

// What the texts of a NextHop mean.
func TestVia(t *testing.T) {
	for _, tt := range []struct {
		hosts string // separated by blanks
		want  string // hosts with their ports, or the error
	}{
		{"relay.example", "a.relay.example b.relay.example"},
		{"relay.example:587", "a.relay.example:587 b.relay.example:587"},
		{"Relay.Example.:587", "a.relay.example:587 b.relay.example:587"},
		{"[relay.example]", "relay.example"},
		{"[relay.example]:465", "relay.example:465"},
		{"[Relay.Example.]", "relay.example"},
		{"single.example:2525", "single.example:2525"},
		{"[192.0.2.1]", "[192.0.2.1]"},
		{"[192.0.2.1]:2525", "[192.0.2.1]:2525"},
		{"[IPv6:2001:db8::1]:25", "[IPv6:2001:db8::1]:25"},
		{"[2001:DB8::1]", "[IPv6:2001:db8::1]"},
		{"[::ffff:192.0.2.1]", "[192.0.2.1]"},
		{"[127.0.0.1]:10024", "[127.0.0.1]:10024"},
		{"[localhost]:24", "localhost:24"},
		{"[bücher.example]", "xn--bcher-kva.example"},
		{"/run/lmtp.sock", "/run/lmtp.sock"},
		{"relay.example [single.example] relay.example:26", "a.relay.example b.relay.example single.example a.relay.example:26 b.relay.example:26"},
		{"gone.example single.example", "single.example"},
		{"bad.example single.example", "single.example"},
		{"ours.example [ours.example]", "ours.example"},
		{"[us.example]", "us.example"}, // whoever writes it down means it

		{"gone.example", "451 4.4.4 local"},
		{"null.example", "451 4.4.4 local"},
		{"bad.example", "451 4.4.4 local"},
		{"ours.example", "451 4.4.4 local"},
		{"relay.example:", "451 4.4.4 local"},
		{"relay.example:0", "451 4.4.4 local"},
		{"relay.example:65536", "451 4.4.4 local"},
		{"relay.example:smtp", "451 4.4.4 local"},
		{"[relay.example", "451 4.4.4 local"},
		{"relay.example]", "451 4.4.4 local"},
		{"[]", "451 4.4.4 local"},
		{"192.0.2.1", "451 4.4.4 local"},
		{"[fe80::1%eth0]", "451 4.4.4 local"},
		{"a..b", "451 4.4.4 local"},
		{"", "451 4.4.4 local"},
	} {
		r := &mx.Router{Resolver: dnstest.MustParse(smarthosts), Hostnames: []string{"us.example"}}
		hosts := strings.Fields(tt.hosts)
		if tt.hosts == "" {
			hosts = []string{""}
		}
		route, err := r.Via(t.Context(), "Example.ORG", hosts...)
		var got string
		if err != nil {
			got = errorText(err)
		} else {
			if route.Domain != "example.org" || !route.Explicit {
				t.Errorf("%+v", route)
			}
			for _, h := range route.Hosts {
				got += " " + h.Name
				if h.Port != 0 {
					got += fmt.Sprint(":", h.Port)
				}
			}
			got = strings.TrimSpace(got)
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.hosts, got, tt.want)
		}
	}
}

// The hosts of a NextHop that are tried first are its site.
func TestSiteOfNextHop(t *testing.T) {
	route, err := (&mx.Router{Resolver: dnstest.MustParse(smarthosts)}).Via(t.Context(), "example.org", "relay.example", "single.example")
	if err != nil || route.Site() != "a.relay.example,b.relay.example" {
		t.Errorf("%q, %v", route.Site(), err)
	}
	route, err = new(mx.Router).Via(t.Context(), "example.org", "[single.example]", "[192.0.2.1]")
	if err != nil || route.Site() != "single.example" {
		t.Errorf("%q, %v", route.Site(), err)
	}
}

// A message goes over a NextHop as over any route: hosts in turn, TLS, AUTH.
func TestNextHop(t *testing.T) {
	submission := func(s *smtptest.Server) {
		smtptest.Submission(s)
		s.Config.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	}
	implicit := func(s *smtptest.Server) {
		submission(s)
		smtptest.ImplicitTLS(s)
	}
	auth := client.PasswordAuth("relay", "secret")
	for _, tt := range []struct {
		name    string
		hop     mx.NextHop
		server  func(*smtptest.Server)
		at      string
		dialled string
		level   mx.Level
		want    string
	}{
		{"submission", mx.NextHop{Hosts: []string{"[mail.example.org]:587"}, Auth: auth, Credentials: "relay"}, submission, "192.0.2.1:587", "192.0.2.1:587", mx.LevelVerify, "relayed 250 2.0.0"},
		{"submissions", mx.NextHop{Hosts: []string{"[mail.example.org]:465"}, Auth: auth, Credentials: "relay"}, implicit, "192.0.2.1:465", "192.0.2.1:465", mx.LevelVerify, "relayed 250 2.0.0"},
		{"submission on 2525", mx.NextHop{Hosts: []string{"[mail.example.org]:2525"}, Auth: auth, Credentials: "relay"}, submission, "192.0.2.1:2525", "192.0.2.1:2525", mx.LevelVerify, "relayed 250 2.0.0"},
		{"the second of two", mx.NextHop{Hosts: []string{"[other.example.org]", "[mail.example.org]:587"}, Auth: auth, Credentials: "relay"}, submission, "192.0.2.1:587", "192.0.2.7:25 192.0.2.1:587", mx.LevelVerify, "relayed 250 2.0.0"},
		{"wrong password", mx.NextHop{Hosts: []string{"[mail.example.org]:587"}, Auth: client.PasswordAuth("relay", "guess"), Credentials: "relay"}, submission, "192.0.2.1:587", "192.0.2.1:587", mx.LevelVerify, "deferred local 454 4.7.0 ours"},
		{"no authentication", mx.NextHop{Hosts: []string{"[mail.example.org]:587"}}, submission, "192.0.2.1:587", "192.0.2.1:587", mx.LevelMay, "failed message 530 5.7.0"},
		{"nothing that keeps credentials safe", mx.NextHop{Hosts: []string{"[mail.example.org]:25"}, Auth: auth, Credentials: "relay"}, smtptest.NoTLS, "192.0.2.1:25", "192.0.2.1:25", mx.LevelVerify, "deferred policy 451 4.7.4 ours"},
		{"a certificate of another", mx.NextHop{Hosts: []string{"[192.0.2.1]:587"}, Auth: auth, Credentials: "relay"}, submission, "192.0.2.1:587", "192.0.2.1:587", mx.LevelVerify, "deferred policy 451 4.7.5 ours"},
		{"a certificate of a name that is given", mx.NextHop{Hosts: []string{"[192.0.2.1]:587"}, Auth: auth, Credentials: "relay", Policy: &mx.Policy{Level: mx.LevelVerify, Names: []string{"mail.example.org"}}}, submission, "192.0.2.1:587", "192.0.2.1:587", mx.LevelVerify, "relayed 250 2.0.0"},
		{"no credentials in plaintext", mx.NextHop{Hosts: []string{"[mail.example.org]:25"}, Auth: auth, Credentials: "relay", Policy: &mx.Policy{Level: mx.LevelNone}}, func(s *smtptest.Server) {
			smtptest.Submission(s)
			smtptest.NoTLS(s)
			s.Config.PlaintextAuthOnLoopback = true
		}, "192.0.2.1:25", "192.0.2.1:25", mx.LevelNone, "deferred local 454 4.7.0 ours"},
		{"credentials without a name", mx.NextHop{Hosts: []string{"[mail.example.org]:587"}, Auth: auth}, submission, "192.0.2.1:587", "", mx.LevelMay, "deferred local 451 4.3.0 ours"},
		{"TLS at once and nobody asks whose", mx.NextHop{Hosts: []string{"[elsewhere.example]:465"}}, func(s *smtptest.Server) {
			s.Config.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
			smtptest.ImplicitTLS(s)
		}, "192.0.2.1:465", "192.0.2.1:465", mx.LevelEncrypt, "relayed 250 2.0.0"},
		{"plaintext by choice", mx.NextHop{Hosts: []string{"[mail.example.org]"}, Policy: &mx.Policy{Level: mx.LevelNone}}, func(s *smtptest.Server) {}, "192.0.2.1:25", "192.0.2.1:25", mx.LevelNone, "relayed 250 2.0.0"},
		{"LMTP has a port of its own", mx.NextHop{Hosts: []string{"[mail.example.org]"}, LMTP: true}, smtptest.LMTP, "192.0.2.1:24", "192.0.2.1:24", mx.LevelMay, "delivered 250 2.0.0"},
		{"this machine", mx.NextHop{Hosts: []string{"[127.0.0.1]:10024"}}, smtptest.NoTLS, "127.0.0.1:10024", "127.0.0.1:10024", mx.LevelMay, "relayed 250 2.0.0"},
		{"this machine by name", mx.NextHop{Hosts: []string{"[localhost]:10024"}}, smtptest.NoTLS, "127.0.0.1:10024", "127.0.0.1:10024", mx.LevelMay, "relayed 250 2.0.0"},
		{"an address of this machine in the DNS", mx.NextHop{Hosts: []string{"[inner.example]"}}, smtptest.NoTLS, "127.0.0.9:25", "127.0.0.9:25", mx.LevelMay, "relayed 250 2.0.0"},
		{"its own address", mx.NextHop{Hosts: []string{"[192.0.2.99]:10024"}}, smtptest.NoTLS, "192.0.2.99:10024", "192.0.2.99:10024", mx.LevelMay, "relayed 250 2.0.0"},
		{"a host that does not exist", mx.NextHop{Hosts: []string{"[gone.example]"}}, smtptest.NoTLS, "192.0.2.1", "", mx.LevelMay, "deferred local 451 4.4.4 ours"},
		{"a host that takes no mail", mx.NextHop{Hosts: []string{"[mail.example.org]"}}, func(s *smtptest.Server) { s.Fault(smtptest.OnGreeting().Reply(554, "5.7.1", "no")) }, "192.0.2.1:25", "192.0.2.1:25", mx.LevelMay, "deferred host 554 5.7.1"},
		{"a domain that does not exist", mx.NextHop{Hosts: []string{"gone.example"}}, smtptest.NoTLS, "192.0.2.1", "", mx.LevelMay, "deferred local 451 4.4.4 ours"},
		{"from the MX of the domain, by another name", mx.NextHop{Hello: "other.example", LocalAddrs: []netip.Addr{netip.MustParseAddr("192.0.2.50")}}, smtptest.NoTLS, "192.0.2.1", "192.0.2.1:25 from 192.0.2.50", mx.LevelMay, "relayed 250 2.0.0"},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			n := newNetwork(t)
			s := n.server(tt.at, tt.server)
			s.AddAccount("relay", "secret")
			c := n.client(dnstest.MustParse(smarthosts + `
				mail.example.org    A  192.0.2.1
				elsewhere.example   A  192.0.2.1
				other.example.org   A  192.0.2.7
				example.org         MX 10 mail.example.org
			`))
			c.Router.LocalAddrs = []netip.Addr{netip.MustParseAddr("192.0.2.99")}
			c.TLSConfig = trusting(t)
			c.NextHop = func(string, *mx.Message) *mx.NextHop { return &tt.hop }
			results, _ := c.Deliver(t.Context(), "example.org", message(t, "to@example.org"))
			if got := sentence(results[0]); got != tt.want {
				t.Errorf("%s, want %s: %v", got, tt.want, results[0].Err)
			}
			if got := strings.Join(n.dialled(), " "); got != tt.dialled {
				t.Errorf("dialled %s, want %s", got, tt.dialled)
			}
			if results[0].Policy.Level != tt.level {
				t.Errorf("level %s, want %s", results[0].Policy.Level, tt.level)
			}
			if tt.hop.Hello != "" && s.Messages()[0].Hello != tt.hop.Hello {
				t.Errorf("hello %s", s.Messages()[0].Hello)
			}
			if tt.hop.Auth != nil && results[0].Status == mx.Relayed && s.Messages()[0].Identity != "relay" {
				t.Error("not authenticated")
			}
		})
	}
}

// Port 465 is TLS from the first octet, whoever has chosen it (RFC 8314 §3.3).
func TestPortOfImplicitTLS(t *testing.T) {
	withTLS := func(s *smtptest.Server) {
		s.Config.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	}
	for _, tt := range []struct {
		name  string
		port  uint16
		hop   *mx.NextHop
		at    string // with TLS at once if the port is 465
		level mx.Level
	}{
		{"of the Client", 465, nil, "192.0.2.1:465", mx.LevelEncrypt},
		{"of the Client, for a NextHop without one", 465, &mx.NextHop{Hosts: []string{"[mail.example.org]"}}, "192.0.2.1:465", mx.LevelEncrypt},
		{"of the Client, for a NextHop by MX records", 465, &mx.NextHop{Hosts: []string{"example.org"}}, "192.0.2.1:465", mx.LevelEncrypt},
		{"of the Client, for one with another", 465, &mx.NextHop{Hosts: []string{"[mail.example.org]:25"}}, "192.0.2.1:25", mx.LevelMay},
		{"of the Client, verified", 465, &mx.NextHop{Policy: &mx.Policy{Level: mx.LevelVerify, Names: []string{"mail.example.org"}}}, "192.0.2.1:465", mx.LevelVerify},
		{"of the Client, and no TLS is wanted", 465, &mx.NextHop{Policy: &mx.Policy{Level: mx.LevelNone}}, "192.0.2.1:465", mx.LevelEncrypt},
		{"of the NextHop", 0, &mx.NextHop{Hosts: []string{"example.org:465"}}, "192.0.2.1:465", mx.LevelEncrypt},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := newNetwork(t)
			s := n.server(tt.at, withTLS, func(s *smtptest.Server) {
				if strings.HasSuffix(tt.at, ":465") {
					smtptest.ImplicitTLS(s)
				}
			})
			c := n.client(dnstest.MustParse("example.org MX 10 mail.example.org\nmail.example.org A 192.0.2.1"))
			c.Port, c.TLSConfig = tt.port, trusting(t)
			c.Policies = &mx.Policies{NoMTASTS: true}
			c.NextHop = func(string, *mx.Message) *mx.NextHop { return tt.hop }
			results, err := c.Deliver(t.Context(), "example.org", message(t, "to@example.org"))
			if err != nil || results[0].Policy.Level != tt.level || !s.Messages()[0].TLS {
				t.Errorf("level %s, want %s: %v", results[0].Policy.Level, tt.level, err)
			}
		})
	}
}

// The message may decide where it goes.
func TestNextHopByMessage(t *testing.T) {
	n := newNetwork(t)
	one, two := n.server("192.0.2.1", smtptest.NoTLS), n.server("192.0.2.2", smtptest.NoTLS)
	c := n.client(dnstest.MustParse("example.org A 192.0.2.1"))
	c.NextHop = func(domain string, m *mx.Message) *mx.NextHop {
		if domain == "example.org" && m.Envelope.From.Local == "from" {
			return &mx.NextHop{Hosts: []string{"[192.0.2.2]"}}
		}
		return nil
	}
	m := message(t, "to@example.org")
	for range 2 {
		if _, err := c.Deliver(t.Context(), "example.org", m); err != nil {
			t.Error(err)
		}
		m.Envelope.From.Local = "other"
	}
	if len(one.Messages()) != 1 || len(two.Messages()) != 1 || two.Messages()[0].From() != "from@example.com" {
		t.Error(len(one.Messages()), len(two.Messages()))
	}
}

// Texts of a NextHop are somebody's configuration: none may do harm.
func FuzzVia(f *testing.F) {
	for _, seed := range []string{"relay.example:587", "[relay.example]", "[IPv6:2001:db8::1]:25", "[2001:db8::1]", "/run/lmtp", "[", "]:", "[]:1", "[[a]]", "a:1:2"} {
		f.Add(seed)
	}
	r := &mx.Router{Resolver: dnstest.MustParse(smarthosts)}
	f.Fuzz(func(t *testing.T, text string) {
		route, err := r.Via(t.Context(), "example.org", text)
		if err != nil {
			if got := errorText(err); got != "451 4.4.4 local" {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		for _, h := range route.Hosts {
			if h.Name == "" || strings.ContainsAny(h.Name, "\r\n \x00") && h.Name[0] != '/' {
				t.Errorf("%q: %q", text, h.Name)
			}
		}
	})
}
