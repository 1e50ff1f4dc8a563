package server_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	xdg "github.com/xdg-go/scram"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// watched notes what each session is told of its client, and when it ends.
func watched(s *testServer) {
	s.newSession = func(ctx context.Context, c *server.Conn) error {
		s.note("%s", identity(c.Info()))
		if i := c.Info(); i.ClientName == "refused.example" {
			return smtp.Reject(554, smtp.Enh(7, 1), "not you")
		} else if i.ClientName == "away.example" {
			return smtp.Reject(421, smtp.Enh(3, 2), "not now")
		}
		return nil
	}
	s.close = func(reason error) { s.note("because of %v", reason) }
}

func identity(i server.Info) string {
	return fmt.Sprintf("%s name=%q helo=%q with %s login=%q by %q", ends(i), i.ClientName, i.Hello, i.Protocol(), i.Identity, i.Mechanism)
}

// Every attribute ends up where handlers look for it; what is not given is
// not made up.
func TestXClientAttributes(t *testing.T) {
	const real = "127.0.0.1:49153"
	for _, tt := range []struct{ send, want string }{
		{"XCLIENT NAME=client.example", real + " > 127.0.0.1:0 through <nil> name=\"client.example\" helo=\"\" with ESMTP login=\"\" by \"\""},
		{"xclient name=[unavailable]", real + ` > 127.0.0.1:0 through <nil> name="[UNAVAILABLE]" helo="" with ESMTP login="" by ""`},
		{"XCLIENT NAME=[TEMPUNAVAIL]", real + ` > 127.0.0.1:0 through <nil> name="[TEMPUNAVAIL]" helo="" with ESMTP login="" by ""`},
		{"XCLIENT ADDR=192.0.2.7", `192.0.2.7:0 > 127.0.0.1:0 through ` + real + ` name="" helo="" with ESMTP login="" by ""`},
		{"XCLIENT ADDR=IPV6:2001:db8::7", `[2001:db8::7]:0 > 127.0.0.1:0 through ` + real + ` name="" helo="" with ESMTP login="" by ""`},
		{"XCLIENT ADDR=ipv6:::ffff:192.0.2.7", `192.0.2.7:0 > 127.0.0.1:0 through ` + real + ` name="" helo="" with ESMTP login="" by ""`},
		{"XCLIENT ADDR=[UNAVAILABLE]", `:0 > 127.0.0.1:0 through ` + real + ` name="" helo="" with ESMTP login="" by ""`},
		{"XCLIENT PORT=40000", `127.0.0.1:40000 > 127.0.0.1:0 through ` + real + ` name="" helo="" with ESMTP login="" by ""`},
		{"XCLIENT PORT=[UNAVAILABLE]", `127.0.0.1:0 > 127.0.0.1:0 through ` + real + ` name="" helo="" with ESMTP login="" by ""`},
		{"XCLIENT ADDR=192.0.2.7 PORT=40000", `192.0.2.7:40000 > 127.0.0.1:0 through ` + real + ` name="" helo="" with ESMTP login="" by ""`},
		{"XCLIENT PORT=40000\nXCLIENT ADDR=192.0.2.7", `192.0.2.7:40000 > 127.0.0.1:0 through ` + real + ` name="" helo="" with ESMTP login="" by ""`},
		{"XCLIENT DESTADDR=198.51.100.1", real + ` > 198.51.100.1:0 through <nil> name="" helo="" with ESMTP login="" by ""`},
		{"XCLIENT DESTPORT=25\nXCLIENT DESTADDR=IPV6:2001:db8::1", real + ` > [2001:db8::1]:25 through <nil> name="" helo="" with ESMTP login="" by ""`},
		{"XCLIENT DESTADDR=[UNAVAILABLE] DESTPORT=[UNAVAILABLE]", real + ` > :0 through <nil> name="" helo="" with ESMTP login="" by ""`},
		{"XCLIENT PROTO=SMTP HELO=client.example", real + ` > 127.0.0.1:0 through <nil> name="" helo="client.example" with SMTP login="" by ""`},
		{"XCLIENT PROTO=ESMTP HELO=[192.0.2.7] LOGIN=alice+40example.org", real + ` > 127.0.0.1:0 through <nil> name="" helo="[192.0.2.7]" with ESMTPA login="alice@example.org" by "XCLIENT"`},
		{"XCLIENT HELO=[UNAVAILABLE] LOGIN=[UNAVAILABLE]", real + ` > 127.0.0.1:0 through <nil> name="" helo="" with ESMTP login="" by ""`},
		// HELO, PROTO and LOGIN are those of the last command.
		{"XCLIENT HELO=client.example PROTO=SMTP LOGIN=alice\nXCLIENT NAME=client.example", real + ` > 127.0.0.1:0 through <nil> name="client.example" helo="" with ESMTP login="" by ""`},
		{"EHLO filter.example\nXCLIENT NAME=client.example", real + ` > 127.0.0.1:0 through <nil> name="client.example" helo="" with ESMTP login="" by ""`},
	} {
		t.Run(tt.send, func(t *testing.T) {
			s := start(t, trusting("127.0.0.1/32"), watched, func(s *testServer) {
				f := s.newSession
				s.newSession = func(ctx context.Context, c *server.Conn) error {
					if a := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); c.Info().ProxyAddr != nil && a.Is4In6() {
						t.Errorf("%v is mapped", a)
					}
					return f(ctx, c)
				}
			})
			p := s.dial()
			p.expect("220")
			for command := range strings.SplitSeq(tt.send, "\n") {
				s.noted()
				p.do(command, "2")
			}
			_, got, _ := strings.Cut(s.noted(), "new\n")
			want(t, "identity", got, tt.want)
		})
	}
}

