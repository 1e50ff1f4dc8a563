package client_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

func TestPipelined(t *testing.T) {
	c := scripted(t, "pipelined")
	res, err := send(t, c, "A: b\r\n\r\nhello!", 2)
	want(t, res, err, "550 250")
	if r := res.Recipients[1]; r.Host != host || !strings.HasPrefix(r.Addr, "127.0.0.1:") || r.To.Local != "c" {
		t.Errorf("recipient %+v", r)
	}
	var refused *smtp.Error
	if !errors.As(res.Recipients[0].Err, &refused) || refused.Verb != smtp.RCPT || refused.Scope != smtp.ScopeRecipient || res.Recipients[0].Temporary() {
		t.Errorf("recipient %+v", res.Recipients[0])
	}
	res, err = send(t, c, "A: b\r\n\r\nagain!", 1)
	want(t, res, err, "451")
	var failed *client.SendError
	if !errors.As(err, &failed) || !failed.Temporary() || failed.Host != host || failed.More != 0 {
		t.Errorf("error %#v", err)
	}
	if err.Error() != "client: mx.example: smtp: 451 4.3.0 not now" {
		t.Error(err)
	}
}

func TestLockstep(t *testing.T) {
	c := scripted(t, "lockstep")
	res, err := send(t, c, "A: b\r\n", 2)
	want(t, res, err, "450 250")
}

func TestLockstepRefused(t *testing.T) {
	c := scripted(t, "lockstep-refused")
	res, err := send(t, c, "A: b\r\n", 2)
	want(t, res, err, "550 450")
	var refused *smtp.Error
	if !errors.As(err, &refused) || refused.Reply.Code != 450 {
		t.Errorf("error %v is not the one that may pass", err)
	}
	for _, code := range []string{"552", "554", "452"} {
		res, err = send(t, c, "A: b\r\n", 1)
		want(t, res, err, code)
	}
}

func TestHeloFallback(t *testing.T) {
	res, err := send(t, scripted(t, "helo"), "A: b\r\n", 1)
	want(t, res, err, "250")
}

func TestMailRefused(t *testing.T) {
	c := scripted(t, "mail-refused")
	for _, code := range []string{"550", "550", "250"} {
		res, err := send(t, c, "A: b\r\n", 1)
		want(t, res, err, code)
	}
}

func TestEveryRecipientRefused(t *testing.T) {
	c := scripted(t, "rcpts-refused")
	res, err := send(t, c, "A: b\r\n", 2)
	want(t, res, err, "550 450")
	for _, code := range []string{"550", "250"} {
		res, err := send(t, c, "A: b\r\n", 1)
		want(t, res, err, code)
	}
}

func TestAllOrNothing(t *testing.T) {
	c := scripted(t, "all-or-nothing")
	c.AllOrNothing = true
	res, err := send(t, c, "A: b\r\n", 2)
	want(t, res, err, client.ErrOther.Error()+" 550")
	var refused *smtp.Error
	if !errors.As(err, &refused) || refused.Reply.Code != 550 {
		t.Errorf("error %v", err)
	}
	res, err = send(t, c, "A: b\r\n", 2)
	want(t, res, err, "250 250")
}

func TestDotStuffing(t *testing.T) {
	res, err := send(t, scripted(t, "dots"), ".A: b\r\n\r\n.\r\n..\r\na.\r\n.b.c", 1)
	want(t, res, err, "250")
}

func TestUnknownOutcome(t *testing.T) {
	res, err := send(t, scripted(t, "unknown"), "A: b\r\n", 2)
	want(t, res, err, "550 unknown")
	if !errors.Is(err, client.ErrUnknown) || !errors.Is(err, io.EOF) || !res.Unknown() {
		t.Errorf("error %v", err)
	}
	if res.Recipients[0].Unknown() {
		t.Error("the refused recipient is unknown too")
	}
}

