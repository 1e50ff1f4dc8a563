package client

import (
	"context"
	"errors"

	"github.com/postrider/postrider/smtp"
)

// XClient says XCLIENT: the server shall go on as if it were x that had connected
// (Postfix XCLIENT_README). Attributes that the server does not offer are left out;
// what is longer than one command goes in several. The server then greets anew,
// and what it offered is forgotten, as is a login: say Hello again. XCLIENT is for
// servers that trust this client, and between messages.
//
// The error holds *smtp.NotOfferedError if the server offers XCLIENT with none of
// the attributes in x, or not at all, and *smtp.Error if it refuses: then nothing
// has changed, unless an earlier one of several commands was accepted.
func (c *Conn) XClient(ctx context.Context, x smtp.XClient) error {
	offer, err := c.mayExtend(smtp.ExtXClient, x.Validate())
	if err != nil {
		return err
	}
	parts := x.Kept(offer).Split()
	if len(parts) == 0 {
		return localError{&smtp.NotOfferedError{Keyword: smtp.ExtXClient}}
	}
	if err := c.beforeMail(ctx); err != nil {
		return err
	}
	for _, part := range parts {
		reply, err := c.command(ctx, smtp.XCLIENT, smtp.AppendXClient(c.buf[:0], part), c.cfg.Timeouts.Greeting)
		if err != nil {
			return err
		}
		c.greeting = reply
		c.restart()
	}
	return nil
}

// XForward says XFORWARD: where the message that is sent next came from, for the
// server's log (Postfix XFORWARD_README). Attributes that the server does not offer
// are left out; what is longer than one command goes in several. It holds for the
// next message, whether Send or Mail begins it, and for all the mail transactions
// that Send makes of it; Reset undoes it. It errs as XClient does.
func (c *Conn) XForward(ctx context.Context, x smtp.XForward) error {
	offer, err := c.mayExtend(smtp.ExtXForward, x.Validate())
	if err != nil {
		return err
	}
	parts := x.Kept(offer).Split()
	if len(parts) == 0 {
		return localError{&smtp.NotOfferedError{Keyword: smtp.ExtXForward}}
	}
	if err := c.beforeMail(ctx); err != nil {
		return err
	}
	if err := c.enter(ctx, string(smtp.XFORWARD)); err != nil {
		return err
	}
	defer c.leave()
	return c.sayForward(parts)
}

// sayForward says what the server is to remember until the end of the next mail
// transaction.
func (c *Conn) sayForward(parts []smtp.XForward) error {
	for i, part := range parts {
		if _, err := c.roundTrip(smtp.XFORWARD, smtp.AppendXForward(c.buf[:0], part), c.cfg.Timeouts.Command); err != nil {
			if i > 0 { // RSET makes it forget the half
				c.forward, c.reset = nil, true
			}
			return err
		}
	}
	c.forward = append(c.forward, parts...)
	return nil
}

// forwardAgain says for a further mail transaction of a message what was said for
// the first.
func (c *Conn) forwardAgain(parts []smtp.XForward) error {
	if parts == nil {
		return nil
	}
	if c.reset {
		if _, err := c.roundTrip(smtp.RSET, append(c.buf[:0], "RSET\r\n"...), c.cfg.Timeouts.Command); err != nil {
			return err
		}
		c.reset = false
	}
	return c.sayForward(parts)
}

// mayExtend returns what the server says of the extension k, or why its command
// cannot be sent.
func (c *Conn) mayExtend(k smtp.Keyword, invalid error) (offer string, err error) {
	offer, offered := c.offers.Param(k)
	switch {
	case invalid != nil:
		return "", localError{invalid}
	case !offered:
		return "", localError{&smtp.NotOfferedError{Keyword: k}}
	case c.begun:
		return "", localError{errors.New("client: " + string(k) + " in the middle of a mail transaction")}
	}
	return offer, nil
}

// beforeMail ends a transaction that Send has left open.
func (c *Conn) beforeMail(ctx context.Context) error {
	if !c.reset {
		return nil
	}
	return c.Reset(ctx)
}

// restart forgets what belongs to the session: the server is where its greeting
// was.
func (c *Conn) restart() {
	c.forget()
	c.greeted, c.reset = false, false
	c.setOffers(nil)
}
