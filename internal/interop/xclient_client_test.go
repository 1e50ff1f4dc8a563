//go:build interop

package interop

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// dial connects our client to a server in plaintext and says EHLO or LHLO.
func dial(t *testing.T, network, addr string, lmtp bool) *client.Conn {
	t.Helper()
	c, err := client.Dial(t.Context(), network, addr, &client.ConnConfig{LMTP: lmtp, Timeouts: client.EveryTimeout(30 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	hello(t, c)
	return c
}

func hello(t *testing.T, c *client.Conn) {
	t.Helper()
	if err := c.Hello(t.Context(), "said.example.com"); err != nil {
		t.Fatal(err)
	}
}

func quit(t *testing.T, c *client.Conn) {
	t.Helper()
	if err := c.Quit(t.Context()); err != nil {
		t.Error(err)
	}
}

// Postfix believes what our client says by XCLIENT, and writes it into its log
// and the Received field.
func TestXClientToPostfix(t *testing.T) {
	certs := newCertificates(t)
	s := startPostfixWith(t, certs, `
inet_protocols = all
smtpd_authorized_xclient_hosts = 127.0.0.0/8
smtpd_client_port_logging = yes
`, "")
	long := strings.Repeat("a.", 110) + "example.com"
	for _, test := range []struct {
		name     string
		x        smtp.XClient
		received string
		log      string
	}{
		{"ipv4", smtp.XClient{Name: "client.example.com", Addr: "192.0.2.7", Port: "4711", Helo: "said.example.com", Proto: "ESMTP"},
			"from said.example.com (client.example.com [192.0.2.7])", "client=client.example.com[192.0.2.7]:4711"},
		{"ipv6", smtp.XClient{Name: smtp.XUnavailable, Addr: "2001:db8::7", Port: "4712"},
			"from said.example.com (unknown [IPv6:2001:db8::7])", "client=unknown[2001:db8::7]:4712"},
		{"login", smtp.XClient{Name: "client.example.com", Addr: "192.0.2.8", Port: "4713", Login: "al+ice=x"},
			"from said.example.com (client.example.com [192.0.2.8])", "client=client.example.com[192.0.2.8]:4713, sasl_method=XCLIENT, sasl_username=al+ice=x"},
		{"long", smtp.XClient{Name: "b." + long, Addr: "192.0.2.9", Port: "4714", Helo: long, Login: "alice", Proto: "ESMTP"},
			"[192.0.2.9])", "client=b." + long + "[192.0.2.9]:4714, sasl_method=XCLIENT, sasl_username=alice"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := dial(t, "tcp", address(s.plain), false)
			if err := c.XClient(t.Context(), test.x); err != nil {
				t.Fatal(err)
			}
			hello(t, c)
			subject := "xclient " + test.name
			msg := message(subject)
			if _, err := c.Send(t.Context(), newEnvelope(t, one), smtp.BytesContent(msg)); err != nil {
				t.Fatal(err)
			}
			quit(t, c)
			got := s.delivered(t, "one", subject)
			sameBytes(t, withCRLF(t, original(t, got)), msg)
			if !bytes.Contains(got, []byte(test.received)) {
				t.Errorf("not %q:\n%.900s", test.received, got)
			}
			s.logged(t, test.log)
		})
	}
}

// Dovecot takes XCLIENT with LMTP, of which it offers its own choice of
// attributes.
func TestXClientToDovecot(t *testing.T) {
	d := startDovecot(t, newCertificates(t), dovecotOptions{trusted: "127.0.0.0/8"})
	c := dial(t, "tcp", address(d.lmtp), true)
	err := c.XClient(t.Context(), smtp.XClient{Name: "client.example.com", Addr: "192.0.2.7", Port: "4711", Helo: "said.example.com", Proto: "ESMTP", Login: user})
	if err != nil {
		t.Fatal(err)
	}
	hello(t, c)
	const subject = "xclient"
	msg := message(subject)
	if _, err := c.Send(t.Context(), newEnvelope(t, one), smtp.BytesContent(msg)); err != nil {
		t.Fatal(err)
	}
	quit(t, c)
	got := d.delivered(t, one, subject)
	sameBytes(t, original(t, got), msg)
	if !bytes.Contains(got, []byte("from said.example.com ([192.0.2.7])")) {
		t.Errorf("%.600s", got)
	}
}

// Our server is a content filter in front of Postfix's queue, as Postfix's
// SMTPD_PROXY_README describes it: Postfix speaks to it while its own client
// waits, with XFORWARD, and our client gives the message back to another port of
// Postfix, with the same XFORWARD.
func TestBeforeQueueFilter(t *testing.T) {
	l := listenTCP(t)
	front, back := freePort(t), freePort(t)
	s := startPostfixWith(t, newCertificates(t), "local_header_rewrite_clients =\n", fmt.Sprintf(`
127.0.0.1:%d inet n - n - - smtpd
    -o smtpd_proxy_filter=%s -o smtpd_authorized_xclient_hosts=127.0.0.0/8
127.0.0.1:%d inet n - n - - smtpd
    -o smtpd_authorized_xforward_hosts=127.0.0.0/8
`, front, l.Addr(), back))
	forwarded := make(chan smtp.XForward, 1)
	filter := &server.Server{Trusted: loopback, Hostname: "filter.example.com",
		Handler: server.Deliver(func(ctx context.Context, m *server.Message) (smtp.Reply, error) {
			came := m.Conn.Info().Forwarded
			forwarded <- came
			c, err := client.Dial(ctx, "tcp", address(back), &client.ConnConfig{Timeouts: client.EveryTimeout(30 * time.Second)})
			if err != nil {
				return smtp.Reply{}, err
			}
			defer c.Close()
			if err := c.Hello(ctx, "filter.example.com"); err != nil {
				return smtp.Reply{}, err
			}
			if err := c.XForward(ctx, came); err != nil {
				return smtp.Reply{}, err
			}
			res, err := c.Send(ctx, m.Envelope, smtp.ReaderContent(m))
			if err != nil {
				return smtp.Reply{}, err
			}
			return res.Recipients[0].Reply, c.Quit(ctx)
		})}
	k := &keeper{} // for its way of serving
	k.listen(t, l, filter.Serve)
	t.Cleanup(func() { filter.Close() })

	r := newRoot(t, "tools")
	const subject = "filtered"
	msg := message(subject)
	argv, stdin := swaks(t, r, submission{port: front, from: author, to: []string{one}, message: msg})
	res := run(t, r, stdin, append(argv, "--xclient-addr", "192.0.2.7", "--xclient-name", "client.example.com", "--xclient-port", "4711")...)
	if res.code != 0 {
		t.Fatal(res)
	}
	got := s.delivered(t, "one", subject)
	sameBytes(t, withCRLF(t, original(t, got)), msg)
	came := <-forwarded
	if want := (smtp.XForward{Name: "client.example.com", Addr: "192.0.2.7", Port: "4711", Proto: "ESMTP", Helo: "swaks.example.org",
		Ident: came.Ident, Source: "REMOTE"}); came != want {
		t.Errorf("Postfix said %+v, want %+v", came, want)
	}
	s.logged(t, "client=localhost[127.0.0.1], orig_client=client.example.com[192.0.2.7]")
	if !bytes.Contains(got, []byte("by filter.example.com")) {
		t.Errorf("not through the filter:\n%.900s", got)
	}
}
