package client_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// What the server said decides, whatever becomes of the connection behind it.
func TestRefusalBeforeTheConnectionIsLost(t *testing.T) {
	for _, test := range []struct {
		script string
		warm   bool
		lmtp   bool
	}{
		{script: "mail-refused-close"},
		{script: "warm-mail-refused-close", warm: true},
		{script: "warm-rcpt-refused-close", warm: true},
		{script: "mail-refused-354-close"},
		{script: "lmtp-mail-refused-354", lmtp: true},
	} {
		t.Run(test.script, func(t *testing.T) {
			c := scripted(t, test.script)
			c.LMTP = test.lmtp
			if test.warm {
				res, err := send(t, c, "A: 1\r\n", 1)
				want(t, res, err, "250")
			}
			res, err := send(t, c, "A: 2\r\n", 1)
			want(t, res, err, "550")
			var failed *client.SendError
			if !errors.As(err, &failed) || failed.Temporary() {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestVerbsThenSend(t *testing.T) {
	c := conn(t, scripted(t, "verbs-then-send"), client.ConnConfig{})
	from, _ := smtp.ParseReversePath("<x@example.org>")
	env := envelope(t, 1)
	if err := c.Hello(t.Context(), "client.example"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Mail(t.Context(), from, nil); err != nil {
		t.Fatal(err)
	}
	res, err := c.Send(t.Context(), env, smtp.BytesContent([]byte("A: b\r\n")))
	want(t, res, err, "250")
	c.Mail(t.Context(), from, nil)
	c.Rcpt(t.Context(), env.Recipients[0].To, nil)
	if _, err := c.Data(t.Context(), strings.NewReader("A: b\r\n")); err != nil {
		t.Error(err)
	}
	res, err = c.Send(t.Context(), env, smtp.BytesContent([]byte("A: b\r\n"))) // no RSET: DATA has ended it
	want(t, res, err, "552")
	if err := c.Quit(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestVerbsRefuseWhatWasNotDeclared(t *testing.T) {
	ctx := t.Context()
	c := conn(t, scripted(t, "verbs-binary"), client.ConnConfig{})
	env := envelope(t, 1)
	from, _ := smtp.ParseReversePath("<jürgen@example.org>")
	to, _ := smtp.ParseForwardPath("<jürgen@example.net>")
	good := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	refused := func(_ any, err error) {
		t.Helper()
		var failed *client.ConnError
		if err == nil || errors.As(err, &failed) || c.Err() != nil {
			t.Errorf("error %v, %v", err, c.Err())
		}
	}
	good(nil, c.Hello(ctx, "client.example"))
	good(c.Mail(ctx, env.From, &smtp.MailParams{Body: smtp.BodyBinaryMIME}))
	good(c.Rcpt(ctx, env.Recipients[0].To, nil))
	refused(c.Data(ctx, strings.NewReader("x\n.\r\nMAIL FROM:<x@y>\r\n"))) // RFC 3030 §3
	refused(c.Rcpt(ctx, to, nil))
	good(nil, c.Reset(ctx))
	refused(c.Mail(ctx, from, nil))
	good(c.Mail(ctx, from, &smtp.MailParams{UTF8: true}))
	good(c.Rcpt(ctx, to, nil))
	good(nil, c.Quit(ctx))
}

func TestLMTPDataForNobody(t *testing.T) {
	for _, script := range []string{"lmtp-data-nobody", "lmtp-bdat-nobody"} {
		t.Run(script, func(t *testing.T) {
			c := conn(t, scripted(t, script), client.ConnConfig{LMTP: true})
			c.Hello(t.Context(), "client.example")
			if _, err := c.Mail(t.Context(), envelope(t, 1).From, nil); err != nil {
				t.Fatal(err)
			}
			if script == "lmtp-data-nobody" {
				if replies, err := c.Data(t.Context(), strings.NewReader("x\r\n")); err == nil || c.Err() == nil {
					t.Errorf("replies %v, error %v", replies, err)
				}
				return
			}
			replies, err := c.Bdat(t.Context(), []byte("x\r\n"), true)
			var refused *smtp.Error
			if len(replies) != 1 || !errors.As(err, &refused) || refused.Reply.Code != 503 {
				t.Errorf("replies %v, error %v", replies, err)
			}
			if err := c.Quit(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A server whose lines end in LF alone is understood in full.
func TestServerWithoutCR(t *testing.T) {
	near, far := pipe(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		in := bufio.NewReader(far)
		for _, reply := range []string{"220 hi\n", "250-hi\n250-PIPELINING\n250 8BITMIME\n", "550-5.7.1 go\n550 5.7.1 away\n"} {
			io.WriteString(far, reply)
			in.ReadString('\n')
		}
	}()
	var got []string
	c, err := client.NewConn(t.Context(), near, &client.ConnConfig{Trace: &client.Trace{
		Got: func(_ client.ConnInfo, r smtp.Reply) { got = append(got, r.String()) },
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Hello(t.Context(), "client.example"); err != nil || !c.Offers().Has(smtp.Ext8BitMIME) {
		t.Errorf("offers %v, %v", c.Offers(), err)
	}
	reply, _ := c.Mail(t.Context(), smtp.ReversePath{}, nil)
	if reply.Text != "go\naway" || reply.EnhancedString() != "5.7.1" {
		t.Errorf("reply %+v", reply)
	}
	if want := "220 hi|250 hi / PIPELINING / 8BITMIME|550 5.7.1 go / away"; strings.Join(got, "|") != want {
		t.Errorf("traced %q", got)
	}
	c.Close()
	<-done
}

// Octets that came in the same segment as a reply, in a TLS record of their own,
// are seen before the connection is used again.
func TestTLSUnsolicitedRecord(t *testing.T) {
	dials := 0
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		dials++
		near, far := pipe(t)
		held := &heldConn{Conn: far}
		go func() {
			server := bufio.NewReader(nil)
			nc := serverTLS(t, held)
			server.Reset(nc)
			io.WriteString(nc, "220 hi\r\n")
			for {
				line, err := server.ReadString('\n')
				if err != nil {
					return
				}
				switch line {
				case "DATA\r\n":
					io.WriteString(nc, "354 go\r\n")
				case ".\r\n":
					held.hold = true
					io.WriteString(nc, "250 queued\r\n")
					io.WriteString(nc, "250 nobody asked\r\n")
					held.flush()
				case "A: b\r\n":
				default:
					io.WriteString(nc, "250 ok\r\n")
				}
			}
		}()
		return near, nil
	}
	c := &client.Client{Addr: host + ":465", TLSConfig: trusting(t), Dial: dial, LocalName: "client.example"}
	defer c.Close()
	for range 2 {
		res, err := c.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n")))
		want(t, res, err, "250")
	}
	if dials != 2 {
		t.Errorf("%d connections", dials)
	}
}

// heldConn holds writes back, to send them as one.
type heldConn struct {
	net.Conn
	hold bool
	held []byte
}

func (h *heldConn) Write(p []byte) (int, error) {
	if h.hold {
		h.held = append(h.held, p...)
		return len(p), nil
	}
	return h.Conn.Write(p)
}

func (h *heldConn) flush() {
	h.hold = false
	h.Conn.Write(h.held)
	h.held = nil
}
