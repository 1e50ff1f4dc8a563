package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/smtp"
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
	// ListenAndServeTLS and ServeTLS use. If MinVersion is zero it is TLS
	// 1.2 (RFC 8997). Prefer ECDSA certificates: a handshake with RSA costs
	// several times the CPU of a message. If nil, there is no TLS.
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

	// Limits bound what clients can make the server do. Zero fields mean
	// safe defaults.
	Limits Limits

	// BodyPolicy is for stray CR, LF and NUL in DATA. If zero, Reject.
	BodyPolicy Policy

	// ChunkPolicy is the same for BDAT, where framing is by count. If zero,
	// Pass: Exchange sends bare LF in chunks. Messages with BODY=BINARYMIME
	// are never touched.
	ChunkPolicy Policy

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

	mu        sync.Mutex
	listeners map[*net.Listener]struct{}
	conns     map[*conn]struct{}
	perIP     map[netip.Prefix]int
	drained   chan struct{} // closed when the last connection has gone, after Shutdown began
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
// does it, and ctx's error is returned.
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
// does not wait for handlers to return.
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
	s.closing.Store(true)
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

// accept starts a connection's goroutine, or turns the connection away.
func (s *Server) accept(nc net.Conn) {
	c := newConn(s, nc)
	key, limited := ipKey(nc.RemoteAddr())
	s.mu.Lock()
	var refusal smtp.Reply
	switch {
	case s.closing.Load():
		refusal = replyShutdown
	case over(len(s.conns)+1, s.cfg.limits.MaxConns):
		refusal = replyTooManyConns
	case limited && over(s.perIP[key]+1, s.cfg.limits.MaxConnsPerIP):
		refusal = replyTooManyFromYou
	default:
		if s.conns == nil {
			s.conns = make(map[*conn]struct{})
			s.perIP = make(map[netip.Prefix]int)
		}
		s.conns[c] = struct{}{}
		if limited {
			s.perIP[key]++
		}
	}
	s.mu.Unlock()
	if refusal.IsZero() {
		go c.serve()
		return
	}
	refusal.Enhanced = smtp.Enhanced{} // in place of the greeting (RFC 2034 §3)
	c.observe(Event{Kind: LimitHit, Reply: refusal})
	if _, isTLS := nc.(tlsConn); !isTLS {
		// The reply fits into the socket's buffer: this does not block.
		nc.SetWriteDeadline(time.Now().Add(time.Second))
		nc.Write(refusal.AppendTo(nil))
	}
	nc.Close()
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if key, limited := ipKey(c.accepted); limited {
		if s.perIP[key]--; s.perIP[key] == 0 {
			delete(s.perIP, key)
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

// config is what a Server's fields come to once it serves.
type config struct {
	limits      Limits
	hostname    string
	logger      *slog.Logger
	implicitTLS *tls.Config
	startTLS    *tls.Config
	bodyLines   Policy
	chunkLines  Policy
	rows        []*smtp.Extension // of the application, for the parsers
	table       []command
	verbs       map[smtp.Verb]*command // the rows of table and those of the application's verbs
	handlers    map[smtp.Verb]VerbFunc // of the application's verbs
	extensions  []Extension            // Server.Extensions, each with its Keyword
	nothing     *offer                 // before EHLO, and after HELO
	greeting    smtp.Reply

	offerMu sync.Mutex
	offers  map[offerKey]*offer
}

func (s *Server) init() error {
	s.setup.Do(func() {
		s.base, s.cancel = context.WithCancel(context.Background())
		s.cfg, s.cfgErr = s.newConfig()
	})
	return s.cfgErr
}

func (s *Server) newConfig() (*config, error) {
	switch {
	case s.Handler == nil:
		return nil, errors.New("smtp server: Handler is nil")
	case s.Role > LMTP:
		return nil, fmt.Errorf("smtp server: unknown role %d", s.Role)
	case s.Role == Submission && s.Auth == nil:
		return nil, errors.New("smtp server: Submission needs Auth (RFC 6409 §4.3)")
	case s.RequireTLS && s.TLSConfig == nil:
		return nil, errors.New("smtp server: RequireTLS without TLSConfig")
	}
	cfg := &config{
		limits:     s.Limits.withDefaults(),
		hostname:   s.Hostname,
		logger:     s.Logger,
		bodyLines:  or8(s.BodyPolicy, Reject),
		chunkLines: or8(s.ChunkPolicy, Pass),
	}
	if cfg.hostname == "" {
		cfg.hostname, _ = os.Hostname()
	}
	if err := smtp.ParseHello(cfg.hostname); err != nil {
		if s.Hostname != "" {
			return nil, fmt.Errorf("smtp server: Hostname: %w", err)
		}
		cfg.hostname = "localhost"
	}
	if cfg.logger == nil {
		cfg.logger = slog.Default()
	}
	if s.TLSConfig != nil {
		cfg.implicitTLS = s.TLSConfig.Clone()
		cfg.implicitTLS.MinVersion = max(cfg.implicitTLS.MinVersion, tls.VersionTLS12)
		cfg.startTLS = cfg.implicitTLS.Clone()
		if s.Role == MX {
			// Microsoft's senders give up when they get a ticket here
			// (golang/go#70232).
			cfg.startTLS.SessionTicketsDisabled = true
		}
	}
	word := " ESMTP"
	if s.Role == LMTP {
		word = " LMTP"
	}
	cfg.greeting = smtp.Reply{Code: 220, Text: cfg.hostname + word}
	if err := cfg.addExtensions(s.Extensions); err != nil {
		return nil, err
	}
	cfg.offers = make(map[offerKey]*offer)
	cfg.nothing = &offer{line: cfg.maxLine(nil, smtp.NOOP)}
	return cfg, nil
}

func or8(p, otherwise Policy) Policy {
	if p == DefaultPolicy {
		return otherwise
	}
	return p
}
