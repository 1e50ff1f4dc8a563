package server

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/postrider/postrider/smtp"
)

// VerbFunc answers a command of the application's own. Arg is what stands
// behind the verb, without surrounding blanks; s is the connection's session.
// Reply and error mean what they mean for Session.
//
// A *smtp.SyntaxError is answered as for the library's own commands.
type VerbFunc func(ctx context.Context, c *Conn, s Session, arg string) (smtp.Reply, error)

// An Extension is one row of Server.Extensions: a service extension that the
// server offers because the application keeps its promise.
type Extension struct {
	// Keyword is what EHLO shows.
	Keyword smtp.Keyword
	// Param is the text behind the keyword. If empty, there is none.
	Param string
	// Offer says whether a connection gets the offer, and with which
	// parameter. If nil, every one, with Param.
	Offer func(c *Conn) (param string, ok bool)
	// Row declares the parameters and the growth of lines of an extension
	// that package smtp does not know. If nil, Keyword is one of its own.
	Row *smtp.Extension
	// Verbs are commands that the extension adds; they may be given when no
	// mail transaction is under way, and with Submission after AUTH. They count
	// for Limits.MaxIdleChat. A verb of SMTP's own cannot be replaced.
	Verbs map[smtp.Verb]VerbFunc

	check func(p *smtp.MailParams) error // refuses a MAIL before the session sees it; nil: none
}

// addExtensions files the rows of the application.
func (cfg *config) addExtensions(extensions []Extension) error {
	seen := make(map[smtp.Keyword]bool, len(extensions))
	cfg.handlers = make(map[smtp.Verb]VerbFunc)
	cfg.table = commands()
	cfg.verbs = make(map[smtp.Verb]*command, len(cfg.table))
	for i := range cfg.table {
		cfg.verbs[cfg.table[i].verb] = &cfg.table[i]
	}
	cfg.often = [...]*command{cfg.verbs[smtp.RCPT], cfg.verbs[smtp.MAIL], cfg.verbs[smtp.DATA], cfg.verbs[smtp.BDAT]}
	for _, x := range extensions {
		if x.Keyword == "" && x.Row != nil {
			x.Keyword = x.Row.Keyword
		}
		if offer := string(x.Keyword) + " " + x.Param; !smtp.ParseOffers([]string{offer}).Has(x.Keyword) {
			return fmt.Errorf("smtp server: extension %q: EHLO cannot show its Keyword, in upper case, or its Param", x.Keyword)
		}
		if x.Row == nil && x.Verbs == nil && smtp.LookupExtension(x.Keyword) == nil {
			return fmt.Errorf("smtp server: extension %q is not known and brings no Row", x.Keyword)
		}
		if seen[x.Keyword] {
			return fmt.Errorf("smtp server: extension %q is given twice", x.Keyword)
		}
		seen[x.Keyword] = true
		cfg.extensions = append(cfg.extensions, x)
		if x.Row != nil {
			cfg.rows = append(cfg.rows, x.Row)
		}
		if x.check != nil {
			cfg.checks = append(cfg.checks, x)
		}
		for verb, f := range x.Verbs {
			verb = smtp.Verb(strings.ToUpper(string(verb)))
			if cfg.verbs[verb] != nil {
				return fmt.Errorf("smtp server: extension %q: verb %q is taken", x.Keyword, verb)
			}
			cfg.verbs[verb] = &command{
				verb: verb, syntax: string(verb), keyword: x.Keyword,
				in: ready, traits: needsAuth | idleChat, run: (*conn).ownVerb,
			}
			cfg.handlers[verb] = f
		}
	}
	return nil
}

// ownVerb runs a command of the application.
func (c *conn) ownVerb(arg []byte) {
	c.ctx.enter()
	reply, err := c.cfg.handlers[c.verb](c.ctx, &c.Conn, c.session, string(arg))
	c.ctx.leave()
	var syntax *smtp.SyntaxError
	if errors.As(err, &syntax) {
		c.refuseSyntax(err)
		return
	}
	c.answer(reply, err, replyOK)
}

// checkMail asks the extensions on offer whether they can keep what MAIL wants.
func (c *conn) checkMail(p *smtp.MailParams) error {
	for i := range c.cfg.checks {
		if x := &c.cfg.checks[i]; c.offered.offers.Has(x.Keyword) {
			if err := x.check(p); err != nil {
				return err
			}
		}
	}
	return nil
}
