package server

import (
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/intercept"
	"github.com/postrider/postrider/smtp"
)

// offer puts together what EHLO offers now: what the library keeps by itself,
// then the application's rows. It returns the lines in the order they are
// shown.
func (c *conn) offer() (smtp.Offers, []string) {
	offers := make(smtp.Offers, 12)
	lines := make([]string, 0, 12)
	hidden := intercept.Hidden(c.ctx.parent)
	add := func(k smtp.Keyword, param string) {
		if offers.Has(k) || hidden(string(k)) {
			return
		}
		offers[k] = param
		line := string(k)
		if param != "" {
			line += " " + param
		}
		lines = append(lines, line)
	}
	add(smtp.ExtPipelining, "")
	if limit := c.cfg.limits.MaxMessageSize; limit > 0 {
		add(smtp.ExtSize, strconv.FormatInt(limit, 10))
	} else {
		add(smtp.ExtSize, "")
	}
	add(smtp.Ext8BitMIME, "")
	add(smtp.ExtEnhancedStatusCodes, "")
	add(smtp.ExtChunking, "")
	if c.mayStartTLS() {
		add(smtp.ExtStartTLS, "")
	}
	if c.mayAuth() && !c.authed {
		if mechs := c.srv.Auth.Mechanisms(&c.Conn); len(mechs) > 0 {
			add(smtp.ExtAuth, strings.Join(mechs, " "))
		}
	}
	for _, x := range c.srv.Extensions {
		keyword, param, ok := x.Keyword, x.Param, true
		if keyword == "" && x.Row != nil {
			keyword = x.Row.Keyword
		}
		if x.Offer != nil {
			param, ok = x.Offer(&c.Conn)
		}
		if ok {
			add(keyword, param)
		}
	}
	return offers, lines
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

func (c *conn) onLoopback() bool {
	addr := c.RemoteAddr()
	return addr != nil && (addr.Network() == "unix" || addrIP(addr).IsLoopback())
}
