package client_test

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

func TestVerbs(t *testing.T) {
	ctx := t.Context()
	c := conn(t, scripted(t, "verbs"), client.ConnConfig{Host: host})
	check := func(verb string, err error, code int) {
		t.Helper()
		var refused *smtp.Error
		if code == 0 && err != nil || code != 0 && (!errors.As(err, &refused) || refused.Reply.Code != code) {
			t.Errorf("%s: %v, want %d", verb, err, code)
		}
	}
	if c.Greeting().Text != "mx.example\nready" {
		t.Errorf("greeting %q", c.Greeting().Text)
	}
	check("EHLO", c.Hello(ctx, "client.example"), 0)
	if !c.Offers().Has(smtp.ExtChunking) || c.Offers().Has(smtp.ExtPipelining) {
		t.Errorf("offers %v", c.Offers())
	}
	check("NOOP", c.Noop(ctx), 0)
	r, err := c.Verify(ctx, "postmaster")
	if check("VRFY", err, 0); r.Code != 252 {
		t.Errorf("VRFY: %v", r)
	}
	_, err = c.Verify(ctx, "jürgen")
	check("VRFY", err, 550)
	r, err = c.Expand(ctx, "staff")
	if check("EXPN", err, 0); r.Text != "<a@example.net>\n<b@example.net>" {
		t.Errorf("EXPN: %q", r.Text)
	}
	_, err = c.Help(ctx, "")
	check("HELP", err, 0)
	_, err = c.Help(ctx, "MAIL")
	check("HELP", err, 0)
	r, err = c.Do(ctx, "XSOMETHING a  b")
	if check("Do", err, 0); r.Text != "done" {
		t.Errorf("Do: %v", r)
	}
	env := envelope(t, 2)
	_, err = c.Mail(ctx, env.From, nil)
	check("MAIL", err, 0)
	_, err = c.Rcpt(ctx, env.Recipients[0].To, nil)
	check("RCPT", err, 0)
	_, err = c.Rcpt(ctx, env.Recipients[1].To, nil)
	check("RCPT", err, 550)
	replies, err := c.Data(ctx, strings.NewReader("A: b\r\n\r\n."))
	if check("DATA", err, 0); len(replies) != 1 || replies[0].Text != "queued" {
		t.Errorf("DATA: %v", replies)
	}
	_, err = c.Mail(ctx, smtp.ReversePath{}, &smtp.MailParams{Body: smtp.BodyBinaryMIME})
	check("MAIL", err, 0)
	check("RSET", c.Reset(ctx), 0)
	_, err = c.Mail(ctx, smtp.ReversePath{}, nil)
	check("MAIL", err, 0)
	_, err = c.Rcpt(ctx, env.Recipients[0].To, nil)
	check("RCPT", err, 0)
	_, err = c.Bdat(ctx, []byte("A: "), false)
	check("BDAT", err, 0)
	_, err = c.Bdat(ctx, []byte("b\r\n"), true)
	check("BDAT", err, 554)
	_, err = c.Data(ctx, strings.NewReader("A: b\r\n"))
	check("DATA", err, 503)

	// None of these reaches the server.
	_, injected := c.Verify(ctx, "x\r\nQUIT")
	_, nobody := c.Verify(ctx, "")
	_, data := c.Do(ctx, "data")
	_, empty := c.Do(ctx, "")
	_, bare := c.Do(ctx, "XFOO\n")
	_, size := c.Mail(ctx, env.From, &smtp.MailParams{Ret: smtp.RetFull})
	_, notify := c.Rcpt(ctx, env.Recipients[0].To, &smtp.RcptParams{Notify: smtp.NotifyNever})
	_, path := c.Rcpt(ctx, smtp.ForwardPath{Mailbox: smtp.Mailbox{Local: "x", Domain: "y>\r\nQUIT"}}, nil)
	tls := c.StartTLS(ctx, nil)
	hello := c.Hello(ctx, "client.example\r\nQUIT")
	for i, err := range []error{injected, nobody, data, empty, bare, size, notify, path, tls, hello} {
		if err == nil || c.Err() != nil {
			t.Errorf("%d: error %v, %v", i, err, c.Err())
		}
	}
	check("QUIT", c.Quit(ctx), 0)
	if err := c.Noop(ctx); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after QUIT: %v", err)
	}
}

