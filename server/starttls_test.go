package server_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// What was pipelined behind STARTTLS came unprotected and is dropped
// (CVE-2011-0411).
func TestCommandsBehindSTARTTLSAreDropped(t *testing.T) {
	for _, injected := range []string{
		"MAIL FROM:<evil@example.org>\n",
		"EHLO evil.example\nMAIL FROM:<evil@example.org>\n",
		"NOO",
		strings.Repeat("x", 1000), // in the middle of an over-long line
	} {
		s := start(t, withTLS)
		p := s.hello()
		p.send("STARTTLS\n" + injected)
		p.expect("220 2.0.0")
		p.upgrade()
		p.do("RCPT TO:<b@example.com>", "503 5.5.1 say EHLO first")
		p.do("EHLO x.example", "250")
		p.do("RCPT TO:<b@example.com>", "503 5.5.1 MAIL first")
		p.do("QUIT", "221")
		p.closed()
		s.stop()
		want(t, "calls", s.noted(), "new\nreset STARTTLS\nclose")
	}
}

// What comes in a segment of its own breaks the handshake: it is never run
// either.
func TestPlaintextInPlaceOfTheHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, withTLS)
		p := s.hello()
		p.do("STARTTLS", "220 2.0.0")
		p.send("MAIL FROM:<evil@example.org>\nQUIT\n")
		text, _ := p.silence()
		if strings.Contains(text, "250") || strings.Contains(text, "221") {
			t.Errorf("%q", text)
		}
		s.stop()
		want(t, "calls", s.noted(), "new\nclose")
		if events := s.events.take(); !strings.Contains(events, "TLS failed [") {
			t.Errorf("events: %s", events)
		}
	})
}

// All that was said before STARTTLS is forgotten (RFC 3207 §4.2).
func TestSTARTTLSForgets(t *testing.T) {
	var info server.Info
	s := start(t, withTLS, withAuth)
	s.reset = func(context.Context, server.ResetReason) {}
	s.newSession = func(_ context.Context, c *server.Conn) error {
		s.reset = func(context.Context, server.ResetReason) { info = c.Info() }
		return nil
	}
	p := s.hello()
	p.do("AUTH PLAIN "+b64("\x00"+user+"\x00"+password), "235")
	p.startTLS()
	p.do("NOOP", "250")
	if info.Hello != "" || info.HelloVerb != "" || info.Identity != "" || info.Mechanism != "" || info.TLS == nil {
		t.Errorf("%+v", info)
	}
	p.send("EHLO y.example\n")
	if r, _ := p.reply(); strings.Contains(r, "STARTTLS") || !strings.Contains(r, "AUTH PLAIN") {
		t.Errorf("%q", r)
	}
	p.do("AUTH PLAIN "+b64("\x00"+user+"\x00"+password), "235")
}

func TestNoTLS(t *testing.T) {
	s := start(t)
	p := s.dial()
	p.expect("220")
	p.send("EHLO x.example\n")
	if r, _ := p.reply(); strings.Contains(r, "STARTTLS") {
		t.Errorf("%q", r)
	}
	p.do("STARTTLS", "502 5.5.1")
	if err := s.Server.ServeTLS(memnet.Listen()); err == nil || err == server.ErrServerClosed {
		t.Errorf("ServeTLS: %v", err)
	}
}

func TestRequireTLS(t *testing.T) {
	s := start(t, withTLS, withAuth, func(s *testServer) { s.RequireTLS = true })
	p := s.dial()
	p.expect("220")
	p.do("NOOP", "250")
	p.do("EHLO x.example", "250")
	for _, line := range []string{"MAIL FROM:<>", "RCPT TO:<b@example.com>", "DATA", "AUTH PLAIN", "VRFY x", "EXPN x", "RSET"} {
		p.do(line, "530 5.7.0")
	}
	p.raw("BDAT 6 LAST\r\nQUIT\r\n")
	p.expect("530 5.7.0")
	p.do("HELP", "214")
	p.startTLS()
	p.do("EHLO x.example", "250")
	p.do("MAIL FROM:<>", "250")
}

