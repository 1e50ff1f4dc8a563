package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// middleware hides the methods of the session it wraps, and nothing else.
type middleware struct{ server.Session }

func (m middleware) Unwrap() server.Session { return m.Session }

// opaque does not even say what it wraps.
type opaque struct{ server.Session }

func optional(inner server.Session) server.Session {
	return &answers{
		session: inner.(*session),
		hello: func(verb smtp.Verb, name string) error {
			if name == "bad.example" {
				return smtp.Reject(550, smtp.Enh(7, 1), "not you, "+string(verb))
			}
			return nil
		},
		verify: func(query string) (smtp.Reply, error) {
			if query == "" {
				return smtp.Reply{}, nil
			}
			return smtp.Reply{Code: 250, Enhanced: smtp.Enh(1, 5), Text: "<" + query + "@example.org>"}, nil
		},
		expand: func(list string) (smtp.Reply, error) {
			return smtp.Reply{Code: 250, Enhanced: smtp.Enh(1, 5), Text: "<a@example.org>\n<b@example.org>"}, nil
		},
	}
}

// What is optional on a session is found through any number of wrappers.
func TestOptionalMethods(t *testing.T) {
	for depth := range 3 {
		s := start(t, func(s *testServer) {
			s.wrap = func(inner server.Session) server.Session {
				wrapped := optional(inner)
				for range depth {
					wrapped = middleware{wrapped}
				}
				return wrapped
			}
		})
		p := s.hello()
		p.do("MAIL FROM:<>", "250")
		// A refused EHLO leaves the session as it was (RFC 5321 §4.1.4).
		p.do("EHLO bad.example", "550 not you, EHLO")
		p.do("HELO bad.example", "550 not you, HELO")
		p.do("RCPT TO:<b@example.com>", "250")
		p.do("VRFY smith", "250 2.1.5 <smith@example.org>")
		p.do("VRFY", "501 5.5.4")
		p.do("EXPN staff", "250-2.1.5 <a@example.org>\n250 2.1.5 <b@example.org>")
		p.do("EXPN", "501 5.5.4")
		// Within Data no other method is called.
		p.send("BDAT 1\nxVRFY smith\nEXPN staff\nBDAT 0 LAST\n")
		p.expect("250", "252 2.5.0", "252 2.5.0", "250")
		p.do("EHLO good.example", "250")
		p.do("DATA", "503 5.5.1 MAIL first")
		s.stop()
		want(t, "calls", s.noted(), "new\nmail <>\nrcpt <b@example.com>\ndata\nreset done\nreset hello\nclose")
	}
	s := start(t, func(s *testServer) {
		s.wrap = func(inner server.Session) server.Session { return opaque{optional(inner)} }
	})
	p := s.hello()
	p.do("EHLO bad.example", "250")
	p.do("VRFY smith", "252 2.5.0")
	p.do("EXPN staff", "502 5.5.1")
}

// A session that refuses EHLO between chunks learns of it when the chunks have
// been given up: the message is lost, but nothing is out of step.
func TestHelloRefusedBetweenChunks(t *testing.T) {
	s := start(t, func(s *testServer) { s.wrap = optional })
	p := s.hello()
	p.send(transaction + "BDAT 1\nxEHLO bad.example\nBDAT 1 LAST\nxRSET\n")
	p.expect("250", "250", "250", "550 not you", "503 5.5.1 a chunk was refused", "250")
	want(t, "messages", len(s.messages()), 0)
}

// A server that expands lists says so (RFC 5321 §3.5.2), to those whose session
// does it; VRFY needs no mention.
func TestEXPNIsListed(t *testing.T) {
	for _, wrap := range []func(server.Session) server.Session{nil, optional, func(inner server.Session) server.Session { return opaque{optional(inner)} }} {
		s := start(t, func(s *testServer) { s.wrap = wrap })
		p := s.dial()
		p.expect("220")
		p.send("EHLO x.example\n")
		r, _ := p.reply()
		p.send("EXPN staff\n")
		expanded, _ := p.reply()
		listed := strings.Contains(r+"\n", "EXPN\n")
		if strings.Contains(r, "VRFY") || listed != strings.HasPrefix(expanded, "250") || listed && wrap == nil {
			t.Errorf("%q, and then %q", r, expanded)
		}
	}
}

