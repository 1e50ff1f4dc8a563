package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// trusting makes a server trust these networks.
func trusting(networks ...string) func(*testServer) {
	return func(s *testServer) {
		for _, n := range networks {
			s.Trusted = append(s.Trusted, netip.MustParsePrefix(n))
		}
	}
}

// proxied adds a listener whose connections come through a proxy.
func (s *testServer) proxied() *memnet.Listener {
	l := memnet.Listen()
	s.serve(s.ProxyListener(l))
	return l
}

// via connects to another listener than the server's first.
func (s *testServer) via(l *memnet.Listener) *peer {
	s.t.Helper()
	conn, err := l.Dial(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	return newPeer(s.t, conn)
}

func TestProxyUntrusted(t *testing.T) {
	for _, networks := range [][]string{
		{"192.0.2.0/24"},
		{"126.0.0.0/8", "128.0.0.0/8", "::1/128"},
		{"::/0"}, // IPv6 only
	} {
		s := start(t, trusting(networks...))
		p := s.via(s.proxied())
		p.closed() // it is not even read
		s.stop()
		s.shut(t, "is not in Trusted")
	}
	s := start(t)
	if err := s.Serve(s.ProxyListener(memnet.Listen())); err == nil || !strings.Contains(err.Error(), "ProxyListener without Trusted") {
		t.Errorf("Serve: %v", err)
	}
	bad := &server.Server{Handler: s.backend, Trusted: []netip.Prefix{{}}}
	if err := bad.Serve(bad.ProxyListener(memnet.Listen())); err == nil || !strings.Contains(err.Error(), "invalid network") {
		t.Errorf("Serve: %v", err)
	}
	if err := new(server.Server).ProxyListener(memnet.Listen()); err == nil {
		t.Error("no listener")
	} else if _, err := err.Accept(); err == nil || !strings.Contains(err.Error(), "Handler") {
		t.Errorf("Accept: %v", err)
	}
}

// A header has five seconds, and octets that drip buy no more.
func TestProxyTimeout(t *testing.T) {
	for _, tt := range []struct {
		limit, want time.Duration
		drip        string
	}{
		{0, 5 * time.Second, ""},
		{0, 5 * time.Second, sent4},
		{0, 5 * time.Second, header2(1, 0x21, strings.Repeat("x", 36))},
		{time.Minute, time.Minute, "PROXY"},
		{-1, 0, sent4},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := start(t, trusting("127.0.0.1/32"), limits(server.Limits{ProxyTimeout: tt.limit}))
			p := s.via(s.proxied())
			go p.drip(tt.drip, time.Second)
			if tt.want == 0 {
				p.expect("220 ")
				p.end()
				return
			}
			text, after := p.silence()
			want(t, "text", text, "")
			want(t, "time", after, tt.want)
			s.stop()
			s.shut(t, "i/o timeout")
			p.end()
		})
	}
}

// A proxy that is slow holds up nobody else, nor Shutdown for long.
func TestProxyIsAwaitedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, trusting("127.0.0.1/32"))
		l := s.proxied()
		slow := s.via(l)
		p := s.via(l)
		p.raw(sent4)
		p.expect("220")
		began := time.Now()
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		want(t, "time", time.Since(began), 5*time.Second)
		p.expect("421")
		slow.closed()

		s = start(t, trusting("127.0.0.1/32"), limits(server.Limits{MaxConns: 1}))
		l = s.proxied()
		slow, p = s.via(l), s.via(l)
		text, after := p.silence() // one too many, and no header yet
		want(t, "text", text, "")
		want(t, "time", after, 0)
		s.Close()
		slow.closed()
	})
}

// Connections are counted by the address in the header.
func TestProxyMaxConnsPerIP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, trusting("127.0.0.1/32"), limits(server.Limits{MaxConnsPerIP: 1}))
		l := s.proxied()
		through := func(header, reply string) *peer {
			p := s.via(l)
			p.raw(header)
			p.expect(reply)
			return p
		}
		first := through(sent4, "220")
		through(header2(1, 0x21, block("[::ffff:192.0.2.7]:40001", "[::ffff:198.51.100.1]:25")), "421 too many connections from your address").closed()
		through("PROXY TCP4 192.0.2.8 198.51.100.1 40000 25\r\n", "220")
		first.do("QUIT", "221")
		first.closed()
		synctest.Wait()
		through(sent4, "220")
		for range 3 { // a trusted client speaks for others
			s.hello()
		}
		through("PROXY UNKNOWN\r\n", "220") // whoever is behind an unknown address does not
		through("PROXY UNKNOWN\r\n", "421")
	})
}

