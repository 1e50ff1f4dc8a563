package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/internal/secrettest"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// The one account of these tests.
const (
	user     = "alice@example.org"
	password = "correct-horse-battery"
	token    = "ya29.staple-token"
)

// secrets must not turn up in an event or in the log.
var secrets = []string{
	password, token, b64(password), b64(token), b64("\x00" + user + "\x00" + password),
	b64(xoauth2(user, token)), b64(bearer(user, token)),
	b64(server256), b64(final256), b64(proof256), b64(server1), b64(final1), b64(proof1), rfcPassword + "\"",
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func unb64(t testing.TB, s string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return string(b)
}

func xoauth2(user, token string) string {
	return "user=" + user + "\x01auth=Bearer " + token + "\x01\x01"
}

func bearer(user, token string) string {
	return "n,a=" + user + ",\x01host=mx.example\x01auth=Bearer " + token + "\x01\x01"
}

// backend is a Handler and its Sessions. A method does what its function
// says, or the usual thing; what is called and what is delivered is noted.
type backend struct {
	newSession func(ctx context.Context, c *server.Conn) error
	mail       func(ctx context.Context, from smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error)
	rcpt       func(ctx context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error)
	data       func(ctx context.Context, b *server.Body) (smtp.Reply, error)
	reset      func(ctx context.Context, why server.ResetReason)
	close      func(reason error)
	wrap       func(server.Session) server.Session

	mu        sync.Mutex
	calls     []string
	delivered []string
}

type session struct {
	*backend
	conn *server.Conn
}

func (b *backend) note(format string, args ...any) {
	b.mu.Lock()
	b.calls = append(b.calls, fmt.Sprintf(format, args...))
	b.mu.Unlock()
}

func (b *backend) keep(message string) {
	b.mu.Lock()
	b.delivered = append(b.delivered, message)
	b.mu.Unlock()
}

func (b *backend) NewSession(ctx context.Context, c *server.Conn) (server.Session, error) {
	b.note("new")
	if b.newSession != nil {
		if err := b.newSession(ctx, c); err != nil {
			return nil, err
		}
	}
	if s := server.Session(&session{b, c}); b.wrap == nil {
		return s, nil
	} else {
		return b.wrap(s), nil
	}
}

func (s *session) Mail(ctx context.Context, from smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error) {
	s.note("mail %v", from)
	if s.mail != nil {
		return s.mail(ctx, from, p)
	}
	return smtp.Reply{}, nil
}

func (s *session) Rcpt(ctx context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
	s.note("rcpt %v", to)
	if s.rcpt != nil {
		return s.rcpt(ctx, to, p)
	}
	return smtp.Reply{}, nil
}

// Data delivers what has come to its end.
func (s *session) Data(ctx context.Context, b *server.Body) (smtp.Reply, error) {
	s.note("data")
	if s.data != nil {
		return s.data(ctx, b)
	}
	text, err := io.ReadAll(b)
	if err != nil {
		return smtp.Reply{}, err
	}
	s.keep(string(text))
	return smtp.Reply{}, nil
}

func (s *session) Reset(ctx context.Context, why server.ResetReason) {
	s.note("reset %v", why)
	if s.reset != nil {
		s.reset(ctx, why)
	}
}

func (s *session) Close(reason error) {
	s.note("close")
	if s.close != nil {
		s.close(reason)
	}
}

// testServer is a server on a network of its own. An entry in its log that no
// test takes is an error.
type testServer struct {
	*server.Server
	*backend
	t        *testing.T
	listener *memnet.Listener
	log      *notes
	events   *notes
	sockets  bool // only these may rest
}

type notes struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (n *notes) Write(p []byte) (int, error) {
	secrettest.Seen.Write(p)
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(p)
}

// take returns what was noted and forgets it.
func (n *notes) take() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	defer n.text.Reset()
	return n.text.String()
}

