package client

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/wire"
	"github.com/postrider/postrider/smtp"
)

// ConnConfig is how a Conn is set up. The zero value is ready.
type ConnConfig struct {
	// Host is the server's name: what a certificate must be for, and what
	// decides, together with the address, whether the server is this machine.
	// If empty, Dial takes it from the address. NewConn knows no name then, and
	// a TCP connection does not count as one to this machine, since its other
	// end may be a tunnel's; a unix socket does.
	Host string
	// LMTP says LHLO and expects one reply for each recipient after the data
	// (RFC 2033). If false, SMTP.
	LMTP bool
	// Timeouts limits every wait. Zero fields have the defaults of RFC 5321.
	Timeouts Timeouts
	// Extensions are rows for parameters of one's own, which stand in
	// MailParams.Other and RcptParams.Other. If nil, none.
	Extensions []*smtp.Extension
	// Trace sees what happens. If nil, nobody does.
	Trace *Trace

	// The rest is for Send and has the meaning that Client gives it.
	AllOrNothing      bool
	NormalizeLineEnds bool
	Chunking          bool
	Optimistic        bool
	DropDSN           bool

	id uint64
}

// A Conn is one connection to a server: one verb, one method. A negative reply
// comes back as an error that holds *smtp.Error, and the session goes on. So it
// does after an error for which nothing was sent: an argument that is refused here,
// an extension that is not offered, *AuthError. Where the connection was given up
// the error is a *ConnError, and Err returns it from then on.
//
// A Conn is not safe for concurrent use. A context ends a wait at once, and the
// connection with it, since a reply is then still under way.
type Conn struct {
	cfg  ConnConfig
	info ConnInfo
	raw  net.Conn // what was dialled: deadlines are set on it
	nc   net.Conn // what is read and written: raw, or TLS over it
	addr string   // the server's
	look *peeker  // looks at what has arrived on raw; nil if there is no way

	greeting smtp.Reply
	known    *ServerInfo // what server returns; nil if it is to look anew
	offers   smtp.Offers
	limits   smtp.OfferedLimits  // what LIMITS says in offers
	may      may                 // what else offers say, looked up once
	domains  map[string]struct{} // of recipients in this session, if the server limits them
	replies  wire.ReplyReader
	buf      []byte // what is about to be written; kept between commands
	segs     net.Buffers
	unsent   net.Buffers // what a running writev has of segs
	data     dataWriter  // of the message that is being sent; here because one of its own is an allocation
	chunks   chunkWriter // likewise
	decided  smtp.Reply  // the last reply that decided on a message, which is often the next one too

	dead      error // why the connection is of no more use
	closed    bool
	verified  bool // the TLS peer is who it should be, or the caller does not care
	greeted   bool // EHLO, HELO or LHLO has succeeded
	reset     bool // a transaction was left open: RSET goes before the next
	begun     bool // the verbs have a transaction open; what follows belongs to it
	noRoom    bool // a limit of the server's has turned a message away
	rcpts     int  // recipients accepted
	bodyType  smtp.BodyType
	utf8      bool            // MAIL said SMTPUTF8
	prdr      bool            // MAIL said PRDR
	messages  int             // transactions begun: MAIL said
	forward   []smtp.XForward // what XForward has said for the next message
	behind    *waiter         // whose envelope has been written behind the data
	opened    time.Time
	idleSince time.Time

	home         *queue // of the Client that made it; nil if none did
	older, newer *Conn  // its neighbours among all idle connections of the Client or Pool
	passed       int    // messages since others wait for its slot

	wait     time.Duration // limit for the reply that is being read
	armed    bool          // replyBy is that of this reply
	waiting  bool          // and request has begun to wait for it
	unseen   bool          // nobody has looked yet whether it was quiet while it was idle
	replyBy  time.Time     // when that wait ends
	readBy   time.Time     // deadlines in force
	writeBy  time.Time
	ctx      context.Context // of the running operation
	stop     func() bool
	onCancel func()
	mu       sync.Mutex
	canceled bool // the context has ended: deadlines lie in the past and stay there
}

// Dial connects to addr, "host:port" or the path of a unix socket, and reads the
// greeting. Network is "tcp", "tcp4", "tcp6" or "unix". A nil cfg is the zero
// ConnConfig. A greeting that refuses comes back as an error that holds
// *smtp.Error.
func Dial(ctx context.Context, network, addr string, cfg *ConnConfig) (*Conn, error) {
	var own ConnConfig
	if cfg != nil {
		own = *cfg
	}
	if own.Host == "" {
		own.Host = hostOf(network, addr)
	}
	dialer := net.Dialer{Timeout: own.Timeouts.orDefaults().Dial}
	nc, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, dialError(ctx, err)
	}
	return NewConn(ctx, nc, &own)
}