// VRFY and EXPN may ask for a reply in UTF-8 (RFC 6531 §3.7.4.2).
func TestQueriesInUTF8(t *testing.T) {
	for _, offered := range []bool{true, false} {
		s := start(t, func(s *testServer) {
			if offered {
				s.Extensions = []server.Extension{server.SMTPUTF8}
			}
			s.wrap = func(inner server.Session) server.Session {
				echo := func(query string) (smtp.Reply, error) {
					return smtp.Reply{Code: 250, Text: "<" + query + "> ü"}, nil
				}
				return &answers{session: inner.(*session), hello: welcome, verify: echo, expand: echo}
			}
		})
		p := s.hello()
		for _, verb := range []string{"VRFY", "EXPN"} {
			p.do(verb+" x smtputf8", map[bool]string{true: "250 2.0.0 <x> ü", false: "250 2.0.0 <x smtputf8> ?"}[offered])
			p.do(verb+" x", "250 2.0.0 <x> ?") // it held for one command
			p.do(verb+" SMTPUTF8", "250 2.0.0 <SMTPUTF8> ?")
		}
	}
}

// Deliver's sessions do not hold on to the recipients of a large message.
func TestDeliverToMany(t *testing.T) {
	var got []int
	s := start(t, func(s *testServer) {
		s.Handler = server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
			got = append(got, len(m.Envelope.Recipients))
			return smtp.Reply{}, nil
		})
	})
	p := s.hello()
	for _, n := range []int{500, 1, 2} {
		p.send("MAIL FROM:<>\n" + strings.Repeat("RCPT TO:<b@example.com>\n", n) + "BDAT 0 LAST\n")
		for range n + 2 {
			p.expect("250")
		}
	}
	want(t, "recipients", fmt.Sprint(got), "[500 1 2]")
}

func TestAs(t *testing.T) {
	inner := optional(&session{backend: new(backend)})
	for _, s := range []server.Session{inner, middleware{inner}, middleware{middleware{inner}}} {
		if got, ok := server.As[server.VerifySession](s); !ok || got != inner {
			t.Errorf("%T: %v, %t", s, got, ok)
		}
	}
	for _, s := range []server.Session{nil, opaque{inner}, middleware{nil}, middleware{opaque{inner}}} {
		if got, ok := server.As[server.VerifySession](s); ok || got != nil {
			t.Errorf("%T: %v, %t", s, got, ok)
		}
	}
}

// The protocol words of RFC 3848 and RFC 6531 §4.3.
func TestProtocol(t *testing.T) {
	state := new(tls.ConnectionState)
	for _, tt := range []struct {
		info server.Info
		want string
	}{
		{server.Info{HelloVerb: smtp.HELO}, "SMTP"},
		{server.Info{HelloVerb: smtp.HELO, TLS: state}, "SMTP"},
		{server.Info{HelloVerb: smtp.EHLO}, "ESMTP"},
		{server.Info{HelloVerb: smtp.EHLO, TLS: state}, "ESMTPS"},
		{server.Info{HelloVerb: smtp.EHLO, Identity: "x"}, "ESMTPA"},
		{server.Info{HelloVerb: smtp.EHLO, Identity: "x", TLS: state}, "ESMTPSA"},
		{server.Info{Role: server.LMTP, HelloVerb: smtp.LHLO}, "LMTP"},
		{server.Info{Role: server.LMTP, HelloVerb: smtp.HELO}, "LMTP"}, // by XCLIENT
		{server.Info{Role: server.LMTP, TLS: state}, "LMTPS"},
		{server.Info{Role: server.LMTP, Identity: "x"}, "LMTPA"},
		{server.Info{Role: server.LMTP, TLS: state, Identity: "x"}, "LMTPSA"},
		{server.Info{UTF8: true, HelloVerb: smtp.HELO}, "UTF8SMTP"}, // likewise
		{server.Info{UTF8: true}, "UTF8SMTP"},
		{server.Info{UTF8: true, TLS: state, Identity: "x"}, "UTF8SMTPSA"},
		{server.Info{UTF8: true, Role: server.LMTP, TLS: state}, "UTF8LMTPS"},
	} {
		want(t, "protocol", tt.info.Protocol(), tt.want)
	}
}

