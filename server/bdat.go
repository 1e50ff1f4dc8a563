package server

import (
	"bytes"
	"errors"
	"time"

	"github.com/postrider/postrider/internal/wire"
	"github.com/postrider/postrider/smtp"
)

// bdat runs the first BDAT of a message (RFC 3030 §2): the handler gets the
// body and pulls the chunks that follow out of it, see Body.nextChunk. It
// leads to ready after the last chunk, to broken when a chunk before it was
// refused.
func (c *conn) bdat(arg []byte) {
	size, last, err := smtp.ParseBdat(arg)
	if err != nil {
		c.reply(chunkUnclear)
		return
	}
	b := c.txn.newBody(c, true)
	b.chunk(size, last)
	c.state = chunking
	r, err := c.receive()
	if derr := c.drain(b, err); derr != nil {
		if c.deferred != nil {
			// The loop runs it next, and it ends the transaction.
			c.state = broken
			c.observe(Event{Kind: MessageRefused, Size: b.received, Recipients: c.txn.recipients, Err: derr})
			return
		}
		c.cutShort(derr)
		return
	}
	if b.last {
		c.conclude(b, r, err)
		return
	}
	c.concludeChunk(b, r, err)
}

// concludeChunk answers a chunk that the handler, or a check of ours, has
// refused though it is not the last.
func (c *conn) concludeChunk(b *body, r smtp.Reply, err error) {
	if b.failed != nil {
		r, err = smtp.Reply{}, &smtp.Error{Reply: b.failed.Reply, Scope: smtp.ScopeMessage}
	}
	final, _, _ := c.verdict(r, err, replyMessageOK.Reply)
	c.reply(final)
	c.observe(Event{Kind: MessageRefused, Size: b.received, Recipients: c.txn.recipients, Reply: final, Err: err})
	b.refusal = final
	c.state = broken
}

var errSlow = errors.New("data came too slowly")

// dawdles reports whether d, the time of many waits taken together, is more than
// MinDataRate allows for what has come. Each wait alone is within bounds.
func (b *body) dawdles(d time.Duration) bool {
	l := &b.c.cfg.limits
	return l.MinDataRate > 0 && d > l.DataTimeout && float64(b.received) < float64(l.MinDataRate)*d.Seconds()
}

// nextChunk confirms a chunk and waits for the one after it. It runs in the
// handler's call of Body.Read: what else may be said meanwhile is answered
// here, and what ends the transaction is left to the loop.
func (c *conn) nextChunk(b *body) error {
	if !b.closed {
		c.txn.leave() // the client's time is not the handler's
		defer c.txn.enter()
	}
	c.say(replyChunkOK)
	for !c.ended {
		if b.dawdles(b.waited) || b.dawdles(b.within) {
			c.verb = ""
			c.end(errSlow)
			c.limitHit(replyTooSlow)
			c.reply(replyTooSlow)
			return &BodyError{Err: errSlow}
		}
		asked := time.Now()
		line, err := c.readLine(false)
		b.waited += time.Since(asked)
		if err != nil && err != wire.ErrLineTooLong && err != wire.ErrBareLF {
			c.readFailed(err)
			return &BodyError{Err: notEOF(err)}
		}
		row, arg := c.row(line, err)
		if row == nil {
			continue
		}
		refusal := c.check(row, arg)
		switch {
		case row.verb == smtp.BDAT:
			size, last, err := smtp.ParseBdat(arg)
			if err != nil {
				c.reply(chunkUnclear)
				continue
			}
			b.chunk(size, last)
			return nil
		case refusal != nil:
			c.refuse(*refusal)
		case row.traits&greets != 0 && smtp.ParseHello(string(arg)) != nil:
			c.run(row, arg) // refused, so it ends nothing (RFC 5321 §4.1.4)
		case row.traits&abandons != 0:
			c.deferred = &deferred{row, bytes.Clone(arg)}
			return &BodyError{Err: errReset}
		default:
			c.run(row, arg)
		}
	}
	return &BodyError{Err: c.reason}
}

// skipChunk reads and drops the octets that follow a BDAT. With ok false the
// connection ends.
func (c *conn) skipChunk(arg []byte) (last, ok bool) {
	size, last, err := smtp.ParseBdat(arg)
	switch {
	case err != nil:
		c.reply(chunkUnclear)
		return false, false
	case over(size, c.cfg.limits.MaxDiscard):
		c.limit(tooMuchToDiscard)
		return false, false
	}
	b := new(body)
	if c.state == broken {
		b = c.txn.body // limits are for all chunks of a message
		b.err = nil
		if b.dropping.IsZero() {
			b.dropping = time.Now()
		}
		if b.dawdles(time.Since(b.dropping)) {
			c.limit(replyTooSlow)
			return false, false
		}
	} else {
		b.begin(c, c.txn, true)
	}
	b.chunk(size, last)
	if err := b.discard(false); err != nil {
		c.cutShort(err)
		return false, false
	}
	return last, true
}

// discardChunk answers a BDAT that is refused as a command. Its octets are
// read and dropped all the same, lest they be taken for commands.
func (c *conn) discardChunk(arg []byte, refusal smtp.Reply) {
	last, ok := c.skipChunk(arg)
	if !ok {
		return
	}
	if c.state != broken {
		c.refuse(refusal)
		return
	}
	// The further chunks of a message refused midway. Whoever has sent them all
	// at once judges by the last reply, so each repeats the first refusal.
	times := 1
	if last && c.srv.Role == LMTP {
		times = c.txn.recipients // RFC 2033 §4.2
	}
	if last {
		c.endTransaction(ResetDone)
	}
	for range times {
		c.reply(refusal)
	}
}