// The client of a new session is another one: nothing of the last is left to
// it, and each session ends once.
func TestXClientBeginsAnew(t *testing.T) {
	s := start(t, withTLS, withAuth, trusting("127.0.0.1/32"), watched)
	p := s.hello()
	p.startTLS()
	p.do("EHLO filter.example", "250")
	p.do("AUTH PLAIN "+b64("\x00"+user+"\x00"+password), "235")
	p.do("XFORWARD NAME=other.example", "250")
	p.do("XCLIENT ADDR=192.0.2.7", "220 mx.example ESMTP")
	p.do("MAIL FROM:<>", "503 5.5.1 say EHLO first")
	p.send("EHLO client.example\n")
	r, err := p.reply()
	if err != nil || strings.Contains(r, "STARTTLS") || strings.Contains(r, "XCLIENT") || strings.Contains(r, "XFORWARD") || !strings.Contains(r, "AUTH PLAIN") {
		t.Errorf("offered: %s, %v", r, err)
	}
	p.do("XCLIENT ADDR=192.0.2.8", "550 5.7.0 insufficient authorization")
	p.do("XFORWARD ADDR=192.0.2.8", "550 5.7.0 insufficient authorization")
	p.send(transaction + "DATA\nx\n.\nQUIT\n")
	p.expect("250", "250", "354", "250", "221")
	p.closed()
	s.stop()
	calls := s.noted()
	want(t, "calls", calls[strings.Index(calls, "close"):], `close
because of smtp server: another client by XCLIENT
new
192.0.2.7:0 > 127.0.0.1:0 through 127.0.0.1:49153 name="" helo="" with ESMTPS login="" by ""
mail <a@example.org>
rcpt <b@example.com>
data
reset done
close
because of <nil>`)
	events := s.events.take()
	want(t, "opened and closed", strings.Count(events, "connection opened")+strings.Count(events, "connection closed"), 2)
}

// What is said to the former client is not lost when the next one turns out to
// speak another protocol: it may be the 250 of a message.
func TestXClientFlushes(t *testing.T) {
	s := start(t, trusting("127.0.0.1/32"))
	p := s.hello()
	p.send(transaction + "DATA\nx\n.\nXCLIENT ADDR=192.0.2.7\nGET / HTTP/1.0\n")
	p.expect("250", "250", "354", "250 2.0.0 message accepted")
	p.closed()
	want(t, "messages", len(s.messages()), 1)
	s.log.take()
}

