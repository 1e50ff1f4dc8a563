package server_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

func TestMaxConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, limits(server.Limits{MaxConns: 2}))
		first, second := s.hello(), s.hello()
		for range 3 {
			third := s.dial()
			third.expect("421 too many connections")
			third.closed()
			synctest.Wait()
		}
		first.do("QUIT", "221")
		synctest.Wait()
		fourth := s.hello()
		fourth.do("NOOP", "250")
		second.do("NOOP", "250")
		if events := s.events.take(); strings.Count(events, "limit hit: 421 too many connections") != 3 {
			t.Errorf("events: %s", events)
		}
	})
}

// from is a connection with an address of its own.
type from struct {
	net.Conn
	addr net.Addr
}

func (c from) RemoteAddr() net.Addr { return c.addr }

type senders struct {
	*memnet.Listener
	addrs chan net.Addr
}

func (l senders) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return from{c, <-l.addrs}, nil
}

// Connections are counted by IPv4 address and by IPv6 /64; what has no IP
// address is not counted.
func TestMaxConnsPerIP(t *testing.T) {
	tcp := func(s string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(s), Port: 1025} }
	zone := &net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}
	for _, tt := range []struct {
		addrs   []net.Addr
		refused int // the first of them, from zero; -1: none
	}{
		{[]net.Addr{tcp("192.0.2.1"), tcp("192.0.2.1"), tcp("192.0.2.1")}, 2},
		{[]net.Addr{tcp("192.0.2.1"), tcp("::ffff:192.0.2.1"), tcp("192.0.2.1")}, 2},
		{[]net.Addr{tcp("192.0.2.1"), tcp("192.0.2.2"), tcp("192.0.2.3")}, -1},
		{[]net.Addr{tcp("2001:db8::1"), tcp("2001:db8::2"), tcp("2001:db8::ffff:1")}, 2},
		{[]net.Addr{tcp("2001:db8::1"), tcp("2001:db8:0:1::1"), tcp("2001:db8:0:2::1")}, -1},
		{[]net.Addr{zone, zone, zone}, 2},
		{[]net.Addr{&net.UnixAddr{Name: "@"}, &net.UnixAddr{Name: "@"}, &net.UnixAddr{Name: "@"}}, -1},
	} {
		t.Run(fmt.Sprint(tt.addrs), func(t *testing.T) {
			s := start(t, limits(server.Limits{MaxConnsPerIP: 2}))
			l := senders{memnet.Listen(), make(chan net.Addr, 1)}
			s.serve(l)
			for i, addr := range tt.addrs {
				l.addrs <- addr
				conn, err := l.Dial(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				p := newPeer(t, conn)
				if i == tt.refused {
					p.expect("421 too many connections from your address")
					p.closed()
				} else {
					p.expect("220")
				}
			}
		})
	}
}

func TestConnsPerIPAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, limits(server.Limits{MaxConnsPerIP: 1}))
		for range 5 {
			p := s.hello()
			p.do("QUIT", "221")
			p.closed()
			synctest.Wait()
		}
	})
}

func TestMaxMessages(t *testing.T) {
	s := start(t, limits(server.Limits{MaxMessages: 2}))
	p := s.hello()
	for range 2 {
		p.send(transaction + "BDAT 0 LAST\n")
		p.expect("250", "250", "250")
	}
	p.do("MAIL FROM:<>", "421 4.7.0 too many messages")
	p.closed()
}

func TestMaxErrors(t *testing.T) {
	for _, line := range []string{"NONSENSE", "ETRN", "MAIL FROM", "RCPT TO:<b@example.com>", "QUIT x", "NOOP " + strings.Repeat("x", 600), "NOOP a\rb", "BDAT 0"} {
		s := start(t)
		p := s.hello()
		for range 20 {
			p.do(line, "50")
		}
		p.do(line, "421 4.7.0 too many errors")
		p.closed()
	}
	s := start(t, limits(server.Limits{MaxErrors: -1}))
	p := s.hello()
	for range 100 {
		p.do("NONSENSE", "500")
	}
}

// What the handler refuses is no error of form.
func TestRefusedRecipientsAreNoErrors(t *testing.T) {
	s := start(t, func(s *testServer) { s.Handler = server.HandlerFunc(newRules) })
	p := s.hello()
	p.do("MAIL FROM:<>", "250")
	for range 100 {
		p.do("RCPT TO:<reject@example.com>", "550")
	}
}

func TestMaxIdleChat(t *testing.T) {
	for _, line := range []string{"NOOP", "RSET", "VRFY x", "HELP", "EXPN x", "EHLO x.example", "XFORWARD NAME=x", "ETRN x.example"} {
		s := start(t, func(s *testServer) {
			s.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			s.Extensions = []server.Extension{server.ETRN(func(context.Context, *server.Conn, server.Session, smtp.Etrn) (smtp.Reply, error) {
				return smtp.Reply{}, nil
			})}
		})
		p := s.hello() // EHLO is one
		for range 99 {
			p.send(line + "\n")
			p.expect("")
		}
		p.send(line + "\n")
		r, err := p.reply()
		if !strings.HasPrefix(r, "421 ") || !strings.HasSuffix(r, "too many commands without a message") || err != nil {
			t.Fatalf("%s: %q, %v", line, r, err)
		}
		p.closed()
	}
	// A message begins the count anew.
	s := start(t)
	p := s.hello()
	for range 5 {
		for range 90 {
			p.do("NOOP", "250")
		}
		p.send("MAIL FROM:<>\nRCPT TO:<a@example.org>\nBDAT 0 LAST\n")
		p.expect("250", "250", "250")
	}
	// A transaction that is given up does not.
	for range 50 {
		p.send("MAIL FROM:<>\nRSET\n")
		p.expect("250", "250")
	}
	for range 50 {
		p.do("NOOP", "250")
	}
	p.do("NOOP", "421 4.7.0 too many commands without a message")
	p.closed()
}