// fromAddr is a listener whose connections come from an address.
type fromAddr struct {
	net.Listener
	addr net.Addr
}

type fromConn struct {
	net.Conn
	addr net.Addr
}

func (l fromAddr) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return fromConn{c, l.addr}, err
}

func (c fromConn) RemoteAddr() net.Addr { return c.addr }

// Loopback is where both the peer and whoever it speaks for are.
func TestProxyAndLoopback(t *testing.T) {
	near := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}
	far := &net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1"), Port: 1}
	unix := &net.UnixAddr{Net: "unix"}
	for _, tt := range []struct {
		peer   net.Addr
		header string
		auth   bool
	}{
		{near, "PROXY TCP4 127.0.0.1 127.0.0.1 1 1\r\n", true},
		{unix, "PROXY TCP6 ::1 ::1 1 1\r\n", true},
		{near, "PROXY TCP4 192.0.2.7 127.0.0.1 1 1\r\n", false},
		{far, "PROXY TCP4 127.0.0.1 127.0.0.1 1 1\r\n", false},
		{near, "PROXY UNKNOWN\r\n", false},
		{unix, header2(0, 0, ""), false},
	} {
		s := start(t, withAuth, trusting("127.0.0.0/8", "192.0.2.1/32"))
		l := memnet.Listen()
		s.serve(s.ProxyListener(fromAddr{l, tt.peer}))
		p := s.via(l)
		p.raw(tt.header)
		p.expect("220")
		p.send("EHLO client.example\n")
		r, _ := p.reply()
		want(t, fmt.Sprintf("AUTH for %q from %v", tt.header, tt.peer), strings.Contains(r, "AUTH PLAIN"), tt.auth)
	}
}

// Somebody else's loopback is not ours, however many stand between: it is neither
// trusted nor does it let passwords come in the clear.
func TestLoopbackOfAnotherMachine(t *testing.T) {
	near := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}
	far := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
	const (
		fromNear = "PROXY TCP4 127.0.0.1 127.0.0.1 1 1\r\n"
		fromFar  = "PROXY TCP4 192.0.2.1 127.0.0.1 1 1\r\n"
	)
	for _, tt := range []struct {
		peer            net.Addr
		header, xclient string
		ours            bool
	}{
		{near, fromNear, "", true},
		{near, fromNear, "XCLIENT ADDR=127.0.0.2", true},
		{near, fromFar, "XCLIENT ADDR=127.0.0.1", false},
		{near, fromFar, "XCLIENT ADDR=192.0.2.1\nXCLIENT ADDR=127.0.0.1", false},
		{far, fromNear, "", false},
		{far, fromFar, "XCLIENT ADDR=IPV6:::1", false},
	} {
		s := start(t, withAuth, trusting("127.0.0.0/8", "::1/128", "192.0.2.1/32"))
		l := memnet.Listen()
		s.serve(s.ProxyListener(fromAddr{l, tt.peer}))
		p := s.via(l)
		p.raw(tt.header)
		p.expect("220")
		for line := range strings.Lines(tt.xclient) {
			p.do(strings.TrimSpace(line), "220")
		}
		p.send("EHLO client.example\n")
		r, _ := p.reply()
		what := fmt.Sprintf(" after %q from %v, %q", tt.header, tt.peer, tt.xclient)
		want(t, "AUTH"+what, strings.Contains(r, "AUTH PLAIN"), tt.ours)
		want(t, "XCLIENT"+what, strings.Contains(r, "XCLIENT"), tt.ours)
	}
}

// A client that sends a header where none is awaited is sent away with what it
// says behind it.
func TestProxyHeaderOnAnOrdinaryListener(t *testing.T) {
	s := start(t, trusting("127.0.0.1/32"))
	for _, header := range []string{sent4, header2(1, 0x11, block("192.0.2.7:40000", "198.51.100.1:25")) + "\r\n"} {
		p := s.dial()
		p.raw(header + "EHLO client.example\r\n")
		p.expect("220")
		p.closed()
		s.stop()
		if text := s.log.take(); !strings.Contains(text, "protocol=PROXY") {
			t.Errorf("the log: %s", text)
		}
		s = start(t, trusting("127.0.0.1/32"))
	}
}

