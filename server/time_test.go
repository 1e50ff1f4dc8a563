package server_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// silence reads until the connection ends. It returns what came, and after how
// long.
func (p *peer) silence() (text string, after time.Duration) {
	start := time.Now()
	octets, _ := io.ReadAll(p.r)
	return string(octets), time.Since(start)
}

// between reports when d is not within from and to.
func between(t *testing.T, d, from, to time.Duration) {
	t.Helper()
	if d < from || d > to {
		t.Errorf("after %v, want %v to %v", d, from, to)
	}
}

// drip sends an octet at a time until the connection ends or all is sent.
func (p *peer) drip(octets string, pause time.Duration) {
	for i := range len(octets) {
		if _, err := io.WriteString(p.Conn, octets[i:i+1]); err != nil {
			return
		}
		time.Sleep(pause)
	}
}

// end closes the connection and lets a drip take notice.
func (p *peer) end() {
	p.Close()
	time.Sleep(time.Hour)
}

// A client has its time and, where the connection may rest, two seconds more.
func TestCommandTimeout(t *testing.T) {
	for _, tt := range []struct {
		name     string
		limit    time.Duration
		send     string
		replies  int
		from, to time.Duration
	}{
		{"default", 0, "", 0, 5 * time.Minute, 5*time.Minute + 2*time.Second},
		{"default, later", 0, "NOOP\nNOOP\n", 2, 5 * time.Minute, 5*time.Minute + 2*time.Second},
		{"short", 8 * time.Second, "", 0, 8 * time.Second, 9 * time.Second},
		{"in a transaction", 0, transaction, 2, 5 * time.Minute, 5*time.Minute + 2*time.Second},
		{"between chunks", 0, transaction + "BDAT 1\nx", 3, 5 * time.Minute, 5*time.Minute + 2*time.Second},
		{"half a line", 0, "NOO", 0, 5 * time.Minute, 5*time.Minute + 2*time.Second},
		{"in AUTH", 0, "AUTH PLAIN\n", 1, 5 * time.Minute, 5*time.Minute + 2*time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := start(t, withAuth, limits(server.Limits{CommandTimeout: tt.limit}))
				p := s.hello()
				p.send(tt.send)
				for range tt.replies {
					p.reply()
				}
				text, after := p.silence()
				want(t, "reply", text, "421 4.4.2 timeout\r\n")
				between(t, after, tt.from, tt.to)
			})
		})
	}
}

// A line that comes octet by octet has no more time than another.
func TestCommandDrips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		p := s.hello()
		go p.drip(strings.Repeat("x", 1000), time.Minute)
		text, after := p.silence()
		want(t, "reply", text, "421 4.4.2 timeout\r\n")
		between(t, after, 5*time.Minute, 5*time.Minute+2*time.Second)
		p.end()
	})
}

// Who keeps talking keeps the connection.
func TestCommandTimeoutBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		p := s.hello()
		for range 20 {
			time.Sleep(5*time.Minute - time.Second)
			p.do("NOOP", "250")
		}
	})
}

func TestRefusedClientMayTakeTenSecondsToQuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		s.newSession = func(context.Context, *server.Conn) error { return smtp.Reject(554, smtp.Enhanced{}, "no") }
		p := s.dial()
		p.expect("554")
		text, after := p.silence()
		want(t, "reply", text, "421 4.4.2 timeout\r\n")
		between(t, after, 10*time.Second, 12*time.Second)
	})
}

// begin begins the data of a message, which the handler reads whole.
func (p *peer) begin(how string) {
	p.t.Helper()
	p.send(transaction + how)
	p.expect("250", "250")
	if how == "DATA\n" {
		p.expect("354")
	}
}

var datas = []string{"DATA\n", "BDAT 1000000 LAST\n", "BDAT 1000000\n"}

