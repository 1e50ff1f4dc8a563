package client

import (
	"context"

	"github.com/postrider/postrider/smtp"
)

// Mail says MAIL (§4.1.1.2). P may be nil. A parameter of an extension that the
// server did not offer, a path that is not one, and one that is not ASCII without
// p.UTF8, are refused here, before anything is sent. RSET goes before it if Send has left a transaction open.
func (c *Conn) Mail(ctx context.Context, from smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error) {
	if p == nil {
		p = &smtp.MailParams{}
	}
	if err := c.mayMail(from, p); err != nil {
		return smtp.Reply{}, err
	}
	if c.reset {
		if err := c.Reset(ctx); err != nil {
			return smtp.Reply{}, err
		}
	}
	line := smtp.AppendMail(c.buf[:0], from, p, c.cfg.Extensions...)
	reply, err := c.command(ctx, smtp.MAIL, line, c.cfg.Timeouts.Mail)
	if err == nil {
		c.forget()
		c.begun, c.bodyType, c.utf8 = true, p.Body, p.UTF8
	}
	return reply, err
}

func (c *Conn) mayMail(from smtp.ReversePath, p *smtp.MailParams) error {
	if err := from.Validate(); err != nil {
		return localError{err}
	}
	if err := p.Validate(); err != nil {
		return localError{err}
	}
	if !p.UTF8 && !from.IsASCII() {
		return errAddress // RFC 6531 §3.4
	}
	if err := c.offers.CheckMail(p, c.cfg.Extensions...); err != nil {
		return localError{err}
	}
	return nil
}

// errAddress is for an address that MAIL must say SMTPUTF8 for.
var errAddress = &ContentError{smtp.ExtSMTPUTF8, "the address is not ASCII and MAIL does not say SMTPUTF8"}

// forget ends the transaction that the verbs have begun.
func (c *Conn) forget() {
	c.begun, c.rcpts, c.bodyType, c.utf8 = false, 0, "", false
}
