package server_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// goroutine is the name of the one that runs this.
func goroutine() string {
	var head [32]byte
	return strings.Fields(string(head[:runtime.Stack(head[:], false)]))[1]
}

// A connection that is silent for a minute goes on in another goroutine,
// wherever it stands, and nobody notices.
func TestRest(t *testing.T) {
	for _, tt := range []struct{ name, said, wants string }{
		{"between commands", "NOOP\n|NOOP\n|RSET\n", "250|250|250"},
		{"in a command", "NO|OP|\n", "||250"},
		{"in a transaction", "MAIL FROM:<>\n|RCPT TO:<b@example.com>\n|DATA\n|x\n.\n", "250|250|354|250 2.0.0"},
		{"in the data", transaction + "DATA\n|" + strings.Repeat("x", 900) + "|y\n.\n", "250 250 354||250 2.0.0"},
		{"between chunks", transaction + "BDAT 1\nx|BDAT 1 LAST\nx", "250 250 250|250 2.0.0"},
		{"in a chunk", transaction + "BDAT 2\nx|x|BDAT 0 LAST\n", "250 250|250|250 2.0.0"},
		{"in AUTH", "AUTH PLAIN\n|" + b64("\x00"+user+"\x00"+password) + "\n", "334|235"},
		{"too long a line", strings.Repeat("x", 5000) + "|\nNOOP\n", "|500 250"},
	} {
		for _, encrypted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, TLS %v", tt.name, encrypted), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := start(t, withTLS, withAuth)
					p := s.hello()
					if encrypted {
						p.startTLS()
						p.do("EHLO client.example", "250")
					}
					answers := strings.Split(tt.wants, "|")
					for i, said := range strings.Split(tt.said, "|") {
						time.Sleep(time.Minute)
						p.send(said)
						for _, want := range strings.Split(strings.ReplaceAll(answers[i], "250 2.0.0", "250_2.0.0"), " ") {
							if want != "" {
								p.expect(strings.ReplaceAll(want, "_", " "))
							}
						}
					}
					time.Sleep(time.Minute)
					p.do("QUIT", "221")
					p.closed()
				})
			})
		}
	}
}

// The methods of a session run in more than one goroutine, and a panic in the
// second one is survived like any other.
func TestRestIsAnotherGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t)
		var first, second string
		s.newSession = func(context.Context, *server.Conn) error { first = goroutine(); return nil }
		s.mail = func(context.Context, smtp.ReversePath, *smtp.MailParams) (smtp.Reply, error) {
			second = goroutine()
			panic("in MAIL")
		}
		closed := 0
		s.close = func(error) { closed++ }
		p := s.hello()
		time.Sleep(time.Minute)
		want(t, "sessions closed while the connection rests", closed, 0)
		p.do("MAIL FROM:<>", "421")
		p.closed()
		p.Close()
		synctest.Wait()
		want(t, "sessions closed", closed, 1)
		if first == second {
			t.Errorf("both in goroutine %s", first)
		}
		if log := s.log.take(); !strings.Contains(log, "in MAIL") {
			t.Errorf("the log:\n%s", log)
		}
	})
}

// A handler may take exactly as long as HandlerTimeout: then the connection may rest
// before anybody notices that it was late, and ends once it goes on.
func TestLateAtRest(t *testing.T) {
	for range 20 { // both ends of the minute come at once, in either order
		synctest.Test(t, func(t *testing.T) {
			s := start(t, limits(server.Limits{HandlerTimeout: time.Minute}))
			s.mail = func(ctx context.Context, _ smtp.ReversePath, _ *smtp.MailParams) (smtp.Reply, error) {
				ctx.Done()
				time.Sleep(time.Minute)
				return smtp.Reply{}, nil
			}
			p := s.hello()
			p.do("MAIL FROM:<>", "250")
			time.Sleep(time.Minute)
			io.WriteString(p.Conn, "QUIT\r\n")
			if got, err := p.reply(); err != nil || !strings.HasPrefix(got, "221") && !strings.HasPrefix(got, "421") {
				t.Errorf("%q, %v", got, err)
			}
			p.closed()
		})
	}
}

