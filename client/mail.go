package client

import (
	"context"
	"time"

	"github.com/postrider/postrider/smtp"
)

// Mail says MAIL (§4.1.1.2). P may be nil. A parameter of an extension that the
// server did not offer, or a value of it that it said it does not take, REQUIRETLS
// without verified TLS, a path that is not one, and one that is not ASCII without
// p.UTF8, are refused here, before anything is sent. RSET goes before it if Send has
// left a transaction open.
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
	c.messages++
	line := smtp.AppendMail(c.buf[:0], from, p, c.cfg.Extensions...)
	reply, err := c.command(ctx, smtp.MAIL, line, c.cfg.Timeouts.Mail)
	if err == nil {
		c.forget()
		c.begun, c.bodyType, c.utf8, c.prdr = true, p.Body, p.UTF8, p.PRDR
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
	if err := c.mayAsk(p); err != nil {
		return localError{err}
	}
	return nil
}

// errAddress is for an address that MAIL must say SMTPUTF8 for.
var errAddress = &ContentError{smtp.ExtSMTPUTF8, "the address is not ASCII and MAIL does not say SMTPUTF8", noUTF8}

// mayAsk refuses parameters of extensions that the server does not offer, and
// values that are not within its offer, or mean nothing any more.
func (c *Conn) mayAsk(p *smtp.MailParams) error {
	if err := c.mayRequireTLS(p); err != nil {
		return err
	}
	if err := c.offers.CheckMail(p, c.cfg.Extensions...); err != nil {
		return err
	}
	if p.By.Mode == smtp.DeliverReturn && p.By.Within < time.Second { // RFC 2852 §4.1.4
		return &ContentError{smtp.ExtDeliverBy, "the time in which the message had to be delivered is over", timeIsOver}
	}
	return nil
}

// mayRequireTLS refuses REQUIRETLS where it would promise what is not so: over
// TLS to a verified server that offers it, and nowhere else (RFC 8689 §4.2.1).
func (c *Conn) mayRequireTLS(p *smtp.MailParams) error {
	if !p.RequireTLS {
		return nil
	}
	if _, encrypted := c.TLSConnectionState(); !encrypted || !c.verified {
		return &ContentError{smtp.ExtRequireTLS, "the message requires TLS and the connection is not protected by verified TLS", noEncryption}
	}
	if !c.offers.Has(smtp.ExtRequireTLS) {
		return &ContentError{smtp.ExtRequireTLS, "the message requires TLS and the server does not offer REQUIRETLS", noRequireTLS}
	}
	return nil
}

// forget ends the transaction that the verbs have begun.
func (c *Conn) forget() {
	c.forward = nil
	c.begun, c.rcpts, c.bodyType, c.utf8, c.prdr = false, 0, "", false, false
}
