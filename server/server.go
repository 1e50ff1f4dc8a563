package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Role sets the policy defaults of a Server.
type Role uint8

const (
	// MX receives mail from the world for its own domains, on port 25.
	MX Role = iota
	// Submission receives mail from its own users (RFC 6409), on port 587 or,
	// with implicit TLS, 465 (RFC 8314). It needs an Authenticator, and takes
	// no mail before AUTH.
	Submission
	// LMTP delivers into mailboxes (RFC 2033): LHLO in place of EHLO, and one
	// reply for each recipient after the data. It is not for port 25.
	LMTP
)

// String returns the role's name.
func (r Role) String() string {
	switch r {
	case Submission:
		return "submission"
	case LMTP:
		return "LMTP"
	}
	return "MX"
}

// Policy says what happens to CR and LF that are not part of a CRLF, and to
// NUL, in message data (RFC 5321 §2.3.8). No policy changes what ends the
// data: that is CRLF.CRLF and nothing else.
type Policy uint8

const (
	// DefaultPolicy is Reject for Server.BodyPolicy, Pass for
	// Server.ChunkPolicy.
	DefaultPolicy Policy = iota
	// Reject answers 550 5.6.11 after the data.
	Reject
	// Normalize makes CRLF of a bare LF; bare CR and NUL are still refused.
	Normalize
	// Pass hands everything to the handler as it came.
	Pass
)

// Errors of this package.
var (
	// ErrServerClosed is what Serve returns after Shutdown or Close.
	ErrServerClosed = errors.New("smtp server: closed")
	// ErrAbort, returned from any method of a Session or a Handler, closes
	// the connection at once and without a reply.
	ErrAbort = errors.New("smtp server: connection aborted by the handler")
	// ErrXClient is the reason of Session.Close when the client has said by
	// XCLIENT whom it speaks for from now on. A new session follows, with
	// messages and domains counted anew; errors, refusals and failed AUTH
	// count for the connection.
	ErrXClient = errors.New("smtp server: another client by XCLIENT")
)

// A Server receives mail over SMTP or LMTP. Only Handler must be set. Its
// fields must not be changed once it serves. All methods are safe for
// concurrent use.
type Server struct {
	// Handler decides about connections, senders, recipients and messages.
	Handler Handler

	// Role is MX, Submission or LMTP. If zero, MX.
	Role Role

	// Hostname is how the server calls itself in the greeting, in its replies
	// and in Received fields. If empty, os.Hostname.
	Hostname string

	// Addr is the address that ListenAndServe and ListenAndServeTLS listen
	// on. If empty, port 25 for MX, 587 (465 with TLS) for Submission, 24 for
	// LMTP, on all addresses.
	Addr string

	// TLSConfig makes the server offer STARTTLS, and is what
	// ListenAndServeTLS and ServeTLS use. No version below TLS 1.2 is spoken,
	// whatever MinVersion says (RFC 8997). Prefer ECDSA certificates: a
	// handshake with RSA costs several times the CPU of a message. If nil,
	// there is no TLS.
	//
	// Mail clients offer no ALPN protocols (RFC 7301), and none is registered
	// for SMTP; browsers do. If NextProtos is nil it becomes "smtp" and
	// "esmtp", so that a client that offers only others, such as "h2", is
	// refused in the handshake: it was brought here by somebody who wants it
	// to take this server for another. An empty NextProtos that is not nil
	// lets it in.
	TLSConfig *tls.Config

	// RequireTLS refuses mail before TLS with 530 5.7.0. Not for an MX that
	// serves the public (RFC 3207 §4). If false, TLS is the client's choice.
	RequireTLS bool

	// Auth makes the server offer AUTH. If nil, it does not.
	Auth Authenticator

	// PlaintextAuthOnLoopback offers AUTH also without TLS to clients that
	// connect over the loopback interface or a unix socket. If false, AUTH
	// is offered over TLS only.
	PlaintextAuthOnLoopback bool

	// Extensions are offered besides those that the library can keep by
	// itself (PIPELINING, SIZE, 8BITMIME, ENHANCEDSTATUSCODES, CHUNKING,
	// STARTTLS with TLSConfig, AUTH with Auth): promises that only the
	// application can keep, and the application's own.
	Extensions []Extension

	// Trusted are the networks of proxies and filters that may say whom they
	// speak for: in a PROXY header where ProxyListener asks for one, and by
	// XCLIENT and XFORWARD (Postfix's XCLIENT_README and XFORWARD_README),
	// which no other client is offered and which are refused with 550 from
	// any other. Whoever is in one of them can take every client's place. A
	// unix socket counts as 127.0.0.1 and ::1, and those of a proxy's machine
	// do not. If empty, nobody is trusted.
	Trusted []netip.Prefix

	// Limits bound what clients can make the server do. Zero fields mean
	// safe defaults.
	Limits Limits

	// BodyPolicy is for stray CR, LF and NUL in DATA. If zero, Reject.
	BodyPolicy Policy

	// ChunkPolicy is the same for BDAT, where framing is by count. If zero,
	// Pass: Exchange sends bare LF in chunks. Messages with BODY=BINARYMIME
	// are never touched.
	ChunkPolicy Policy

	// EarlyTalker is what becomes of clients that speak before the greeting,
	// for which Limits.GreetingDelay makes them wait. If zero, they are
	// tolerated.
	EarlyTalker EarlyTalker

	// ConnContext may derive the context of a connection, from which all
	// contexts of its session derive. If nil, it is the server's own.
	ConnContext func(ctx context.Context, c net.Conn) context.Context

	// Observer is told what happens. If nil, nobody is.
	Observer Observer

	// Logger gets what an operator must know: errors of handlers and panics,
	// and refusals of accept. If nil, slog.Default.
	Logger *slog.Logger

	setup   sync.Once
	cfg     *config
	cfgErr  error
	base    context.Context
	cancel  context.CancelFunc
	closing atomic.Bool
	leaving chan struct{} // closed when closing is set

	transactions atomic.Int64 // under way, if MaxTransactions is set

	mu          sync.Mutex
	listeners   map[*net.Listener]struct{}
	conns       map[*conn]struct{}
	perIP       map[netip.Prefix]int
	turningAway int           // of conns, those for which there was no room
	drained     chan struct{} // closed when the last connection has gone, after Shutdown began
}

