package client

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/postrider/postrider/smtp"
)

// Reset says RSET: the transaction, if one is open, is forgotten (§4.1.1.5).
func (c *Conn) Reset(ctx context.Context) error {
	_, err := c.command(ctx, smtp.RSET, append(c.buf[:0], "RSET\r\n"...), c.cfg.Timeouts.Command)
	if err == nil {
		c.forget()
		c.reset = false
	}
	return err
}

// Noop says NOOP (§4.1.1.9): is the server still there?
func (c *Conn) Noop(ctx context.Context) error {
	_, err := c.command(ctx, smtp.NOOP, append(c.buf[:0], "NOOP\r\n"...), c.cfg.Timeouts.Command)
	return err
}

// Verify asks whether who, a mailbox or a user's name, is known (§4.1.1.6). With
// 252 the server does not say; that is no error.
func (c *Conn) Verify(ctx context.Context, who string) (smtp.Reply, error) {
	return c.ask(ctx, smtp.VRFY, who)
}

// Expand asks for the members of a mailing list (§4.1.1.7), one in each line of
// the reply.
func (c *Conn) Expand(ctx context.Context, list string) (smtp.Reply, error) {
	return c.ask(ctx, smtp.EXPN, list)
}

// Help asks for help on topic; "" is help in general (§4.1.1.8).
func (c *Conn) Help(ctx context.Context, topic string) (smtp.Reply, error) {
	return c.ask(ctx, smtp.HELP, topic)
}

// Etrn asks the server to send the mail that waits for node now (RFC 1985):
// "example.org", "@example.org" with everything below it, or "#queue". The reply
// tells how that stands (§5.3): 250 begins, 251 has nothing, 252 and 253 have
// something; 458 and 459, which are errors, cannot do it now or for this node. It is
// for between messages.
func (c *Conn) Etrn(ctx context.Context, node string) (smtp.Reply, error) {
	e, err := smtp.ParseEtrn(node)
	if _, err := c.mayExtend(smtp.ExtEtrn, err); err != nil {
		return smtp.Reply{}, err
	}
	if err := c.beforeMail(ctx); err != nil { // §5
		return smtp.Reply{}, err
	}
	return c.command(ctx, smtp.ETRN, smtp.AppendEtrn(c.buf[:0], e), c.cfg.Timeouts.Command)
}

func (c *Conn) ask(ctx context.Context, verb smtp.Verb, arg string) (smtp.Reply, error) {
	line := append(c.buf[:0], verb...)
	if arg != "" {
		line = append(append(line, ' '), arg...)
		utf8 := !isASCII(arg)
		switch {
		case utf8 && !c.offers.Has(smtp.ExtSMTPUTF8):
			return smtp.Reply{}, &ContentError{smtp.ExtSMTPUTF8, "the argument is not ASCII and the server does not offer SMTPUTF8", noUTF8}
		case utf8 && verb != smtp.HELP:
			line = append(line, " SMTPUTF8"...) // RFC 6531 §3.7.4.2
		}
	} else if verb != smtp.HELP {
		return smtp.Reply{}, localError{errors.New("client: " + string(verb) + " needs an argument")}
	}
	if err := checkLine(string(line)); err != nil {
		return smtp.Reply{}, err
	}
	return c.command(ctx, verb, append(line, "\r\n"...), c.cfg.Timeouts.Command)
}

// Do sends a command of one's own, without CRLF, and returns its reply. Verbs
// that change the session, and for which there is a method, are refused.
func (c *Conn) Do(ctx context.Context, line string) (smtp.Reply, error) {
	if err := checkLine(line); err != nil {
		return smtp.Reply{}, err
	}
	word, _, _ := strings.Cut(line, " ")
	verb := smtp.Verb(strings.ToUpper(word))
	switch verb {
	case "", smtp.HELO, smtp.EHLO, smtp.LHLO, smtp.MAIL, smtp.RCPT, smtp.DATA, smtp.BDAT,
		smtp.RSET, smtp.STARTTLS, smtp.AUTH, smtp.QUIT, smtp.ETRN, smtp.XCLIENT, smtp.XFORWARD:
		return smtp.Reply{}, localError{errors.New("client: this command has a method of its own")}
	}
	return c.command(ctx, verb, append(append(c.buf[:0], line...), "\r\n"...), c.cfg.Timeouts.Command)
}

// Quit says QUIT, waits for the reply and closes the connection (§4.1.1.10). The
// connection is closed whatever the server says; only ctx's end and a broken
// connection are errors.
func (c *Conn) Quit(ctx context.Context) error {
	_, err := c.command(ctx, smtp.QUIT, append(c.buf[:0], "QUIT\r\n"...), c.cfg.Timeouts.Quit)
	c.finish()
	var refused *smtp.Error
	if errors.As(err, &refused) {
		return nil
	}
	return err
}

// finish closes the connection after QUIT. TLS says so before it goes.
func (c *Conn) finish() {
	if _, encrypted := c.TLSConnectionState(); encrypted && c.dead == nil {
		c.raw.SetDeadline(time.Now().Add(c.cfg.Timeouts.Quit))
		c.nc.Close()
	}
	c.Close()
}

// checkLine refuses what would not be one command line.
func checkLine(line string) error {
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return localError{errors.New("client: a command line must not contain control octets")}
	}
	return nil
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}