// What a Conn tells, while it changes and after its end.
func TestConn(t *testing.T) {
	var c *server.Conn
	s := start(t, withTLS, withAuth, func(s *testServer) { s.Extensions = []server.Extension{server.SMTPUTF8} })
	s.newSession = func(_ context.Context, conn *server.Conn) error {
		c = conn
		if i := c.Info(); i.Hello != "" || i.TLS != nil || c.TLS() != nil || i.UTF8 || time.Since(i.Opened) > time.Minute {
			t.Errorf("at the beginning: %+v", i)
		}
		return nil
	}
	p := s.hello()
	want(t, "hello", c.Hello(), "client.example")
	want(t, "hostname", c.Info().Hostname, "mx.example")
	want(t, "role", c.Info().Role, server.MX)
	want(t, "IP", c.RemoteIP(), netip.MustParseAddr("127.0.0.1"))
	want(t, "address", c.RemoteAddr().String(), p.LocalAddr().String())
	want(t, "length of the ID", len(c.ID()), 13)
	p.startTLS()
	p.do("HELO again.example", "250")
	want(t, "verb", c.Info().HelloVerb, smtp.HELO)
	p.do("EHLO again.example", "250")
	p.do("AUTH PLAIN "+b64("\x00"+user+"\x00"+password), "235")
	p.do("MAIL FROM:<> SMTPUTF8", "250")
	want(t, "protocol", c.Info().Protocol(), "UTF8SMTPSA")
	p.do("RSET", "250")
	want(t, "protocol", c.Info().Protocol(), "ESMTPSA")
	if !c.TLS().HandshakeComplete {
		t.Error("no handshake")
	}
	p.do("QUIT", "221")
	p.closed()
	s.stop()
	want(t, "identity after the end", c.Identity(), user)
	if id := c.ID(); !strings.Contains(c.LogValue().String(), id) {
		t.Errorf("%v", c.LogValue())
	}
}

func TestListenAndServe(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "lmtp")
	for _, tt := range []struct {
		addr, field string
		network     string
	}{
		{"127.0.0.1:0", "", "tcp"},
		{"", "127.0.0.1:0", "tcp"},
		{socket, "127.0.0.1:0", "unix"},
	} {
		addrs := make(chan net.Addr, 1)
		s := &server.Server{
			Addr: tt.field, TLSConfig: serverTLS, Handler: new(backend),
			ConnContext: func(ctx context.Context, c net.Conn) context.Context { addrs <- c.LocalAddr(); return ctx },
		}
		done := make(chan error, 1)
		if tt.network == "unix" {
			go func() { done <- s.ListenAndServe(tt.addr) }()
			var conn net.Conn
			for end := time.Now().Add(5 * time.Second); ; {
				var err error
				if conn, err = net.Dial("unix", socket); err == nil || time.Now().After(end) {
					break
				}
			}
			if conn == nil {
				t.Fatal("the socket is not there")
			}
			p := newPeer(t, conn)
			p.expect("220")
			p.do("QUIT", "221")
			if (<-addrs).String() != socket {
				t.Error("another socket")
			}
		} else {
			// Which port it is nobody can ask; that it listens shows in Shutdown.
			go func() { done <- s.ListenAndServe(tt.addr) }()
		}
		s.Shutdown(context.Background())
		if err := <-done; err != server.ErrServerClosed {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	s := &server.Server{Handler: new(backend), TLSConfig: serverTLS}
	var op *net.OpError
	if err := s.ListenAndServe("256.0.0.1:0"); !errors.As(err, &op) {
		t.Errorf("ListenAndServe: %v", err)
	}
	if err := s.ListenAndServeTLS("256.0.0.1:0"); !errors.As(err, &op) {
		t.Errorf("ListenAndServeTLS: %v", err)
	}
}

// Middleware is a function from Handler to Handler.
func TestDeliver(t *testing.T) {
	var got []string
	s := start(t, func(s *testServer) {
		s.Handler = server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
			var text strings.Builder
			if _, err := m.WriteTo(&text); err != nil {
				return smtp.Reply{}, err
			}
			got = append(got, m.Envelope.From.String())
			for _, r := range m.Envelope.Recipients {
				got = append(got, r.To.String())
			}
			got = append(got, text.String())
			return smtp.Reply{Code: 250, Text: "queued as " + m.Conn.ID()}, nil
		})
	})
	p := s.hello()
	p.send(transaction + "RCPT TO:<c@example.com>\nBDAT 4 LAST\nbody")
	p.expect("250", "250", "250", "250 2.0.0 queued as ")
	p.send("MAIL FROM:<>\nRCPT TO:<d@example.com>\nBDAT 4 LAST\nbody")
	p.expect("250", "250", "250 2.0.0 queued as ")
	if len(got) != 7 || strings.Join(append(got[:3:3], got[4:6]...), " ") != "<a@example.org> <b@example.com> <c@example.com> <> <d@example.com>" {
		t.Fatalf("%q", got)
	}
	if !strings.Contains(got[6], "\r\n\tfor <d@example.com>;") {
		t.Errorf("%q", got[6])
	}
	if first := got[3]; !strings.HasPrefix(first, "Received: from client.example ([127.0.0.1])\r\n\tby mx.example with ESMTP id ") ||
		!strings.HasSuffix(first, "\r\nbody") || strings.Contains(first, "for <") {
		t.Errorf("%q", first)
	}
}
