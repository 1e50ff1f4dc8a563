package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/postrider/postrider/server"
)

// A server behind HAProxy ("send-proxy" or "send-proxy-v2" in its
// configuration): handlers see the client's address.
func ExampleServer_ProxyListener() {
	srv := &server.Server{
		Hostname: "mx.example",
		Trusted:  []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Handler: server.HandlerFunc(func(ctx context.Context, c *server.Conn) (server.Session, error) {
			fmt.Println("a connection from", c.RemoteIP())
			return discard.NewSession(ctx, c)
		}),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go srv.Serve(srv.ProxyListener(l))
	defer srv.Shutdown(context.Background())
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	io.WriteString(conn, "PROXY TCP4 192.0.2.7 198.51.100.25 40000 25\r\n") // as the proxy does it
	greeting, _ := bufio.NewReader(conn).ReadString('\n')
	fmt.Print(greeting)
	// Output:
	// a connection from 192.0.2.7
	// 220 mx.example ESMTP
}

// A filter in front of the server says by XCLIENT whom it speaks for, and by
// XFORWARD what is for the log.
func Example_xclient() {
	srv := &server.Server{
		Hostname: "mx.example",
		Trusted:  []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("192.0.2.0/24")},
		Handler: server.HandlerFunc(func(ctx context.Context, c *server.Conn) (server.Session, error) {
			fmt.Printf("a session for %v, named %q\n", c.RemoteIP(), c.Info().ClientName)
			return discard.NewSession(ctx, c)
		}),
	}
	converse(srv, "XCLIENT NAME=client.example ADDR=192.0.2.7", "HELO client.example", "XFORWARD IDENT=4bZx", "QUIT")
	// Output:
	// a session for 127.0.0.1, named ""
	// S: 220 mx.example ESMTP
	// C: XCLIENT NAME=client.example ADDR=192.0.2.7
	// a session for 192.0.2.7, named "client.example"
	// S: 220 mx.example ESMTP
	// C: HELO client.example
	// S: 250 mx.example
	// C: XFORWARD IDENT=4bZx
	// S: 250 2.0.0 OK
	// C: QUIT
	// S: 221 2.0.0 bye
}
