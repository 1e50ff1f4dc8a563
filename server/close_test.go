package server_test

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/server"
)

// Who is sent away gets to read why: the server stops sending, and for a moment
// goes on reading what is under way. Over TLS too: both ends of what the server
// says come before the connection is closed, close_notify and the one below it.
func TestSentAwayGently(t *testing.T) {
	for _, mode := range []string{"plain", "STARTTLS", "TLS"} {
		t.Run(mode, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, withTLS, limits(server.Limits{MaxErrors: 1}))
				if mode == "TLS" {
					s.listener = s.serveTLS()
				}
				p := s.dial()
				carrier := p.Conn
				if mode == "TLS" {
					p = newPeer(t, tls.Client(carrier, clientTLS))
				}
				p.expect("220")
				if mode == "STARTTLS" {
					p.do("EHLO x.example", "250")
					p.startTLS()
				}
				p.send("NONSENSE\nNONSENSE\n")
				p.expect("500", "421")
				p.closed()
				if rest, err := io.ReadAll(carrier); err != nil || len(rest) > 0 {
					t.Errorf("below: %q, %v; want its end", rest, err)
				}
				p.send(strings.Repeat("NONSENSE\n", 100))
				synctest.Wait()
				p.send("NONSENSE\n") // there is still somebody to take it
				time.Sleep(2 * time.Second)
				if _, err := carrier.Write([]byte("x")); err == nil {
					t.Error("the connection is still open")
				}
			})
		})
	}
}

// What was answered before a line of another protocol came is not lost to a
// reset either.
func TestForeignAfterHelloIsSentAwayGently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		p := s.hello()
		p.send("NOOP\nGET / HTTP/1.1\n")
		p.expect("250")
		p.closed()
		p.send(strings.Repeat("Header: field\n", 100))
		synctest.Wait()
		p.send("x\n") // there is still somebody to take it
		time.Sleep(2 * time.Second)
		if _, err := p.Write([]byte("x")); err == nil {
			t.Error("the connection is still open")
		}
		s.log.take()
	})
}

// Nor does who goes on sending keep the connection for long.
func TestSentAwayForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, limits(server.Limits{MaxErrors: 1}))
		p := s.hello()
		p.send("NONSENSE\nNONSENSE\n")
		p.expect("500", "421")
		p.closed()
		began, sent := time.Now(), 0
		for ; time.Since(began) < time.Minute; sent++ {
			if _, err := p.Write([]byte("x")); err != nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		want(t, "octets taken", sent, 16)
		p.Close()

		p = s.hello()
		p.send("NONSENSE\nNONSENSE\n")
		p.expect("500", "421")
		p.closed()
		began = time.Now()
		for time.Since(began) < time.Minute {
			if _, err := p.Write([]byte("x")); err != nil {
				break
			}
			time.Sleep(300 * time.Millisecond)
		}
		between(t, time.Since(began), time.Second, time.Second+300*time.Millisecond)
	})
}

// On a network of the kernel's the wait goes on without a buffer, and ends with
// the client's side of the connection.
func TestSentAwayOverTCP(t *testing.T) {
	s := start(t, limits(server.Limits{MaxErrors: 1}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.serve(l)
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, conn)
	p.expect("220")
	p.do("EHLO x.example", "250")
	p.send("NONSENSE\nNONSENSE\n" + strings.Repeat("NOOP\n", 20000)) // more than is read before the 421
	p.expect("500", "421")
	if _, err := p.r.ReadByte(); err != io.EOF {
		t.Errorf("after the 421: %v", err)
	}
	p.Close()
	s.stop()
	want(t, "sessions that were closed", strings.Count(s.noted(), "close"), 1)
}
