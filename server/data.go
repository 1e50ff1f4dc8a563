package server

import (
	"errors"

	"github.com/postrider/postrider/smtp"
)

// data runs DATA (RFC 5321 §4.1.1.4). It leads to ready, whatever the reply.
func (c *conn) data([]byte) {
	t := c.txn
	if t.mailParams().Body == smtp.BodyBinaryMIME {
		c.refuse(binaryNeeds) // RFC 3030 §3
		return
	}
	c.say(replyStartInput)
	b := t.newBody(c, false)
	r, err := c.receive()
	if derr := c.drain(b, err); derr != nil {
		c.cutShort(derr)
		return
	}
	c.conclude(b, r, err)
}

// receive hands the message to the session.
func (c *conn) receive() (smtp.Reply, error) {
	t := c.txn
	if c.cfg.limits.HandlerTimeout == 0 {
		t.mu.Lock()
		t.limit = defaultDataHandlerTimeout
		t.mu.Unlock()
	}
	t.enter()
	r, err := c.session.Data(t, &t.handle)
	t.leave()
	t.handle.body = nil // what the handler has kept of it reads nothing more
	return r, err
}

// drain leaves the session in step with the client after Data has returned err.
func (c *conn) drain(b *body, err error) error {
	if errors.Is(err, ErrAbort) {
		c.aborted = true
		c.end(err)
		return err
	}
	return b.discard(err == nil)
}

// conclude answers the whole message and ends the transaction.
func (c *conn) conclude(b *body, r smtp.Reply, err error) {
	var failed *BodyError
	if b.failed != nil {
		failed = b.failed
		c.limitHit(failed.Reply)
		r, err = smtp.Reply{}, &smtp.Error{Reply: failed.Reply, Scope: smtp.ScopeMessage}
	}
	final, accepted, _ := c.verdict(r, err, replyMessageOK.Reply)
	switch {
	case !b.perRecipient:
		c.reply(final)
	case c.srv.Role == LMTP:
		accepted = c.answerEach(b, final, accepted)
	case !accepted:
		c.reply(final) // in place of 353: it concerns everybody
	default:
		c.reply(replyPerRecipient)
		if accepted = c.answerEach(b, replyRecipientOK.Reply, true); !accepted {
			final = b.refusedByAll()
		}
		c.reply(final)
	}
	if accepted {
		c.chat, c.rejected, c.refusals = 0, 0, 0
	}
	if c.srv.Observer != nil {
		e := Event{Kind: MessageAccepted, Reply: final, Size: b.received, Recipients: c.txn.recipients}
		if !accepted {
			e.Kind, e.Err = MessageRefused, err
		}
		if !accepted && failed != nil {
			e.Err = failed
		}
		c.observe(e)
	}
	c.endTransaction(ResetDone)
}

// answerEach sends one reply for each accepted recipient, in the order of
// RCPT (RFC 2033 §4.2). It reports whether one of them is positive.
func (c *conn) answerEach(b *body, final smtp.Reply, accepted bool) bool {
	if !accepted {
		// What failed as a whole failed for everybody.
		for range c.txn.recipients {
			c.reply(final)
		}
		return false
	}
	any := false
	for i := range c.txn.recipients {
		r := final
		if own, ok := b.replies[i]; ok {
			r = c.complete(own)
		}
		any = any || r.Positive()
		c.reply(r)
	}
	return any
}

// refusedByAll is the last reply to a message with PRDR that nobody wants. It
// is temporary if one of the refusals is.
func (b *body) refusedByAll() smtp.Reply {
	for i := range b.c.txn.recipients {
		if b.replies[i].Temporary() {
			return refusedByAllSoon
		}
	}
	return refusedByAll
}

// limitHit tells the observer of a limit that a message has run into.
func (c *conn) limitHit(r smtp.Reply) {
	switch r {
	case tooBig, headerTooBig, textLineTooLong, tooMuchToDiscard, replyTimeout, replyTooSlow:
		c.observe(Event{Kind: LimitHit, Verb: c.verb, Reply: r})
	}
}

// cutShort ends a transaction, if there is one, whose data never came to its end.
func (c *conn) cutShort(err error) {
	if t := c.txn; t != nil && c.state != broken { // where it has been told of already
		e := Event{Kind: MessageRefused, Recipients: t.recipients, Err: err}
		if t.body != nil {
			e.Size = t.body.received
		}
		c.observe(e)
	}
	var failed *BodyError
	if errors.As(err, &failed) && failed.Reply.Code == 421 {
		c.end(err)
		c.limitHit(failed.Reply)
		c.reply(failed.Reply)
		return
	}
	c.end(err)
}