// Senders and recipients that the handler refuses are counted since the last
// accepted message.
func TestMaxRejected(t *testing.T) {
	s := start(t, limits(server.Limits{MaxRejected: 3}), func(s *testServer) {
		s.rcpt = func(_ context.Context, to smtp.ForwardPath, _ *smtp.RcptParams) (smtp.Reply, error) {
			if to.Local == "no" {
				return smtp.Reply{}, smtp.Reject(550, smtp.Enh(1, 1), "no such user")
			}
			return smtp.Reply{}, nil
		}
	})
	p := s.hello()
	p.do("MAIL FROM:<>", "250")
	for range 3 {
		p.do("RCPT TO:<no@example.org>", "550")
	}
	p.send("RCPT TO:<yes@example.org>\nBDAT 0 LAST\nMAIL FROM:<>\n")
	p.expect("250", "250", "250")
	for range 3 {
		p.do("RCPT TO:<no@example.org>", "550")
	}
	p.send("RCPT TO:<no@example.org>\n")
	p.expect("550", "421 4.7.0 too many refused senders and recipients")
	p.closed()
}

func TestMaxLine(t *testing.T) {
	s := start(t, limits(server.Limits{MaxLine: 100}))
	p := s.hello()
	p.do("NOOP "+strings.Repeat("x", 605), "250")
	p.do("NOOP "+strings.Repeat("x", 606), "500 5.5.2")
	s = start(t, limits(server.Limits{MaxLine: 1 << 20}))
	p = s.hello()
	p.do("NOOP "+strings.Repeat("x", 2553), "250")
	p.do("NOOP "+strings.Repeat("x", 2554), "500 5.5.2")
}

// The extensions on offer make their own commands longer, and no others.
func TestExtensionsGrowLines(t *testing.T) {
	s := start(t, withAuth, func(s *testServer) { s.Extensions = []server.Extension{server.DSN, server.SMTPUTF8} })
	p := s.hello()
	p.do("MAIL FROM:<a@example.org>"+strings.Repeat(" ", 1000), "250")
	p.do("RCPT TO:<b@example.com>"+strings.Repeat(" ", 1000), "250")
	p.do("RCPT TO:<b@example.com>"+strings.Repeat(" ", 1100), "500 5.5.2")
	p.do("NOOP "+strings.Repeat("x", 600), "500 5.5.2")
	p.do("RSET", "250")
	p.do("AUTH PLAIN "+strings.Repeat("A", 12288-13), "501 5.5.2")
	p.do("AUTH PLAIN "+strings.Repeat("A", 12288-12), "500 5.5.2")
	p = s.dial()
	p.expect("220")
	p.do("HELO x.example", "250")
	p.do("MAIL FROM:<a@example.org>"+strings.Repeat(" ", 600), "500 5.5.2")
}

func TestUnlimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, limits(server.Limits{
			MaxConns: -1, MaxConnsPerIP: -1, MaxMessages: -1, MaxRecipients: -1, MaxMessageSize: -1,
			MaxHeaderSize: -1, MaxTextLine: -1, MaxErrors: -1, MaxIdleChat: -1, MinDataRate: -1, HandlerTimeout: -1,
		}))
		for range 60 {
			s.hello()
		}
		p := s.dial()
		p.expect("220")
		p.send("EHLO x.example\n")
		r, _ := p.reply()
		if !strings.Contains(r, "\n250-SIZE\n") {
			t.Errorf("%q", r)
		}
		p.do("MAIL FROM:<a@example.org> SIZE=99999999999999999999", "250")
		for range 1001 {
			p.do("RCPT TO:<b@example.com>", "250")
		}
		p.do("DATA", "354")
		p.flood("X: " + strings.Repeat("x", 2<<20) + "\r\n.\r\n")
		p.expect("250 2.0.0")
	})
}

// The defaults let in what the issue asks for.
func TestDefaultLimits(t *testing.T) {
	s := start(t, limits(server.Limits{MaxConnsPerIP: -1}))
	for range 2000 {
		s.dial()
	}
	s.dial().expect("220")

	s = start(t)
	for range 50 {
		s.hello()
	}
	s.dial().expect("421 too many connections from your address")

	s = start(t)
	p := s.dial()
	p.expect("220")
	p.send("EHLO x.example\n")
	if r, _ := p.reply(); !strings.Contains(r, "\n250-SIZE 67108864\n") {
		t.Errorf("%q", r)
	}
	p.do("MAIL FROM:<>", "250")
	for range 1000 {
		p.do("RCPT TO:<b@example.com>", "250")
	}
	p.do("RCPT TO:<b@example.com>", "452 4.5.3")
}
