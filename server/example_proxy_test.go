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
