package client_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/smtp"
)

func TestPRDR(t *testing.T) {
	c := scripted(t, "prdr")
	res, err := send(t, c, "A: b\r\n", 4)
	want(t, res, err, "250 550 550 452")
	var refused *smtp.Error
	if r := &res.Recipients[0]; r.Reply.Text != "queued as 7" { // §4.6: the one for all
		t.Errorf("%v: %v", r.To, r.Reply)
	}
	if r := &res.Recipients[2]; !errors.As(r.Err, &refused) || refused.Scope != smtp.ScopeRecipient || r.Temporary() {
		t.Errorf("%v: %v", r.To, r.Err)
	}
	if !res.Recipients[3].Temporary() {
		t.Error("452 is not temporary")
	}
	res, err = send(t, c, "A: b\r\n", 1) // one recipient needs none
	want(t, res, err, "250")
	for _, outcome := range []string{"250 250", "550 550", "451 451", "550 450"} {
		res, err := send(t, c, "A: b\r\n", 2)
		want(t, res, err, outcome)
	}
}

func TestPRDRWithBdat(t *testing.T) {
	c := scripted(t, "prdr-bdat")
	c.Optimistic = true
	for _, outcome := range []string{"250 550", "452 452", "250 250"} {
		res, err := send(t, c, "A: b\r\n", 2)
		want(t, res, err, outcome)
	}
}

// What is no answer to PRDR, or one that breaks off, leaves the outcome unknown
// and the connection closed; 421 is an answer for all.
func TestPRDRHostile(t *testing.T) {
	for script, outcome := range map[string]string{
		"prdr-421":     "421 421",
		"prdr-lost":    "unknown unknown",
		"prdr-few":     "unknown unknown",
		"prdr-354":     "unknown unknown",
		"prdr-352":     "unknown unknown",
		"prdr-twice":   "unknown unknown",
		"prdr-unasked": "unknown",
	} {
		t.Run(script, func(t *testing.T) {
			res, err := send(t, scripted(t, script), "A: b\r\n", len(strings.Fields(outcome)))
			want(t, res, err, outcome)
		})
	}
	t.Run("prdr-many", func(t *testing.T) {
		c := conn(t, scripted(t, "prdr-many"), client.ConnConfig{Host: host})
		if err := c.Hello(t.Context(), "client.example"); err != nil {
			t.Fatal(err)
		}
		res, err := c.Send(t.Context(), envelope(t, 2), smtp.BytesContent([]byte("A: b\r\n")))
		want(t, res, err, "250 250")
		var broken *client.ProtocolError
		if err := c.Noop(t.Context()); !errors.As(err, &broken) {
			t.Errorf("error %v", err)
		}
	})
}

func TestPRDRNotWithLMTP(t *testing.T) {
	c := scripted(t, "prdr-lmtp")
	c.LMTP = true
	env := envelope(t, 2)
	env.MailParams.PRDR = true
	res, err := c.Send(t.Context(), env, smtp.BytesContent([]byte("A: b\r\n")))
	want(t, res, err, "250 550")
}

// Refused by each of a part is not refused for the others; refused for all is.
func TestPRDRInParts(t *testing.T) {
	for script, outcome := range map[string]string{"prdr-parts": "550 550 550", "prdr-parts-2": "550 550 250"} {
		res, err := send(t, scripted(t, script), "A: b\r\n", 3)
		want(t, res, err, outcome)
	}
}

func TestPRDRVerbs(t *testing.T) {
	ctx := t.Context()
	c := conn(t, scripted(t, "prdr-verbs"), client.ConnConfig{Host: host})
	env := envelope(t, 2)
	begin := func(p *smtp.MailParams, n int) {
		t.Helper()
		if _, err := c.Mail(ctx, env.From, p); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if _, err := c.Rcpt(ctx, env.Recipients[i].To, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	codes := func(replies []smtp.Reply) (list []int) {
		for _, r := range replies {
			list = append(list, r.Code)
		}
		return list
	}
	if err := c.Hello(ctx, "client.example"); err != nil {
		t.Fatal(err)
	}
	begin(&smtp.MailParams{PRDR: true}, 2)
	replies, err := c.Data(ctx, strings.NewReader("A: b\r\n"))
	if err != nil || !slices.Equal(codes(replies), []int{250, 550}) || replies[0].Text != "queued" {
		t.Errorf("%v, %v", replies, err)
	}
	begin(&smtp.MailParams{PRDR: true}, 1)
	replies, err = c.Bdat(ctx, []byte("A: b\r\n"), true)
	var refused *smtp.Error
	if !errors.As(err, &refused) || !slices.Equal(codes(replies), []int{550}) {
		t.Errorf("%v, %v", replies, err)
	}
	if err := c.Reset(ctx); err != nil {
		t.Error(err)
	}
	begin(nil, 1)
	if _, err := c.Data(ctx, strings.NewReader("A: b\r\n")); !errors.Is(err, client.ErrUnknown) {
		t.Errorf("error %v", err)
	}
}

// stingyConn takes no envelope behind the data of a message.
type stingyConn struct{ net.Conn }

func (c stingyConn) Write(p []byte) (int, error) {
	i := bytes.Index(p, []byte("\r\n.\r\nMAIL"))
	if i < 0 {
		return c.Conn.Write(p)
	}
	n, err := c.Conn.Write(p[:i+len("\r\n.\r\n")])
	return n, errors.Join(err, io.ErrClosedPipe)
}

// The envelope that could not be written behind the data is another's: all replies
// to the message are read.
func TestPRDRRepliesAfterAFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := memnet.Listen()
		c := &client.Client{Addr: host + ":25", TLSMode: client.Plaintext, LocalName: "client.example", MaxConns: 1, NoRedial: true,
			Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				nc, err := ln.Dial(ctx)
				return stingyConn{nc}, err
			}}
		var res *client.Result
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			res, err = c.Send(t.Context(), envelope(t, 2), smtp.BytesContent([]byte("A: b\r\n\r\nx\r\n")))
		}()
		far, _ := ln.Accept()
		in := bufio.NewReader(far)
		say := func(text string, lines int) {
			io.WriteString(far, text)
			for range lines {
				in.ReadString('\n')
			}
		}
		say("220 hi\r\n", 1)
		say("250-hi\r\n250-PIPELINING\r\n250 PRDR\r\n", 4)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		other := make(chan struct{})
		go func() {
			defer close(other)
			c.Send(ctx, envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n\r\nx\r\n")))
		}()
		synctest.Wait()
		say("250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", 4)
		say("353 wait\r\n250 b\r\n550 c\r\n250 queued\r\n", 0)
		<-done
		cancel()
		far.Close()
		ln.Close()
		<-other
		c.Close()
		want(t, res, err, "250 550")
	})
}
