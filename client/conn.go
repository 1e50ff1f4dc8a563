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
	// If empty, Dial takes it from the address and NewConn knows no name.
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

	id uint64
}

// A Conn is one connection to a server: one verb, one method. A negative reply
// comes back as an error that holds *smtp.Error, and the session goes on; any
// other error is a *ConnError, and the connection is then closed and useless.
//
// A Conn is not safe for concurrent use. A context ends a wait at once, and the
// connection with it, since a reply is then still under way.
type Conn struct {
	cfg  ConnConfig
	info ConnInfo
	raw  net.Conn // what was dialled: deadlines are set on it
	nc   net.Conn // what is read and written: raw, or TLS over it

	greeting smtp.Reply
	offers   smtp.Offers
	replies  wire.ReplyReader
	buf      []byte // what is about to be written; kept between commands
	segs     net.Buffers

	dead      error // why the connection is of no more use
	closed    bool
	verified  bool // the TLS peer is who it should be, or the caller does not care
	greeted   bool // EHLO, HELO or LHLO has succeeded
	reset     bool // a transaction was left open: RSET goes before the next
	rcpts     int  // recipients accepted in the transaction that the verbs have open
	bodyType  smtp.BodyType
	messages  int     // transactions begun by Send
	behind    *waiter // whose envelope has been written behind the data
	opened    time.Time
	idleSince time.Time

	wait     time.Duration // limit for the reply that is being read
	armed    bool          // the read deadline stands for this reply
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

// enter begins an operation: until leave, the end of ctx ends every wait. op is
// only for the error.
func (c *Conn) enter(ctx context.Context, op string) error {
	if c.dead != nil {
		return c.dead
	}
	if err := ctx.Err(); err != nil {
		return &ConnError{Op: op, Err: err}
	}
	c.ctx = ctx
	if ctx.Done() != nil {
		c.stop = context.AfterFunc(ctx, c.onCancel)
	}
	return nil
}

// leave ends an operation. A context that ended in it leaves a connection whose
// deadlines lie in the past, even if the operation came through.
func (c *Conn) leave() {
	if c.stop != nil && !c.stop() {
		c.fail("connection", c.ctx.Err())
	}
	c.ctx, c.stop = nil, nil
	if c.dead != nil {
		c.Close()
	}
}

// cancel is run by the context.
func (c *Conn) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.canceled = true
	c.raw.SetDeadline(time.Unix(1, 0))
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

// write writes command lines and shows them to the trace.
func (c *Conn) write(op string, p []byte, limit time.Duration) error {
	_, err := c.send(op, p, limit)
	if err == nil {
		c.traceWrote(p)
	}
	return err
}

// send writes p, which begins where c.buf does or replaces it.
func (c *Conn) send(op string, p []byte, limit time.Duration) (n int, err error) {
	c.buf = p[:0]
	if len(p) == 0 {
		return 0, nil
	}
	c.setDeadline(&c.writeBy, limit, net.Conn.SetWriteDeadline)
	if n, err = c.nc.Write(p); err != nil {
		err = c.fail(op, err)
	}
	return n, err
}

// readReply reads one reply. Raw is valid until the next call. After 421 the
// connection is of no more use (§3.8).
func (c *Conn) readReply(op string, limit time.Duration, maxLines int) (code int, raw []byte, err error) {
	c.wait, c.armed = limit, false
	code, raw, err = c.replies.Next(maxLines)
	if err != nil {
		return 0, nil, c.fail(op, err)
	}
	c.traceGot(raw)
	if code == smtp.CodeUnavailable {
		c.fail(op, &smtp.Error{Verb: smtp.Verb(op), Reply: parse(raw), Scope: smtp.ScopeSession})
	}
	return code, raw, nil
}

// expect reads the reply to verb and wants it positive.
func (c *Conn) expect(op string, verb smtp.Verb, limit time.Duration) (smtp.Reply, error) {
	return c.expectLines(op, verb, limit, wire.MaxReplyLines)
}

func (c *Conn) expectLines(op string, verb smtp.Verb, limit time.Duration, maxLines int) (smtp.Reply, error) {
	code, raw, err := c.readReply(op, limit, maxLines)
	if err != nil {
		return smtp.Reply{}, err
	}
	switch reply := parse(raw); code / 100 {
	case 2:
		return reply, nil
	case 3:
		return reply, c.outOfStep(op, "the server asks for more where nothing follows")
	default:
		return reply, refusal(verb, reply)
	}
}

// command writes one line, CRLF included, and expects a positive reply. The
// server must not have said anything since its last reply.
func (c *Conn) command(ctx context.Context, verb smtp.Verb, line []byte, limit time.Duration) (smtp.Reply, error) {
	if err := c.enter(ctx, string(verb)); err != nil {
		return smtp.Reply{}, err
	}
	defer c.leave()
	return c.roundTrip(verb, line, limit)
}

func (c *Conn) roundTrip(verb smtp.Verb, line []byte, limit time.Duration) (smtp.Reply, error) {
	if err := c.inStep(string(verb)); err != nil {
		return smtp.Reply{}, err
	}
	if err := c.write(string(verb), line, limit); err != nil {
		return smtp.Reply{}, err
	}
	return c.expect(string(verb), verb, limit)
}

// inStep refuses to go on when something waits to be read that nobody asked for:
// it would be taken for the answer to the next command.
func (c *Conn) inStep(op string) error {
	if c.replies.Buffered() > 0 {
		return c.outOfStep(op, "octets from the server that answer nothing")
	}
	return nil
}

// setDeadline gives an operation limit from now. The deadline in force stays if
// it is at most a little earlier than that: setting one costs as much as writing
// a small command.
func (c *Conn) setDeadline(inForce *time.Time, limit time.Duration, set func(net.Conn, time.Time) error) {
	now := time.Now()
	if left := inForce.Sub(now); left <= limit && left > limit-min(limit/8, 5*time.Second) {
		return
	}
	*inForce = now.Add(limit)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.canceled {
		set(c.raw, *inForce)
	}
}

// replySource is what the reply reader reads: it sets the deadline when a wait
// begins, and not again while the same reply trickles in.
type replySource Conn

func (s *replySource) Read(p []byte) (int, error) {
	c := (*Conn)(s)
	if !c.armed {
		c.armed = true
		c.setDeadline(&c.readBy, c.wait, net.Conn.SetReadDeadline)
	}
	return c.nc.Read(p)
}

// parse parses what the reply reader has checked.
func parse(raw []byte) smtp.Reply {
	reply, err := smtp.ParseReply(string(raw))
	if err != nil { // the two disagree: keep the code, which is what counts
		reply = smtp.Reply{Code: int(raw[0]-'0')*100 + int(raw[1]-'0')*10 + int(raw[2]-'0'), Raw: string(raw)}
	}
	return reply
}

// refusal makes an error of a negative reply.
func refusal(verb smtp.Verb, reply smtp.Reply) *smtp.Error {
	scope := smtp.ScopeMessage
	switch {
	case reply.Code == smtp.CodeUnavailable:
		scope = smtp.ScopeSession // §3.8
	case verb == smtp.RCPT:
		scope = smtp.ScopeRecipient
	case verb != smtp.MAIL && verb != smtp.DATA && verb != smtp.BDAT && verb != "":
		scope = smtp.ScopeSession
	}
	return &smtp.Error{Verb: verb, Reply: reply, Scope: scope}
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

// closedByPeer reports whether err means that the peer has gone, and not that
// time ran out or that it broke the protocol.
func closedByPeer(err error) bool {
	var op *net.OpError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe):
		return true
	}
	return errors.As(err, &op) && !op.Timeout()
}
