package server

import (
	"context"

	"github.com/postrider/postrider/smtp"
)

// A Handler decides what becomes of connections. NewSession is called when a
// connection has been accepted, before the greeting is sent (on a TLS
// listener: after the handshake), and again when a client in Server.Trusted
// has said by XCLIENT whom it speaks for. Its context lives until the
// session's Close has returned.
//
// An error refuses the connection: one that holds a *smtp.Error is sent in
// place of the greeting, any other as 421 4.3.0. After 421 the connection is
// closed; after another code the client may only QUIT (RFC 5321 §3.1).
//
// NewSession is called from many goroutines at once. Middleware is a function
// from Handler to Handler.
type Handler interface {
	NewSession(ctx context.Context, c *Conn) (Session, error)
}

// HandlerFunc makes a function a Handler.
type HandlerFunc func(ctx context.Context, c *Conn) (Session, error)

// NewSession calls f.
func (f HandlerFunc) NewSession(ctx context.Context, c *Conn) (Session, error) { return f(ctx, c) }

// A Session receives what one client asks for. Its methods are called one at a
// time, not always in the same goroutine, and only in an order that RFC 5321
// §4.1.4 allows: Mail, then Rcpt once or more, then Data.
//
// Replies and errors. The zero Reply means the usual success text; another
// 2xx reply takes its place, for example 250 with a queue id. An error that
// holds a *smtp.Error (found with errors.As; see smtp.Reject) is sent as it
// is. Any other error is logged and becomes 451 4.3.0 with a fixed text, so
// that nothing internal reaches the client. An error that holds ErrAbort
// closes the connection without a reply. A Reply that is not 2xx beside a nil
// error is a mistake: it is logged and becomes 451 4.3.0. After a reply with
// code 421 the connection is closed.
//
// Contexts. The context of Mail lives until the mail transaction ends, those
// of Rcpt and Data derive from it. They end with Server.Close, with the
// deadline of Server.Shutdown and with Limits.HandlerTimeout; that the client
// is gone is noticed at the next read or write.
//
// What else a session can have a say in is optional: see HelloSession,
// VerifySession and ExpandSession.
type Session interface {
	// Mail begins a mail transaction. The parameters have been checked
	// against what was offered, SIZE against Limits.MaxMessageSize. p is never
	// nil, and to be read, not written: all sessions that middleware hands it to
	// have the same, and so has Message.Envelope, which the function given to
	// Deliver may change. It may be kept as long as one likes, and keeps the
	// rest of its transaction in memory: some 500 octets and the paths.
	Mail(ctx context.Context, from smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error)

	// Rcpt adds one recipient; a refused one takes no part in the transaction.
	// p is never nil. It may be kept like that of Mail, and is to be read, not
	// written: recipients without parameters share one.
	Rcpt(ctx context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error)

	// Data receives the message. To accept it is to be responsible for it
	// (RFC 5321 §6.1), so accept only after b has given io.EOF. What Data
	// leaves unread is read and dropped before its reply is sent. When b has
	// given a *BodyError, whatever Data returns is ignored. b must not be
	// used after Data has returned.
	Data(ctx context.Context, b *Body) (smtp.Reply, error)

	// Reset ends a mail transaction, if one was begun, and says why. It is
	// called after every transaction, the successful ones included, and for
	// RSET, a new HELO and STARTTLS also outside of one.
	Reset(ctx context.Context, why ResetReason)

	// Close ends the session; it is called exactly once. Reason is nil after
	// QUIT, ErrXClient when another session follows on the same connection,
	// otherwise it says what happened.
	Close(reason error)
}

// ResetReason says why Session.Reset is called.
type ResetReason uint8

const (
	ResetDone     ResetReason = iota // the transaction came to its end, accepted or refused
	ResetRSET                        // the client asked for it
	ResetHello                       // HELO, EHLO or LHLO came again (RFC 5321 §4.1.4)
	ResetSTARTTLS                    // TLS has begun: all before is forgotten (RFC 3207 §4.2)
	ResetClosed                      // the connection ended within a transaction
)

// String returns the reason as a word.
func (r ResetReason) String() string {
	switch r {
	case ResetDone:
		return "done"
	case ResetRSET:
		return "RSET"
	case ResetHello:
		return "hello"
	case ResetSTARTTLS:
		return "STARTTLS"
	case ResetClosed:
		return "closed"
	}
	return "unknown"
}

// A HelloSession is a Session with a say at HELO, EHLO and LHLO. Name is what
// the client calls itself, verified by nobody. An error refuses the command
// and leaves the session as it was. Of a successful Reply nothing is sent.
type HelloSession interface {
	Session
	Hello(ctx context.Context, verb smtp.Verb, name string) error
}

// A VerifySession is a Session that answers VRFY (RFC 5321 §3.5.1). Without
// it the answer is 252, which says nothing about the address.
type VerifySession interface {
	Session
	Verify(ctx context.Context, query string) (smtp.Reply, error)
}

// An ExpandSession is a Session that answers EXPN (RFC 5321 §3.5.2), with one
// line a member. Without it the answer is 502.
type ExpandSession interface {
	Session
	Expand(ctx context.Context, list string) (smtp.Reply, error)
}

// As finds the first session that is a T in the chain that begins with s and
// goes on with each one's Unwrap() Session. Middleware that wraps a Session
// needs only that method to keep what is optional on the inner one reachable.
func As[T any](s Session) (T, bool) {
	for s != nil {
		if t, ok := s.(T); ok {
			return t, true
		}
		u, ok := s.(interface{ Unwrap() Session })
		if !ok {
			break
		}
		s = u.Unwrap()
	}
	var none T
	return none, false
}
