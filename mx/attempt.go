package mx

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// try sends the message to one address, and once more in plaintext if TLS is not
// asked for and was in the way (RFC 7435 §3).
func (d *delivery) try(a *Attempt, network, addr string, policy Policy) {
	a.Addr, a.Policy = addr, policy
	mode := d.mode(a.Host, policy)
	err := d.send(a, network, mode)
	if policy.relaxed && lacksRequireTLS(err) && d.again() {
		a.relaxed = true
		err = d.send(a, network, mode)
	}
	if mode != client.Opportunistic || !tlsFailed(err) && !a.brokenTLS(err) || d.ctx.Err() != nil || !d.again() {
		d.finish(a)
		return
	}
	a.Next = true
	d.show(a)
	again := &Attempt{Route: a.Route, Host: a.Host, Addr: a.Addr, Policy: policy, Plaintext: err}
	d.send(again, network, client.Plaintext)
	d.finish(again)
}

// again reports whether the content can be read once more.
func (d *delivery) again() bool { return !d.used || d.m.Content.Reusable() }

// lacksRequireTLS reports whether the message did not go because the host, which
// has proved who it is, does not offer REQUIRETLS.
func lacksRequireTLS(err error) bool {
	content, ok := errors.AsType[*client.ContentError](err)
	return ok && content.Need == smtp.ExtRequireTLS && content.Enhanced == smtp.Enh(7, 30)
}

// send sends the message to those whose outcome is open, and puts what came of it
// into a.
func (d *delivery) send(a *Attempt, network string, mode client.TLSMode) error {
	ctx := d.ctx
	if d.c.AttemptTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.c.AttemptTimeout)
		defer cancel()
	}
	a.Began = time.Now()
	ctx = context.WithValue(ctx, attemptKey{}, a)
	key := d.key(a, network, mode)
	res, err := d.c.pool.SendVia(ctx, key, func() (*client.Client, error) { return d.newClient(a, key, mode), nil }, d.envelope(a), d.m.Content)
	a.sent, d.used = res.Recipients, true
	if s := res.Recipients[0].Server; s != nil && a.Server == nil {
		a.Server, a.Reused = s, true
	}
	var failed *client.SendError
	if errors.As(err, &failed) {
		err = failed.Err
	}
	a.Err = err
	return err
}

// envelope is that of the recipients whose outcome is open.
func (d *delivery) envelope(a *Attempt) smtp.Envelope {
	env := d.m.Envelope
	if env.MailParams.By.Mode != 0 {
		env.MailParams.By.Within -= time.Since(d.began) // RFC 2852 §4.1.4
	}
	if d.hop.LMTP || a.relaxed {
		env.MailParams.RequireTLS = false
	}
	if len(d.pending) == len(env.Recipients) {
		return env
	}
	all := env.Recipients
	env.Recipients = make([]smtp.Recipient, len(d.pending))
	for i, at := range d.pending {
		env.Recipients[i] = all[at]
	}
	return env
}

// mode says when TLS begins.
func (d *delivery) mode(host Host, policy Policy) client.TLSMode {
	switch {
	case host.isSocket():
		return client.Plaintext
	case d.port(host) == portImplicitTLS:
		return client.ImplicitTLS
	case policy.Level == LevelNone:
		return client.Plaintext
	case policy.Level == LevelMay:
		return client.Opportunistic
	}
	return client.StartTLSRequired
}

const portImplicitTLS = 465 // RFC 8314 §7.3

// atLeast is the level at a host for which a policy asks for one: the port may be for
// TLS only, and credentials for nobody but who proves that they are meant for him.
func (d *delivery) atLeast(level Level, host Host) Level {
	if d.port(host) == portImplicitTLS {
		level = max(level, LevelEncrypt)
	}
	if d.hop.Auth != nil && level > LevelNone && !d.isLocal(host) { // in plaintext the client does not authenticate
		level = max(level, LevelVerify)
	}
	return level
}

// isLocal reports whether a host is this machine by the name that was chosen for it:
// what a resolver says does not count.
func (d *delivery) isLocal(host Host) bool {
	if !d.route.Explicit || !d.route.vouches(host) {
		return false
	}
	name := host.identity()
	addr, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && addr.IsLoopback()
}