// NewConn reads the greeting from nc, which may be a *tls.Conn or anything else
// that has a ConnectionState method. It closes nc when it fails. A nil cfg is the
// zero ConnConfig.
func NewConn(ctx context.Context, nc net.Conn, cfg *ConnConfig) (*Conn, error) {
	c := newConn(nc, cfg)
	if _, encrypted := c.TLSConnectionState(); encrypted {
		c.verified = true // whoever made it chose what to verify
	}
	if err := c.greet(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

func newConn(nc net.Conn, cfg *ConnConfig) *Conn {
	c := &Conn{raw: nc, nc: nc, opened: time.Now()}
	if cfg != nil {
		c.cfg = *cfg
	}
	c.cfg.Timeouts = c.cfg.Timeouts.orDefaults()
	c.info = ConnInfo{c.cfg.id, c.cfg.Host, nc.LocalAddr(), nc.RemoteAddr()}
	if c.info.Remote != nil {
		c.addr = c.info.Remote.String()
	}
	c.replies.R = (*replySource)(c)
	c.onCancel = c.cancel
	if t := c.cfg.Trace; t != nil && t.Connected != nil {
		t.Connected(c.info)
	}
	return c
}

// greet reads the greeting (§3.1).
func (c *Conn) greet(ctx context.Context) error {
	if err := c.enter(ctx, "greeting"); err != nil {
		c.Close()
		return err
	}
	defer c.leave()
	reply, err := c.expect("greeting", "", c.cfg.Timeouts.Greeting)
	if err != nil {
		var refused *smtp.Error
		if errors.As(err, &refused) {
			refused.Scope = smtp.ScopeHost
			c.write("QUIT", append(c.buf[:0], "QUIT\r\n"...), c.cfg.Timeouts.Quit) // §3.1: only QUIT may follow
		}
		c.fail("greeting", err)
		c.Close()
		return err
	}
	c.greeting = reply
	return nil
}

// Greeting returns the reply with which the server began.
func (c *Conn) Greeting() smtp.Reply { return c.greeting }

// Offers returns what the server offered in its last EHLO or LHLO reply; nil
// before it, after StartTLS, and when the server knows HELO only. The caller must
// not change it.
func (c *Conn) Offers() smtp.Offers { return c.offers }

// Info returns the addresses of the connection.
func (c *Conn) Info() ConnInfo { return c.info }

// TLSConnectionState returns the TLS state; false without TLS.
func (c *Conn) TLSConnectionState() (tls.ConnectionState, bool) {
	if t, ok := c.nc.(interface{ ConnectionState() tls.ConnectionState }); ok {
		return t.ConnectionState(), true
	}
	return tls.ConnectionState{}, false
}

// Err returns why the connection is of no more use, nil while it is.
func (c *Conn) Err() error { return c.dead }

// full reports whether the limits that the server has announced leave no room for
// another message (RFC 9422 §4.1), or have left none for the last.
func (c *Conn) full() bool {
	return c.noRoom || c.limits.MailMax > 0 && c.messages >= c.limits.MailMax
}

// Close closes the connection at once, without QUIT. Closing twice is harmless.
// It must not be called while another method runs; end that by its context.
func (c *Conn) Close() error {
	if c.closed {
		return nil
	}
	c.closed = true
	err := c.raw.Close()
	if t := c.cfg.Trace; t != nil && t.Closed != nil {
		t.Closed(c.info, c.dead)
	}
	if c.dead == nil {
		c.dead = &ConnError{Op: "connection", Err: net.ErrClosed}
	}
	return err
}

// fail marks the connection as useless and returns the error to give: the
// context's own if it has ended.
func (c *Conn) fail(op string, err error) error {
	if c.ctx != nil && c.ctx.Err() != nil {
		err = c.ctx.Err()
	}
	var known *ConnError
	if !errors.As(err, &known) {
		var broken wire.ReplyError
		if errors.As(err, &broken) {
			err = &ProtocolError{Reason: string(broken)}
		}
		err = &ConnError{Op: op, Err: err}
	}
	if c.dead == nil {
		c.dead = err
	}
	return err
}

// outOfStep is fail for a server that broke the protocol.
func (c *Conn) outOfStep(op, reason string) error {
	return c.fail(op, &ProtocolError{Reason: reason})
}

// closedByPeer reports whether err means that the peer has gone, and not that
// time ran out or that it broke the protocol.
func closedByPeer(err error) bool {
	var op *net.OpError
	var local localError
	switch {
	case errors.As(err, &local), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe):
		return true
	}
	return errors.As(err, &op) && !op.Timeout()
}

// hostOf returns the name within an address; "" for a unix socket.
func hostOf(network, addr string) string {
	if network == "unix" {
		return ""
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}

func dialError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return &ConnError{Op: "dial", Err: err}
}