func TestStartTLSForgetsOffers(t *testing.T) {
	ctx := t.Context()
	c := conn(t, scripted(t, "starttls-conn"), client.ConnConfig{Host: host})
	if err := c.Hello(ctx, "client.example"); err != nil || !c.Offers().Has(smtp.ExtSize) {
		t.Fatal(err)
	}
	if err := c.StartTLS(ctx, trusting(t)); err != nil || c.Offers() != nil {
		t.Errorf("offers %v, error %v", c.Offers(), err)
	}
	if err := c.StartTLS(ctx, trusting(t)); err == nil || c.Err() != nil {
		t.Errorf("before EHLO: error %v, %v", err, c.Err())
	}
	if err := c.Hello(ctx, "client.example"); err != nil || c.Offers().Has(smtp.ExtSize) {
		t.Errorf("offers %v, error %v", c.Offers(), err)
	}
	if err := c.StartTLS(ctx, trusting(t)); err == nil || c.Err() != nil { // RFC 3207 section 4.2
		t.Errorf("twice: error %v, %v", err, c.Err())
	}
	if err := c.Quit(ctx); err != nil {
		t.Error(err)
	}
}

func TestLMTPVerbs(t *testing.T) {
	ctx := t.Context()
	c := conn(t, scripted(t, "lmtp-verbs"), client.ConnConfig{LMTP: true})
	env := envelope(t, 2)
	if err := c.Hello(ctx, "client.example"); err != nil {
		t.Fatal(err)
	}
	c.Mail(ctx, smtp.ReversePath{}, nil)
	c.Rcpt(ctx, env.Recipients[0].To, nil)
	c.Rcpt(ctx, env.Recipients[1].To, nil)
	c.Bdat(ctx, []byte("A: "), false)
	replies, err := c.Bdat(ctx, []byte("b\r\n"), true)
	if len(replies) != 2 || replies[0].Code != 452 || replies[1].Code != 250 || err != nil {
		t.Errorf("replies %v, error %v", replies, err)
	}
	if err := c.Quit(ctx); err != nil {
		t.Error(err)
	}
}

// A hostile server gets an error within bounds, and is not talked to again.
func TestHostileServers(t *testing.T) {
	scripts, err := filepath.Glob("testdata/hostile-*.txt")
	if err != nil || len(scripts) < 15 {
		t.Fatal(scripts, err)
	}
	for _, script := range scripts {
		name := strings.TrimSuffix(filepath.Base(script), ".txt")
		t.Run(name, func(t *testing.T) {
			c := scripted(t, name)
			res, err := send(t, c, "A: b\r\n", 1)
			var broken *client.ProtocolError
			if !errors.As(err, &broken) {
				t.Errorf("error %v", err)
			}
			if unknown := name == "hostile-end-354"; res.Unknown() != unknown {
				t.Errorf("unknown %v: %v", res.Unknown(), err)
			}
		})
	}
}

// A server that never stops costs no more than the bound.
func TestEndlessServer(t *testing.T) {
	for _, chunk := range []string{"2", "220-x\r\n", "220-" + strings.Repeat("x", 3000) + "\r\n", "\x00", "\r\n"} {
		near, far := pipe(t)
		done := make(chan int64)
		go func() {
			n, _ := io.Copy(far, repeating(chunk))
			done <- n
		}()
		_, err := client.NewConn(t.Context(), near, nil)
		var broken *client.ProtocolError
		if !errors.As(err, &broken) {
			t.Errorf("%.10q: error %v", chunk, err)
		}
		<-done // the connection was closed
	}
}

func TestDial(t *testing.T) {
	s := newSink(t, "SIZE")
	c, err := client.Dial(t.Context(), "tcp", s.Addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	if info := c.Info(); info.Host != "127.0.0.1" || info.Remote.String() != s.Addr {
		t.Errorf("info %+v", info)
	}
	if err := c.Hello(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	res, err := c.Send(t.Context(), envelope(t, 2), smtp.BytesContent([]byte("A: b\r\n")))
	want(t, res, err, "250 250")
	if err := c.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.messages(t)
	if _, err := client.Dial(t.Context(), "tcp", s.Addr, &client.ConnConfig{Timeouts: client.EveryTimeout(time.Second)}); err == nil {
		t.Error("connected to nobody")
	}
}

func TestUnixSocket(t *testing.T) {
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "lmtp"))
	if err != nil {
		t.Skip(err)
	}
	s := sinkOn(t, ln, "AUTH PLAIN")
	s.Network, s.TLSMode, s.Auth = "unix", client.TLSAuto, client.PlainAuth("user", "pass")
	res, err := s.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n")))
	want(t, res, err, "250")
	if got := s.messages(t); len(got) != 1 {
		t.Errorf("%d messages", len(got))
	}
}