// resting lets sockets rest soon, and nothing else.
func resting(s *testServer) {
	s.sockets = true
	s.RestAfter(10 * time.Millisecond)
}

// A context that is first watched while the client is silent does not take its time for
// the handler's.
func TestDoneWhileTheClientIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, limits(server.Limits{HandlerTimeout: time.Minute}))
		var ctx context.Context
		s.mail = func(c context.Context, _ smtp.ReversePath, _ *smtp.MailParams) (smtp.Reply, error) {
			ctx = c
			return smtp.Reply{}, nil
		}
		p := s.hello()
		p.do("MAIL FROM:<>", "250")
		for range 2 {
			p.do("RCPT TO:<b@example.com>", "250")
			synctest.Wait()
			done := ctx.Done()
			time.Sleep(2 * time.Minute)
			select {
			case <-done:
				t.Error(ctx.Err())
			default:
			}
		}
		p.do("BDAT 0 LAST", "250")
	})
}

// overSockets are the connections that rest without a buffer.
func (s *testServer) overSockets() map[string]func() *peer {
	dial := func(serve func(net.Listener) error, network, addr string, begin func(*peer)) func() *peer {
		return func() *peer {
			l, err := net.Listen(network, addr)
			if err != nil {
				s.t.Fatal(err)
			}
			s.serveWith(serve, l)
			conn, err := net.Dial(network, l.Addr().String())
			if err != nil {
				s.t.Fatal(err)
			}
			p := newPeer(s.t, conn)
			begin(p)
			p.expect("220")
			return p
		}
	}
	plain := func(*peer) {}
	upgrade := func(p *peer) { p.upgrade() }
	return map[string]func() *peer{
		"TCP":  dial(s.Server.Serve, "tcp", "127.0.0.1:0", plain),
		"unix": dial(s.Server.Serve, "unix", filepath.Join(s.t.TempDir(), "s"), plain),
		"TLS":  dial(s.Server.ServeTLS, "tcp", "127.0.0.1:0", upgrade),
	}
}

var stacks [4 << 20]byte // not on the heap, which a test measures

// rested waits until n connections rest.
func rested(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; runtime.Gosched() {
		all := stacks[:runtime.Stack(stacks[:], true)]
		if bytes.Count(all, []byte("wire.(*Input).Rest(")) == n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d connections should rest:\n%s", n, all)
		}
	}
}

// Over real sockets nothing is lost that comes while a connection rests.
func TestRestOverSockets(t *testing.T) {
	for _, kind := range []string{"TCP", "unix", "TLS"} {
		t.Run(kind, func(t *testing.T) {
			s := start(t, withTLS, resting)
			p := s.overSockets()[kind]()
			for range 2 {
				for _, step := range []struct {
					rests      bool // before
					said, want string
				}{
					{true, "EHLO client.example\n", "250"},
					{true, "NO", ""}, {false, "OP\nNOO", "250"}, {true, "P\n", "250"},
					{true, "MAIL FROM:<>\n", "250"}, {true, "RCPT TO:<b@example.com>\n", "250"},
					{true, "DATA\n", "354"}, {false, "x\n.\nNO", "250"}, {true, "OP\n", "250"},
					{true, "MAIL FROM:<>\n", "250"}, {true, "RCPT TO:<b@example.com>\n", "250"},
					{true, "BDAT 1\nx", "250"}, {true, "BDAT 1 LAST\nx", "250"},
				} {
					if step.rests {
						rested(t, 1)
					}
					p.send(step.said)
					if step.want != "" {
						p.expect(step.want)
					}
				}
			}
			want(t, "messages", strings.Join(s.messages(), " "), "x\r\n xx x\r\n xx")
			rested(t, 1)
			if err := s.Server.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			p.expect("421 4.3.2 shutting down")
			p.closed()
		})
	}
}

// Close ends connections that rest.
func TestCloseWhileResting(t *testing.T) {
	s := start(t, withTLS, resting)
	for _, dial := range s.overSockets() {
		dial()
	}
	rested(t, 3)
	s.Server.Close()
	s.Server.Shutdown(context.Background())
	want(t, "sessions closed", strings.Count(s.noted(), "close"), 3)
}

