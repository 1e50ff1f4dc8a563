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
	m    *delivered // the one whose envelope is coming in

	// The function may keep the envelope, so its recipients are put together
	// once their number is known; this is used again for the next message.
	recipients []deliveryRecipient
}

// delivered is a Message with room for the recipient that most have.
type delivered struct {
	Message
	one [1]smtp.Recipient
}

type deliveryRecipient struct {
	to     smtp.ForwardPath
	params *smtp.RcptParams // nil: none, which need not be copied
}

func (d *delivery) Mail(_ context.Context, from smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error) {
	d.m = &delivered{Message: Message{Conn: d.conn}}
	d.m.Envelope.From, d.m.Envelope.MailParams = from, *p
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
	env := &d.m.Envelope
	if env.Recipients = d.m.one[:]; len(d.recipients) > 1 {
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
	b.prepend(&received)
	d.m.Body = b
	return d.f(ctx, &d.m.Message)
}

func (d *delivery) Reset(context.Context, ResetReason) {
	d.m = nil
	clear(d.recipients)
	d.recipients = d.recipients[:0]
	if cap(d.recipients) > 200 {
		d.recipients = nil // not to be held while the connection is idle
	}
}

func (d *delivery) Close(error) {}
