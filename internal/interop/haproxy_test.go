//go:build interop

package interop

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// Our server behind HAProxy sees the addresses of the connection between client
// and proxy, by either version of the PROXY protocol: in plaintext, with
// STARTTLS and TLS passed through, and with fields behind the addresses in which
// HAProxy tells of the TLS that it has ended itself.
func TestBehindHAProxy(t *testing.T) {
	certs := newCertificates(t)
	plain, implicit := listenTCP(t), listenTCP(t)
	k := &keeper{Server: server.Server{TLSConfig: certs.server(t), Trusted: loopback}}
	keep(t, k, listenTCP(t))
	k.listen(t, k.ProxyListener(plain), k.Serve)
	k.listen(t, k.ProxyListener(implicit), k.ServeTLS)
	plainPort, implicitPort := port(plain.Addr().String()), port(implicit.Addr().String())

	ways := []haproxyWay{
		{name: "v1", server: plainPort, options: "send-proxy"},
		{name: "v2", server: plainPort, options: "send-proxy-v2"},
		{name: "v2-options", server: plainPort, options: "send-proxy-v2 proxy-v2-options crc32c,unique-id,authority"},
		{name: "v1-implicit", server: implicitPort, options: "send-proxy"},
		{name: "v2-implicit", server: implicitPort, options: "send-proxy-v2"},
		{name: "v2-ended-tls", server: plainPort, options: "send-proxy-v2-ssl-cn",
			bind: "ssl crt /etc/tls/both.pem ca-file /etc/tls/ca.pem verify optional"},
	}
	startHAProxy(t, certs, ways)
	for _, test := range []struct {
		way, with string
		mode      client.TLSMode
	}{
		{"v1", "ESMTP", client.Plaintext},
		{"v1", "ESMTPS", client.StartTLSRequired},
		{"v2", "ESMTP", client.Plaintext},
		{"v2", "ESMTPS", client.StartTLSRequired},
		{"v2-options", "ESMTP", client.Plaintext},
		{"v1-implicit", "ESMTPS", client.ImplicitTLS},
		{"v2-implicit", "ESMTPS", client.ImplicitTLS},
		{"v2-ended-tls", "ESMTP", client.ImplicitTLS},
	} {
		t.Run(test.way+"/"+test.with, func(t *testing.T) {
			var here, there net.Addr
			c := &client.Client{TLSMode: test.mode, TLSConfig: certs.client(t), Timeouts: client.EveryTimeout(30 * time.Second),
				Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
					d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 25)}}
					nc, err := d.DialContext(ctx, network, addr)
					if err == nil {
						here, there = nc.LocalAddr(), nc.RemoteAddr()
					}
					return nc, err
				}}
			defer c.Close()
			for _, w := range ways {
				if w.name == test.way {
					c.Addr = address(w.port)
				}
			}
			subject := "haproxy " + test.way + " " + test.with
			msg := message(subject)
			if _, err := c.Send(t.Context(), newEnvelope(t, one), smtp.BytesContent(msg)); err != nil {
				t.Fatal(err)
			}
			got := k.message(t, subject)
			sameBytes(t, got.data, msg)
			if got.RemoteAddr.String() != here.String() || got.LocalAddr.String() != there.String() {
				t.Errorf("the server says %v to %v, the client %v to %v", got.RemoteAddr, got.LocalAddr, here, there)
			}
			if got.Protocol() != test.with {
				t.Errorf("received with %s", got.Protocol())
			}
		})
	}
}

// HAProxy checks the server with connections of its own (LOCAL in version 2,
// UNKNOWN in version 1), and finds it up.
func TestHAProxyHealthCheck(t *testing.T) {
	proxied := listenTCP(t)
	k := &keeper{Server: server.Server{Trusted: loopback}}
	keep(t, k, listenTCP(t))
	k.listen(t, k.ProxyListener(proxied), k.Serve)
	behind := port(proxied.Addr().String())
	p := startHAProxy(t, newCertificates(t), []haproxyWay{
		{name: "v1", server: behind, options: "check inter 200 fall 1 send-proxy\n    option smtpchk EHLO v1.example.org"},
		{name: "v2", server: behind, options: "check inter 200 fall 1 send-proxy-v2\n    option smtpchk EHLO v2.example.org"},
	})
	p.eventually(t, "checks that succeed", func() bool {
		out := p.out.String()
		return strings.Contains(out, "out-v1/keeper succeeded, reason: Layer7 check passed, code: 221") &&
			strings.Contains(out, "out-v2/keeper succeeded, reason: Layer7 check passed, code: 221")
	})
}

// From an address that is not trusted the header is no header: the connection is
// closed without a word.
func TestHAProxyNotTrusted(t *testing.T) {
	proxied := listenTCP(t)
	k := &keeper{Server: server.Server{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}}
	keep(t, k, listenTCP(t))
	k.listen(t, k.ProxyListener(proxied), k.Serve)
	ways := []haproxyWay{{name: "v2", server: port(proxied.Addr().String()), options: "send-proxy-v2"}}
	startHAProxy(t, newCertificates(t), ways)
	if c, err := client.Dial(t.Context(), "tcp", address(ways[0].port), &client.ConnConfig{Timeouts: client.EveryTimeout(eventTime)}); err == nil {
		c.Close()
		t.Errorf("greeted with %s", c.Greeting())
	}
}
