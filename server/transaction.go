package server

import (
	"bytes"
	"context"
	"strings"

	"github.com/postrider/postrider/smtp"
)

// transaction is one mail transaction, in one allocation for the usual one.
type transaction struct {
	scope
	mail       smtp.MailParams
	noParams   smtp.RcptParams // of a RCPT without parameters
	text       strings.Builder // of the arguments, see argument
	recipients int
	body       Body
	refusal    smtp.Reply         // of a chunk
	trace      *[replyBuffer]byte // holds a Received field, as long as the message is read
}

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
	if bytes.IndexByte(arg, ' ') >= 0 || bytes.IndexByte(arg, '\t') >= 0 {
		return new(smtp.RcptParams)
	}
	return &t.noParams
}

// endTransaction leads to ready.
func (c *conn) endTransaction(why ResetReason) {
	t := c.txn
	c.txn = nil
	if c.state&(connected|refused) == 0 {
		c.state = ready
	}
	c.giveBack()
	if t.trace != nil {
		replyBuffers.Put(t.trace)
		t.trace = nil
	}
	defer t.end(context.Canceled)
	if t.mail.UTF8 {
		defer c.update(func(i *Info) { i.UTF8 = false })
	}
	c.session.Reset(t, why)
	c.forgetForwarded()
	c.late = c.late || t.late.Load()
}
