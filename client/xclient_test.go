package client_test

import (
	"errors"
	"testing"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

func hello(t *testing.T, script string) *client.Conn {
	t.Helper()
	c := conn(t, scripted(t, script), client.ConnConfig{Host: host})
	if err := c.Hello(t.Context(), "client.example"); err != nil {
		t.Fatal(err)
	}
	return c
}

// wantCode wants a negative reply with the code, or none at all for 0.
func wantCode(t *testing.T, err error, code int) {
	t.Helper()
	var refused *smtp.Error
	if code == 0 && err != nil || code != 0 && (!errors.As(err, &refused) || refused.Reply.Code != code) {
		t.Errorf("error %v, want %d", err, code)
	}
}

// wantLocal wants an error for which nothing was sent.
func wantLocal(t *testing.T, c *client.Conn, err error, missing smtp.Keyword) {
	t.Helper()
	var lost *client.ConnError
	var notOffered *smtp.NotOfferedError
	if err == nil || errors.As(err, &lost) || c.Err() != nil {
		t.Errorf("error %v, %v", err, c.Err())
	}
	if errors.As(err, &notOffered) != (missing != "") || notOffered != nil && notOffered.Keyword != missing {
		t.Errorf("error %v, want one for %q", err, missing)
	}
}

func TestEtrn(t *testing.T) {
	ctx := t.Context()
	c := hello(t, "etrn")
	reply, err := c.Etrn(ctx, "example.org")
	if wantCode(t, err, 0); reply.Code != 253 {
		t.Errorf("reply %v", reply)
	}
	_, err = c.Etrn(ctx, "@example.org")
	wantCode(t, err, 458)
	_, err = c.Etrn(ctx, "#q")
	wantCode(t, err, 459)
	_, err = c.Etrn(ctx, "example.org\r\nQUIT")
	wantLocal(t, c, err, "")
	_, err = c.Etrn(ctx, "")
	wantLocal(t, c, err, "")
	_, err = c.Do(ctx, "etrn example.org")
	wantLocal(t, c, err, "")
	_, err = c.Etrn(ctx, "example.net")
	wantCode(t, err, 0)
	wantLocal(t, c, c.XClient(ctx, smtp.XClient{Name: "a.example"}), smtp.ExtXClient)
	wantLocal(t, c, c.XForward(ctx, smtp.XForward{Name: "a.example"}), smtp.ExtXForward)
	wantCode(t, c.Quit(ctx), 0)
}

// After XCLIENT the server is where its greeting was.
func TestXClient(t *testing.T) {
	ctx := t.Context()
	c := hello(t, "xclient")
	wantLocal(t, c, c.XClient(ctx, smtp.XClient{}), "")
	wantLocal(t, c, c.XClient(ctx, smtp.XClient{Addr: "192.0.2.7\r\nQUIT"}), "")
	wantLocal(t, c, c.XClient(ctx, smtp.XClient{Login: "alice"}), smtp.ExtXClient) // not offered
	_, err := c.Do(ctx, "XCLIENT ADDR=192.0.2.7")
	wantLocal(t, c, err, "")
	x := smtp.XClient{Name: "spike.example.org", Addr: "192.0.2.7", Port: "1234", Login: "alice"}
	wantCode(t, c.XClient(ctx, x), 0)
	if c.Offers() != nil || c.Greeting().Text != "mx.example again" {
		t.Errorf("offers %v, greeting %v", c.Offers(), c.Greeting())
	}
	wantLocal(t, c, c.XClient(ctx, x), smtp.ExtXClient) // EHLO has to be said first
	_, err = c.Etrn(ctx, "example.org")
	wantLocal(t, c, err, smtp.ExtEtrn)
	_, err = c.Bdat(ctx, nil, true)
	wantLocal(t, c, err, smtp.ExtChunking)
	if err := c.Hello(ctx, "client.example"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, c.XClient(ctx, smtp.XClient{Addr: "2001:db8::1"}), 550)
	if !c.Offers().Has(smtp.ExtXClient) {
		t.Error("a refused XCLIENT has changed something")
	}
	wantCode(t, c.Quit(ctx), 0)
}

// A command that a server has not room for goes in two.
func TestXClientInTwo(t *testing.T) {
	c := hello(t, "xclient-long")
	x := smtp.XClient{Name: long("n"), Addr: "192.0.2.7", Helo: long("h")}
	wantCode(t, c.XClient(t.Context(), x), 0)
	wantCode(t, c.Hello(t.Context(), "client.example"), 0)
	wantCode(t, c.Quit(t.Context()), 0)
}

// What XForward says holds for one message, in each of its mail transactions, and
// not for the next.
func TestXForward(t *testing.T) {
	ctx := t.Context()
	c := hello(t, "xforward")
	content := smtp.BytesContent([]byte("A: b\r\n"))
	x := smtp.XForward{Name: "spike.example.org", Addr: "192.0.2.7", Proto: "ESMTP", Ident: "4711"}
	wantCode(t, c.XForward(ctx, x), 0)
	res, err := c.Send(ctx, envelope(t, 2), content)
	want(t, res, err, "250 250")
	res, err = c.Send(ctx, envelope(t, 1), content)
	want(t, res, err, "250")
	wantCode(t, c.Quit(ctx), 0)
}

func TestXForwardRefused(t *testing.T) {
	ctx := t.Context()
	c := hello(t, "xforward-refused")
	content := smtp.BytesContent([]byte("A: b\r\n"))
	wantLocal(t, c, c.XForward(ctx, smtp.XForward{Ident: "4711"}), smtp.ExtXForward)
	wantCode(t, c.XForward(ctx, smtp.XForward{Addr: "192.0.2.7"}), 0)
	res, err := c.Send(ctx, envelope(t, 1), content)
	want(t, res, err, "550")
	res, err = c.Send(ctx, envelope(t, 1), content)
	want(t, res, err, "250")
	wantCode(t, c.XForward(ctx, smtp.XForward{Addr: "192.0.2.7"}), 550)
	res, err = c.Send(ctx, envelope(t, 1), content)
	want(t, res, err, "250")
	wantCode(t, c.Quit(ctx), 0)
}

// What was said by half is taken back; in the middle of a transaction nothing is.
func TestXForwardInTwo(t *testing.T) {
	ctx := t.Context()
	c := hello(t, "xforward-long")
	x := smtp.XForward{Name: long("n"), Helo: long("h"), Ident: "1"}
	wantCode(t, c.XForward(ctx, x), 501)
	if _, err := c.Mail(ctx, envelope(t, 1).From, nil); err != nil {
		t.Error(err)
	}
	wantLocal(t, c, c.XForward(ctx, x), "")
	wantCode(t, c.Quit(ctx), 0)
}

// long is a host name of 252 octets.
func long(label string) string {
	name := ""
	for range 63 {
		name += "." + label + "aa"
	}
	return name[1:] + "x"
}

// ETRN is for between messages: what Send has left open is ended before it.
func TestEtrnAfterSend(t *testing.T) {
	c := hello(t, "etrn-reset")
	res, err := c.Send(t.Context(), envelope(t, 1), small)
	want(t, res, err, "550")
	_, err = c.Etrn(t.Context(), "example.org")
	wantCode(t, err, 0)
	wantCode(t, c.Quit(t.Context()), 0)
}
