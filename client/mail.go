package client

import (
	"context"

	"github.com/postrider/postrider/smtp"
)

// Mail says MAIL (§4.1.1.2). P may be nil. A parameter of an extension that the
// server did not offer, and a path that is not one, are refused here, before
// anything is sent. RSET goes before it if Send has left a transaction open.
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
		c.rcpts, c.bodyType = 0, p.Body
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
	if err := c.offers.CheckMail(p, c.cfg.Extensions...); err != nil {
		return localError{err}
	}
	return nil
}