// A connection that was kept and proves to be gone: the message goes again if,
// and only if, its last octet had not been written.
func TestRedial(t *testing.T) {
	for _, c := range []struct {
		first  string
		idle   bool // the server ends the connection between the messages
		second bool
		off    bool // NoRedial
		want   string
	}{
		{first: "warm", idle: true, second: true, want: "250"},
		{first: "warm", idle: true, second: true, off: true, want: "250"},
		{first: "warm-421-idle", idle: true, second: true, off: true, want: "250"},
		{first: "warm-unsolicited", second: true, off: true, want: "250"},
		{first: "warm-close-at-mail", second: true, want: "250"},
		{first: "warm-421-at-mail", second: true, want: "250"},
		{first: "warm-421-at-data", second: true, want: "250"},
		{first: "warm-421-at-end", want: "421"},
		{first: "warm-close-at-end", want: "unknown"},
		{first: "warm-421-at-mail", off: true, want: "421"},
		{first: "warm-close-at-mail", off: true, want: "MAIL: EOF"},
	} {
		t.Run(c.first, func(t *testing.T) {
			scripts := []string{c.first}
			if c.second {
				scripts = append(scripts, "second")
			}
			cl := scripted(t, scripts...)
			cl.NoRedial = c.off
			res, err := send(t, cl, "A: 1\r\n", 1)
			want(t, res, err, "250")
			if c.idle {
				<-cl.ended[0]
			}
			res, err = send(t, cl, "A: 2\r\n", 1)
			want(t, res, err, c.want)
		})
	}
}

// The second attempt is over a new connection, although there is another idle one
// that may be as dead as the first.
func TestRedialIsFresh(t *testing.T) {
	first, err := smtptest.ReadScript("testdata/warm-close-at-mail.txt")
	if err != nil {
		t.Fatal(err)
	}
	idle, err := smtptest.ParseScript(strings.NewReader(strings.Replace(warm, "A: 1", "A: 0", 1) + "C: QUIT\nS: 221 bye\n"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := smtptest.ReadScript("testdata/second.txt")
	if err != nil {
		t.Fatal(err)
	}
	c := playing(t, first, idle, second)
	atEnd, goOn := make(chan struct{}), make(chan struct{})
	c.Trace = &client.Trace{Wrote: func(info client.ConnInfo, line string) {
		if info.ID == 1 && line == "." {
			close(atEnd)
			<-goOn
		}
	}}
	var done sync.WaitGroup
	done.Go(func() {
		res, err := send(t, c, "A: 1\r\n", 1)
		want(t, res, err, "250")
	})
	<-atEnd
	res, err := send(t, c, "A: 0\r\n", 1)
	want(t, res, err, "250")
	close(goOn)
	done.Wait() // its connection is the one that was used last
	res, err = send(t, c, "A: 2\r\n", 1)
	want(t, res, err, "250")
}

const warm = greeted + `C: MAIL FROM:<a@example.org>
C: RCPT TO:<b@example.net>
C: DATA
S: 250 ok
S: 250 ok
S: 354 go
C: A: 1
C: .
S: 250 queued
`

func TestNoRedialOfNewConnection(t *testing.T) {
	res, err := send(t, scripted(t, "fresh-421"), "A: b\r\n", 1)
	want(t, res, err, "421")
}

// hangUp is a server that reads a part of the message, answers it or not, and
// hangs up with the rest unread.
func hangUp(t *testing.T, answer string) *client.Client {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			in := bufio.NewReader(nc)
			io.WriteString(nc, "220 mx.example\r\n")
			for line, err := in.ReadString('\n'); err == nil; line, err = in.ReadString('\n') {
				if line != "DATA\r\n" {
					io.WriteString(nc, "250 ok\r\n")
					continue
				}
				io.WriteString(nc, "354 go\r\n")
				if first, _ := in.Peek(2); string(first) == "A:" { // a short one
					for line := ""; line != ".\r\n"; line, _ = in.ReadString('\n') {
					}
					io.WriteString(nc, "250 ok\r\n")
					continue
				}
				in.Discard(100 << 10)
				io.WriteString(nc, answer)
				break
			}
			nc.Close()
		}
	}()
	c := &client.Client{Addr: ln.Addr().String(), TLSMode: client.Plaintext, Timeouts: client.EveryTimeout(10 * time.Second)}
	t.Cleanup(func() { c.Close(); ln.Close(); <-done })
	return c
}

