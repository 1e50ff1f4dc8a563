package client

import (
	"context"

	"github.com/postrider/postrider/smtp"
)

// Rcpt says RCPT (§4.1.1.3). P may be nil. A parameter of an extension that the
// server did not offer, a path that is not one, and one that is not ASCII if MAIL
// did not say SMTPUTF8, are refused here, before anything is sent.
func (c *Conn) Rcpt(ctx context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
	if p == nil {
		p = &smtp.RcptParams{}
	}
	if err := c.mayRcpt(to, p); err != nil {
		return smtp.Reply{}, err
	}
	c.mayName(&to) // it counts
	line := smtp.AppendRcpt(c.buf[:0], to, p, c.cfg.Extensions...)
	reply, err := c.command(ctx, smtp.RCPT, line, c.cfg.Timeouts.Rcpt)
	if err == nil {
		c.rcpts++
	}
	return reply, err
}

func (c *Conn) mayRcpt(to smtp.ForwardPath, p *smtp.RcptParams) error {
	if err := to.Validate(); err != nil {
		return localError{err}
	}
	if err := p.Validate(); err != nil {
		return localError{err}
	}
	if !c.utf8 && !to.IsASCII() {
		return errAddress // RFC 6531 §3.4
	}
	if err := c.offers.CheckRcpt(p, c.cfg.Extensions...); err != nil {
		return localError{err}
	}
	return nil
}