// What LIMITS announces holds for the session that XCLIENT begins.
func TestXClientLimits(t *testing.T) {
	s := start(t, trusting("127.0.0.1/32"), limits(server.Limits{MaxMessages: 1, MaxRecipientDomains: 1}))
	p := s.hello()
	for i := range 3 {
		p.do("MAIL FROM:<>", "250")
		p.do(fmt.Sprintf("RCPT TO:<a@%d.example>", i), "250")
		p.do("RCPT TO:<a@other.example>", "452 4.5.3")
		p.do("RSET", "250")
		p.do("XCLIENT HELO=client.example", "220")
		p.do("EHLO client.example", "250")
	}
	p.do("MAIL FROM:<>", "250")
	p.do("RSET", "250")
	p.do("MAIL FROM:<>", "421 4.7.0 too many messages")
}

// From a network that is not trusted it is refused, wherever the session is,
// and nothing changes.
func TestXClientUntrusted(t *testing.T) {
	for _, networks := range [][]string{nil, {"192.0.2.0/24", "::/0"}} {
		s := start(t, withAuth, trusting(networks...), watched)
		p := s.dial()
		p.expect("220")
		p.do("XCLIENT LOGIN=alice ADDR=192.0.2.7", "550 5.7.0 insufficient authorization")
		p.send("EHLO client.example\n")
		if r, _ := p.reply(); strings.Contains(r, "XCLIENT") || strings.Contains(r, "XFORWARD") {
			t.Errorf("offered: %s", r)
		}
		p.send("HELP\n")
		if r, _ := p.reply(); strings.Contains(r, "XCLIENT") || strings.Contains(r, "XFORWARD") {
			t.Errorf("known: %s", r)
		}
		p.do("AUTH PLAIN "+b64("\x00"+user+"\x00"+password), "235")
		before := s.noted()
		for _, command := range []string{"XCLIENT LOGIN=[UNAVAILABLE] ADDR=192.0.2.7", "XCLIENT", "XFORWARD NAME=a.example", "XFORWARD"} {
			p.do(command, "550 5.7.0 insufficient authorization")
		}
		p.do("AUTH PLAIN", "503 5.5.1 already authenticated")
		p.send(transaction + "XCLIENT ADDR=192.0.2.7\nXFORWARD ADDR=192.0.2.7\nDATA\nx\n.\nQUIT\n")
		p.expect("250", "250", "503", "503", "354", "250", "221")
		s.stop()
		want(t, "new sessions", strings.Count(before+s.noted(), "new\n"), 1)
	}
}

// Trust goes by the address that the client has now: it is lost with it, and
// a filter that hands on commands as they come gives nothing away.
func TestXClientTrustGoesWithTheAddress(t *testing.T) {
	s := start(t, trusting("127.0.0.1/32", "192.0.2.0/25"))
	for _, tt := range []struct{ first, then string }{
		{"ADDR=192.0.2.1", "220"},
		{"ADDR=192.0.2.200", "550"},
		{"ADDR=IPV6:::1", "550"},
		{"ADDR=[UNAVAILABLE]", "550"},
		{"NAME=client.example", "220"},
	} {
		p := s.hello()
		p.do("XCLIENT "+tt.first, "220")
		p.do("XCLIENT NAME=a.example", tt.then)
	}
	// Behind a proxy it is the address in the header.
	l := s.proxied()
	for header, reply := range map[string]string{
		sent4: "220",
		"PROXY TCP4 192.0.2.200 198.51.100.1 40000 25\r\n": "550",
		"PROXY UNKNOWN\r\n": "550", // the proxy's own address is nobody's
		header2(0, 0, ""):   "550",
	} {
		p := s.via(l)
		p.raw(header)
		p.expect("220")
		p.do("XCLIENT NAME=a.example", reply)
	}
}

// A header, then XCLIENT: the peer's address stays known.
func TestXClientBehindAProxy(t *testing.T) {
	s := start(t, trusting("127.0.0.1/32", "192.0.2.7/32"), watched)
	p := s.via(s.proxied())
	p.raw(sent4)
	p.expect("220")
	s.noted()
	p.do("XCLIENT ADDR=203.0.113.9", "220")
	if calls := s.noted(); !strings.Contains(calls, "203.0.113.9:40000 > 198.51.100.1:25 through 127.0.0.1:49153 ") {
		t.Errorf("calls:\n%s", calls)
	}
}

