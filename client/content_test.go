package client_test

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

func TestDeclaredAsNeeded(t *testing.T) {
	c := scripted(t, "eightbit")
	for _, message := range []string{"A: b\r\n", "A: b\r\n\r\n\xe9", "A: é\r\n"} {
		res, err := send(t, c, message, 1)
		want(t, res, err, "552")
	}
}

// What the server cannot take is refused here: no MAIL in the script.
func TestRefusedHere(t *testing.T) {
	domain := envelope(t, 1)
	local := domain
	local.Recipients = []smtp.Recipient{{To: smtp.ForwardPath{Mailbox: smtp.Mailbox{Local: "jürgen", Domain: "example.net"}}}}
	returns := domain
	returns.MailParams.Ret = smtp.RetFull
	notify := domain
	notify.Recipients = []smtp.Recipient{{To: domain.Recipients[0].To, RcptParams: smtp.RcptParams{Notify: smtp.NotifyNever}}}
	for _, test := range []struct {
		name    string
		env     smtp.Envelope
		message string
		need    smtp.Keyword
	}{
		{"8-bit", domain, "A: b\r\n\r\n\xe9\r\n", smtp.Ext8BitMIME},
		{"header", domain, "A: é\r\n\r\n", smtp.Ext8BitMIME},
		{"size", domain, "A: b\r\n\r\n" + strings.Repeat("x", 92), smtp.ExtSize}, // with its CRLF
		{"NUL", domain, "A: b\r\n\r\n\x00\r\n", smtp.ExtBinaryMIME},
		{"bare LF", domain, "A: b\n\r\n", smtp.ExtBinaryMIME},
		{"bare CR", domain, "A: b\r\n\r\nx\ry\r\n", smtp.ExtBinaryMIME},
		{"bare CR at the end", domain, "A: b\r\n\r\nx\r", smtp.ExtBinaryMIME},
		{"local-part", local, "A: b\r\n", smtp.ExtSMTPUTF8},
		{"RET", returns, "A: b\r\n", smtp.ExtDSN},
		{"NOTIFY", notify, "A: b\r\n", smtp.ExtDSN},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := scripted(t, "plain")
			res, err := c.Send(t.Context(), test.env, smtp.BytesContent([]byte(test.message)))
			var content *client.ContentError
			var param *smtp.NotOfferedError
			var failed *client.SendError
			switch {
			case res.Delivered() > 0 || !errors.As(err, &failed) || failed.Temporary() || res.Recipients[0].Temporary():
				t.Errorf("error %v", err)
			case errors.As(err, &content) && content.Need == test.need, errors.As(err, &param) && param.Keyword == test.need:
			default:
				t.Errorf("error %v does not name %v", err, test.need)
			}
		})
	}
}

// 8BITMIME does not make up for SMTPUTF8: header sections are ASCII (RFC 6152).
func TestHeaderNeedsSMTPUTF8(t *testing.T) {
	_, err := send(t, scripted(t, "header"), "A: é\r\n\r\n", 1)
	var content *client.ContentError
	if !errors.As(err, &content) || content.Need != smtp.ExtSMTPUTF8 || content.Temporary() {
		t.Errorf("error %v", err)
	}
}

func TestBinaryByBDAT(t *testing.T) {
	c := scripted(t, "binary")
	res, err := send(t, c, "A: b\r\n\x00x", 2)
	want(t, res, err, "250 550")
	res, err = send(t, c, "A: b\n\r\n", 1)
	want(t, res, err, "554")
	res, err = send(t, c, "A: b", 1)
	want(t, res, err, "250")
}

func TestNormalizeLineEnds(t *testing.T) {
	c := scripted(t, "normalized")
	c.NormalizeLineEnds = true
	res, err := send(t, c, "A: b\nC: d\r\n\n.\re", 1)
	if err != nil {
		t.Fatal(err)
	}
	want(t, res, err, "250")
}

func TestChunking(t *testing.T) {
	c := scripted(t, "chunking")
	c.Chunking = true
	res, err := send(t, c, "A: b\r\n.c", 1)
	want(t, res, err, "250")
}

func TestRefusedChunk(t *testing.T) {
	for _, script := range []string{"chunk-refused", "chunks-refused"} {
		t.Run(script, func(t *testing.T) {
			c := scripted(t, script)
			c.Chunking = true
			res, err := send(t, c, strings.Repeat("x", 2<<20+32<<10)+"\r\n", 1)
			want(t, res, err, "452")
			res, err = send(t, c, "A: b\r\n", 1)
			want(t, res, err, "250")
		})
	}
}

func TestDomainToALabels(t *testing.T) {
	env, err := smtp.NewEnvelope("a@bücher.example", "b@bücher.example")
	if err != nil {
		t.Fatal(err)
	}
	res, err := scripted(t, "idn").Send(t.Context(), env, smtp.BytesContent([]byte("A: b\r\n")))
	want(t, res, err, "552")
	if res.Recipients[0].To.Domain != "bücher.example" {
		t.Errorf("the result is for %v", res.Recipients[0].To)
	}
}