func TestDataStalls(t *testing.T) {
	for _, how := range datas {
		for _, first := range []string{"", "some octets\n", strings.Repeat("x", 40000)} {
			synctest.Test(t, func(t *testing.T) {
				s := start(t)
				p := s.hello()
				p.begin(how)
				p.send(first)
				text, after := p.silence()
				if text != "421 4.4.2 timeout\r\n" && text != "421 4.4.2 data came too slowly\r\n" {
					t.Errorf("%q", text)
				}
				// Much data buys one more window, no more.
				between(t, after, 3*time.Minute, 11*time.Minute)
				want(t, "messages", len(s.messages()), 0)
				if events := s.events.take(); !strings.Contains(events, "limit hit "+how[:4]+": 421 4.4.2 ") {
					t.Errorf("events: %s", events)
				}
			})
		}
	}
}

// Who has rested before has no more time for the data than others.
func TestDataStallsAfterRest(t *testing.T) {
	for _, how := range datas {
		synctest.Test(t, func(t *testing.T) {
			s := start(t)
			p := s.hello()
			time.Sleep(time.Minute)
			p.begin(how)
			text, after := p.silence()
			want(t, "reply", text, "421 4.4.2 timeout\r\n")
			between(t, after, 3*time.Minute, 5*time.Minute)
		})
	}
}

func TestDataDrips(t *testing.T) {
	for _, how := range append(datas, "BDAT 1\nxBDAT 1000000\n") {
		for _, tt := range []struct {
			rate  int
			pause time.Duration
			lives bool
		}{
			{0, time.Second / 50, false},
			{0, time.Second / 200, true},
			{10, time.Second / 5, false},
			{10, time.Second / 20, true},
			{-1, 4 * time.Minute, true},
			{-1, 7 * time.Minute, false},
		} {
			t.Run(fmt.Sprintf("%.12s/%d/%v", how, tt.rate, tt.pause), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := start(t, limits(server.Limits{MinDataRate: tt.rate, DataTimeout: 5 * time.Minute}))
					p := s.hello()
					p.begin(how)
					if strings.HasPrefix(how, "BDAT 1\n") {
						p.expect("250")
					}
					const watch = 21 * time.Minute // four windows
					go p.drip(strings.Repeat("x", int(watch/tt.pause)), tt.pause)
					p.SetReadDeadline(time.Now().Add(watch - time.Second))
					text, after := p.silence()
					if lives := after >= watch-time.Second; lives != tt.lives || !lives && !strings.HasPrefix(text, "421 4.4.2 ") {
						t.Errorf("after %v: %q", after, text)
					}
					p.end()
				})
			})
		}
	}
}

// A refused body is no better a place to hold a connection.
func TestRefusedDataDrips(t *testing.T) {
	for _, send := range []string{transaction + "DATA\n", transaction + "BDAT 1000000 LAST\n", "BDAT 1000000\n"} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t)
			s.data = func(context.Context, *server.Body) (smtp.Reply, error) {
				return smtp.Reply{}, smtp.Reject(554, smtp.Enhanced{}, "no")
			}
			p := s.hello()
			p.send(send)
			go p.drip(strings.Repeat("x", 1000000), time.Second)
			text, after := p.silence()
			if !strings.HasSuffix(text, "421 4.4.2 data came too slowly\r\n") {
				t.Errorf("%q", text)
			}
			between(t, after, 3*time.Minute, 6*time.Minute)
			p.end()
		})
	}
}

// After a pause between chunks, which is the command's time, the next chunk is
// judged by itself.
func TestChunksAreJudgedOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		p := s.hello()
		p.begin("BDAT 1\n")
		p.raw("x")
		p.expect("250")
		for range 10 {
			time.Sleep(4 * time.Minute)
			p.send("BDAT 30000\n")
			p.drip(strings.Repeat("x", 30000), time.Second/150)
			p.expect("250")
		}
		p.send("BDAT 0 LAST\n")
		p.expect("250 2.0.0 message accepted")
	})
}

