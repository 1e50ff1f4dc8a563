package server

import (
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/intercept"
	"github.com/postrider/postrider/smtp"
)

// An offer is what an EHLO reply says. It is never changed: connections to
// which the same is offered share one.
type offer struct {
	offers smtp.Offers
	reply  smtp.Reply
	utf8   bool // SMTPUTF8 is among them
	line   int  // the longest command that they allow, CRLF included
}

// offerKey is what an offer depends on.
type offerKey struct {
	startTLS   bool
	expand     bool
	authed     bool
	trusted    bool
	mechanisms string
	params     string // of the application's rows, those not offered left out
}

// maxOffers bounds the offers kept; mechanisms and parameters that differ from
// connection to connection must not fill the memory.
const maxOffers = 32

// offer returns what is offered now: what the library keeps by itself, then
// the application's rows.
func (c *conn) offer() *offer {
	_, expand := As[ExpandSession](c.session)
	key := offerKey{startTLS: c.mayStartTLS(), expand: expand, authed: c.authed, trusted: c.trusted()}
	if c.mayAuth() {
		key.mechanisms = strings.Join(c.srv.Auth.Mechanisms(&c.Conn), " ")
	}
	for i := range c.cfg.extensions {
		if x := &c.cfg.extensions[i]; x.Offer != nil {
			param, ok := x.Offer(&c.Conn)
			ok = ok && !strings.ContainsAny(param, "\r\n")
			key.params += strconv.FormatBool(ok) + param + "\n"
		}
	}
	if hidden := intercept.Hidden(c.ctx.parent); hidden != nil {
		return c.newOffer(key, hidden)
	}
	c.cfg.offerMu.Lock()
	o := c.cfg.offers[key]
	c.cfg.offerMu.Unlock()
	if o != nil {
		return o
	}
	o = c.newOffer(key, nil)
	c.cfg.offerMu.Lock()
	defer c.cfg.offerMu.Unlock()
	if len(c.cfg.offers) >= maxOffers {
		clear(c.cfg.offers) // some may be of yesterday
	}
	c.cfg.offers[key] = o
	return o
}

func (c *conn) newOffer(key offerKey, hidden func(string) bool) *offer {
	o := &offer{offers: make(smtp.Offers, 12)}
	text := c.cfg.hostname
	add := func(k smtp.Keyword, param string) {
		if o.offers.Has(k) || hidden != nil && hidden(string(k)) {
			return
		}
		o.offers[k] = param
		text += "\n" + string(k)
		if param != "" {
			text += " " + param
		}
	}
	size := ""
	if limit := c.cfg.limits.MaxMessageSize; limit > 0 {
		size = strconv.FormatInt(limit, 10)
	}
	add(smtp.ExtPipelining, "")
	add(smtp.ExtSize, size)
	add(smtp.Ext8BitMIME, "")
	add(smtp.ExtEnhancedStatusCodes, "")
	add(smtp.ExtChunking, "")
	if limits := c.cfg.limits.offered(); limits != "" {
		add(smtp.ExtLimits, limits)
	}
	if key.startTLS {
		add(smtp.ExtStartTLS, "")
	}
	switch {
	case key.mechanisms != "" && key.authed:
		o.offers[smtp.ExtAuth] = key.mechanisms // not shown again, but MAIL's AUTH= stays
	case key.mechanisms != "":
		add(smtp.ExtAuth, key.mechanisms)
	}
	if key.expand {
		add(smtp.ExtExpn, "") // RFC 5321 §3.5.2
	}
	if key.trusted {
		add(smtp.ExtXClient, xclientOffer)
		add(smtp.ExtXForward, xforwardOffer)
	}
	params := key.params
	for i := range c.cfg.extensions {
		x := &c.cfg.extensions[i]
		if x.Offer == nil {
			add(x.Keyword, x.Param)
			continue
		}
		var said string
		said, params, _ = strings.Cut(params, "\n")
		if param, ok := strings.CutPrefix(said, "true"); ok {
			add(x.Keyword, param)
		}
	}
	o.reply = smtp.Reply{Code: 250, Text: text}
	o.utf8 = o.offers.Has(smtp.ExtSMTPUTF8)
	o.line = c.cfg.maxLine(o.offers, smtp.MAIL, smtp.RCPT, smtp.AUTH, smtp.NOOP)
	return o
}

// maxLine is how long the longest of these commands may be, its CRLF included
// (RFC 5321 §4.5.3.1.4, §2.2.1).
func (cfg *config) maxLine(offers smtp.Offers, verbs ...smtp.Verb) int {
	longest := 0
	for _, v := range verbs {
		longest = max(longest, offers.MaxLine(v, cfg.rows...))
	}
	return min(longest+cfg.limits.MaxLine, maxGathered)
}

// mayStartTLS: not twice (RFC 3207 §4.2).
func (c *conn) mayStartTLS() bool { return c.cfg.startTLS != nil && !c.encrypted }

// mayAuth: never before TLS, but on loopback by explicit choice (RFC 4954 §4).
func (c *conn) mayAuth() bool {
	if c.srv.Auth == nil {
		return false
	}
	return c.encrypted || c.srv.PlaintextAuthOnLoopback && c.onLoopback()
}
