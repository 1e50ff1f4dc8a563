package server

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"strconv"

	"github.com/postrider/postrider/smtp"
)

// xclientOffer is what EHLO says to a trusted client.
const xclientOffer = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"

// xclient runs XCLIENT (Postfix XCLIENT_README): from now on the client is
// whom it speaks for, as if that one had connected. Success leads to
// connected, with a new session, under the TLS there is. What was pipelined
// behind it is answered in that session: the reply says 220 when EHLO may
// come, and before EHLO nothing else is of use.
func (c *conn) xclient(arg []byte) {
	if !c.trusted() {
		c.refuse(notTrusted)
		return
	}
	x, err := smtp.ParseXClient(string(arg))
	switch {
	case err != nil:
		c.refuseSyntax(err)
		return
	case c.srv.closing.Load():
		c.reply(replyShutdown)
		return
	}
	if err := c.flush(); err != nil { // what is queued is the former client's, see foreign
		c.end(err)
		return
	}
	c.forgetForwarded()
	s := c.session
	c.session = nil // lest a panic closes it again
	s.Close(ErrXClient)
	c.late = c.late || c.ctx.late.Load()
	c.ctx.end(context.Canceled)
	c.ctx = &scope{parent: c.ctx.parent, limit: c.ctx.limit}

	c.afar = c.afar || !isLocal(c.remote)
	c.update(func(i *Info) { i.speakFor(x) })
	c.offered, c.authed = c.cfg.nothing, c.Identity() != ""
	c.state, c.greeted = connected, false
	c.messages, c.domains = 0, nil               // LIMITS counts by session (RFC 9422); what wears patience counts on
	if refusal := c.admit(); refusal.Code != 0 { // a trusted client was not counted before
		c.limit(refusal)
		return
	}
	c.open()
}

// speakFor is what XCLIENT changes. HELO, PROTO and LOGIN are for the session
// that begins now, and forgotten if this command does not give them; the rest
// stays until another takes its place.
func (i *Info) speakFor(x smtp.XClient) {
	if x.Addr != "" || x.Port != "" {
		if i.ProxyAddr == nil {
			i.ProxyAddr = i.RemoteAddr
			if x.Port == "" {
				x.Port = smtp.XUnavailable // the peer's own is not the client's
			}
		}
		i.RemoteAddr = rewritten(i.RemoteAddr, x.Addr, x.Port)
	}
	if x.DestAddr != "" || x.DestPort != "" {
		i.LocalAddr = rewritten(i.LocalAddr, x.DestAddr, x.DestPort)
	}
	if x.Name != "" {
		i.ClientName = x.Name
	}
	i.Hello, i.HelloVerb, i.Mechanism, i.Identity = "", "", "", ""
	if x.Helo != smtp.XUnavailable {
		i.Hello = x.Helo
	}
	switch x.Proto {
	case "SMTP":
		i.HelloVerb = smtp.HELO
	case "ESMTP":
		i.HelloVerb = smtp.EHLO
	}
	i.TLS, i.standsIn = withoutPeer(i.TLS), true
	if x.Login != "" && x.Login != smtp.XUnavailable {
		i.Mechanism, i.Identity = string(smtp.XCLIENT), x.Login
	}
}

// withoutPeer is state without what it proves about the peer: it does not prove
// it about the client for which the peer speaks.
func withoutPeer(state *tls.ConnectionState) *tls.ConnectionState {
	if state == nil {
		return nil
	}
	own := *state
	own.PeerCertificates, own.VerifiedChains = nil, nil
	return &own
}

// rewritten returns a with the address and the port that are given. One that
// is unavailable is none: it is nobody's, and in no network.
func rewritten(a net.Addr, addr, port string) net.Addr {
	t := net.TCPAddr{IP: addrIP(a).AsSlice()}
	if old, ok := a.(*net.TCPAddr); ok {
		t.Port = old.Port
	}
	if addr != "" {
		ip, _ := netip.ParseAddr(addr)
		t.IP = ip.Unmap().AsSlice()
	}
	if port != "" {
		t.Port, _ = strconv.Atoi(port)
	}
	return &t
}
