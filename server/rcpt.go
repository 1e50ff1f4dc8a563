package server

import (
	"slices"
	"strings"

	"github.com/postrider/postrider/smtp"
)

// rcpt runs RCPT (RFC 5321 §3.3). Success leads to rcpted.
func (c *conn) rcpt(arg []byte) {
	t := c.txn
	params := t.rcptParams(arg)
	to, err := smtp.ParseRcpt(t.argument(arg), c.offered.offers, params, c.cfg.rows...)
	if err != nil {
		c.refuseSyntax(err)
		return
	}
	switch {
	case c.offered.utf8 && !t.utf8 && !to.IsASCII(): // without the offer it did not parse
		c.refuse(recipientNeedsUTF8)
		return
	case over(t.recipients+1, c.cfg.limits.MaxRecipients):
		c.limit(tooManyRecipients) // §4.5.3.1.10
		return
	case c.cfg.limits.MaxRecipientDomains >= 0 && !c.admitDomain(to.Domain):
		c.limit(tooManyDomains)
		return
	}
	t.enter()
	r, err := c.session.Rcpt(t, to, params)
	t.pass()
	if !c.answer(r, err, replyRecipientOK) {
		c.reject()
		return
	}
	if c.cfg.limits.MaxRecipientDomains >= 0 {
		c.addDomain(to.Domain)
	}
	t.recipients++
	c.state = rcpted
}

// admitDomain reports whether one more recipient may be in domain.
func (c *conn) admitDomain(domain string) bool {
	return len(c.domains) < c.cfg.limits.MaxRecipientDomains || c.hasDomain(domain)
}

func (c *conn) addDomain(domain string) {
	if !c.hasDomain(domain) {
		c.domains = append(c.domains, strings.Clone(domain)) // not the whole command
	}
}

func (c *conn) hasDomain(domain string) bool {
	return slices.ContainsFunc(c.domains, func(d string) bool { return strings.EqualFold(d, domain) })
}
