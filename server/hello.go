package server

import (
	"strings"

	"github.com/postrider/postrider/smtp"
)

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
			c.answer(smtp.Reply{}, err, smtp.Reply{})
			return
		}
	}
	if c.state != connected {
		c.resetSession(ResetHello)
	}
	c.update(func(i *Info) { i.Hello, i.HelloVerb = name, c.verb })
	c.state = ready
	if c.verb == smtp.HELO {
		c.offers = nil
		c.settle()
		c.reply(smtp.Reply{Code: 250, Text: c.cfg.hostname})
		return
	}
	offers, lines := c.offer()
	c.offers = offers
	c.settle()
	c.reply(smtp.Reply{Code: 250, Text: c.cfg.hostname + "\n" + strings.Join(lines, "\n")})
}

// settle derives from the offers what every command asks for. What is
// gathered of a line is the longest command that they allow.
func (c *conn) settle() {
	c.offersUTF8 = c.offers.Has(smtp.ExtSMTPUTF8)
	c.lineLimit = max(c.maxLine(smtp.MAIL), c.maxLine(smtp.RCPT), c.maxLine(smtp.AUTH), c.maxLine(smtp.NOOP))
}

// maxLine is how long a command may be (RFC 5321 §4.5.3.1.4, §2.2.1).
func (c *conn) maxLine(verb smtp.Verb) int {
	return min(c.offers.MaxLine(verb, c.cfg.rows...)+c.cfg.limits.MaxLine, maxGathered)
}

// resetSession ends the transaction, if there is one, and tells the session.
func (c *conn) resetSession(why ResetReason) {
	if c.txn != nil {
		c.endTransaction(why)
		return
	}
	c.session.Reset(c.ctx, why)
}