// wrapped is a TLS connection that is no *tls.Conn.
type wrapped struct{ *tls.Conn }

type wrapping struct{ net.Listener }

func (l wrapping) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &wrapped{tls.Server(c, serverTLS)}, nil
}

// TLS is what has a ConnectionState, *tls.Conn or not.
func TestWrappedTLS(t *testing.T) {
	var seen atomic.Pointer[tls.ConnectionState]
	s := start(t, withTLS, withAuth, func(s *testServer) { s.PlaintextAuthOnLoopback = false })
	s.newSession = func(_ context.Context, c *server.Conn) error { seen.Store(c.TLS()); return nil }
	network := memnet.Listen()
	s.serve(wrapping{network})
	conn, err := network.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, tls.Client(conn, clientTLS))
	p.expect("220")
	p.send("EHLO x.example\n")
	if r, _ := p.reply(); strings.Contains(r, "STARTTLS") || !strings.Contains(r, "AUTH PLAIN") {
		t.Errorf("%q", r)
	}
	if state := seen.Load(); state == nil || !state.HandshakeComplete {
		t.Errorf("state in NewSession: %+v", state)
	}
	p.do("STARTTLS", "503")
	p.do("QUIT", "221")
	p.closed()
}

// Microsoft's senders give up when an MX sends a session ticket after STARTTLS
// (golang/go#70232). Elsewhere tickets save time.
func TestSessionTickets(t *testing.T) {
	for _, tt := range []struct {
		role     server.Role
		implicit bool
		tickets  bool
	}{
		{server.MX, false, false},
		{server.MX, true, true},
		{server.Submission, false, true},
		{server.Submission, true, true},
	} {
		s := start(t, withTLS, submission, func(s *testServer) { s.Role = tt.role })
		cache := &tickets{tls.NewLRUClientSessionCache(1), 0}
		config := clientTLS.Clone()
		config.ClientSessionCache = cache
		var p *peer
		if tt.implicit {
			conn, err := s.serveTLS().Dial(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			p = newPeer(t, tls.Client(conn, config))
			p.expect("220")
			p.do("EHLO x.example", "250")
		} else {
			p = s.hello()
			p.do("STARTTLS", "220")
			p.upgradeWith(config)
			p.do("EHLO x.example", "250")
		}
		if got := cache.put > 0; got != tt.tickets {
			t.Errorf("%v, implicit %t: tickets %t", tt.role, tt.implicit, got)
		}
	}
}

type tickets struct {
	tls.ClientSessionCache
	put int
}

func (c *tickets) Put(key string, state *tls.ClientSessionState) {
	c.put++
	c.ClientSessionCache.Put(key, state)
}

// TLS 1.1 and older are history (RFC 8996).
func TestOldTLS(t *testing.T) {
	s := start(t, withTLS)
	old := clientTLS.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	p := s.hello()
	p.do("STARTTLS", "220")
	if err := tls.Client(p.Conn, old).Handshake(); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	conn, err := s.serveTLS().Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := tls.Client(conn, old).Handshake(); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
}

// Hello may refuse after TLS what it allowed before; the state of TLS stays.
func TestConnAfterSTARTTLS(t *testing.T) {
	var c *server.Conn
	s := start(t, withTLS)
	s.newSession = func(_ context.Context, conn *server.Conn) error { c = conn; return nil }
	s.mail = func(context.Context, smtp.ReversePath, *smtp.MailParams) (smtp.Reply, error) {
		return smtp.Reply{Code: 250, Text: c.Info().Protocol() + " " + c.Hello()}, nil
	}
	p := s.hello()
	p.do("MAIL FROM:<>", "250 2.0.0 ESMTP client.example")
	p.do("RSET", "250")
	p.startTLS()
	p.do("EHLO again.example", "250")
	p.do("MAIL FROM:<>", "250 2.0.0 ESMTPS again.example")
}