// NewSession may refuse whom XCLIENT names, as it may whoever connects.
func TestXClientRefusedByTheHandler(t *testing.T) {
	s := start(t, trusting("127.0.0.1/32"), watched)
	p := s.hello()
	s.noted()
	p.do("XCLIENT NAME=refused.example", "554 not you")
	p.do("MAIL FROM:<>", "503 5.5.1 this connection was refused")
	p.do("XCLIENT NAME=client.example", "503 5.5.1 this connection was refused")
	p.do("QUIT", "221")
	p.closed()
	p = s.hello()
	p.do("XCLIENT NAME=away.example", "421 not now")
	p.closed()
	s.newSession = func(context.Context, *server.Conn) error { return errors.New("open /etc/secret") }
	p = s.dial()
	p.expect("421 local error")
	s.stop()
	s.log.take()
	calls := s.noted()
	want(t, "sessions closed", strings.Count(calls, "close\n"), 2)
	want(t, "because of XCLIENT", strings.Count(calls, server.ErrXClient.Error()), 2)
}

// A panic in Close costs the connection, and does not close twice.
func TestXClientPanics(t *testing.T) {
	s := start(t, trusting("127.0.0.1/32"))
	s.close = func(error) { panic("at the disco") }
	p := s.hello()
	p.do("XCLIENT NAME=client.example", "421 4.3.0 local error")
	p.closed()
	s.stop()
	want(t, "sessions closed", strings.Count(s.noted(), "close"), 1)
	if log := s.log.take(); !strings.Contains(log, "at the disco") {
		t.Errorf("log: %s", log)
	}
}

// Each session has a context of its own, derived from the connection's.
func TestXClientContexts(t *testing.T) {
	type key struct{}
	var contexts []context.Context
	s := start(t, trusting("127.0.0.1/32"), func(s *testServer) {
		s.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, key{}, "the connection's")
		}
		s.newSession = func(ctx context.Context, _ *server.Conn) error {
			contexts = append(contexts, ctx)
			want(t, "context", ctx.Err(), nil)
			return nil
		}
		s.close = func(error) { want(t, "context at Close", contexts[len(contexts)-1].Err(), nil) }
	})
	p := s.hello()
	p.do("XCLIENT NAME=client.example", "220")
	want(t, "old context", contexts[0].Err(), context.Canceled)
	want(t, "new context", contexts[1].Err(), nil)
	want(t, "value", contexts[1].Value(key{}), any("the connection's"))
	p.do("QUIT", "221")
	p.closed()
	s.stop()
	want(t, "new context", contexts[1].Err(), context.Canceled)
}

// A session that is late is late though XCLIENT has ended it.
func TestXClientAfterALateHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, trusting("127.0.0.1/32"), limits(server.Limits{HandlerTimeout: time.Second}))
		s.newSession = func(ctx context.Context, c *server.Conn) error {
			if c.Info().ProxyAddr == nil {
				context.AfterFunc(ctx, func() {})
			} else {
				<-ctx.Done()
			}
			return nil
		}
		p := s.hello()
		p.do("XCLIENT ADDR=192.0.2.7", "220")
		p.expect("421 4.3.0 local processing took too long")
		p.closed()
	})
}

// The connection is counted with those of whom it speaks for.
func TestXClientCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, trusting("127.0.0.1/32"), limits(server.Limits{MaxConnsPerIP: 1}))
		first, second := s.hello(), s.hello()
		first.do("XCLIENT ADDR=192.0.2.7", "220")
		second.do("XCLIENT ADDR=192.0.2.8", "220")
		third := s.hello()
		third.do("XCLIENT ADDR=192.0.2.7", "421 too many connections from your address")
		third.closed()
		first.do("QUIT", "221")
		first.closed()
		synctest.Wait()
		third = s.hello()
		third.do("XCLIENT ADDR=192.0.2.7", "220")
		if events := s.events.take(); !strings.Contains(events, "limit hit XCLIENT: 421") {
			t.Errorf("events:\n%s", events)
		}
		third.do("QUIT", "221")
		third.closed()
		second.Close()
		synctest.Wait()
		for range 2 { // a connection that moves frees its place
			p := s.hello()
			p.do("XCLIENT ADDR=192.0.2.7", "220")
			p.Close()
			synctest.Wait()
		}
	})
}

