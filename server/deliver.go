package server

import (
	"context"
	"slices"

	"github.com/postrider/postrider/smtp"
)

// A Message is what Deliver hands to its function: an io.Reader and
// io.WriterTo of the message with a Received field on top. It is valid until
// the function returns.
type Message struct {
	// Envelope is the reverse-path and the accepted recipients with their
	// parameters. It may be kept, and what Session.Mail and Session.Rcpt were
	// given is in the same memory.
	Envelope smtp.Envelope
	// Conn is the connection it comes over.
	Conn *Conn
	*Body
}

// Deliver returns a Handler that accepts every sender and recipient and calls
// f for each message. What f returns answers the client as Session.Data's
// results do; accept only after the message has been read to io.EOF. Calls
// for different connections run at the same time.
//
// A server that must refuse recipients needs a Session of its own, or
// middleware around this.
func Deliver(f func(ctx context.Context, m *Message) (smtp.Reply, error)) Handler {
	return HandlerFunc(func(context.Context, *Conn) (Session, error) {
		return &delivery{f: f}, nil
	})
}

type delivery struct {
	f func(ctx context.Context, m *Message) (smtp.Reply, error)

	// The envelope as it comes in.
	from       smtp.ReversePath
	params     *smtp.MailParams
	to         smtp.ForwardPath // a first recipient without parameters: the transaction has room for one
	recipients []smtp.Recipient // all of them, if that is not the only one
	number     int32
	usual      int32 // how many the last list had: likely as many as come now
}

func (d *delivery) Mail(_ context.Context, from smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error) {
	d.from, d.params = from, p
	return smtp.Reply{}, nil
}

func (d *delivery) Rcpt(_ context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
	if p.Notify == 0 && p.ORcpt.IsZero() && p.RRVS == nil && p.Other == nil {
		p = nil
	}
	switch d.number++; {
	case d.number == 1 && p == nil:
		d.to = to
		return smtp.Reply{}, nil
	case d.recipients == nil:
		d.recipients = make([]smtp.Recipient, 0, min(max(d.usual, 4), 128))
		if d.number == 2 {
			d.add(d.to, nil)
		}
	}
	d.add(to, p)
	return smtp.Reply{}, nil
}

// add appends a recipient. What is zero is not written: while the garbage collector
// marks, to write a pointer costs many times more.
func (d *delivery) add(to smtp.ForwardPath, p *smtp.RcptParams) {
	n := len(d.recipients)
	if n == cap(d.recipients) {
		d.recipients = slices.Grow(d.recipients, 1)
	}
	d.recipients = d.recipients[:n+1]
	r := &d.recipients[n]
	if r.To = to; p != nil {
		r.RcptParams = *p
	}
}

func (d *delivery) Data(ctx context.Context, b *Body) (smtp.Reply, error) {
	c := b.body.c
	t := c.txn
	m, one := &t.message, t.one[:]
	if m.Body != nil { // of another: middleware hands the message to several
		m, one = new(Message), make([]smtp.Recipient, 1)
	}
	env := &m.Envelope
	env.From = d.from
	if d.params != &env.MailParams { // middleware has others
		env.MailParams = *d.params
	}
	if d.number == 1 && d.recipients == nil {
		one[0].To = d.to
		env.Recipients = one
	} else {
		env.Recipients, d.usual = d.recipients, d.number
	}
	received := NewReceived(c.Info(), env)
	b.body.prepend(&received)
	m.Conn, m.Body = &c.Conn, b
	return d.f(ctx, m)
}

func (d *delivery) Reset(context.Context, ResetReason) {
	*d = delivery{f: d.f, usual: d.usual}
}

func (d *delivery) Close(error) {}
