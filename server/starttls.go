package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// startTLS runs STARTTLS (RFC 3207). Success leads to connected: all that was
// said before is forgotten (§4.2).
func (c *conn) startTLS([]byte) {
	switch {
	case c.encrypted:
		c.refuse(tlsTwice)
		return
	case c.cfg.startTLS == nil:
		c.refuse(notImplemented)
		return
	}
	c.reply(replyReadyForTLS)
	if err := c.flush(); err != nil {
		c.end(err)
		return
	}
	// Whatever came behind STARTTLS came unprotected, perhaps from somebody
	// in the middle: it is dropped before the handshake reads (CVE-2011-0411).
	c.in.Reset(c.nc, false)
	t := tls.Server(c.raw, c.cfg.startTLS)
	if err := c.handshake(t); err != nil {
		// Nothing can be said: the client awaits TLS records.
		c.aborted = true
		c.end(err)
		return
	}
	c.in.Reset(t, true)
	c.offered, c.chat, c.authed = c.cfg.nothing, 0, false
	c.update(func(i *Info) { i.Hello, i.HelloVerb, i.Mechanism, i.Identity = "", "", "", "" })
	c.state = connected
	c.session.Reset(c.ctx, ResetSTARTTLS)
	c.forgetForwarded()
}

// handshake runs the TLS handshake under its deadline, and makes t what is
// read and written.
func (c *conn) handshake(t tlsConn) error {
	err := c.setHandshakeDeadline()
	if err == nil {
		err = shakeHands(c.ctx, t)
	}
	c.mu.Lock()
	c.shaking = false
	c.mu.Unlock()
	if err != nil {
		c.aborted = true
		c.observe(Event{Kind: TLSFailed, Err: err})
		return errors.Join(errors.New("smtp server: TLS handshake"), err)
	}
	state := t.ConnectionState()
	c.encrypted = true
	c.nc = t.(net.Conn)
	c.update(func(i *Info) {
		if i.TLS = &state; i.standsIn {
			i.TLS = withoutPeer(i.TLS)
		}
	})
	c.observe(Event{Kind: TLSStarted})
	return nil
}

func (c *conn) setHandshakeDeadline() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	timeout := c.cfg.limits.HandshakeTimeout
	if c.nudged {
		timeout = min(timeout, handshakeGrace)
	}
	deadline := time.Now().Add(timeout)
	c.idle, c.shaking = false, true
	c.readUntil = deadline.Sub(c.opened)
	c.writeUntil = c.readUntil
	return c.raw.SetDeadline(deadline)
}

// shakeHands runs the handshake of t, or of what it wraps.
func shakeHands(ctx context.Context, t tlsConn) (err error) {
	var inner any = t
	for range 8 {
		switch h := inner.(type) {
		case interface{ HandshakeContext(context.Context) error }:
			err = h.HandshakeContext(ctx)
		case interface{ Handshake() error }:
			err = h.Handshake()
		case interface{ NetConn() net.Conn }:
			inner = h.NetConn()
			continue
		}
		break
	}
	if err == nil && !t.ConnectionState().HandshakeComplete {
		// To go on would be to take for encrypted what may never be.
		return errors.New("the connection has a ConnectionState but no way to complete its handshake")
	}
	return err
}