// XCLIENT brings no message forward.
func TestXClientIsChat(t *testing.T) {
	s := start(t, trusting("127.0.0.1/32"), limits(server.Limits{MaxIdleChat: 3}))
	p := s.hello() // which counts too
	p.do("XCLIENT NAME=a.example", "220")
	p.do("EHLO a.example", "250")
	p.do("XFORWARD NAME=a.example", "421 4.7.0 too many commands")
	p.closed()
}

func TestXClientInShutdown(t *testing.T) {
	s := start(t, trusting("127.0.0.1/32"))
	p := s.dial()
	p.expect("220")
	// Buffered behind a transaction: the server is closing when it is read.
	s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
		go s.Shutdown(context.Background())
		s.Serve(memnet.Listen()) // returns when it is closing
		return smtp.Reply{}, nil
	}
	p.send("EHLO a.example\n" + transaction + "DATA\nx\n.\nXCLIENT NAME=a.example\n")
	p.expect("250", "250", "250", "354", "250", "421 4.3.2 shutting down")
	p.closed()
}

// Neither a filter's loopback address nor one that it claims lets a client say
// its password in the clear.
func TestXClientAndLoopback(t *testing.T) {
	far := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
	for _, tt := range []struct {
		peer net.Addr
		addr string
		auth bool
	}{
		{nil, "127.0.0.1", true},
		{nil, "192.0.2.7", false},
		{nil, "[UNAVAILABLE]", false},
		{far, "127.0.0.1", false},
		{&net.UnixAddr{Net: "unix", Name: "/s"}, "127.0.0.1", true},
		{&net.UnixAddr{Net: "unix", Name: "/s"}, "[UNAVAILABLE]", false},
	} {
		s := start(t, withAuth, trusting("127.0.0.1/32", "192.0.2.1/32"))
		l := s.listener
		if tt.peer != nil {
			l = memnet.Listen()
			s.serve(fromAddr{l, tt.peer})
		}
		p := s.via(l)
		p.expect("220")
		p.do("XCLIENT ADDR="+tt.addr, "220")
		p.send("EHLO client.example\n")
		r, _ := p.reply()
		want(t, fmt.Sprintf("AUTH for %s from %v", tt.addr, tt.peer), strings.Contains(r, "AUTH PLAIN"), tt.auth)
		if !tt.auth {
			p.do("AUTH PLAIN "+b64("\x00"+user+"\x00"+password), "538")
		}
	}
}

// LOGIN stands for AUTH where mail needs it, and RequireTLS comes before all.
func TestXClientLogin(t *testing.T) {
	s := start(t, submission, trusting("127.0.0.1/32"))
	p := s.hello()
	p.do("MAIL FROM:<>", "530")
	p.do("XCLIENT ADDR=192.0.2.7 LOGIN=alice+40example.org", "220")
	p.do("EHLO client.example", "250")
	p.do("AUTH PLAIN", "503 5.5.1 already authenticated")
	p.do("MAIL FROM:<>", "250")

	s = start(t, submission, trusting("127.0.0.1/32"))
	p = s.hello()
	p.do("AUTH PLAIN "+b64("\x00"+user+"\x00"+password), "235")
	p.do("XCLIENT NAME=client.example", "220")
	p.do("EHLO client.example", "250")
	p.do("MAIL FROM:<>", "530")

	s = start(t, withTLS, trusting("127.0.0.1/32"), func(s *testServer) { s.RequireTLS = true })
	p = s.hello()
	p.do("XCLIENT ADDR=192.0.2.7", "530 5.7.0")
	p.do("XFORWARD ADDR=192.0.2.7", "530 5.7.0")
	p.startTLS()
	p.do("EHLO filter.example", "250")
	p.do("XCLIENT ADDR=192.0.2.7", "220")
	p.do("EHLO client.example", "250")
	p.do("MAIL FROM:<>", "250")
}