func TestSMTPUTF8(t *testing.T) {
	env, err := smtp.NewEnvelope("a@bücher.example", "jürgen@bücher.example")
	if err != nil {
		t.Fatal(err)
	}
	res, err := scripted(t, "utf8").Send(t.Context(), env, smtp.BytesContent([]byte("A: b\r\n")))
	want(t, res, err, "552")
}

func TestParameters(t *testing.T) {
	c := scripted(t, "parameters")
	c.Extensions = []*smtp.Extension{{Keyword: "XTAG", Mail: []smtp.MailParam{{Name: "XTAG"}}}}
	env := envelope(t, 1)
	env.MailParams = smtp.MailParams{Ret: smtp.RetHeaders, EnvID: "x+1", Other: []smtp.Param{{Name: "XTAG", Value: "t"}},
		Auth: "<>", Size: 99, Body: smtp.Body7Bit} // these three only inform, and are not offered
	env.Recipients[0].RcptParams = smtp.RcptParams{Notify: smtp.NotifySuccess | smtp.NotifyFailure, ORcpt: smtp.ORcpt{Type: "rfc822", Address: "b@example.com"}}
	res, err := c.Send(t.Context(), env, smtp.BytesContent([]byte("A: b\r\n")))
	want(t, res, err, "552")
}

// A reader that can be read once: what fits into 64 KB is known before it is sent,
// and what does not is watched on its way.
func TestReaders(t *testing.T) {
	line := strings.Repeat("x", 70) + "\r\n"
	large := strings.Repeat(line, 2000)
	for _, test := range []struct {
		name, message, want string
	}{
		{"small", "A: b\r\n", "250"},
		{"large", large, "250"},
		{"large without end", large + "x", "250"},
		{"8-bit at once", "A: b\r\n\r\n\xe9", "8BITMIME"},
		{"8-bit late", large + "\xe9\r\n", "8BITMIME"},
		{"bare LF late", large + "x\n.\r\nQUIT\r\n", "CRLF"},
		{"bare LF amid", large + "x\n.\r\nQUIT\r\n" + large, "CRLF"},
		{"bare CR late", large + "x\r.\r\n", "CRLF"},
		{"CR at the end", large + "x\r", "CRLF"},
		{"NUL late", large + "\x00", "NUL"},
	} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{"": func(r io.Reader) io.Reader { return r }, " in halves": iotest.HalfReader} {
			t.Run(test.name+name, func(t *testing.T) {
				s := newSink(t, "SIZE")
				res, err := s.Send(t.Context(), envelope(t, 1), smtp.ReaderContent(wrap(strings.NewReader(test.message))))
				got := s.messages(t)
				if test.want == "250" {
					want(t, res, err, "250")
					if message := strings.TrimSuffix(test.message, "\r\n") + "\r\n"; len(got) != 1 || got[0] != message {
						t.Errorf("%d messages arrived", len(got))
					}
					return
				}
				var content *client.ContentError
				if !errors.As(err, &content) || !strings.Contains(err.Error(), test.want) || res.Unknown() {
					t.Errorf("error %v", err)
				}
				if strings.Contains(s.cut, "x\n.") {
					t.Error("a line end that is not CRLF left")
				}
				if tail := strings.TrimPrefix(test.message, large); len(got) > 0 || len(tail) < 20 && strings.Contains(s.cut, tail) && tail != "x\r" {
					t.Errorf("it arrived: %.200q, %.200q", got, s.cut)
				}
			})
		}
	}
}

// A content that is no longer what it was when it was examined is not let through.
func TestChangedContent(t *testing.T) {
	opened := 0
	content := smtp.Content{Size: -1, Open: func() (io.ReadCloser, error) {
		if opened++; opened == 1 {
			return io.NopCloser(iotest.HalfReader(strings.NewReader("A: b, as long as the second\r\n"))), nil
		}
		return io.NopCloser(iotest.HalfReader(strings.NewReader("A: b, as \n.\nMAIL FROM:<x@y>\r\n"))), nil
	}}
	s := newSink(t, "PIPELINING")
	res, err := s.Send(t.Context(), envelope(t, 1), content)
	var changed *client.ContentError
	if !errors.As(err, &changed) || res.Unknown() {
		t.Errorf("error %v", err)
	}
	if got := s.messages(t); len(got) > 0 {
		t.Errorf("it arrived: %q", got)
	}
}

func TestBrokenReader(t *testing.T) {
	broken := errors.New("broken")
	s := newSink(t, "PIPELINING")
	content := smtp.ReaderContent(io.MultiReader(io.LimitReader(repeating("x: y\r\n"), 200<<10), iotest.ErrReader(broken)))
	res, err := s.Send(t.Context(), envelope(t, 1), content)
	if !errors.Is(err, broken) || res.Unknown() {
		t.Errorf("error %v", err)
	}
	if got := s.messages(t); len(got) > 0 {
		t.Error("half a message arrived")
	}
}

