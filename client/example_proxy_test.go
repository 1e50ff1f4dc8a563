package client_test

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/proxy"

	"github.com/postrider/postrider/client"
)

// Through a SOCKS5 proxy, by golang.org/x/net/proxy. It is the proxy that looks
// up the name, and the name that the certificate is for.
func ExampleClient_socks() {
	s := start()
	defer s.Close()
	socks := newRelay("mail.example.com:587", s.Addr, socks) // in place of a real one
	defer socks.Close()

	dialer, err := proxy.SOCKS5("tcp", socks.Addr().String(), nil, nil)
	if err != nil {
		log.Fatal(err)
	}
	c := &client.Client{
		Addr:      "mail.example.com:587",
		TLSConfig: s.ClientTLSConfig(),
		Dial:      dialer.(proxy.ContextDialer).DialContext,
	}
	defer c.Close()
	res, err := c.Send(context.Background(), env, content)
	fmt.Println(res.Delivered(), err, s.Messages()[0].TLS)
	// Output: 2 <nil> true
}

// Through an HTTP proxy.
func ExampleClient_httpConnect() {
	s := start()
	defer s.Close()
	proxy := newRelay("mail.example.com:587", s.Addr, connect) // in place of a real one
	defer proxy.Close()

	c := &client.Client{
		Addr:      "mail.example.com:587",
		TLSConfig: s.ClientTLSConfig(),
		Dial:      dialCONNECT(proxy.Addr().String()),
	}
	defer c.Close()
	res, err := c.Send(context.Background(), env, content)
	fmt.Println(res.Delivered(), err, s.Messages()[0].TLS)
	// Output: 2 <nil> true
}

// dialCONNECT returns a Client.Dial that goes through the HTTP proxy at addr.
func dialCONNECT(addr string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, target string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
		defer stop()
		fmt.Fprintf(nc, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", target)
		in := bufio.NewReader(nc)
		resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodConnect})
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("the proxy says %s", resp.Status)
		}
		if err != nil {
			nc.Close()
			return nil, err
		}
		return &tunnel{nc, in}, nil
	}
}

// A tunnel begins with what came together with the proxy's answer: the greeting.
type tunnel struct {
	net.Conn
	in *bufio.Reader
}

func (t *tunnel) Read(p []byte) (int, error) { return t.in.Read(p) }
