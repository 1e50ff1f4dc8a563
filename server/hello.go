package server

import "github.com/postrider/postrider/smtp"

// hello runs EHLO, HELO and LHLO. Success leads to ready, from whatever state
// (RFC 5321 §4.1.4).
func (c *conn) hello(arg []byte) {
	name := string(arg)
	if err := smtp.ParseHello(name); err != nil {
		c.refuseSyntax(err)
		return
	}
	if s, ok := As[HelloSession](c.session); ok {
		c.ctx.enter()
		err := s.Hello(c.ctx, c.verb, name)
		c.ctx.leave()
		if err != nil {
			c.answer(smtp.Reply{}, err, replyOK)
			return
		}
	}
	if c.state != connected {
		c.resetSession(ResetHello)
	}
	c.changeHello(name, c.verb)
	c.state = ready
	if c.verb == smtp.HELO {
		c.offered = c.cfg.nothing
		c.reply(smtp.Reply{Code: 250, Text: c.cfg.hostname})
		return
	}
	c.offered = c.offer()
	c.reply(c.offered.reply)
}

// resetSession ends the transaction, if there is one, and tells the session.
func (c *conn) resetSession(why ResetReason) {
	if c.txn != nil {
		c.endTransaction(why)
		return
	}
	c.session.Reset(c.ctx, why)
	c.forgetForwarded()
}