// ListenAndServe listens on addr, or on Addr if addr is empty, and serves
// until Shutdown or Close. An address that begins with "/" is a unix socket.
// It always returns an error, after Shutdown and Close ErrServerClosed.
func (s *Server) ListenAndServe(addr string) error {
	l, err := s.listen(addr, [...]string{MX: ":25", Submission: ":587", LMTP: ":24"})
	if err != nil {
		return err
	}
	return s.Serve(l)
}

// ListenAndServeTLS is ListenAndServe with implicit TLS (RFC 8314 §3).
func (s *Server) ListenAndServeTLS(addr string) error {
	l, err := s.listen(addr, [...]string{MX: ":465", Submission: ":465", LMTP: ":24"})
	if err != nil {
		return err
	}
	return s.ServeTLS(l)
}

func (s *Server) listen(addr string, byRole [3]string) (net.Listener, error) {
	if err := s.init(); err != nil {
		return nil, err
	}
	for _, a := range []string{s.Addr, byRole[min(s.Role, LMTP)]} {
		if addr == "" {
			addr = a
		}
	}
	if addr[0] == '/' {
		return net.Listen("unix", addr)
	}
	return net.Listen("tcp", addr)
}

// ServeTLS is Serve for connections that begin with a TLS handshake.
func (s *Server) ServeTLS(l net.Listener) error {
	if err := s.init(); err != nil {
		l.Close()
		return err
	}
	if s.cfg.implicitTLS == nil {
		l.Close()
		return errors.New("smtp server: ServeTLS without TLSConfig")
	}
	return s.Serve(tls.NewListener(l, s.cfg.implicitTLS))
}

// Serve accepts connections from l until Shutdown or Close, and closes l. A
// connection that has a ConnectionState method like *tls.Conn is a TLS
// connection; its handshake runs in a goroutine of its own. Serve may be
// called for several listeners. It always returns an error.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if err := s.init(); err != nil {
		return err
	}
	if !s.track(&l, true) {
		return ErrServerClosed
	}
	defer s.track(&l, false)
	var pause time.Duration
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = 0
			s.accept(nc)
		case s.closing.Load():
			return ErrServerClosed
		case isTemporary(err):
			// Out of descriptors, or the client gone already: both pass.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.cfg.logger.Error("smtp server: accept", "err", err, "pause", pause)
			select {
			case <-time.After(pause):
			case <-s.base.Done():
				return ErrServerClosed
			}
		default:
			return fmt.Errorf("smtp server: accept: %w", err)
		}
	}
}

// Shutdown stops listening, sends 421 to connections that are idle, lets the
// mail transactions under way come to their end, and returns when the last
// connection has gone. When ctx ends first, what is left is cut off as Close
// does it, and ctx's error is returned. Connections that are in a TLS
// handshake have five seconds for it, those that owe a PROXY header
// Limits.ProxyTimeout.
func (s *Server) Shutdown(ctx context.Context) error {
	drained, conns := s.stopListening()
	for _, c := range conns {
		c.nudge()
	}
	select {
	case <-drained:
		s.cancel()
		return nil
	case <-ctx.Done():
		s.Close()
		return ctx.Err()
	}
}

// Close stops listening, ends every context and closes every connection. It
// does not wait for handlers to return; Shutdown, called after it, does.
func (s *Server) Close() error {
	_, conns := s.stopListening()
	s.cancel()
	for _, c := range conns {
		c.cut()
	}
	return nil
}

func (s *Server) stopListening() (drained chan struct{}, conns []*conn) {
	s.init() // for s.base; the error is Serve's to return
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing.Swap(true) {
		close(s.leaving)
	}
	for l := range s.listeners {
		(*l).Close()
	}
	if s.drained == nil {
		s.drained = make(chan struct{})
		if len(s.conns) == 0 {
			close(s.drained)
		}
	}
	for c := range s.conns {
		conns = append(conns, c)
	}
	return s.drained, conns
}

func (s *Server) track(l *net.Listener, add bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !add {
		delete(s.listeners, l)
		return true
	}
	if s.closing.Load() {
		return false
	}
	if s.listeners == nil {
		s.listeners = make(map[*net.Listener]struct{})
	}
	s.listeners[l] = struct{}{}
	return true
}
