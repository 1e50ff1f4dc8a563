package client

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/postrider/postrider/smtp"
)

// A Client sends messages to one server over connections that it keeps and
// shares. It is safe for concurrent use; make one and keep it. Its fields must
// not change after the first call, and it must not be copied.
type Client struct {
	// Addr is "host:port", or the path of a unix socket. Port may be a service
	// name. There is no default.
	Addr string
	// Network is "tcp", "tcp4", "tcp6" or "unix". If empty, "tcp".
	Network string
	// TLSMode says how connections are protected. If zero, TLSAuto, which never
	// falls back to plaintext.
	TLSMode TLSMode
	// TLSConfig is for all handshakes. If nil, the zero tls.Config. An empty
	// ServerName is the host of Addr, a nil ClientSessionCache one of the
	// Client's own, and no version below TLS 1.2 is spoken.
	TLSConfig *tls.Config
	// Auth authenticates every connection. Credentials are sent over TLS to a
	// verified server, or to this machine, and nowhere else. What TLSConfig does
	// not verify, with InsecureSkipVerify, and TLS that Dial has set up, count as
	// verified: that is then the caller's business. If nil, nobody authenticates.
	Auth Auth
	// LocalName is said in EHLO. If empty, DefaultHello.
	LocalName string
	// LMTP speaks LMTP (RFC 2033): each recipient has an outcome of his own. If
	// false, SMTP.
	LMTP bool
	// LocalAddr is the IP address that connections are made from. If empty, the
	// system chooses. Dial, if set, is not told of it.
	LocalAddr string
	// Dial makes the network connections, for a proxy or a tunnel. With
	// ImplicitTLS the handshake follows. If nil, a net.Dialer does.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Timeouts limits every wait. Zero fields have the defaults of RFC 5321.
	Timeouts Timeouts

	// MaxConns limits the connections open at a time; who finds none free waits.
	// If zero, 10. If negative, there is no limit.
	MaxConns int
	// MaxIdle limits the connections kept for later. If zero, as MaxConns, or 10
	// if that has no limit. If negative, none is kept.
	MaxIdle int
	// IdleTimeout is how long a connection is kept. If zero, 30 seconds.
	IdleTimeout time.Duration
	// MaxAge is how long a connection is used. If zero, 1 hour.
	MaxAge time.Duration
	// MaxMessages limits the messages sent over one connection, as MAILMAX does
	// if the server announces it (RFC 9422). If zero, there is no limit: a server
	// that has one says so, and the message goes again over a new connection.
	MaxMessages int
	// Rate limits how many messages begin in how much time, over all connections.
	// Who is early waits. If zero, there is no limit.
	Rate Rate

	// AllOrNothing sends nothing if one recipient is refused, at the cost of one
	// round trip. With LMTP or PRDR a recipient can still fail alone after the
	// data. More recipients than the server announces for one transaction are
	// refused with a *ContentError, since two cannot be all or nothing. If false,
	// the message goes to those that were accepted.
	AllOrNothing bool
	// NormalizeLineEnds writes CRLF for every CR or LF that stands alone, which
	// changes the message and breaks signatures over it. If false, such a
	// message goes by BDAT with BODY=BINARYMIME if the server can take that, and
	// is otherwise refused with a *ContentError before anything is sent.
	NormalizeLineEnds bool
	// Chunking sends by BDAT wherever the server offers CHUNKING. If false, only
	// messages that need it.
	Chunking bool
	// Optimistic writes the envelope and the message in one go if it has at most
	// 64 KB and the server offers PIPELINING and CHUNKING: one round trip for a
	// message, where two are normal. If false, the envelope is answered first.
	//
	// It is off by default because servers are deployed that, having refused
	// BDAT, run the octets of the message as commands: whoever wrote the message
	// could then speak in this session. A connection on which everything was
	// refused is closed, which is too late to prevent it. It also relies on the
	// server to read on while it answers (RFC 2920 §3.1). Set it for servers that
	// you know.
	Optimistic bool
	// DropDSN sends without the parameters of DSN to a server that does not offer
	// it, as relays do: with the message they then owe whoever asked for it a
	// "relayed" notification (RFC 3461 §5.2.2). If false, a recipient with such
	// parameters is refused with a *smtp.NotOfferedError, and with those of MAIL the
	// whole message.
	DropDSN bool
	// NoRedial reports a connection that was gone, or said 421, as the failure of
	// the message that found out. If false, the message goes once over a new
	// connection, if the old one had carried a message before and the last octet
	// of this one had not been written; of a message in several transactions,
	// those that have not begun go over a new connection in any case.
	NoRedial bool

	// Extensions are rows for parameters of one's own, which stand in
	// MailParams.Other and RcptParams.Other. If nil, none.
	Extensions []*smtp.Extension
	// Trace sees what happens on the connections. If nil, nobody does.
	Trace *Trace

	queue    queue
	sessions sync.Once
	cache    tls.ClientSessionCache
}

