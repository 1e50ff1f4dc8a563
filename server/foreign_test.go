package server_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// Lines of other protocols, and the protocol's name; where it is only before a
// hello that a line is taken for one, laterOK is set.
var foreignLines = []struct {
	line, protocol string
	laterOK        bool
}{
	{"GET / HTTP/1.1", "HTTP", false},
	{"GET /", "HTTP", false},
	{"get / http/1.1", "HTTP", false},
	{"HEAD / HTTP/1.0", "HTTP", false},
	{"POST / HTTP/1.1", "HTTP", false},
	{"PUT /x HTTP/1.1", "HTTP", false},
	{"DELETE /x HTTP/1.1", "HTTP", false},
	{"OPTIONS * HTTP/1.1", "HTTP", false},
	{"CONNECT mx.example:25 HTTP/1.1", "HTTP", false},
	{"TRACE / HTTP/1.1", "HTTP", false},
	{"PATCH / HTTP/1.1", "HTTP", false},
	{"PROPFIND / HTTP/1.1", "HTTP", false},
	{"PRI * HTTP/2.0", "HTTP", false},
	{"EXOTIC / HTTP/1.1", "HTTP", false},
	{"GET /" + strings.Repeat("x", 5000) + " HTTP/1.1", "HTTP", false},
	{"OPTIONS /" + strings.Repeat("x", 5000) + " HTTP/1.1", "HTTP", false},
	{"Host: mx.example", "HTTP", true},
	{"user-agent:x", "HTTP", true},
	{"X-Long-1: " + strings.Repeat("x", 5000), "", true}, // eight octets do not show it
	{"Host: " + strings.Repeat("x", 5000), "HTTP", true},
	{"DESCRIBE rtsp://mx.example/ RTSP/1.0", "RTSP", false},
	{"INVITE sip:b@example.org SIP/2.0", "SIP", false},
	{"SSH-2.0-OpenSSH_9.9", "SSH", false},
	{"PROXY TCP4 192.0.2.1 192.0.2.2 1 2", "PROXY", false},
	{"PROXY UNKNOWN", "PROXY", false},
	{"\x00", "PROXY", false},
	{"\x16\x03\x01", "TLS", false},
	{"\x16\x03\x01" + strings.Repeat("x", 600), "TLS", false},

	{"GETS", "", false},
	{"NONSENSE HTTP", "", false},
	{"NONSENSE XHTTP/1.1", "", false},
	{":", "", false},
	{": x", "", false},
	{"a_b: x", "", false},
	{"a b: x", "", false},
	{"\x16", "", false},
	{"\x16\x04", "", false},
	{"x\x16\x03", "", false},
	{"SSH", "", false},
	{"", "", false},
	{"NOOP HTTP/1.1", "", false},
	{"noop x HTTP/1.1", "", false},
	{"HELP GET / HTTP/1.1", "", false},
}

func TestForeignProtocols(t *testing.T) {
	for _, hello := range []string{"", "EHLO x.example\n", "HELO x.example\n"} {
		for _, ending := range []string{"\r\n", "\n"} {
			for _, tt := range foreignLines {
				protocol := tt.protocol
				if tt.laterOK && hello != "" {
					protocol = ""
				}
				s := start(t)
				p := s.dial()
				p.expect("220")
				p.send(hello)
				if hello != "" {
					p.expect("250")
				}
				s.noted()
				p.raw(tt.line + ending + "EHLO x.example\r\n" + transactionCRLF + "BDAT 0 LAST\r\nQUIT\r\n")
				if protocol == "" {
					r, err := p.reply()
					if err != nil || r[0] != '2' && r[0] != '5' {
						t.Errorf("%.40q: %q, %v", tt.line, r, err)
					}
					continue
				}
				r, err := p.reply()
				if err == nil {
					t.Errorf("%.40q: %q; want the end of the connection", tt.line, r)
				}
				s.stop()
				want(t, "calls after "+tt.line, s.noted(), "close")
				if text := s.log.take(); !strings.Contains(text, "level=INFO") || !strings.Contains(text, "protocol="+protocol+"\n") {
					t.Errorf("%.40q: the log: %s", tt.line, text)
				}
				if events := s.events.take(); strings.Count(events, "foreign protocol [smtp server: the client speaks "+protocol+"]\n") != 1 || strings.Contains(events, "Host") {
					t.Errorf("%.40q: events: %s", tt.line, events)
				}
			}
		}
	}
}

// What a browser can be made to post runs nothing, over TLS neither
// (https://alpaca-attack.com).
func TestBrowserPostsCommands(t *testing.T) {
	body := "EHLO x.example\r\n" + transactionCRLF + "DATA\r\ninjected\r\n.\r\nQUIT\r\n"
	request := "POST / HTTP/1.1\r\nHost: mx.example\r\nContent-Type: text/plain\r\n\r\n" + body
	for _, how := range []string{"plain", "octets", "TLS", "STARTTLS"} {
		s := start(t, withTLS, withAuth)
		if how == "TLS" {
			s.listener = s.serveTLS()
		}
		p := s.dial()
		if how == "TLS" {
			p.upgrade()
		}
		p.expect("220")
		if how == "STARTTLS" { // by somebody in the middle
			p.do("EHLO x.example", "250")
			s.noted()
			p.startTLS()
		}
		if how == "octets" {
			for i := range len(request) {
				if _, err := p.Write([]byte{request[i]}); err != nil {
					break
				}
			}
		} else {
			p.raw(request)
		}
		p.closed()
		s.stop()
		calls := map[string]string{"STARTTLS": "reset STARTTLS\nclose"}[how]
		want(t, "calls", s.noted(), cmp.Or(calls, "new\nclose"))
		want(t, "messages", len(s.messages()), 0)
		if text := s.log.take(); !strings.Contains(text, "protocol=HTTP") {
			t.Errorf("the log: %s", text)
		}
	}
}

