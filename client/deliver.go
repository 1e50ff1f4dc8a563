package client

import (
	"errors"
	"io"

	"github.com/postrider/postrider/internal/wire"
	"github.com/postrider/postrider/smtp"
)

// A bodyWriter sends message data. It holds back the end of it in the
// connection's buffer, so that something may go in the same write.
type bodyWriter interface {
	io.Writer
	finish() error
	sent() bool // nothing is held back
	trace()
}

// body sends the data and, if somebody waits in q, his envelope behind it.
func (c *Conn) body(t *transaction, q *queue) error {
	c.buf = c.buf[:0]
	var w bodyWriter
	if t.plan.bdat {
		w = c.newChunkWriter(t.plan.size, t.plan.params.Body != smtp.BodyBinaryMIME)
	} else {
		w = c.newDataWriter(t.dotless && !t.plan.normalize)
	}
	err := t.copyTo(w)
	if err == nil {
		err = w.finish()
	}
	t.sent = w.sent()
	if err != nil {
		return c.bodyFailed(t, err)
	}
	own := len(c.buf)
	c.reset = t.plan.bdat // a refused chunk leaves the transaction open
	if !c.cfg.LMTP || !t.plan.bdat {
		// Servers answer a chunk once where LMTP asks for a reply for each
		// recipient. A reply to another's envelope must not be taken for one.
		q.claim(c)
	}
	p := c.buf
	n, err := c.send(opData, p, c.cfg.Timeouts.DataBlock)
	t.sent = t.sent || n >= own
	switch {
	case err == nil:
		w.trace()
		c.traceWrote(p[own:])
	case !t.sent:
		return c.bodyFailed(t, err)
	}
	return nil // what failed then is not the message: its reply may still come
}

// bodyTogether writes the commands that are in the buffer with the whole message
// behind them.
func (c *Conn) bodyTogether(t *transaction) error {
	commands := len(c.buf)
	err := t.copyTo((*heldWriter)(c))
	if err == nil && t.plan.needsEnd {
		c.buf = append(c.buf, "\r\n"...)
	}
	p := c.buf
	if err == nil && int64(len(p)-commands) != t.plan.size {
		err = errSize
	}
	if err != nil {
		return c.fail(opData, err)
	}
	n, err := c.request(opData, p, commands, c.limitOf(t))
	t.sent = n == len(p)
	return err
}

// heldWriter appends to the connection's buffer.
type heldWriter Conn

func (w *heldWriter) Write(p []byte) (int, error) {
	w.buf = append(w.buf, p...)
	return len(p), nil
}

// copyTo copies the content to w, normalized and checked as the plan says.
func (t *transaction) copyTo(w io.Writer) error {
	t.consumed = true
	var check *checkedWriter
	if _, unchanged := t.body.(memory); !unchanged || !t.examined() || t.plan.normalize {
		check = &checkedWriter{w: w, forbidden: t.plan.forbidden}
		w = check
	}
	if t.plan.normalize {
		w = &lineEnder{w: w}
	}
	t.sized = sizedWriter{w: w, left: t.content.Size}
	if t.content.Size >= 0 {
		w = &t.sized
	}
	err := copyBody(w, t.body)
	switch {
	case err != nil:
		return err
	case t.sized.left > 0:
		return errSize
	case check != nil:
		return check.finish()
	}
	return nil
}

// bodyFailed sorts out why the data could not be sent. A refused chunk leaves a
// session that goes on. A server that hangs up in the middle may have said why.
// Anything else ends the connection, so that nobody takes a part for the whole.
func (c *Conn) bodyFailed(t *transaction, err error) error {
	var refused *smtp.Error
	switch {
	case errors.As(err, &refused) && c.dead == nil:
		c.reset = true
		t.result.undecided(refused)
		return nil
	case c.dead == nil:
		return c.fail(opData, err)
	case !closedByPeer(err):
		return err
	}
	code, raw, readErr := c.readReply(opData, c.cfg.Timeouts.Quit, wire.MaxReplyLines)
	if readErr != nil || code < 400 {
		return err
	}
	return refusal("", parse(raw))
}

// noData ends data that nobody is to get: the server waits for it although it
// refused MAIL or every RCPT (RFC 2920 §3.1). What goes wrong ends the connection
// and decides nothing: all is decided.
func (c *Conn) noData() {
	if c.cfg.LMTP {
		c.fail(opEnd, errNoReply)
	} else if c.write(opEnd, append(c.buf[:0], endOfData...), c.cfg.Timeouts.DataEnd) == nil {
		c.expect(opEnd, "", c.cfg.Timeouts.DataEnd)
	}
}

// LMTP gives one reply for each accepted recipient, of which there is none.
var errNoReply = errors.New("no reply can be waited for")

// decide reads the reply that decides on the message, with LMTP one for each
// accepted recipient in the order of RCPT (RFC 2033 §4.2). A message that is
// refused as such is refused for the recipients to come too.
func (c *Conn) decide(t *transaction) error {
	var verb smtp.Verb
	if t.plan.bdat {
		verb = smtp.BDAT
	}
	var reply smtp.Reply
	var own []smtp.Reply
	var outcome error
	asked := false
	for i := range t.plan.rcpts {
		r := t.recipient(i)
		if r.Err != errUndecided {
			continue
		}
		if !asked {
			c.reset, c.forward = false, nil
		}
		if !asked || c.cfg.LMTP {
			asked = true
			reply, own, outcome = c.expectEnd(verb, t.plan.params.PRDR, t.accepted)
			if _, lost := outcome.(*ConnError); lost {
				return outcome
			}
		}
		r.Reply, r.Err = reply, outcome
		if len(own) > 0 {
			r.Reply, r.Err = ownOutcome(verb, own, reply)
			own = own[1:]
		}
		if r.Err == nil {
			t.delivered++
		}
		c.reset = c.reset || t.plan.bdat && outcome != nil
		if refused, ok := outcome.(*smtp.Error); ok && c.cfg.LMTP && refused.Scope == smtp.ScopeMessage {
			refused.Scope = smtp.ScopeRecipient
		}
	}
	if refused, ok := outcome.(*smtp.Error); ok && refused.Scope == smtp.ScopeMessage {
		t.result.undecided(refused)
	}
	return nil
}
