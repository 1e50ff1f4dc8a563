package bench

import (
	"context"
	"fmt"
	"net"
	netsmtp "net/smtp"
	"time"

	gosmtp "github.com/emersion/go-smtp"

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

// netSMTP sends with the standard library.
type netSMTP struct{ *netsmtp.Client }

func netSMTPLine(addr string) (line, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c, err := netsmtp.NewClient(nc, "127.0.0.1")
	if err != nil {
		nc.Close()
		return nil, err
	}
	return netSMTP{c}, c.Hello(outgoingHello)
}

func (s netSMTP) send(message []byte) error {
	if err := s.Mail(outgoingFrom); err != nil {
		return err
	}
	if err := s.Rcpt(outgoingTo); err != nil {
		return err
	}
	w, err := s.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(message); err != nil {
		return err
	}
	return w.Close()
}

func (s netSMTP) close() error { return s.Quit() }

// goSMTP sends with emersion/go-smtp.
type goSMTP struct{ *gosmtp.Client }

func goSMTPLine(addr string) (line, error) {
	c, err := gosmtp.Dial(addr)
	if err != nil {
		return nil, err
	}
	return goSMTP{c}, c.Hello(outgoingHello)
}

func (s goSMTP) send(message []byte) error {
	if err := s.Mail(outgoingFrom, nil); err != nil {
		return err
	}
	if err := s.Rcpt(outgoingTo, nil); err != nil {
		return err
	}
	w, err := s.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(message); err != nil {
		return err
	}
	return w.Close()
}

func (s goSMTP) close() error { return s.Quit() }
