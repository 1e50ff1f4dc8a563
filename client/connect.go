package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/postrider/postrider/smtp"
)

// connect dials and does everything that comes before the first MAIL. With an
// error it returns the connection, closed, if there was one.
func (c *Client) connect(ctx context.Context) (conn *Conn, err error) {
	if c.LocalName != "" {
		if err := smtp.ParseHello(c.LocalName); err != nil {
			return nil, localError{fmt.Errorf("LocalName: %w", err)}
		}
	}
	network := c.Network
	if network == "" {
		network = "tcp"
	}
	nc, err := c.dial(ctx, network)
	if err != nil {
		c.ready(ctx, ConnInfo{Host: hostOf(network, c.Addr)}, nil, err)
		return nil, err
	}
	defer func() {
		if conn == nil { // a hook may have panicked
			nc.Close()
		}
	}()
	_, port, _ := net.SplitHostPort(c.Addr)
	fresh := newConn(nc, c.connConfig(network))
	fresh.home = &c.queue
	err = fresh.setUp(ctx, c, c.TLSMode.resolve(network, port))
	if err == nil && c.Auth != nil {
		err = fresh.Auth(ctx, c.Auth)
	}
	c.ready(ctx, fresh.info, fresh.server(), err)
	if err != nil {
		fresh.abandon(err)
	}
	return fresh, err
}

func (c *Client) ready(ctx context.Context, info ConnInfo, s *ServerInfo, err error) {
	if t := c.Trace; t != nil && t.Ready != nil {
		t.Ready(ctx, info, s, err)
	}
}

func (c *Client) dial(ctx context.Context, network string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeouts.orDefaults().Dial)
	defer cancel()
	dial := c.Dial
	if dial == nil {
		var d net.Dialer
		if c.LocalAddr != "" {
			ip, err := netip.ParseAddr(c.LocalAddr)
			if err != nil {
				return nil, localError{fmt.Errorf("LocalAddr: %w", err)}
			}
			d.LocalAddr = &net.TCPAddr{IP: ip.AsSlice(), Zone: ip.Zone()}
		}
		dial = d.DialContext
	}
	nc, err := dial(ctx, network, c.Addr)
	if err != nil {
		return nil, dialError(ctx, err)
	}
	return nc, nil
}

func (c *Client) connConfig(network string) *ConnConfig {
	return &ConnConfig{
		Host:              hostOf(network, c.Addr),
		LMTP:              c.LMTP,
		Timeouts:          c.Timeouts,
		Extensions:        c.Extensions,
		Trace:             c.Trace,
		AllOrNothing:      c.AllOrNothing,
		NormalizeLineEnds: c.NormalizeLineEnds,
		Chunking:          c.Chunking,
		Optimistic:        c.Optimistic,
		DropDSN:           c.DropDSN,
		id:                c.queue.slots().nextID(),
	}
}

// tlsConfig is TLSConfig with what it leaves out.
func (c *Client) tlsConfig(host string) *tls.Config {
	cfg := tlsConfig(c.TLSConfig, host)
	if cfg.ClientSessionCache == nil {
		c.sessions.Do(func() { c.cache = tls.NewLRUClientSessionCache(8) })
		cfg.ClientSessionCache = c.cache
	}
	return cfg
}

// setUp brings a connection through greeting, TLS and EHLO.
func (c *Conn) setUp(ctx context.Context, client *Client, mode TLSMode) error {
	_, encrypted := c.TLSConnectionState() // Dial may have done it
	c.verified = encrypted
	if mode == ImplicitTLS && !encrypted {
		if err := c.enter(ctx, opTLS); err != nil {
			return err
		}
		err := c.handshake(client.tlsConfig(c.cfg.Host), false)
		c.leave()
		if err != nil {
			return err
		}
		encrypted = true
	}
	if err := c.greet(ctx); err != nil {
		return err
	}
	if err := c.enter(ctx, string(c.helloVerb())); err != nil {
		return err
	}
	defer c.leave()
	required := mode == StartTLSRequired && !encrypted
	if err := c.hello(client.LocalName, !required && client.Auth == nil); err != nil {
		var refused *smtp.Error
		if required && errors.As(err, &refused) && refused.Reply.Permanent() {
			return &ConnError{Op: "STARTTLS", Err: ErrNoStartTLS}
		}
		return err
	}
	switch offered := c.offers.Has(smtp.ExtStartTLS); {
	case encrypted, mode == Plaintext, mode == Opportunistic && !offered:
		return nil
	case !offered:
		return &ConnError{Op: "STARTTLS", Err: ErrNoStartTLS}
	}
	err := c.startTLS(client.tlsConfig(c.cfg.Host), mode == Opportunistic)
	var refused *smtp.Error
	switch {
	case err == nil:
		return c.hello(client.LocalName, false) // RFC 3207 §4.2
	case mode == Opportunistic && c.dead == nil && errors.As(err, &refused):
		return nil
	}
	return err
}

// abandon closes a connection that is not fit for use, with QUIT if the server
// still listens.
func (c *Conn) abandon(err error) {
	if c.dead == nil && c.greeted {
		c.write("QUIT", append(c.buf[:0], "QUIT\r\n"...), c.cfg.Timeouts.Quit)
	}
	c.fail("connection", err)
	c.Close()
}
