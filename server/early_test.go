package server_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/server"
)

func early(e server.EarlyTalker, delay time.Duration) func(*testServer) {
	return func(s *testServer) { s.EarlyTalker, s.Limits.GreetingDelay = e, delay }
}

// eachWay runs a test over a plain connection and over implicit TLS, with the
// handshake done.
func eachWay(t *testing.T, test func(t *testing.T, dial func(*testServer) *peer)) {
	t.Run("plain", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, (*testServer).dial) })
	})
	t.Run("TLS", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			test(t, func(s *testServer) *peer {
				l := s.serveTLS()
				conn, err := l.Dial(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				secure := tls.Client(conn, clientTLS)
				p := newPeer(t, secure)
				if err := secure.Handshake(); err != nil {
					t.Fatal(err)
				}
				return p
			})
		})
	})
}

// Who waits is greeted when the delay is over, not sooner and not later.
func TestGreetingDelay(t *testing.T) {
	for _, tt := range []struct {
		policy      server.EarlyTalker
		delay, want time.Duration
	}{
		{server.EarlyTolerate, 0, 0},
		{server.EarlyTolerate, time.Minute, 0},
		{server.EarlyRefuse, 0, 2 * time.Second},
		{server.EarlyRefuse, -1, 2 * time.Second},
		{server.EarlyRefuse, 6 * time.Second, 6 * time.Second},
		{server.EarlyRefuse, time.Hour, time.Minute},
		{server.EarlyDelay, 3 * time.Second, 3 * time.Second},
	} {
		eachWay(t, func(t *testing.T, dial func(*testServer) *peer) {
			s := start(t, withTLS, early(tt.policy, tt.delay))
			p := dial(s)
			began := time.Now()
			p.expect("220")
			want(t, "time", time.Since(began), tt.want)
			p.do("EHLO x.example", "250")
			p.send(transaction + "BDAT 0 LAST\n")
			p.expect("250", "250", "250")
			time.Sleep(4 * time.Minute) // nothing is left of the short deadline
			p.do("QUIT", "221")
			if events := s.events.take(); strings.Contains(events, server.EarlyTalk.String()) {
				t.Errorf("events: %s", events)
			}
		})
	}
}

// Who does not is told at once, and the handler is not bothered.
func TestEarlyRefuse(t *testing.T) {
	for _, wait := range []time.Duration{0, time.Second} {
		eachWay(t, func(t *testing.T, dial func(*testServer) *peer) {
			s := start(t, withTLS, early(server.EarlyRefuse, 2*time.Second))
			p := dial(s)
			time.Sleep(wait)
			began := time.Now()
			p.send("EHLO x.example\nMAIL FROM:<>\n")
			p.expect("554 you spoke before the greeting", "503", "503")
			want(t, "time", time.Since(began), 0)
			p.do("QUIT", "221")
			p.closed()
			s.stop()
			want(t, "calls", s.noted(), "")
			events := s.events.take()
			if strings.Count(events, "early talk\n") != 1 || !strings.Contains(events, "connection closed [smtp: 554 5.5.1 you spoke") {
				t.Errorf("events: %s", events)
			}
		})
	}
}

// An early talker that stays is sent away like others that were refused.
func TestEarlyTalkerStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, early(server.EarlyRefuse, time.Second))
		p := s.dial()
		p.send("EHLO x.example\n")
		p.expect("554", "503")
		text, after := p.silence()
		want(t, "reply", text, "421 4.4.2 timeout\r\n")
		between(t, after, 10*time.Second, 12*time.Second)
	})
}

// What an early talker has said is not lost, only answered late.
func TestEarlyDelay(t *testing.T) {
	for _, tt := range []struct{ delay, want time.Duration }{
		{2 * time.Second, 20 * time.Second},
		{30 * time.Second, time.Minute},
	} {
		eachWay(t, func(t *testing.T, dial func(*testServer) *peer) {
			s := start(t, withTLS, early(server.EarlyDelay, tt.delay))
			p := dial(s)
			began := time.Now()
			p.send("EHLO x.example\n" + transaction + "DATA\n")
			p.expect("220", "250", "250", "250", "354")
			want(t, "time", time.Since(began), tt.want)
			p.send("x\n.\n")
			p.expect("250")
			if events := s.events.take(); strings.Count(events, "early talk\n") != 1 {
				t.Errorf("events: %s", events)
			}
		})
	}
}

func TestEarlyTolerate(t *testing.T) {
	eachWay(t, func(t *testing.T, dial func(*testServer) *peer) {
		s := start(t, withTLS)
		p := dial(s)
		began := time.Now()
		p.send("EHLO x.example\n")
		p.expect("220", "250")
		want(t, "time", time.Since(began), 0)
		if events := s.events.take(); strings.Contains(events, server.EarlyTalk.String()) {
			t.Errorf("events: %s", events)
		}
	})
}

// Nothing holds up the end of the server, or that of the connection.
func TestGreetingDelayEnds(t *testing.T) {
	for _, say := range []string{"", "EHLO x.example\r\n"} {
		for name, end := range map[string]func(*testServer, *peer){
			"Shutdown": func(s *testServer, _ *peer) { s.Shutdown(context.Background()) },
			"Close":    func(s *testServer, _ *peer) { s.stop() },
			"client":   func(s *testServer, p *peer) { p.Close(); synctest.Wait() },
		} {
			t.Run(name+" "+say, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := start(t, early(server.EarlyDelay, time.Minute))
					p := s.dial()
					p.raw(say)
					time.Sleep(time.Second)
					began := time.Now()
					end(s, p)
					if name == "Shutdown" {
						p.expect("220")
						if say != "" {
							p.expect("250")
						}
						p.expect("421 4.3.2 shutting down")
						p.closed()
					}
					between(t, time.Since(began), 0, time.Second) // for who is sent away gently
					if say == "" || name != "client" {            // behind unread octets nobody sees the end
						events := s.events.take()
						want(t, "ends", strings.Count(events, server.ConnClosed.String()), 1)
					}
				})
			})
		}
	}
}

// On the kernel's network octets may be there before anybody looks.
func TestEarlyTalkOverTCP(t *testing.T) {
	s := start(t, early(server.EarlyRefuse, time.Hour))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, conn)
	p.send("EHLO x.example\n")
	s.serve(l) // accepts only now
	p.expect("554", "503")
	p.do("QUIT", "221")
	p.closed()
}
