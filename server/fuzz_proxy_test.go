package server_test

import (
	"context"
	"net"
	"testing"

	"github.com/postrider/postrider/server"
)

// FuzzProxy plays arbitrary octets behind a ProxyListener: without a good
// header nothing is said and no session begins, with one there is a session of
// an address that makes sense.
func FuzzProxy(f *testing.F) {
	for _, h := range goodHeaders {
		f.Add([]byte(h.header+"EHLO client.example\r\nQUIT\r\n"), byte(255))
		f.Add([]byte(h.header), byte(1))
	}
	f.Add([]byte(sent4+"GET / HTTP/1.1\r\n"), byte(255))
	for _, h := range badHeaders {
		f.Add([]byte(h.octets), byte(7))
	}
	f.Fuzz(func(t *testing.T, octets []byte, pieces byte) {
		var a *arena
		var info *server.Info
		failed := false
		a = newArena(t, func(s *server.Server) {
			trusting("127.0.0.1/32")(&testServer{Server: s})
			observer, handler := s.Observer, s.Handler
			s.Observer = server.ObserverFunc(func(e server.Event) {
				if observer.Observe(e); e.Kind == server.ProxyFailed {
					failed = true
					a.ended <- struct{}{}
				}
			})
			s.Handler = server.HandlerFunc(func(ctx context.Context, c *server.Conn) (server.Session, error) {
				i := c.Info()
				info = &i
				return handler.NewSession(ctx, c)
			})
		})
		l := &queue{conns: make(chan net.Conn), done: make(chan struct{})}
		served := make(chan error, 1)
		go func() { served <- a.Serve(a.ProxyListener(l)) }()
		c := &played{left: octets, pieces: max(int(pieces), 1)}
		l.conns <- c
		<-a.ended
		a.Close()
		<-served
		if failed != (info == nil) || failed && c.got.Len() > 0 {
			t.Fatalf("the header failed: %v; session: %v; said: %q", failed, info, c.got.String())
		}
		if failed {
			return
		}
		if c.got.Len() > 0 { // nothing is said to clients of other protocols
			wellFormed(t, c.got.String())
		}
		switch tcp, ok := info.RemoteAddr.(*net.TCPAddr); {
		case !ok, !tcp.AddrPort().IsValid(), info.ProxyAddr != nil && tcp.AddrPort().Addr().Is4In6():
			t.Errorf("the client is %v", info.RemoteAddr)
		case info.ProxyAddr == nil && tcp.String() != c.RemoteAddr().String():
			t.Errorf("the client is %v and not the peer", tcp)
		}
	})
}