// Send sends one message and says what became of it for each recipient. The
// Result is never nil. The error is nil if the message was delivered to one
// recipient at least, and else a *SendError; with AllOrNothing it is nil only if
// no recipient was refused before the data. Whom the message did not reach
// although the error is nil, the Result tells:
//
//	for r := range res.Failed() {
//		log.Println(r.To, r.Err)
//	}
//
// More recipients than the server takes in one transaction have several, over as
// many connections as that needs, where the content can be read again: so LIMITS
// announces it (RFC 9422), or 452 to RCPT says it (RFC 5321 §4.5.3.1.10), as long
// as each transaction delivers to somebody. A refusal of the message in one of them
// counts for all recipients that are left. See ErrLimit.
//
// A content that was not examined is looked at first, and what the server cannot
// take is refused before anything is sent, REQUIRETLS without verified TLS and a
// server that offers it among that. A recipient whose address or parameters the
// server cannot take, such as RRVS with the action R (RFC 7293 §5.1.1), is left out,
// and the message goes to the others, unless AllOrNothing is set. PRDR, with which a
// server may refuse single recipients after the data, is said wherever it is offered.
// A content that can be read only once is closed in any case. When ctx ends, Send
// returns at once and the connection is closed; a Read of the content, which it cannot
// end, it waits for. If the server's last word is missing, errors.Is(err, ErrUnknown).
func (c *Client) Send(ctx context.Context, env smtp.Envelope, content smtp.Content) (*Result, error) {
	w := newWaiter(ctx, env, content)
	res, err := c.send(w)
	w.free()
	return res, err
}

func (c *Client) send(w *waiter) (*Result, error) {
	defer w.t.close()
	if err := w.t.prepare(); err != nil {
		return w.t.end(nil, err)
	}
	if !c.queue.join(c, w) {
		return w.t.end(nil, ErrClosed)
	}
	defer c.queue.part()
	return c.deliver(w)
}

// Connect makes a connection outside of those that Send uses: dialled, greeted,
// encrypted and authenticated, ready for MAIL. The caller closes it.
func (c *Client) Connect(ctx context.Context) (*Conn, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// CloseIdle says QUIT on the connections that nobody uses.
func (c *Client) CloseIdle() { c.queue.slots().closeIdle() }

// Close lets no new call of Send begin, waits for those that run and says QUIT on
// what is left, for which it waits no longer than Timeouts.Quit. A second Close
// returns ErrClosed.
func (c *Client) Close() error {
	s := c.queue.slots()
	err := s.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	c.queue.stop()
	return err
}

// Stats counts what there is now.
func (c *Client) Stats() Stats { return c.queue.slots().stats(1) }

func (c *Client) limits() limits {
	l := limits{
		open:        orDefault(c.MaxConns, 10, unlimited),
		messages:    c.MaxMessages,
		idleTimeout: c.IdleTimeout,
		maxAge:      c.MaxAge,
		interval:    c.Rate.interval(),
	}
	l.idle = orDefault(c.MaxIdle, orDefault(c.MaxConns, 10, 10), 0)
	if l.idleTimeout <= 0 {
		l.idleTimeout = 30 * time.Second
	}
	if l.maxAge <= 0 {
		l.maxAge = time.Hour
	}
	return l
}

// orDefault reads a limit: zero means def, and a negative number none.
func orDefault(n, def, none int) int {
	switch {
	case n == 0:
		return def
	case n < 0:
		return none
	}
	return n
}
