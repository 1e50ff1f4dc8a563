package server

import "github.com/postrider/postrider/smtp"

// xforwardOffer is what EHLO says to a trusted client.
const xforwardOffer = "NAME ADDR PORT PROTO HELO IDENT SOURCE"

// nothingForwarded is what the first XFORWARD begins with.
var nothingForwarded = smtp.XForward{
	Name: smtp.XUnavailable, Addr: smtp.XUnavailable, Port: smtp.XUnavailable, Proto: smtp.XUnavailable,
	Helo: smtp.XUnavailable, Ident: smtp.XUnavailable, Source: smtp.XUnavailable,
}

// xforward runs XFORWARD (Postfix XFORWARD_README). Several add up, until the
// next mail transaction ends.
func (c *conn) xforward(arg []byte) {
	if !c.trusted() {
		c.refuse(notTrusted)
		return
	}
	x, err := smtp.ParseXForward(string(arg))
	if err != nil {
		c.refuseSyntax(err)
		return
	}
	c.update(func(i *Info) {
		if !c.forwarded {
			i.Forwarded = nothingForwarded
		}
		i.Forwarded = i.Forwarded.Merge(x)
	})
	c.forwarded = true
	c.say(replyOK)
}

// forgetForwarded is for the end of a mail transaction, and for whatever ends
// one that is under way.
func (c *conn) forgetForwarded() {
	if c.forwarded {
		c.forwarded = false
		c.update(func(i *Info) { i.Forwarded = smtp.XForward{} })
	}
}
