package smtptest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/server"
)

// A Server is an SMTP server for tests: on a loopback address of its own, with
// a certificate of its own. It accepts every message and keeps it, as far as
// its faults do not say otherwise. All methods are safe for concurrent use.
type Server struct {
	// Addr is where it listens, "127.0.0.1:port". Start sets it.
	Addr string

	// Config is the server underneath. It may be changed before Start: Role,
	// Extensions, Limits, RequireTLS and so on. Its TLSConfig makes it offer
	// STARTTLS. Connections per address are not limited. If Handler is set,
	// messages go there, and those that it accepts are recorded as long as there
	// is memory, with every recipient that RCPT has accepted. If Auth is set,
	// AddAccount and AddToken have no effect.
	Config *server.Server

	// ImplicitTLS makes each connection begin with a TLS handshake.
	ImplicitTLS bool

	// Listener is used instead of a new one on loopback. If nil, Start makes
	// one.
	Listener net.Listener

	// MaxMessages and MaxOctets limit what is recorded; beyond, messages are
	// refused with 452 4.3.1 until Reset, if Config.Handler is nil. If zero,
	// 10,000 messages and 64 MiB. Of transcripts, 256 KiB are kept for each of
	// the latest 1,000 connections.
	MaxMessages int
	MaxOctets   int64

	cert        *tls.Certificate
	recorder    recorder
	log         transcripts
	ownObserver server.Observer
	ownContext  func(context.Context, net.Conn) context.Context

	mu          sync.Mutex
	faults      []*rule
	hidden      []string
	accounts    map[string]string            // password by user
	credentials map[string]server.Credential // by user after SASLprep
	tokens      map[string]string            // user by token
	links       map[*server.Conn]*link

	served chan struct{} // closed when Serve has returned; nil before Start
	failed error         // of Serve
}

// NewServer starts a Server that lives until the end of the test. Each of the
// functions may change it before it starts: Submission, LMTP, ImplicitTLS,
// NoTLS, InMemory or the caller's own. If the test has failed, the transcripts
// stand in its log.
func NewServer(t testing.TB, configure ...func(*Server)) *Server {
	t.Helper()
	s := NewUnstartedServer()
	s.Config.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	for _, f := range configure {
		f(s)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if all := s.Transcripts(); t.Failed() && len(all) > 0 {
			t.Logf("smtptest: the conversations:\n%s", tail(strings.Join(all, "\n"), maxTranscript))
		}
	})
	return s
}

// NewUnstartedServer returns a Server that does not listen yet, to be changed
// and started. Closing it is for the caller.
func NewUnstartedServer() *Server {
	cert, err := newCertificate()
	if err != nil {
		panic("smtptest: " + err.Error()) // crypto/rand does not fail
	}
	return &Server{
		Config: &server.Server{
			Hostname:  "mx.example.com",
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{*cert}},
			Limits:    server.Limits{MaxConnsPerIP: -1},
		},
		cert: cert,
	}
}

// Submission makes it a submission server: AddAccount says who may send.
func Submission(s *Server) { s.Config.Role = server.Submission }

// LMTP makes it an LMTP server.
func LMTP(s *Server) { s.Config.Role = server.LMTP }

// ImplicitTLS makes each connection begin with a TLS handshake.
func ImplicitTLS(s *Server) { s.ImplicitTLS = true }

// NoTLS makes it a server without STARTTLS, which offers AUTH all the same.
func NoTLS(s *Server) { s.Config.TLSConfig, s.Config.PlaintextAuthOnLoopback = nil, true }

// InMemory makes it listen on no network: Dial is the only way in. Everything
// that waits then does so as testing/synctest wants it.
func InMemory(s *Server) { s.Listener = memnet.Listen() }

