package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	netsmtp "net/smtp"
	"strconv"
	"strings"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	gomail "github.com/wneessen/go-mail"

	ours "github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// startOurClient sends with this library's Client, as its zero values set it up
// but for what the case asks for: as many calls of Send at once as there are to be
// messages at once, each with a content of its own that nobody has looked at.
func startOurClient(opt options) (*instance, error) {
	c := &ours.Client{
		Addr: opt.to, TLSMode: ours.Plaintext, LocalName: outgoingHello, MaxConns: opt.conns,
		Optimistic: opt.outgoing.bdat, Chunking: opt.outgoing.bdat,
	}
	env, err := smtp.NewEnvelope(outgoingFrom, outgoingTo)
	if err != nil {
		return nil, err
	}
	message := body(opt.outgoing.size)
	return &instance{cpu: ownCPU, stop: func() { c.Close() }, send: func(l load) (int, error) {
		return atOnce(opt.conns, l, func(int) error {
			_, err := c.Send(context.Background(), env, smtp.BytesContent(message))
			return err
		})
	}}, nil
}

// floorSender is a pipelining client that knows beforehand what it will write, in
// two writes a message, and looks at nothing in a reply but its code.
type floorSender struct {
	c         *client
	exchanges []exchange
}

func floorLine(addr string) (line, error) {
	c, err := dial(addr, plaintext)
	if err != nil {
		return nil, err
	}
	if _, err := c.hello(); err != nil {
		c.conn.Close()
		return nil, err
	}
	return &floorSender{c: c}, nil
}

func (f *floorSender) send(message []byte) error {
	if f.exchanges == nil {
		f.c.conn.SetDeadline(time.Now().Add(time.Hour))
		envelope := fmt.Appendf(nil, "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", outgoingFrom, outgoingTo)
		f.exchanges = []exchange{
			{envelope, []int{250, 250, 354}},
			{join(message, []byte(".\r\n")), []int{250}}, // no line of it begins with a dot
		}
	}
	return f.c.run(f.exchanges)
}

func (f *floorSender) close() error { return f.c.quit() }

// calls is a connection of a library that has a call for each command.
type calls struct {
	mail, rcpt func() error
	data       func() (io.WriteCloser, error)
	quit       func() error
}

func (c calls) send(message []byte) error {
	if err := c.mail(); err != nil {
		return err
	}
	if err := c.rcpt(); err != nil {
		return err
	}
	w, err := c.data()
	if err != nil {
		return err
	}
	if _, err := w.Write(message); err != nil {
		return err
	}
	return w.Close()
}

func (c calls) close() error { return c.quit() }

// netSMTPLine sends with the standard library.
func netSMTPLine(addr string) (line, error) {
	c, err := netsmtp.Dial(addr)
	if err != nil {
		return nil, err
	}
	return calls{
		mail: func() error { return c.Mail(outgoingFrom) },
		rcpt: func() error { return c.Rcpt(outgoingTo) },
		data: c.Data, quit: c.Quit,
	}, c.Hello(outgoingHello)
}

// goSMTPLine sends with emersion/go-smtp.
func goSMTPLine(addr string) (line, error) {
	c, err := gosmtp.Dial(addr)
	if err != nil {
		return nil, err
	}
	return calls{
		mail: func() error { return c.Mail(outgoingFrom, nil) },
		rcpt: func() error { return c.Rcpt(outgoingTo, nil) },
		data: func() (io.WriteCloser, error) { return c.Data() },
		quit: c.Quit,
	}, c.Hello(outgoingHello)
}

// goMail sends with wneessen/go-mail, which writes a message as it sends it: here of
// the same text, with a header of its own, unencoded as all others send it.
type goMail struct {
	*gomail.Client
	message *gomail.Msg
}

func goMailLine(addr string) (line, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return nil, err
	}
	c, err := gomail.NewClient(host, gomail.WithPort(number), gomail.WithHELO(outgoingHello), gomail.WithTLSPolicy(gomail.NoTLS))
	if err != nil {
		return nil, err
	}
	return &goMail{Client: c}, c.DialWithContext(context.Background())
}

func (g *goMail) send(message []byte) error {
	if g.message == nil {
		_, text, _ := strings.Cut(string(message), "\r\n\r\n")
		g.message = gomail.NewMsg(gomail.WithEncoding(gomail.NoEncoding))
		g.message.Subject("bench")
		g.message.SetBodyString(gomail.TypeTextPlain, text)
		if err := errors.Join(g.message.From(outgoingFrom), g.message.To(outgoingTo)); err != nil {
			return err
		}
	}
	return g.Send(g.message)
}

func (g *goMail) close() error { return g.Close() }
