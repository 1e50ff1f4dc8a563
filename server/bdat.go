package server

import (
	"bytes"

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
	b := &c.txn.body
	b.begin(c, true)
	b.chunk(size, last)
	c.state = chunking
	r, err := c.receive(b)
	if derr := b.discard(err == nil); derr != nil {
		if c.deferred.row != nil {
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
func (c *conn) concludeChunk(b *Body, r smtp.Reply, err error) {
	if b.failed != nil {
		r, err = smtp.Reply{}, &smtp.Error{Reply: b.failed.Reply, Scope: smtp.ScopeMessage}
	}
	final, _, silent := c.verdict(r, err, replyMessageOK)
	if silent {
		return
	}
	c.observe(Event{Kind: MessageRefused, Size: b.received, Recipients: c.txn.recipients, Reply: final, Err: err})
	c.reply(final)
	c.state = broken
}

// nextChunk confirms a chunk and waits for the one after it. It runs in the
// handler's call of Body.Read: what else may be said meanwhile is answered
// here, and what ends the transaction is left to the loop.
func (c *conn) nextChunk(b *Body) error {
	c.reply(replyChunkOK)
	for !c.ended {
		line, err := c.readLine()
		if err != nil && err != wire.ErrLineTooLong && err != wire.ErrBareLF {
			c.readFailed(err)
			return &BodyError{Err: err}
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
		case !refusal.IsZero():
			c.refuse(refusal)
		case row.traits&abandons != 0:
			c.deferred.row, c.deferred.arg = row, bytes.Clone(arg)
			return &BodyError{Err: errReset}
		default:
			c.run(row, arg)
		}
	}
	return &BodyError{Err: c.reason}
}

// discardChunk answers a BDAT that is refused as a command. Its octets are
// read and dropped all the same, lest they be taken for commands.
func (c *conn) discardChunk(arg []byte, refusal smtp.Reply) {
	size, last, err := smtp.ParseBdat(arg)
	if err != nil || over(size, c.cfg.limits.MaxDiscard) {
		c.reply(chunkUnclear)
		return
	}
	b := new(Body)
	b.begin(c, true)
	b.chunk(size, last)
	if err := b.discard(false); err != nil {
		c.cutShort(err)
		return
	}
	times := 1
	if c.state == broken && last {
		// The end of a message refused midway (RFC 2033 §4.2 wants one reply
		// for each recipient).
		if c.srv.Role == LMTP {
			times = c.txn.recipients
		}
		c.endTransaction(ResetDone)
	}
	c.refuse(refusal)
	for range times - 1 {
		c.reply(refusal)
	}
}
