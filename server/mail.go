package server

import (
	"context"

	"github.com/postrider/postrider/smtp"
)

// mail runs MAIL (RFC 5321 §3.3). Success leads to mailed.
func (c *conn) mail(arg []byte) {
	if c.srv.closing.Load() {
		c.reply(replyShutdown)
		return
	}
	t := &transaction{scope: scope{parent: c.ctx, limit: c.ctx.limit}}
	params := t.mailParams()
	from, err := smtp.ParseMail(t.argument(arg), c.offered.offers, params, c.cfg.rows...)
	if err != nil {
		c.refuseSyntax(err)
		return
	}
	switch {
	case over(params.Size, c.cfg.limits.MaxMessageSize):
		c.limit(tooBig) // RFC 1870 §6.1
		return
	case over(c.messages+1, c.cfg.limits.MaxMessages):
		c.limit(tooManyMessages)
		return
	}
	if len(c.cfg.checks) > 0 {
		if err := c.checkMail(params); err != nil {
			c.answer(smtp.Reply{}, err, replyOK)
			c.reject()
			return
		}
	}
	if refusal := c.mayBegin(); refusal.Code != 0 {
		c.limit(refusal)
		c.reject()
		return
	}
	t.utf8 = params.UTF8
	t.enter()
	r, err := c.session.Mail(t, from, params)
	t.pass()
	if !c.answer(r, err, replySenderOK) {
		t.end(context.Canceled)
		c.giveBack()
		c.late = c.late || t.late.Load()
		c.reject()
		return
	}
	c.busy()
	c.messages++
	c.txn, c.state = t, mailed
	if t.utf8 {
		c.changeUTF8(true)
	}
}
