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
	s.mu.Lock()
	room := !s.closing.Load() && !over(len(s.conns)+1, s.cfg.limits.MaxConns)
	turn := !room && s.turningAway < maxTurningAway
	switch {
	case room:
		if s.conns == nil {
			s.conns = make(map[*conn]struct{})
			s.perIP = make(map[netip.Prefix]int)
		}
		s.conns[c] = struct{}{}
	case turn:
		s.turningAway++
	}
	s.mu.Unlock()
	switch {
	case room:
		go c.serve()
	case turn:
		go func() {
			c.guard(func() { c.turnAway(replyTooManyConns) })
			s.mu.Lock()
			s.turningAway--
			s.mu.Unlock()
		}()
	default:
		nc.Close()
	}
}

// admit learns the connection's addresses and counts it with those of its
// peer. The reply is why it may not stay, if it may not.
func (c *conn) admit() (refusal smtp.Reply) {
	remote := c.raw.RemoteAddr()
	c.update(func(i *Info) { i.LocalAddr, i.RemoteAddr = c.raw.LocalAddr(), remote })
	key, limited := ipKey(remote)
	if !limited {
		return smtp.Reply{}
	}
	s := c.srv
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
	refusal.Enhanced = smtp.Enhanced{} // in place of the greeting (RFC 2034 §3)
	c.observe(Event{Kind: LimitHit, Reply: refusal})
	if _, isTLS := c.raw.(tlsConn); isTLS {
		return // it would take a handshake to say anything
	}
	c.raw.SetWriteDeadline(time.Now().Add(time.Second))
	c.raw.Write(refusal.AppendTo(nil))
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
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