// Who talks behind the header before the greeting talks early; what stands in
// one group with XCLIENT does not.
func TestProxyAndEarlyTalkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, trusting("127.0.0.1/32", "192.0.2.7/32"), func(s *testServer) { s.EarlyTalker = server.EarlyRefuse })
		l := s.proxied()
		p := s.via(l)
		p.raw(sent4 + "EHLO client.example\r\n")
		p.expect("554")
		p = s.via(l)
		p.raw(sent4)
		p.expect("220")
		p.send("XCLIENT ADDR=192.0.2.8\nEHLO client.example\n")
		p.expect("220", "250")
	})
}

// What Accept returns is of use without a Server too.
func TestProxyListenerAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, trusting("127.0.0.1/32"))
		inner := memnet.Listen()
		l := s.ProxyListener(inner)
		accepted := make(chan net.Conn)
		go func() {
			c, _ := l.Accept()
			accepted <- c
		}()
		p := s.via(inner)
		c := <-accepted
		defer c.Close()
		go func() {
			p.raw(sent4)
			time.Sleep(time.Minute)
			p.raw("x")
		}()
		want(t, "local address", c.LocalAddr().String(), "198.51.100.1:25")
		want(t, "remote address", c.RemoteAddr().String(), "192.0.2.7:40000")
		var b [2]byte
		n, err := c.Read(b[:])
		want(t, "read", string(b[:n]), "x")
		want(t, "error", err, nil)
		if _, err := c.Write([]byte("220 \r\n")); err != nil {
			t.Error(err)
		}
		p.expect("220")
	})
}

// A connection that waits behind a proxy holds no buffer, as any other.
func TestProxyIdleConnectionsAreCheap(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there every connection that waits holds one")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, trusting("127.0.0.1/32"), limits(server.Limits{MaxConnsPerIP: -1}))
	s.serve(s.ProxyListener(l))
	heap := func() uint64 {
		var m runtime.MemStats
		for range 3 { // a buffer that is pooled survives one
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const n = 200
	before := heap()
	for range n {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		p := newPeer(t, conn)
		p.r = bufio.NewReaderSize(p, 32)
		p.raw(sent4)
		p.expect("220")
	}
	if each := (int64(heap()) - int64(before)) / n; each > 8<<10 {
		t.Errorf("%d octets for each connection", each)
	}
}

// covered hides what lies beneath it.
type covered struct{ net.Listener }

func (l covered) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return struct{ net.Conn }{c}, err
}

// A listener of the application's on top of ours gives nothing away.
func TestProxyUnderAnotherListener(t *testing.T) {
	s := start(t, trusting("127.0.0.1/32"))
	l := memnet.Listen()
	s.serve(covered{s.ProxyListener(l)})
	p := s.via(l)
	p.raw(sent4)
	p.expect("220")
	p.send(transaction + "DATA\nx\n.\n")
	p.expect("503")
	p = s.via(l)
	p.send("EHLO client.example\n")
	p.closed()
}

// Over sockets of the system: the last reply arrives, a unix socket is loopback.
func TestProxyOverSockets(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(t.TempDir(), "s")
		}
		l, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		s := start(t, trusting("127.0.0.1/32"), limits(server.Limits{MaxErrors: 1}))
		var client atomic.Pointer[server.Conn]
		s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
			_, err := io.Copy(io.Discard, b)
			return smtp.Reply{Code: 250, Text: "from " + client.Load().RemoteIP().String()}, err
		}
		s.newSession = func(_ context.Context, c *server.Conn) error { client.Store(c); return nil }
		s.serve(s.ProxyListener(l))
		conn, err := net.Dial(network, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		p := newPeer(t, conn)
		p.raw(sent4)
		p.expect("220")
		p.do("EHLO client.example", "250")
		p.send(transaction + "DATA\nx\n.\n")
		p.expect("250", "250", "354", "250 2.0.0 from 192.0.2.7")
		p.send("NONSENSE\nNONSENSE\n" + strings.Repeat("NOOP\n", 1000))
		p.expect("500", "421 4.7.0 too many errors")
	}
}
