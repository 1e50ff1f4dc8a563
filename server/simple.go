package server

import (
	"strings"

	"github.com/postrider/postrider/smtp"
)

// rset runs RSET (RFC 5321 §4.1.1.5).
func (c *conn) rset([]byte) {
	c.resetSession(ResetRSET)
	c.reply(replyReset)
}

// noop runs NOOP (RFC 5321 §4.1.1.9).
func (c *conn) noop([]byte) { c.say(replyOK) }

// quit runs QUIT (RFC 5321 §4.1.1.10).
func (c *conn) quit([]byte) {
	c.reply(replyBye)
	c.ended = true
}

// vrfy runs VRFY (RFC 5321 §3.5).
func (c *conn) vrfy(arg []byte) {
	if len(arg) == 0 {
		c.refuse(reply(501, 5, 4, "VRFY needs an address"))
		return
	}
	s, ok := As[VerifySession](c.session)
	if !ok || c.state == chunking { // the session is inside of Data
		c.say(replyCannotVerify)
		return
	}
	query := c.utf8Query(arg)
	c.ctx.enter()
	r, err := s.Verify(c.ctx, query)
	c.ctx.leave()
	c.answer(r, err, replyCannotVerify)
	c.utf8Reply = false
}

// expn runs EXPN (RFC 5321 §3.5).
func (c *conn) expn(arg []byte) {
	s, ok := As[ExpandSession](c.session)
	switch {
	case !ok:
		c.reply(notImplemented)
		return
	case c.state == chunking: // the session is inside of Data
		c.say(replyCannotVerify)
		return
	case len(arg) == 0:
		c.refuse(reply(501, 5, 4, "EXPN needs a list"))
		return
	}
	query := c.utf8Query(arg)
	c.ctx.enter()
	r, err := s.Expand(c.ctx, query)
	c.ctx.leave()
	c.answer(r, err, replyOK)
	c.utf8Reply = false
}

// utf8Query takes the parameter off the argument of VRFY or EXPN that allows a
// reply in UTF-8 (RFC 6531 §3.7.4.2).
func (c *conn) utf8Query(arg []byte) string {
	query := string(arg)
	if i := strings.LastIndexByte(query, ' '); c.offered.utf8 && i > 0 && strings.EqualFold(query[i+1:], "SMTPUTF8") {
		c.utf8Reply = true
		query = strings.TrimRight(query[:i], " \t")
	}
	return query
}

// help runs HELP (RFC 5321 §4.1.1.8) from the command table.
func (c *conn) help(arg []byte) {
	if len(arg) > 0 {
		verb, _, _ := smtp.ParseVerb(arg)
		if row := c.cfg.verbs[verb]; row != nil && c.has(row) {
			c.reply(reply(214, 0, 0, row.syntax))
			return
		}
		c.reply(reply(504, 5, 4, "no help for that"))
		return
	}
	verbs := make([]string, 0, len(c.cfg.table))
	for i := range c.cfg.table {
		if row := &c.cfg.table[i]; c.has(row) {
			verbs = append(verbs, string(row.verb))
		}
	}
	c.reply(reply(214, 0, 0, "commands:\n"+strings.Join(verbs, " ")))
}

// has reports whether a verb means anything in this session.
func (c *conn) has(row *command) bool {
	switch {
	case row.verb == smtp.STARTTLS:
		return c.mayStartTLS()
	case row.verb == smtp.AUTH:
		return c.mayAuth()
	case row.verb == smtp.XCLIENT, row.verb == smtp.XFORWARD:
		return c.trusted()
	case c.srv.Role == LMTP:
		return row.traits&notLMTP == 0
	}
	return row.traits&onlyLMTP == 0
}