// Start begins to listen and serve. Config must not be changed afterwards.
func (s *Server) Start() error {
	if s.served != nil {
		return errors.New("smtptest: the server has been started before")
	}
	if s.Listener == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("smtptest: %w", err)
		}
		s.Listener = l
	}
	s.Addr = s.Listener.Addr().String()
	s.recorder.maxMessages, s.recorder.maxOctets = 10_000, 64<<20
	if s.MaxMessages > 0 {
		s.recorder.maxMessages = s.MaxMessages
	}
	if s.MaxOctets > 0 {
		s.recorder.maxOctets = s.MaxOctets
	}
	s.links = make(map[*server.Conn]*link)
	c := s.Config
	if c.Handler == nil {
		c.Handler = server.HandlerFunc(s.newSession)
	} else {
		c.Handler = s.around(c.Handler)
	}
	if c.Auth == nil {
		c.Auth = s.authenticator()
	}
	s.ownObserver, c.Observer = c.Observer, server.ObserverFunc(s.observe)
	s.ownContext, c.ConnContext = c.ConnContext, s.connContext
	serve := c.Serve
	if s.ImplicitTLS {
		serve = c.ServeTLS
	}
	s.served = make(chan struct{})
	go func() {
		defer close(s.served)
		if err := serve(s.Listener); !errors.Is(err, server.ErrServerClosed) {
			s.failed = err
			s.recorder.close()
		}
	}()
	return nil
}

// Close stops listening, closes every connection and waits until the server has
// come to rest. The error says that it could not serve in the first place, or
// that a Handler has not returned within 10 seconds.
func (s *Server) Close() error {
	if s.served == nil {
		if s.Listener != nil {
			s.Listener.Close()
		}
		return nil
	}
	s.Config.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := s.Config.Shutdown(ctx) // waits for the connections
	<-s.served
	s.recorder.close()
	if s.failed != nil {
		return s.failed
	}
	if err != nil {
		return fmt.Errorf("smtptest: connections do not end: %w", err)
	}
	return nil
}

// CloseClientConnections closes every open connection without a word.
func (s *Server) CloseClientConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.links {
		if l.conn != nil {
			l.cut()
		}
	}
}

// Dial connects to the server. The network and address are ignored: it takes
// the place of net.Dialer's DialContext in the client under test. With
// ImplicitTLS the handshake is still the caller's to make.
func (s *Server) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if m, ok := s.Listener.(*memnet.Listener); ok {
		return m.Dial(ctx)
	}
	addr := s.Listener.Addr()
	return new(net.Dialer).DialContext(ctx, addr.Network(), addr.String())
}

// Certificate returns the certificate of the server, which is its own issuer.
func (s *Server) Certificate() *x509.Certificate { return s.cert.Leaf }

// ClientTLSConfig returns what a client needs to trust the server. The
// certificate is good for 127.0.0.1, ::1, localhost, example.com and
// *.example.com; ServerName is localhost.
func (s *Server) ClientTLSConfig() *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(s.cert.Leaf)
	return &tls.Config{RootCAs: roots, ServerName: "localhost"}
}

// Messages returns what has been accepted since the start or Reset, in order.
func (s *Server) Messages() []Message { return s.recorder.all() }

// Wait returns the messages as soon as there are n at least. When ctx ends or
// the server is closed before, it returns those there are and an error.
func (s *Server) Wait(ctx context.Context, n int) ([]Message, error) { return s.recorder.wait(ctx, n) }

// Reset forgets the messages and their transcripts. Faults stay.
func (s *Server) Reset() {
	s.recorder.reset()
	s.log.reset()
}

// Transcripts returns the conversations of the latest connections in the order
// they were opened, in the language of scripts. Credentials are replaced by
// "***", message data by a comment with its size.
func (s *Server) Transcripts() []string { return s.log.strings() }

// Fault puts a Fault to work, on open connections too. When several match, the
// first one given that may still happen does; each counts what it lets pass.
// Faults in the data all happen, at their octet. Hits tells how often it has
// happened.
func (s *Server) Fault(f Fault) (hits func() int) {
	f.check()
	r := &rule{Fault: f}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, r)
	return func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return r.hits
	}
}

// ClearFaults ends all faults.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Hide makes the server keep these extensions to itself from the next EHLO on,
// whatever else makes it offer them: "STARTTLS", "CHUNKING", "SIZE". It replaces
// what was hidden before.
func (s *Server) Hide(keywords ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden = slices.Clone(keywords)
}

func (s *Server) hides(keyword string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.hidden, func(k string) bool { return strings.EqualFold(k, keyword) })
}
