package server

import (
	"context"

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

	from   smtp.ReversePath
	params *smtp.MailParams

	// The function may keep the envelope, so its recipients are put together
	// once their number is known; this is used again for the next message.
	recipients []deliveryRecipient
}

type deliveryRecipient struct {
	to     smtp.ForwardPath
	params *smtp.RcptParams // nil: none, which need not be copied
}

func (d *delivery) Mail(_ context.Context, from smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error) {
	d.from, d.params = from, p
	return smtp.Reply{}, nil
}

func (d *delivery) Rcpt(_ context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
	if p.Notify == 0 && p.ORcpt.IsZero() && p.RRVS == nil && p.Other == nil {
		p = nil
	}
	d.recipients = append(d.recipients, deliveryRecipient{to, p})
	return smtp.Reply{}, nil
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
	// Parameters in t.one would be seen by those whose RCPT had none.
	if env.Recipients = one; len(d.recipients) != 1 || d.recipients[0].params != nil {
		env.Recipients = make([]smtp.Recipient, len(d.recipients))
	}
	for i := range d.recipients {
		r := &d.recipients[i]
		env.Recipients[i].To = r.to
		if r.params != nil {
			env.Recipients[i].RcptParams = *r.params
		}
	}
	received := NewReceived(d.conn.Info(), env)
	b.body.prepend(&received)
	m.Conn, m.Body = d.conn, b
	return d.f(ctx, m)
}

func (d *delivery) Reset(context.Context, ResetReason) {
	d.from, d.params = smtp.ReversePath{}, nil
	clear(d.recipients)
	d.recipients = d.recipients[:0]
	if cap(d.recipients) > 200 {
		d.recipients = nil // not to be held while the connection is idle
	}
}

func (d *delivery) Close(error) {}