// A filter's certificate is not that of whom it speaks for.
func TestXClientCertificate(t *testing.T) {
	var got []bool
	s := start(t, trusting("127.0.0.1/32"), func(s *testServer) {
		s.TLSConfig = serverTLS.Clone()
		s.TLSConfig.ClientAuth, s.TLSConfig.ClientCAs = tls.RequireAndVerifyClientCert, clientTLS.RootCAs
		s.newSession = func(_ context.Context, c *server.Conn) error {
			if state := c.TLS(); state != nil {
				got = append(got, state.HandshakeComplete, len(state.PeerCertificates)+len(state.VerifiedChains) > 0)
			}
			return nil
		}
	})
	s.listener = s.serveTLS()
	config := clientTLS.Clone()
	config.Certificates = serverTLS.Certificates
	p := s.dial()
	p.upgradeWith(config)
	p.expect("220")
	p.do("XCLIENT ADDR=192.0.2.7", "220")
	want(t, "TLS and certificate", fmt.Sprint(got), "[true true true false]")
}

// Nor is one that the filter shows later, when it says STARTTLS for its client.
func TestXClientCertificateLater(t *testing.T) {
	cert, pool := clientCert(t, "filter@example.org")
	for _, say := range []string{"XCLIENT ADDR=192.0.2.7", "XCLIENT NAME=client.example", "NOOP"} {
		s := start(t, trusting("127.0.0.1/32"), func(s *testServer) {
			s.TLSConfig = serverTLS.Clone()
			s.TLSConfig.ClientAuth, s.TLSConfig.ClientCAs = tls.VerifyClientCertIfGiven, pool
			s.Auth = server.External(func(_ context.Context, _ *server.Conn, cert *x509.Certificate, _ string) (string, error) {
				return cert.EmailAddresses[0], nil
			})
		})
		p, reply := s.hello(), "504 5.5.4"
		if say == "NOOP" {
			reply = "235"
		}
		p.do(say, "2")
		p.do("EHLO client.example", "250")
		p.do("STARTTLS", "220")
		config := clientTLS.Clone()
		config.Certificates = []tls.Certificate{cert}
		p.upgradeWith(config)
		p.do("EHLO client.example", "250")
		p.do("AUTH EXTERNAL =", reply)
	}
}

// The TLS connection is the filter's, so nothing that its client can do is bound
// to it; the client itself may have TLS, and see no offer.
func TestXClientBinding(t *testing.T) {
	s := start(t, withPencils(""), withTLS, trusting("127.0.0.1/32"))
	p := s.hello()
	p.startTLS()
	for _, want := range []string{"AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256", "AUTH SCRAM-SHA-256 SCRAM-SHA-1 PLAIN"} {
		p.send("EHLO x.example\n")
		if r, _ := p.reply(); !strings.Contains(r, want) {
			t.Errorf("offers %q, not %s", r, want)
		}
		if strings.Contains(want, "PLUS") {
			p.do("XCLIENT ADDR=192.0.2.7", "220")
		}
	}
	c, err := xdg.SHA256.NewClient(rfcUser, rfcPassword, "")
	if err != nil {
		t.Fatal(err)
	}
	if r := p.scram("SCRAM-SHA-256", c.NewConversationAdvertisingChannelBinding()); !strings.HasPrefix(r, "235") {
		t.Errorf("reply %q", r)
	}
}

// A Received field names the client and not the filter.
func TestXClientReceived(t *testing.T) {
	for _, tt := range []struct{ send, want string }{
		{"NAME=client.example ADDR=192.0.2.7", "from c.example (client.example [192.0.2.7])\r\n\tby mx.example with ESMTP "},
		{"NAME=[TEMPUNAVAIL] ADDR=IPV6:2001:db8::7 LOGIN=alice", "from c.example ([IPv6:2001:db8::7])\r\n\tby mx.example with ESMTPA "},
		{"NAME=[UNAVAILABLE] ADDR=[UNAVAILABLE]", "from c.example\r\n\tby mx.example with ESMTP "},
	} {
		var got string
		s := start(t, trusting("127.0.0.1/32"))
		s.newSession = func(_ context.Context, c *server.Conn) error {
			s.mail = func(context.Context, smtp.ReversePath, *smtp.MailParams) (smtp.Reply, error) {
				got = server.NewReceived(c.Info(), &smtp.Envelope{}).String()
				return smtp.Reply{}, nil
			}
			return nil
		}
		p := s.hello()
		p.do("XCLIENT "+tt.send, "220")
		p.do("EHLO c.example", "250")
		p.do("MAIL FROM:<>", "250")
		if !strings.HasPrefix(got, "Received: "+tt.want) {
			t.Errorf("%s: %q", tt.send, got)
		}
	}
}
