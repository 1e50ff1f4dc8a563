package server

import (
	"bytes"
	"context"
	"strings"

	"github.com/postrider/postrider/smtp"
)

// transaction is one mail transaction. A handler may keep what it is given of it:
// the context, which is the transaction itself, parameters, the Body, and from
// Deliver the envelope. So none is used twice, and all of it is one allocation of
// 480 octets; beyond 512 the garbage collector would take longer over each.
type transaction struct {
	scope
	message    Message           // for Deliver. All sessions get its MailParams.
	one        [1]smtp.Recipient // of message, if it has just one
	text       strings.Builder   // of the arguments, see argument
	handle     Body
	body       *body // behind handle; kept until the end for what Data has left
	recipients int
	utf8       bool // SMTPUTF8 was given with MAIL
}

// mailParams are the parameters of MAIL.
func (t *transaction) mailParams() *smtp.MailParams { return &t.message.Envelope.MailParams }

// argument makes a string of a command's argument. They share a few larger
// allocations, since a message may have a thousand recipients. What has been
// written to a strings.Builder never changes, so the strings may be kept.
func (t *transaction) argument(arg []byte) string {
	start := t.text.Len()
	if t.text.Cap()-start < len(arg) {
		size := 96 // the paths of a usual message with one recipient
		if start > 0 {
			size = 1024
		}
		t.text = strings.Builder{}
		t.text.Grow(max(size, len(arg)))
		start = 0
	}
	t.text.Write(arg)
	return t.text.String()[start:]
}

// rcptParams returns what a RCPT's parameters are parsed into. Handlers may
// keep it, so each RCPT that has any gets its own; the others share one that
// stays zero.
func (t *transaction) rcptParams(arg []byte) *smtp.RcptParams {
	if bytes.IndexByte(arg, '>') == len(arg)-1 {
		return &t.one[0].RcptParams
	}
	return new(smtp.RcptParams)
}

// endTransaction leads to ready.
func (c *conn) endTransaction(why ResetReason) {
	t := c.txn
	c.txn = nil
	if c.state&(connected|refused) == 0 {
		c.state = ready
	}
	c.giveBack()
	t.releaseBody()
	defer t.end(context.Canceled)
	if t.utf8 {
		defer c.changeUTF8(false)
	}
	c.session.Reset(t, why)
	c.forgetForwarded()
	c.late = c.late || t.late.Load()
}

// newBody begins the message of the transaction.
func (t *transaction) newBody(c *conn, chunked bool) *body {
	t.body = bodies.Get().(*body)
	t.body.begin(c, t, chunked)
	t.handle.body = t.body
	return t.body
}

// releaseBody lets another message have the body, unless a handler may still be at
// it: Data has panicked, or has left a goroutine behind in Read.
func (t *transaction) releaseBody() {
	b := t.body
	t.body = nil
	if b == nil || t.handle.body != nil || t.handle.inside {
		t.handle.body = nil
		return
	}
	*b = body{}
	bodies.Put(b)
}
