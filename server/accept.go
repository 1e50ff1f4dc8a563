package server

import (
	"net"
	"net/netip"
	"time"

	"github.com/postrider/postrider/smtp"
)

// maxTurningAway bounds the goroutines that tell a connection there is no room
// for it. Beyond, connections are closed without a word.
const maxTurningAway = 64

// accept starts a connection's goroutine, or turns the connection away. It
// asks the connection nothing, since that may have to wait for the peer: the
// address of one that comes through a proxy stands in what the proxy sends.
func (s *Server) accept(nc net.Conn) {
	c := newConn(s, nc)
	refusal, ok := s.enrol(c)
	switch {
	case !ok:
		nc.Close()
	case c.turned:
		go func() {
			defer s.forget(c)
			c.guard(func() { c.turnAway(refusal) })
		}()
	default:
		go c.serve()
	}
}

// enrol enters a connection among those that Shutdown waits for. With c.turned
// set it may not stay, and the reply says why; with ok false nobody can tell it
// so.
func (s *Server) enrol(c *conn) (refusal smtp.Reply, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	refusal = replyTooManyConns
	if c.turned = over(len(s.conns)-s.turningAway+1, s.cfg.limits.MaxConns); s.closing.Load() {
		refusal, c.turned = replyShutdown, true
	}
	switch {
	case c.turned && s.turningAway >= maxTurningAway, s.drained != nil && len(s.conns) == 0:
		return refusal, false
	case c.turned:
		s.turningAway++
	}
	if s.conns == nil {
		s.conns = make(map[*conn]struct{})
		s.perIP = make(map[netip.Prefix]int)
	}
	s.conns[c] = struct{}{}
	return refusal, true
}

// identify learns the connection's addresses. One that comes through a proxy
// begins with a header that holds them.
func (c *conn) identify() (err error) {
	p := proxyUnder(c.raw)
	if p != nil {
		err = p.identify()
		c.veiled = p.client == nil
	}
	local, remote := c.raw.LocalAddr(), c.raw.RemoteAddr()
	c.changeAddrs(local, remote)
	if p != nil && !c.veiled {
		proxy := p.Conn.RemoteAddr()
		c.afar = !isLocal(proxy)
		c.update(func(i *Info) { i.ProxyAddr = proxy })
	}
	if err == nil && c.raw == net.Conn(p) {
		c.nc = p.Conn // there is nothing of the header left to read
		c.in.Reset(c.nc, false)
	}
	return err
}

// admit counts the connection with those of its client. The reply is why it
// may not stay, if it may not.
func (c *conn) admit() (refusal smtp.Reply) {
	key, limited := c.countedBy()
	if !limited {
		return smtp.Reply{}
	}
	s := c.srv
	if r := s.cfg.connRate; r != nil && !r.take(key, time.Now()) {
		return tooManyConnsRate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if over(s.perIP[key]+1, s.cfg.limits.MaxConnsPerIP) {
		return replyTooManyFromYou
	}
	s.perIP[key]++
	c.counted = key
	return smtp.Reply{}
}

// turnAway says why the connection may not stay, and closes it.
func (c *conn) turnAway(refusal smtp.Reply) {
	defer c.raw.Close()
	c.aborted = true
	c.end(&smtp.Error{Reply: refusal, Scope: smtp.ScopeSession})
	isLimit := refusal != replyShutdown
	refusal.Enhanced = smtp.Enhanced{} // in place of the greeting (RFC 2034 §3)
	if isLimit {
		c.observe(Event{Kind: LimitHit, Reply: refusal})
	}
	if _, isTLS := c.raw.(tlsConn); isTLS || c.remote == nil && proxyUnder(c.raw) != nil {
		return // it would take a handshake, or a header, to say anything
	}
	c.raw.SetWriteDeadline(time.Now().Add(time.Second))
	c.raw.Write(refusal.AppendTo(nil))
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if c.turned {
		s.turningAway--
	}
	if c.counted.IsValid() {
		if s.perIP[c.counted]--; s.perIP[c.counted] == 0 {
			delete(s.perIP, c.counted)
		}
	}
	if s.drained != nil && len(s.conns) == 0 {
		select {
		case <-s.drained:
		default:
			close(s.drained)
		}
	}
}

// countedBy returns what the client is counted by. One that may speak for
// others is not counted as one of them.
func (c *conn) countedBy() (netip.Prefix, bool) {
	if c.trusted() {
		return netip.Prefix{}, false
	}
	return ipKey(c.RemoteAddr())
}

// ipKey is what connections are counted by: an IPv4 address, an IPv6 /64.
func ipKey(a net.Addr) (netip.Prefix, bool) {
	ip := addrIP(a)
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	p, err := ip.Prefix(bits)
	return p, err == nil && ip.IsValid()
}

func isTemporary(err error) bool {
	t, ok := err.(interface{ Temporary() bool })
	return ok && t.Temporary()
}
