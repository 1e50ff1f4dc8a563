package server_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// street is a network on which each dial comes from an address of its own.
type street struct {
	s *testServer
	senders
}

func (s *testServer) street() street {
	st := street{s, senders{memnet.Listen(), make(chan net.Addr, 1)}}
	s.serve(st.senders)
	return st
}

func (st street) dial(addr string) *peer {
	st.s.t.Helper()
	st.addrs <- &net.TCPAddr{IP: net.ParseIP(addr), Port: 1025}
	if addr == "unix" {
		<-st.addrs
		st.addrs <- &net.UnixAddr{Name: "@", Net: "unix"}
	}
	conn, err := st.senders.Dial(context.Background())
	if err != nil {
		st.s.t.Fatal(err)
	}
	return newPeer(st.s.t, conn)
}

func TestMaxConnRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, limits(server.Limits{MaxConnRate: 3}))
		st := s.street()
		come := func(addr, want string) {
			t.Helper()
			p := st.dial(addr)
			p.expect(want)
			if want != "220" {
				p.closed()
			}
			p.Close()
		}
		const no = "421 too many connections from your address in one minute"
		for range 3 {
			come("192.0.2.1", "220")
		}
		come("192.0.2.1", no)
		come("::ffff:192.0.2.1", no)
		come("192.0.2.2", "220") // others are none of it
		for i := range 3 {
			come([]string{"2001:db8::1", "2001:db8::2", "2001:db8::ffff:3"}[i], "220")
		}
		come("2001:db8::4", no)
		come("2001:db8:0:1::1", "220")
		for range 10 {
			come("unix", "220")
		}
		// What is refused costs nothing: after a third of a minute there is
		// room for one more, and for one only.
		time.Sleep(20 * time.Second)
		come("192.0.2.1", "220")
		come("192.0.2.1", no)
		// Who has stayed away for a minute begins anew.
		time.Sleep(time.Minute)
		for range 3 {
			come("192.0.2.1", "220")
		}
		come("192.0.2.1", no)
		want(t, "limits hit", strings.Count(s.events.take(), "limit hit: "+no), 5)
	})
}

func TestMaxMessageRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, limits(server.Limits{MaxMessageRate: 2}), func(s *testServer) {
			s.mail = func(_ context.Context, from smtp.ReversePath, _ *smtp.MailParams) (smtp.Reply, error) {
				return smtp.Reply{}, rejected(from.Local)
			}
		})
		st := s.street()
		hello := func(addr string) *peer {
			p := st.dial(addr)
			p.expect("220")
			p.do("EHLO x.example", "250")
			return p
		}
		const no = "451 4.7.1 too many messages from your address in one minute"
		first, second, other := hello("192.0.2.1"), hello("192.0.2.1"), hello("192.0.2.9")
		first.do("MAIL FROM", "501") // a command that is refused for its form is no message
		first.send(transaction + "BDAT 0 LAST\n")
		first.expect("250", "250", "250")
		second.do("MAIL FROM:<reject@example.org>", "550")
		first.do("MAIL FROM:<>", no)
		second.do("MAIL FROM:<>", no)
		second.do("RCPT TO:<b@example.org>", "503 5.5.1 MAIL first") // nothing has begun
		other.do("MAIL FROM:<>", "250")
		time.Sleep(30 * time.Second)
		second.do("MAIL FROM:<>", "250")
		first.do("MAIL FROM:<>", no)
		for range 5 {
			p := hello("unix")
			p.do("MAIL FROM:<>", "250")
		}
		want(t, "limits hit", strings.Count(s.events.take(), "limit hit MAIL: "+no), 3)
		want(t, "calls of Mail", strings.Count(s.noted(), "mail "), 9)
	})
}