// A handshake without a line end is not waited for, wherever it comes.
func TestClientHelloInPlaintext(t *testing.T) {
	for _, before := range []string{"", "EHLO x.example\n", "EHLO x.example\n" + transaction + "BDAT 1\nx", "EHLO x.example\nAUTH PLAIN\n"} {
		s := start(t, withAuth)
		p := s.dial()
		p.expect("220")
		p.send(before)
		for range strings.Count(before, "\n") {
			p.expect("")
		}
		err := tls.Client(p.Conn, clientTLS).Handshake()
		if err == nil {
			t.Fatal("the handshake succeeded")
		}
		s.stop()
		if text := s.log.take(); !strings.Contains(text, "protocol=TLS") {
			t.Errorf("after %q: %v; the log: %s", before, err, text)
		}
		want(t, "messages", len(s.messages()), 0)
	}
}

// What stands between chunks is no other protocol's, nor is message data.
func TestForeignLinesInMessages(t *testing.T) {
	s := start(t)
	p := s.hello()
	p.send(transaction + "DATA\nGET / HTTP/1.1\nHost: x\n.\n")
	p.expect("250", "250", "354", "250")
	p.send(transaction + "BDAT 16\nGET / HTTP/1.1\nBDAT 0 LAST\n")
	p.expect("250", "250", "250", "250")
	want(t, "messages", len(s.messages()), 2)
	p.send(transaction + "BDAT 1\nxGET / HTTP/1.1\nBDAT 0 LAST\n")
	p.expect("250", "250", "250")
	p.closed()
	s.stop()
	want(t, "messages", len(s.messages()), 2)
	s.log.take()
}

// An application may have verbs that other protocols have too.
func TestOwnVerbsAreNotForeign(t *testing.T) {
	own := func(context.Context, *server.Conn, server.Session, string) (smtp.Reply, error) {
		return smtp.Reply{Code: 250, Text: "mine"}, nil
	}
	s := start(t, func(s *testServer) {
		s.Extensions = []server.Extension{{Keyword: "XHTTP", Verbs: map[smtp.Verb]server.VerbFunc{"GET": own, "PROXY": own}}}
	})
	p := s.dial()
	p.expect("220")
	p.do("GET /", "503 5.5.1 say EHLO first")
	p.do("EHLO x.example", "250")
	p.do("GET / HTTP/1.1", "250 2.0.0 mine")
	p.do("proxy x", "250 2.0.0 mine")
	p.do("GET "+strings.Repeat("x", 3000), "500 5.5.2")
	p.send("POST /\n")
	p.closed()
	s.stop()
	s.log.take()
}

// Octets that come before the greeting may be another protocol's as well: then
// the client is told nothing.
func TestForeignAndEarly(t *testing.T) {
	for _, policy := range []server.EarlyTalker{server.EarlyRefuse, server.EarlyDelay} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, early(policy, time.Second))
			p := s.dial()
			p.send("GET / HTTP/1.1\n")
			p.closed()
			s.stop()
			s.log.take()
		})
	}
}

// A client that offers ALPN protocols must offer one of ours; most offer none.
func TestALPN(t *testing.T) {
	for _, tt := range []struct {
		ours, theirs []string
		ok           bool
	}{
		{nil, nil, true},
		{nil, []string{"smtp"}, true},
		{nil, []string{"h2", "esmtp"}, true},
		{nil, []string{"h2", "http/1.1"}, false},
		{nil, []string{"imap"}, false},
		{[]string{}, []string{"h2"}, true},
		{[]string{"x-mail"}, []string{"h2"}, false},
		{[]string{"x-mail"}, []string{"x-mail"}, true},
		{[]string{"x-mail"}, []string{"smtp"}, false},
	} {
		for _, implicit := range []bool{true, false} {
			config := serverTLS.Clone()
			config.NextProtos = tt.ours
			s := start(t, func(s *testServer) { s.TLSConfig = config })
			var conn net.Conn
			if implicit {
				s.listener = s.serveTLS()
				conn = s.dial().Conn
			} else {
				p := s.hello()
				p.do("STARTTLS", "220")
				conn = p.Conn
			}
			client := clientTLS.Clone()
			client.NextProtos = tt.theirs
			secure := tls.Client(conn, client)
			err := secure.Handshake()
			if (err == nil) != tt.ok {
				t.Errorf("%q to %q: %v", tt.theirs, tt.ours, err)
			}
			if err == nil {
				p := newPeer(t, secure)
				if implicit {
					p.expect("220")
				}
				p.do("QUIT", "221")
			}
			conn.Close()
			s.stop()
			if events := s.events.take(); strings.Contains(events, server.TLSFailed.String()) == tt.ok {
				t.Errorf("%q to %q: events %s", tt.theirs, tt.ours, events)
			}
			want(t, "the caller's own", len(config.NextProtos), len(tt.ours))
		}
	}
}