// A chunk that ends in time for its own window does not begin everything anew, be
// the message refused or not.
func TestChunksWithinTheirWindowsDrip(t *testing.T) {
	for _, tt := range []struct{ begin, before, behind string }{
		{"BDAT 1\nx", "BDAT 2\r\nx", "x"},
		{"BDAT 6\nrefuse", "BDAT 2\r\nx", "x"},
		{"BDAT 6\nrefuse", "BDAT 2\r\nxx", ""},
		{"BDAT 6\nrefuse", "", "BDAT 0\r\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t)
			s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
				first := make([]byte, 6)
				if io.ReadFull(b, first); string(first) == "refuse" {
					return smtp.Reply{}, smtp.Reject(554, smtp.Enhanced{}, "no")
				}
				_, err := io.Copy(io.Discard, b)
				return smtp.Reply{}, err
			}
			p := s.hello()
			p.send(transaction + tt.begin)
			for range 3 {
				p.reply()
			}
			go func() {
				for range 10 {
					io.WriteString(p.Conn, tt.before)
					time.Sleep(170 * time.Second)
					io.WriteString(p.Conn, tt.behind)
				}
			}()
			text, after := p.silence()
			if !strings.HasSuffix(text, "421 4.4.2 data came too slowly\r\n") {
				t.Errorf("%q: %q", tt, text)
			}
			between(t, after, 3*time.Minute, 9*time.Minute)
			p.end()
		})
	}
}

// What the handler takes is not the client's fault.
func TestSlowHandlerIsNotASlowClient(t *testing.T) {
	for _, how := range datas {
		synctest.Test(t, func(t *testing.T) {
			s := start(t)
			s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
				for range 10 {
					if _, err := io.ReadFull(b, make([]byte, 100)); err != nil {
						t.Error(err)
						return smtp.Reply{}, err
					}
					time.Sleep(10 * time.Minute)
				}
				return smtp.Reply{Code: 250, Text: "read on"}, nil
			}
			p := s.hello()
			p.begin(how)
			for range 10 {
				p.send(strings.Repeat("x", 98) + "\n")
				synctest.Wait()
				time.Sleep(10 * time.Minute)
			}
			p.Close()
		})
	}
}

func TestHandshakeTimeout(t *testing.T) {
	for _, implicit := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, withTLS)
			p := s.dial()
			if implicit {
				l := s.serveTLS()
				conn, err := l.Dial(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				p = newPeer(t, conn)
			} else {
				p.expect("220")
				p.do("EHLO x.example", "250")
				p.do("STARTTLS", "220")
			}
			go p.drip("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"+strings.Repeat("x", 200), time.Second)
			_, after := p.silence()
			between(t, after, time.Minute, time.Minute+time.Second)
			p.end()
			if events := s.events.take(); !strings.Contains(events, server.TLSFailed.String()) {
				t.Errorf("events: %s", events)
			}
		})
	}
}

// A client that reads nothing is given up after a while.
func TestWriteTimeout(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, withTLS, limits(server.Limits{MaxIdleChat: -1}))
			var reason error
			s.close = func(err error) { reason = err }
			p := s.hello()
			if encrypted {
				p.startTLS()
			}
			start := time.Now()
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					if _, err := io.WriteString(p.Conn, strings.Repeat("NOOP\r\n", 1000)); err != nil {
						return
					}
				}
			}()
			<-done // the server has gone
			between(t, time.Since(start), 2*time.Minute, 5*time.Minute+5*time.Second)
			p.Close()
			s.stop()
			if reason == nil {
				t.Error("Close without a reason")
			}
		})
	}
}

// A connection that does not shake hands holds up nobody.
func TestHandshakesRunSideBySide(t *testing.T) {
	s := start(t, withTLS)
	l := s.serveTLS()
	for range 3 {
		conn, err := l.Dial(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	conn, err := l.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, tls.Client(conn, clientTLS))
	p.expect("220")
	p.do("QUIT", "221")
}
