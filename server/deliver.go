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
	// parameters.
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
	return HandlerFunc(func(_ context.Context, c *Conn) (Session, error) {
		return &delivery{conn: c, f: f}, nil
	})
}

type delivery struct {
	conn *Conn
	f    func(ctx context.Context, m *Message) (smtp.Reply, error)

	// The envelope as it comes in. Parameters of RCPT are nil if there are none.
	from       smtp.ReversePath
	params     *smtp.MailParams
	to         smtp.ForwardPath // the first recipient, for whom the transaction has room
	toParams   *smtp.RcptParams
	recipients []smtp.Recipient // all of them, if there are several
	number     int32
	usual      int32 // how many the last message with several had: likely as many as come now
}

func (d *delivery) Mail(_ context.Context, from smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error) {
	d.from, d.params = from, p
	return smtp.Reply{}, nil
}

func (d *delivery) Rcpt(_ context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
	if p.Notify == 0 && p.ORcpt.IsZero() && p.RRVS == nil && p.Other == nil {
		p = nil
	}
	switch d.number++; d.number {
	case 1:
		d.to, d.toParams = to, p
		return smtp.Reply{}, nil
	case 2:
		d.recipients = make([]smtp.Recipient, 0, min(max(d.usual, 4), 128))
		d.add(d.to, d.toParams)
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
	t := b.body.c.txn
	m, one := &t.message, t.one[:]
	if m.Body != nil { // of another: middleware hands the message to several
		m, one = new(Message), make([]smtp.Recipient, 1)
	}
	env := &m.Envelope
	env.From = d.from
	if d.params != &env.MailParams { // middleware has others
		env.MailParams = *d.params
	}
	switch {
	case d.number == 1 && d.toParams == nil:
		one[0].To = d.to
		env.Recipients = one
	case d.number == 1: // in one they would be seen by those whose RCPT had none
		env.Recipients = []smtp.Recipient{{To: d.to, RcptParams: *d.toParams}}
	default:
		env.Recipients, d.usual = d.recipients, d.number
	}
	received := NewReceived(d.conn.Info(), env)
	b.body.prepend(&received)
	m.Conn, m.Body = d.conn, b
	return d.f(ctx, m)
}

func (d *delivery) Reset(context.Context, ResetReason) {
	*d = delivery{conn: d.conn, f: d.f, usual: d.usual}
}

func (d *delivery) Close(error) {}