// start serves until the test ends. Each configure may change the server.
func start(t *testing.T, configure ...func(*testServer)) *testServer {
	t.Helper()
	s := &testServer{
		Server: &server.Server{Hostname: "mx.example"}, backend: new(backend),
		t: t, listener: memnet.Listen(), log: new(notes), events: new(notes),
	}
	s.Handler = s.backend
	s.Logger = slog.New(slog.NewTextHandler(s.log, nil))
	s.Observer = server.ObserverFunc(func(e server.Event) { io.WriteString(s.events, show(e)+"\n") })
	for _, f := range configure {
		f(s)
	}
	if s.Auth != nil {
		s.Auth = secrettest.Authenticator(s.Auth)
	}
	if !s.sockets {
		s.RestAnyhow()
	}
	s.serve(s.listener)
	t.Cleanup(func() {
		s.stop()
		if text := s.log.take(); text != "" {
			t.Errorf("left in the log:\n%s", text)
		}
	})
	return s
}

// serve adds a listener.
func (s *testServer) serve(l net.Listener) { s.serveWith(s.Server.Serve, l) }

// serveTLS adds a listener for implicit TLS.
func (s *testServer) serveTLS() *memnet.Listener {
	l := memnet.Listen()
	s.serveWith(s.Server.ServeTLS, l)
	return l
}

func (s *testServer) serveWith(serve func(net.Listener) error, l net.Listener) {
	served := make(chan error, 1)
	go func() { served <- serve(l) }()
	s.t.Cleanup(func() {
		s.stop()
		if err := <-served; err != server.ErrServerClosed {
			s.t.Errorf("Serve: %v", err)
		}
	})
}

// stop closes the server and waits until its connections are gone.
func (s *testServer) stop() {
	s.Server.Close()
	s.Server.Shutdown(context.Background())
}

func show(e server.Event) string {
	line := e.Kind.String()
	if e.Verb != "" {
		line += " " + string(e.Verb)
	}
	if e.Kind == server.CommandReceived {
		line += fmt.Sprintf(": %q", e.Line)
	}
	if !e.Reply.IsZero() {
		line += ": " + e.Reply.String()
	}
	if e.Kind == server.MessageAccepted || e.Kind == server.MessageRefused {
		line += fmt.Sprintf(" (%d octets, %d recipients)", e.Size, e.Recipients)
	}
	if e.Err != nil {
		line += fmt.Sprintf(" [%v]", e.Err)
	}
	return line
}

// noted returns the calls so far and forgets them.
func (b *backend) noted() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() { b.calls = nil }()
	return strings.Join(b.calls, "\n")
}

// messages returns what was delivered.
func (b *backend) messages() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.delivered
}

// want reports when got is not what the test is after.
func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n%v\nwant:\n%v", what, got, want)
	}
}

var serverTLS, clientTLS = func() (*tls.Config, *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"mx.example"},
		NotAfter: time.Now().AddDate(50, 0, 0), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		&tls.Config{RootCAs: pool, ServerName: "mx.example"}
}()

// Options of start.

func withTLS(s *testServer) { s.TLSConfig = serverTLS }

func lmtp(s *testServer) { s.Role = server.LMTP }

// withAuth lets the one account in, without TLS too.
func withAuth(s *testServer) {
	s.PlaintextAuthOnLoopback = true
	s.Auth = server.Authenticators(
		server.Passwords(func(_ context.Context, u, p string) error {
			if u != user || p != password {
				return fmt.Errorf("no such account: %w", server.ErrCredentials)
			}
			return nil
		}),
		server.Tokens(func(_ context.Context, u, t string) (string, error) {
			if u != user && u != "" || t != token {
				return "", server.ErrCredentials
			}
			return user, nil
		}),
	)
}

func submission(s *testServer) {
	withAuth(s)
	s.Role = server.Submission
}

func limits(l server.Limits) func(*testServer) { return func(s *testServer) { s.Limits = l } }