// A server that refuses in the middle of the data and hangs up is heard.
func TestEarlyRefusal(t *testing.T) {
	c := hangUp(t, "552 5.3.4 too much\r\n")
	content := smtp.BytesContent(bytes.Repeat([]byte("x: y\r\n"), 8<<20))
	res, err := c.Send(t.Context(), envelope(t, 1), content)
	want(t, res, err, "552")
}

// A connection that is lost in the middle of the data: what can be read again is
// sent again, once; what cannot is not; and the outcome is known in both cases.
func TestLostInData(t *testing.T) {
	for _, once := range []bool{false, true} {
		c := hangUp(t, "")
		res, err := c.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n")))
		want(t, res, err, "250")
		opened := 0
		open := func() (io.ReadCloser, error) {
			opened++
			return io.NopCloser(io.LimitReader(repeating("x: y\r\n"), 64<<20)), nil
		}
		content := smtp.Content{Open: open, Size: 64 << 20, Kind: smtp.KindExamined}
		if once {
			r, _ := open()
			content = smtp.ReaderContent(r)
		}
		res, err = c.Send(t.Context(), envelope(t, 1), content)
		var lost *client.ConnError
		if !errors.As(err, &lost) || lost.Op != "message data" || res.Unknown() || errors.Is(err, smtp.ErrContentUsed) {
			t.Errorf("error %v", err)
		}
		if n := map[bool]int{false: 2, true: 1}[once]; opened != n {
			t.Errorf("read only once %v: opened %d times", once, opened)
		}
	}
}

// Nothing that a caller passes breaks out of its line, and what is refused here
// is refused before a connection is made.
func TestNothingLeaves(t *testing.T) {
	good := envelope(t, 1)
	inFrom, inTo, inParam, nobody := good, good, good, smtp.Envelope{From: good.From}
	inFrom.From.Local = "a>\r\nRCPT TO:<x@y"
	inTo.Recipients = []smtp.Recipient{{To: smtp.ForwardPath{Mailbox: smtp.Mailbox{Local: "b", Domain: "x\r\nDATA"}}}}
	inParam.MailParams.EnvID = "a\r\nDATA"
	for name, env := range map[string]smtp.Envelope{"from": inFrom, "to": inTo, "parameter": inParam, "nobody": nobody} {
		t.Run(name, func(t *testing.T) {
			c := scripted(t)
			res, err := c.Send(t.Context(), env, smtp.BytesContent([]byte("A: b\r\n")))
			var failed *client.SendError
			if res == nil || !errors.As(err, &failed) || failed.Temporary() || len(res.Recipients) != len(env.Recipients) {
				t.Errorf("result %v, error %v", res, err)
			}
		})
	}
	t.Run("no content", func(t *testing.T) {
		res, err := scripted(t).Send(t.Context(), good, smtp.Content{})
		if err == nil || res.Delivered() != 0 {
			t.Errorf("error %v", err)
		}
	})
	t.Run("broken content", func(t *testing.T) {
		broken := errors.New("broken")
		_, err := scripted(t).Send(t.Context(), good, smtp.Content{Open: func() (io.ReadCloser, error) { return nil, broken }})
		if !errors.Is(err, broken) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := scripted(t).Send(ctx, good, smtp.BytesContent([]byte("A: b\r\n")))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	})
}

// repeating gives s again and again.
func repeating(s string) io.Reader { return &repeater{s: s} }

type repeater struct {
	s string
	i int
}

func (r *repeater) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m := copy(p[n:], r.s[r.i:])
		n += m
		r.i = (r.i + m) % len(r.s)
	}
	return n, nil
}