func TestOptimistic(t *testing.T) {
	c := scripted(t, "optimistic")
	c.Optimistic = true
	res, err := send(t, c, "A: b\r\n", 2)
	want(t, res, err, "250 550")
	res, err = send(t, c, "A: b\r\n", 1)
	want(t, res, err, "452")
	res, err = send(t, c, "A: b\r\n\r\n", 1)
	want(t, res, err, "550")
}

func TestOptimisticEndsTheLastLine(t *testing.T) {
	s := newSink(t, "PIPELINING", "CHUNKING", "SIZE")
	s.Optimistic = true
	res, err := s.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: b")))
	want(t, res, err, "250")
	if got := s.messages(t); len(got) != 1 || got[0] != "A: b\r\n" {
		t.Errorf("%q", got)
	}
}

func TestOptimisticMailRefused(t *testing.T) {
	c := scripted(t, "optimistic-mail-refused")
	c.Optimistic = true
	res, err := send(t, c, "QUIT\r\n", 1)
	want(t, res, err, "550")
}

// Once all is written the outcome is unknown if the reply is missing, unless it
// was MAIL that was refused with 421.
func TestOptimisticLost(t *testing.T) {
	c := scripted(t, "optimistic-lost")
	c.Optimistic = true
	res, err := send(t, c, "A: 1\r\n", 1)
	want(t, res, err, "250")
	res, err = send(t, c, "A: 2\r\n", 2)
	want(t, res, err, "550 unknown")

	c = scripted(t, "optimistic-421", "second")
	c.Optimistic = true
	res, err = send(t, c, "A: 1\r\n", 1)
	want(t, res, err, "250")
	res, err = send(t, c, "A: 2\r\n", 1)
	want(t, res, err, "250")
}

// LMTP as it is used: over a unix socket in plaintext, over TCP, pipelined.
func TestLMTP(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) { lmtp(t, network) })
	}
}

func lmtp(t *testing.T, network string) {
	addr := map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "lmtp")}[network]
	ln, err := net.Listen(network, addr)
	if err != nil {
		t.Skip(err)
	}
	script, err := smtptest.ReadScript("testdata/lmtp.txt")
	if err != nil {
		t.Fatal(err)
	}
	played := make(chan error, 1)
	go func() {
		defer ln.Close()
		nc, err := ln.Accept()
		if err == nil {
			err = script.PlayServer(nc)
			nc.Close()
		}
		played <- err
	}()
	c := &client.Client{Network: network, Addr: ln.Addr().String(), LMTP: true, LocalName: "client.example"}
	if network == "tcp" { // a unix socket needs no word for it
		c.TLSMode = client.Plaintext
	}
	defer func() {
		c.Close()
		ln.Close()
		if err := <-played; err != nil {
			t.Error(err)
		}
	}()
	send := func(message string, n int) (*client.Result, error) {
		return c.Send(t.Context(), envelope(t, n), smtp.BytesContent([]byte(message)))
	}
	res, err := send("A: b\r\n", 4)
	want(t, res, err, "250 550 452 554")
	if r := res.Recipients[2]; r.Addr != ln.Addr().String() || r.Reply.EnhancedString() != "4.2.2" || !r.Temporary() {
		t.Errorf("recipient %+v", r)
	}
	res, err = send("\x00", 2)
	want(t, res, err, "552 250")
	res, err = send("A: b\r\n", 1)
	want(t, res, err, "550")
}

func TestLMTPLost(t *testing.T) {
	c := scripted(t, "lmtp-lost")
	c.LMTP = true
	res, err := send(t, c, "A: b\r\n", 2)
	want(t, res, err, "250 unknown")
}

func TestLMTPNobody(t *testing.T) {
	c := scripted(t, "lmtp-nobody")
	c.LMTP = true
	res, err := send(t, c, "A: b\r\n", 1)
	want(t, res, err, "550")
}

// A recipient that this server cannot be told of does not fail the others.
func TestOneNeedsSMTPUTF8(t *testing.T) {
	env, err := smtp.NewEnvelope("a@example.org", "josé@example.com", "b@example.com", "zoë@example.com", "e@bücher.example")
	if err != nil {
		t.Fatal(err)
	}
	content := smtp.BytesContent([]byte("A: b\r\n"))
	res, err := scripted(t, "utf8-one").Send(t.Context(), env, content)
	const cannot = "an address is not ASCII and the server does not offer SMTPUTF8"
	want(t, res, err, cannot+" 250 "+cannot+" 550")
	for i, r := range res.Recipients {
		var utf8 *client.ContentError
		if errors.As(r.Err, &utf8) != (i == 0 || i == 2) || r.Host == "" {
			t.Errorf("recipient %d: %+v", i, r)
		}
	}

	all := scripted(t, "header") // a greeting and nothing else
	all.AllOrNothing = true
	if res, err := all.Send(t.Context(), env, content); err == nil || res.Delivered() > 0 || res.Recipients[1].Err == nil {
		t.Errorf("all or nothing: %+v, %v", res, err)
	}
}