// A client that goes away while its connection rests is noticed at once.
func TestGoneWhileResting(t *testing.T) {
	for _, kind := range []string{"TCP", "unix", "TLS"} {
		t.Run(kind, func(t *testing.T) {
			s := start(t, withTLS, resting)
			gone := make(chan error, 1)
			s.close = func(reason error) { gone <- reason }
			p := s.overSockets()[kind]()
			rested(t, 1)
			p.Close()
			if err := <-gone; err == nil {
				t.Error("closed as after QUIT")
			}
		})
	}
}

// What is a socket, or lies over one in a known way, may rest.
func TestOverSocket(t *testing.T) {
	for _, kind := range []string{"tcp", "unix", "proxy", "pipe", "wrapped", "tunnel"} {
		var nc net.Conn
		switch kind {
		case "pipe":
			nc, _ = net.Pipe()
		default:
			network, addr := "tcp", "127.0.0.1:0"
			if kind == "unix" {
				network, addr = kind, filepath.Join(t.TempDir(), "s")
			}
			l, err := net.Listen(network, addr)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			client, err := net.Dial(network, l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if kind == "proxy" {
				l = (&server.Server{Hostname: "mx.example", Handler: new(backend), Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}).ProxyListener(l)
			}
			if nc, err = l.Accept(); err != nil {
				t.Fatal(err)
			}
		}
		defer nc.Close()
		switch kind {
		case "wrapped":
			nc = struct{ net.Conn }{nc}
		case "tunnel":
			nc = &frailConn{Conn: nc}
		}
		is := kind == "tcp" || kind == "unix" || kind == "proxy"
		want(t, kind, server.OverSocket(nc), is)
		want(t, "TLS over "+kind, server.OverSocket(tls.Server(nc, serverTLS)), is)
	}
	want(t, "itself without end", server.OverSocket(endless{}), false)
}

// endless is TLS over itself.
type endless struct{ net.Conn }

func (endless) ConnectionState() (s tls.ConnectionState) { return s }
func (c endless) NetConn() net.Conn                      { return c }

// A frailConn reads nothing more after a Read that timed out.
type frailConn struct {
	net.Conn
	err error
}

func (c *frailConn) Read(p []byte) (n int, err error) {
	if c.err == nil {
		n, c.err = c.Conn.Read(p)
	}
	return n, c.err
}

// NetConn says that there is something beneath, as tunnels do.
func (c *frailConn) NetConn() net.Conn { return new(net.TCPConn) }

type frailListener struct{ *memnet.Listener }

func (l frailListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &frailConn{Conn: nc}, nil
}

// Nobody knows what other people's connections are after a timeout: these have
// none before the client has used up its time.
func TestNoRestWithoutSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen()
		srv := &server.Server{Hostname: "mx.example", Handler: new(backend)}
		go srv.Serve(frailListener{l})
		nc, err := l.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p := newPeer(t, nc)
		p.expect("220")
		for range 3 {
			time.Sleep(4 * time.Minute)
			p.do("NOOP", "250")
		}
		p.do("QUIT", "221")
		srv.Shutdown(t.Context())
	})
}

// The longest time there is means no limit, as a negative one does.
func TestLongestTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, socket := range []bool{true, false} {
			const most = math.MaxInt64
			l := memnet.Listen()
			srv := &server.Server{Hostname: "mx.example", Handler: new(backend), Limits: server.Limits{
				CommandTimeout: most, DataTimeout: most, WriteTimeout: most, HandlerTimeout: most,
			}}
			if socket {
				srv.RestAnyhow()
			}
			go srv.Serve(l)
			nc, err := l.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			p := newPeer(t, nc)
			p.expect("220")
			time.Sleep(time.Hour)
			p.do("EHLO client.example", "250")
			time.Sleep(20 * time.Hour)
			p.send(transaction)
			p.expect("250", "250")
			p.do("DATA", "354")
			time.Sleep(time.Hour)
			p.send("x\n.\n")
			p.expect("250 2.0.0")
			p.do("QUIT", "221")
			srv.Shutdown(t.Context())
		}
	})
}
