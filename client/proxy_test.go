package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/proxy"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// A relay is a proxy that connects whoever asks for wanted to target, and nobody
// to anything else.
type relay struct {
	net.Listener
	wanted, target string
	serving        sync.WaitGroup
}

func newRelay(wanted, target string, serve func(*relay, net.Conn) error) *relay {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	p := &relay{Listener: ln, wanted: wanted, target: target}
	p.serving.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			p.serving.Go(func() {
				defer nc.Close()
				serve(p, nc)
			})
		}
	})
	return p
}

func (p *relay) Close() error {
	defer p.serving.Wait()
	return p.Listener.Close()
}

// socks speaks as much SOCKS5 as a client without a password needs (RFC 1928).
func socks(p *relay, nc net.Conn) error {
	in := bufio.NewReader(nc)
	head := make([]byte, 3) // version 5, one method: none
	if _, err := io.ReadFull(in, head); err != nil {
		return err
	}
	nc.Write([]byte{5, 0})
	head = make([]byte, 5) // version 5, CONNECT, reserved, a name of so many octets
	if _, err := io.ReadFull(in, head); err != nil || head[1] != 1 || head[3] != 3 {
		return errors.Join(err, errors.ErrUnsupported)
	}
	rest := make([]byte, int(head[4])+2)
	if _, err := io.ReadFull(in, rest); err != nil {
		return err
	}
	name, port := rest[:head[4]], rest[head[4]:]
	addr := fmt.Sprintf("%s:%d", name, int(port[0])<<8|int(port[1]))
	if addr != p.wanted {
		nc.Write([]byte{5, 2, 0, 1, 0, 0, 0, 0, 0, 0}) // not allowed
		return nil
	}
	nc.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	return p.join(nc, in)
}

// connect speaks HTTP CONNECT (RFC 9110 section 9.3.6).
func connect(p *relay, nc net.Conn) error {
	in := bufio.NewReader(nc)
	req, err := http.ReadRequest(in)
	if err != nil {
		return err
	}
	if req.Method != http.MethodConnect || req.Host != p.wanted {
		_, err = io.WriteString(nc, "HTTP/1.1 403 Forbidden\r\n\r\n")
		return err
	}
	io.WriteString(nc, "HTTP/1.1 200 OK\r\n\r\n")
	return p.join(nc, in)
}

func (p *relay) join(nc net.Conn, in io.Reader) error {
	far, err := net.Dial("tcp", p.target)
	if err != nil {
		return err
	}
	p.serving.Go(func() {
		io.Copy(far, in)
		far.(*net.TCPConn).CloseWrite()
	})
	_, err = io.Copy(nc, far)
	nc.Close()
	return errors.Join(err, far.Close())
}

// Mail goes through proxies, in messages large and small, over connections that
// are kept; what a proxy refuses is a failure to dial.
func TestThroughProxies(t *testing.T) {
	for name, kind := range map[string]struct {
		serve func(*relay, net.Conn) error
		dial  func(proxy string) func(context.Context, string, string) (net.Conn, error)
	}{
		"SOCKS5":  {socks, dialSOCKS},
		"CONNECT": {connect, dialCONNECT},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink(t, "PIPELINING")
			p := newRelay("mail.example.com:25", s.Addr, kind.serve)
			defer p.Close()
			dials := 0
			through := kind.dial(p.Addr().String())
			s.Client.Addr = "mail.example.com:25"
			s.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				dials++
				return through(ctx, network, addr)
			}
			large := strings.Repeat("x: .\r\n..\r\n", 50000)
			for _, message := range []string{"A: b\r\n", large, "C: d\r\n"} {
				res, err := s.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte(message)))
				want(t, res, err, "250")
			}
			other := &client.Client{Addr: "mail.example.net:25", Dial: through}
			_, err := other.Send(t.Context(), envelope(t, 1), small)
			var lost *client.ConnError
			var failed *client.SendError
			if !errors.As(err, &lost) || lost.Op != "dial" || !errors.As(err, &failed) || !failed.Temporary() {
				t.Errorf("refused by the proxy: %v", err)
			}
			if got := s.messages(t); len(got) != 3 || got[1] != large || dials != 1 {
				t.Errorf("%d messages over %d connections", len(got), dials)
			}
		})
	}
}

func dialSOCKS(addr string) func(context.Context, string, string) (net.Conn, error) {
	dialer, err := proxy.SOCKS5("tcp", addr, nil, nil)
	if err != nil {
		panic(err)
	}
	return dialer.(proxy.ContextDialer).DialContext
}