// A message that one limit refuses holds nothing of the other.
func TestRefusedByRateHoldsNoPlace(t *testing.T) {
	s := start(t, limits(server.Limits{MaxMessageRate: 1, MaxTransactions: 1}))
	st := s.street()
	p := st.dial("192.0.2.1")
	p.send("EHLO x.example\nMAIL FROM:<>\nRSET\nMAIL FROM:<>\n")
	p.expect("220", "250", "250", "250", "451")
	other := st.dial("192.0.2.2")
	other.send("EHLO x.example\nMAIL FROM:<>\n")
	other.expect("220", "250", "250")
	// Nor the other way round.
	third := st.dial("192.0.2.3")
	third.send("EHLO x.example\nMAIL FROM:<>\n")
	third.expect("220", "250", "452")
	other.do("RSET", "250")
	third.do("MAIL FROM:<>", "250")
}

// Who does not take 451 for an answer is sent away.
func TestRefusedMessagesAreCounted(t *testing.T) {
	s := start(t, limits(server.Limits{MaxMessageRate: 1, MaxRejected: 3}))
	p := s.hello()
	p.do("MAIL FROM:<>", "250")
	p.do("RSET", "250")
	for range 3 {
		p.do("MAIL FROM:<>", "451")
	}
	p.send("MAIL FROM:<>\n")
	p.expect("451", "421 4.7.0 too many refused")
	p.closed()
}

func TestMaxTransactions(t *testing.T) {
	for _, how := range []struct {
		name string
		end  func(*peer)
	}{
		{"accepted", func(p *peer) {
			p.send("RCPT TO:<b@example.org>\nBDAT 0 LAST\n")
			p.expect("250", "250")
		}},
		{"refused", func(p *peer) {
			p.send("RCPT TO:<b@example.org>\nDATA\na\rb\n.\n")
			p.expect("250", "354", "550")
		}},
		{"RSET", func(p *peer) { p.do("RSET", "250") }},
		{"RSET between chunks", func(p *peer) {
			p.send("RCPT TO:<b@example.org>\nBDAT 1\nxRSET\n")
			p.expect("250", "250", "250")
		}},
		{"EHLO", func(p *peer) { p.do("EHLO x.example", "250") }},
		{"QUIT", func(p *peer) { p.do("QUIT", "221") }},
		{"lost", func(p *peer) { p.Close() }},
		{"lost in data", func(p *peer) {
			p.send("RCPT TO:<b@example.org>\nDATA\nx")
			p.expect("250", "354")
			p.Close()
		}},
		{"panic", func(p *peer) { p.do("RCPT TO:<panic@example.org>", "421") }},
	} {
		t.Run(how.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, limits(server.Limits{MaxTransactions: 2}))
				s.rcpt = func(_ context.Context, to smtp.ForwardPath, _ *smtp.RcptParams) (smtp.Reply, error) {
					if to.Local == "panic" {
						panic("in Rcpt")
					}
					return smtp.Reply{}, nil
				}
				s.mail = func(_ context.Context, from smtp.ReversePath, _ *smtp.MailParams) (smtp.Reply, error) {
					if from.Local == "panic" {
						panic("in Mail")
					}
					return smtp.Reply{}, rejected(from.Local)
				}
				p := s.hello()
				for range 3 { // what Mail refuses, or fails in, holds no place
					p.do("MAIL FROM:<reject@example.org>", "550")
					s.hello().do("MAIL FROM:<panic@example.org>", "421")
				}
				p.do("MAIL FROM:<>", "250")
				busy, late := s.hello(), s.hello()
				busy.do("MAIL FROM:<>", "250")
				late.do("MAIL FROM:<>", "452 4.3.2 too many messages at one time")
				late.do("RCPT TO:<b@example.org>", "503 5.5.1 MAIL first")
				late.do("NOOP", "250")
				how.end(p)
				synctest.Wait()
				late.do("MAIL FROM:<>", "250")
				s.hello().do("MAIL FROM:<>", "452")
				if events := s.events.take(); strings.Count(events, "limit hit MAIL: 452 4.3.2") != 2 {
					t.Error(events)
				}
				s.log.take() // the panics
			})
		})
	}
}
