package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/postrider/postrider/smtp"
)

// ErrUnknown is what errors.Is finds in the error of a message, or of one of its
// recipients, whose last octet was written and whose reply never came: it may
// have been accepted. Sending it again may deliver it twice, not sending it
// again may lose it; the caller decides (RFC 5321 §4.5.4.1, RFC 1047).
var ErrUnknown = errors.New("the outcome is unknown")

// ErrClosed is the error of a Client that has been closed.
var ErrClosed = errors.New("client: closed")

// ErrPlaintextAuth is why Auth refuses to send credentials over a connection
// that is neither encrypted to a verified peer nor a loopback connection.
var ErrPlaintextAuth = errors.New("refusing to authenticate: the connection is not protected by verified TLS")

// ErrNoStartTLS is why a connection that must have TLS was given up: the server
// does not offer STARTTLS.
var ErrNoStartTLS = errors.New("the server does not offer STARTTLS")

// A SendError is the error of Send: nothing was delivered to anybody, as far as
// is known. errors.As finds the *smtp.Error, *ConnError or *ContentError within.
type SendError struct {
	Host string // the server's name as it was dialled; "" if it was not reached
	Addr string // the server's network address
	Err  error  // of the recipient that may still get the message, else of the first
	More int    // recipients that were not delivered to for other reasons
}

// Error returns what went wrong and where:
// "client: mx.example.org: smtp: RCPT: 550 5.1.1 no such user".
func (e *SendError) Error() string {
	var b strings.Builder
	b.WriteString("client: ")
	if e.Host != "" {
		b.WriteString(e.Host + ": ")
	}
	b.WriteString(e.Err.Error())
	if e.More > 0 {
		fmt.Fprintf(&b, " (and %d more)", e.More)
	}
	return b.String()
}

// Unwrap returns e.Err.
func (e *SendError) Unwrap() error { return e.Err }

// Temporary reports whether the same message may be delivered later to at least
// one recipient. It is false if the outcome is unknown, which is neither: ask
// errors.Is(err, ErrUnknown) first.
func (e *SendError) Temporary() bool { return temporary(e.Err) }

// A ConnError says that a connection failed, or was given up, in the middle of
// something. errors.Is finds the cause: context.Canceled, os.ErrDeadlineExceeded,
// io.EOF; errors.As finds a *ProtocolError or a *net.OpError.
type ConnError struct {
	Op      string // what was being done: "dial", "greeting", "STARTTLS", "TLS handshake", "RCPT", "message data"
	Err     error
	Unknown bool // the message may have been accepted; errors.Is(err, ErrUnknown)
}

// Error returns the operation and the cause: "RCPT: unexpected EOF".
func (e *ConnError) Error() string {
	if e.Unknown {
		return e.Op + ": " + ErrUnknown.Error() + ": " + e.Err.Error()
	}
	return e.Op + ": " + e.Err.Error()
}

// Unwrap returns e.Err.
func (e *ConnError) Unwrap() error { return e.Err }

// Is reports whether target is ErrUnknown and e.Unknown is set.
func (e *ConnError) Is(target error) bool { return e.Unknown && target == ErrUnknown }

// Timeout reports whether a time limit of Timeouts, or the context's, ran out.
func (e *ConnError) Timeout() bool {
	var t net.Error
	return errors.As(e.Err, &t) && t.Timeout()
}

// Temporary reports whether the same may succeed later: what a network or a
// server's configuration is to blame for may, what is wrong with the message or
// with the arguments does not. It is false if Unknown is set.
func (e *ConnError) Temporary() bool { return temporary(e) }

// A ProtocolError says how a server broke the protocol. The connection is
// closed: no later octet from it can be trusted to answer what was asked.
type ProtocolError struct {
	Reason string // ours, never the server's text
}

// Error returns the reason.
func (e *ProtocolError) Error() string { return "protocol error: " + e.Reason }

// A ContentError says that the server cannot take a message as it is, or as its
// parameters want it handled. Nothing of it was sent.
type ContentError struct {
	Need     smtp.Keyword // the extension that the message needs
	Reason   string
	Enhanced smtp.Enhanced // what a report to the sender would give, with the class 5
}

// Error returns the reason and the extension:
// "the message has 8-bit octets and the server does not offer 8BITMIME".
func (e *ContentError) Error() string { return e.Reason }

// Temporary returns false: the same server will not take the message later.
func (e *ContentError) Temporary() bool { return false }

// An AuthError says why authentication failed. errors.As finds the server's
// *smtp.Error within, if it was the server that refused.
type AuthError struct {
	Mechanism string // "" if none was chosen
	Detail    string // what an OAuth server said about the token, as JSON; else ""
	Err       error
}

// Error returns the mechanism, the cause and the detail.
func (e *AuthError) Error() string {
	s := "AUTH"
	if e.Mechanism != "" {
		s += " " + e.Mechanism
	}
	s += ": " + e.Err.Error()
	if e.Detail != "" {
		s += " " + fmt.Sprintf("%q", e.Detail)
	}
	return s
}

// Unwrap returns e.Err.
func (e *AuthError) Unwrap() error { return e.Err }

// Temporary reports whether the server said that the failure will pass, or
// whether it was the network in which a token was looked for.
func (e *AuthError) Temporary() bool {
	var reply *smtp.Error
	if errors.As(e.Err, &reply) {
		return reply.Temporary()
	}
	var network net.Error
	return errors.As(e.Err, &network) || errors.Is(e.Err, context.Canceled)
}

// temporary asks the server's reply if there is one. What has to do with the
// network or with the server's configuration mends; what is wrong here does not.
func temporary(err error) bool {
	var auth *AuthError
	var reply *smtp.Error
	switch {
	case errors.Is(err, ErrUnknown):
		return false
	case errors.As(err, &auth):
		return auth.Temporary()
	case errors.As(err, &reply):
		return reply.Temporary()
	}
	var content *ContentError
	var notOffered *smtp.NotOfferedError
	var local localError
	return !errors.As(err, &content) && !errors.As(err, &notOffered) && !errors.As(err, &local) &&
		!errors.Is(err, ErrClosed) && !errors.Is(err, ErrPlaintextAuth)
}

// localError is a fault of the arguments: no server will change it.
type localError struct{ error }

func (e localError) Unwrap() error { return e.error }