// key is what a connection must have in common with another to be used in its
// place.
func (d *delivery) key(a *Attempt, network string, mode client.TLSMode) client.Key {
	word := "smtp "
	if d.hop.LMTP {
		word = "lmtp "
	}
	key := client.Key{
		Network:     network,
		Addr:        a.Addr,
		LocalName:   d.hop.Hello,
		Credentials: d.hop.Credentials,
		TLS:         word + strconv.Itoa(int(mode)) + " " + a.Policy.Class(),
	}
	if key.LocalName == "" {
		key.LocalName = d.c.Hello
	}
	if local := d.localAddr(a.Addr); local.IsValid() {
		key.LocalAddr = local.String()
	}
	return key
}

// localAddr is the address to connect to addr from; invalid if the system is to
// choose.
func (d *delivery) localAddr(addr string) netip.Addr {
	to, err := netip.ParseAddrPort(addr)
	if err != nil {
		return netip.Addr{}
	}
	from := d.hop.LocalAddrs
	if len(from) == 0 {
		from = d.c.LocalAddrs
	}
	for _, local := range from {
		if local.Unmap().Is4() == to.Addr().Unmap().Is4() {
			return local.Unmap()
		}
	}
	return netip.Addr{}
}

// newClient makes the client for connections of key. It is dialled by address and
// known by the name of its host.
func (d *delivery) newClient(a *Attempt, key client.Key, mode client.TLSMode) *client.Client {
	c := d.c
	timeouts := c.Timeouts
	if timeouts.Dial <= 0 {
		timeouts.Dial = 30 * time.Second
	}
	own := &client.Client{
		Addr:      key.Addr,
		Network:   key.Network,
		TLSMode:   mode,
		LocalName: key.LocalName,
		LMTP:      d.hop.LMTP,
		Auth:      d.hop.Auth,
		Dial:      c.dialer(key),
		Timeouts:  timeouts,

		MaxConns:    -1, // the Limiter's business
		IdleTimeout: orDefault(c.IdleTimeout, 10*time.Second, forever),
		MaxAge:      orDefault(c.MaxAge, 5*time.Minute, forever),
		MaxMessages: orDefault(c.MaxMessages, 100, unlimited),

		NormalizeLineEnds: c.NormalizeLineEnds,
		Chunking:          c.Chunking,
		DropDSN:           true,
		Trace:             c.connTrace(),
	}
	if _, port, err := net.SplitHostPort(key.Addr); err == nil && a.Host.Name[0] != '[' {
		own.Addr = net.JoinHostPort(a.Host.Name, port)
	}
	if mode != client.Plaintext {
		own.TLSConfig = a.Policy.TLSConfig(c.TLSConfig)
	}
	return own
}

// dialer dials the address of key, whatever name stands for it.
func (c *Client) dialer(key client.Key) func(context.Context, string, string) (net.Conn, error) {
	local, _ := netip.ParseAddr(key.LocalAddr)
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		if c.Dial != nil {
			return c.Dial(ctx, key.Network, key.Addr, local)
		}
		var d net.Dialer
		if local.IsValid() {
			d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
		}
		return d.DialContext(ctx, key.Network, key.Addr)
	}
}

// endpoint is where a host takes mail.
func (d *delivery) endpoint(host Host, addr netip.Addr) string {
	return netip.AddrPortFrom(addr, d.port(host)).String()
}

func (d *delivery) port(host Host) uint16 {
	switch {
	case host.Port != 0:
		return host.Port
	case d.c.Port != 0:
		return d.c.Port
	case d.hop.LMTP:
		return 24 // RFC 2033 §5 forbids 25
	}
	return 25
}

func (h Host) isSocket() bool { return h.Name != "" && h.Name[0] == '/' }

type attemptKey struct{}

// connTrace is the trace of all connections: the caller's, and what an Attempt is
// to know of one that was made for it.
func (c *Client) connTrace() *client.Trace {
	var t client.Trace
	if c.Trace != nil && c.Trace.Conn != nil {
		t = *c.Trace.Conn
	}
	theirs := t.Ready
	t.Ready = func(ctx context.Context, info client.ConnInfo, s *client.ServerInfo, err error) {
		if a, ok := ctx.Value(attemptKey{}).(*Attempt); ok {
			a.ready(info, s, err)
		}
		if theirs != nil {
			theirs(ctx, info, s, err)
		}
	}
	return &t
}
