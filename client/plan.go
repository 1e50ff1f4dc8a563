package client

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/postrider/postrider/smtp"
)

// A plan is how a message goes to one server: what it needs of what is offered.
type plan struct {
	from      smtp.ReversePath
	params    smtp.MailParams
	rcpts     []smtp.Recipient // all, or those in the parts
	bdat      bool             // the data goes by BDAT
	together  bool             // and in one write with the envelope
	normalize bool             // bare line ends become CRLF
	needsEnd  bool             // the CRLF that the last line lacks goes behind the content
	forbidden smtp.Kind
	size      int64 // of the message with the CRLF at its end, in octets; -1 if unknown
}

// decideHow makes the plan, or says with a *ContentError or
// *smtp.NotOfferedError why the server cannot take the message, or with a
// restError that another connection to it can.
func (c *Conn) decideHow(t *transaction) error {
	t.plan = plan{from: t.env.From, params: t.env.MailParams, size: t.content.Size}
	if err := c.choose(t); err != nil {
		return err
	}
	p := &t.plan
	kind := t.kind
	binary := c.may.chunking && c.offers.Has(smtp.ExtBinaryMIME)
	p.normalize = c.cfg.NormalizeLineEnds && (kind.Has(smtp.KindBareLineEnd) || !t.examined())
	if p.normalize {
		kind &^= smtp.KindBareLineEnd
		p.size = -1
	}

	switch unsendable := kind & (smtp.KindNUL | smtp.KindBareLineEnd); {
	case binary && (unsendable != 0 || kind.Has(smtp.KindLongLine)):
		p.params.Body = smtp.BodyBinaryMIME // RFC 3030 §3
	case unsendable != 0:
		return needOf(unsendable)
	case kind.Has(smtp.Kind8Bit) && !c.offers.Has(smtp.Ext8BitMIME):
		return needOf(smtp.Kind8Bit) // RFC 6152 §3
	case kind.Has(smtp.Kind8Bit), !t.examined() && c.offers.Has(smtp.Ext8BitMIME):
		p.params.Body = smtp.Body8BitMIME
	case t.examined() && (p.params.Body == smtp.BodyBinaryMIME && !binary || p.params.Body == smtp.Body8BitMIME && !c.offers.Has(smtp.Ext8BitMIME)):
		p.params.Body = "" // the envelope's, which the content does not need
	}
	p.needsEnd = t.needsEnd && p.params.Body != smtp.BodyBinaryMIME
	if p.needsEnd && p.size >= 0 {
		p.size += 2
	}
	p.bdat = p.params.Body == smtp.BodyBinaryMIME || c.cfg.Chunking && c.may.chunking
	if p.bdat && !c.may.chunking {
		return &smtp.NotOfferedError{Keyword: smtp.ExtChunking}
	}
	if err := p.internationalize(c.offers, &t.env, kind); err != nil {
		return err
	}
	p.forbidden = forbidden(p.params.Body, p.params.UTF8)
	if err := p.declareSize(c.may.size); err != nil {
		return err
	}
	if t.began != nil {
		p.params.By.Within -= time.Since(*t.began) // RFC 2852 §4.1.4
	}
	p.params.PRDR = len(p.rcpts) > 1 && !c.cfg.LMTP // which has it anyway
	c.offers.DropAdvisory(&p.params, c.cfg.Extensions...)
	if c.dropsDSN() {
		p.params.Ret, p.params.EnvID = "", ""
	}
	if err := c.mayAsk(&p.params); err != nil {
		return err
	}
	if err := c.mayAskFor(t); err != nil {
		return err
	}
	p.together = c.cfg.Optimistic && !c.cfg.AllOrNothing && c.may.chunking && c.may.pipelining &&
		t.examined() && p.size >= 0 && p.size <= maxTogether
	p.bdat = p.bdat || p.together
	return nil
}

// mayAskFor checks the parameters of all recipients without an outcome, before the
// server hears of the first, and drops from those in the plan what only informs it.
func (c *Conn) mayAskFor(t *transaction) error {
	drop := false
	for i := range t.env.Recipients {
		all := &t.env.Recipients[i].RcptParams
		if c.offers.CheckRcpt(all, c.cfg.Extensions...) == nil || t.result.Recipients[i].Err != errUndecided {
			continue
		}
		if err := c.mayAskOf(*all); err != nil {
			return err
		}
		drop = true
	}
	if drop {
		rcpts := slices.Clone(t.plan.rcpts)
		for i := range rcpts {
			c.dropRcpt(&rcpts[i].RcptParams)
		}
		t.plan.rcpts = rcpts
	}
	return nil
}

// mayAskOf refuses parameters of a recipient that the server can neither be told nor do
// without (RFC 3461 §5.2.2, RFC 7293 §5.1.1).
func (c *Conn) mayAskOf(p smtp.RcptParams) error {
	c.dropRcpt(&p)
	return c.offers.CheckRcpt(&p, c.cfg.Extensions...)
}

// dropRcpt clears the parameters without which a recipient may go to this server.
func (c *Conn) dropRcpt(p *smtp.RcptParams) {
	c.offers.DropAdvisoryRcpt(p, c.cfg.Extensions...)
	if c.dropsDSN() {
		p.Notify, p.ORcpt = 0, smtp.ORcpt{}
	}
}

// dropsDSN reports whether the parameters of DSN stay behind (RFC 3461 §5.2.2).
func (c *Conn) dropsDSN() bool { return c.cfg.DropDSN && !c.offers.Has(smtp.ExtDSN) }

// maxTogether is the longest message that Optimistic puts behind its envelope.
const maxTogether = 64 << 10

// internationalize asks for SMTPUTF8 if something needs it, or does without by
// writing domains as A-labels if nothing else does (RFC 6531 §3.2).
func (p *plan) internationalize(offers smtp.Offers, env *smtp.Envelope, kind smtp.Kind) error {
	inEnvelope := env.NeedsUTF8()
	if !inEnvelope && !kind.Has(smtp.KindUTF8Header) && !p.params.UTF8 {
		return nil
	}
	if offers.Has(smtp.ExtSMTPUTF8) {
		p.params.UTF8 = true
		return nil
	}
	if kind.Has(smtp.KindUTF8Header) {
		return &ContentError{smtp.ExtSMTPUTF8, "the header section is not ASCII and the server does not offer SMTPUTF8", noUTF8Header}
	}
	p.params.UTF8 = false
	from, err := p.from.ToASCII()
	p.from.Mailbox = from
	rcpts := p.rcpts
	p.rcpts = make([]smtp.Recipient, len(rcpts))
	for i, r := range rcpts {
		var e error
		if r.To.Mailbox, e = r.To.ToASCII(); e != nil && err == nil {
			err = e
		}
		p.rcpts[i] = r
	}
	if err != nil {
		return &ContentError{smtp.ExtSMTPUTF8, "an address is not ASCII and the server does not offer SMTPUTF8", noUTF8}
	}
	return nil
}

// declareSize adds SIZE, or refuses what is over the server's limit (RFC 1870 §6).
func (p *plan) declareSize(limit int64) error {
	if limit < 0 || p.size < 0 {
		p.params.Size = 0
		return nil
	}
	if limit > 0 && p.size > limit {
		return &ContentError{smtp.ExtSize, "the message has " + strconv.FormatInt(p.size, 10) +
			" octets and the server takes " + strconv.FormatInt(limit, 10), tooBig}
	}
	p.params.Size = p.size
	return nil
}

var errNoContent = errors.New("client: the content has no Open function")
