package middleware_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/internal/secrettest"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

// backend is the Handler behind the middleware. It refuses the local-parts
// "nobody" and "fail", and keeps the messages.
type backend struct {
	mu        sync.Mutex
	calls     []string
	delivered []string
}

func (b *backend) NewSession(context.Context, *server.Conn) (server.Session, error) {
	b.note("new")
	return &session{b}, nil
}

func (b *backend) note(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, fmt.Sprintf(format, args...))
}

// noted returns the calls so far and forgets them.
func (b *backend) noted() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() { b.calls = nil }()
	return strings.Join(b.calls, "\n")
}

// messages returns what was delivered and forgets it.
func (b *backend) messages() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer func() { b.delivered = nil }()
	return b.delivered
}

type session struct{ *backend }

func (s *session) Mail(_ context.Context, from smtp.ReversePath, _ *smtp.MailParams) (smtp.Reply, error) {
	s.note("mail %v", from)
	return smtp.Reply{}, verdict(from.Local)
}

func (s *session) Rcpt(_ context.Context, to smtp.ForwardPath, _ *smtp.RcptParams) (smtp.Reply, error) {
	s.note("rcpt %v", to)
	return smtp.Reply{}, verdict(to.Local)
}

func verdict(local string) error {
	if local == "nobody" {
		return smtp.Reject(550, smtp.Enh(1, 1), "nobody is not here")
	}
	return nil
}

func (s *session) Data(_ context.Context, b *server.Body) (smtp.Reply, error) {
	s.note("data")
	text, err := io.ReadAll(b)
	if err != nil {
		return smtp.Reply{}, err
	}
	s.mu.Lock()
	s.delivered = append(s.delivered, string(text))
	s.mu.Unlock()
	return smtp.Reply{}, nil
}

func (s *session) Reset(_ context.Context, why server.ResetReason) { s.note("reset %v", why) }

func (s *session) Close(error) { s.note("close") }

// host is a server on a network of its own.
type host struct {
	*server.Server
	*backend
	listener *memnet.Listener
	addrs    chan net.Addr // of the clients to come
	mu       sync.Mutex
	logged   bytes.Buffer
}

func (h *host) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	secrettest.Seen.Write(p)
	return h.logged.Write(p)
}

// log returns the log and forgets it.
func (h *host) log() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer h.logged.Reset()
	return h.logged.String()
}

const user, password = "alice@example.org", "correct-horse-battery"

// start serves with the middleware until the test ends. What is left in the log
// then is an error.
func start(t *testing.T, m func(server.Handler) server.Handler, configure ...func(*server.Server)) *host {
	t.Helper()
	h := &host{backend: new(backend), listener: memnet.Listen(), addrs: make(chan net.Addr, 1)}
	h.Server = &server.Server{
		Hostname: "mx.example", Handler: m(h.backend),
		Logger:                  slog.New(slog.NewTextHandler(h, nil)),
		Observer:                server.LogObserver(slog.New(slog.NewTextHandler(secrettest.Seen, &slog.HandlerOptions{Level: slog.LevelDebug}))),
		Limits:                  server.Limits{MaxErrors: -1, MaxIdleChat: -1},
		PlaintextAuthOnLoopback: true,
		Auth: server.Passwords(func(_ context.Context, u, p string) error {
			if u != user || p != password {
				return server.ErrCredentials
			}
			return nil
		}),
	}
	for _, f := range configure {
		f(h.Server)
	}
	served := make(chan error, 1)
	go func() { served <- h.Serve(from{h.listener, h.addrs}) }()
	t.Cleanup(func() {
		h.stop()
		if err := <-served; !errors.Is(err, server.ErrServerClosed) {
			t.Error(err)
		}
		if text := h.log(); text != "" {
			t.Errorf("left in the log:\n%s", text)
		}
	})
	return h
}

func (h *host) stop() {
	h.Close()
	h.Shutdown(context.Background())
}

// from is a listener whose connections come from elsewhere.
type from struct {
	*memnet.Listener
	addrs chan net.Addr
}

type fromConn struct {
	net.Conn
	remote net.Addr
}

func (c fromConn) RemoteAddr() net.Addr { return c.remote }

func (l from) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return fromConn{c, <-l.addrs}, nil
}

// dial connects from an IP address, or from a unix socket if it is empty.
func (h *host) dial(t *testing.T, ip string) net.Conn {
	t.Helper()
	var addr net.Addr = &net.UnixAddr{Net: "unix"}
	if ip != "" {
		addr = &net.TCPAddr{IP: net.ParseIP(ip), Port: 1025}
	}
	h.addrs <- addr
	c, err := h.listener.Dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// play plays a conversation as a client from an IP address. What is the same
// each time need not stand in it.
func (h *host) play(t *testing.T, ip string, lines ...string) {
	t.Helper()
	script, err := smtptest.ParseScript(strings.NewReader("S: 220 ...\nC: EHLO client.example\nS: 250-*\nS: 250 ...\n" + strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	script.Timeout, script.TLSConfig = 1000*time.Hour, &tls.Config{InsecureSkipVerify: true}
	c := h.dial(t, ip)
	defer c.Close()
	if err := script.PlayClient(c); err != nil {
		t.Errorf("%s: %v", strings.Join(lines, " | "), err)
	}
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n%v\nwant:\n%v", what, got, want)
	}
}

var errStore = errors.New("dial tcp 10.0.0.7:6379: connection refused")

// talker is a client for what a script cannot say.
type talker struct {
	t *testing.T
	net.Conn
}

// do sends a line, unless it is empty, and expects a reply.
func (p *talker) do(line, want string) {
	p.t.Helper()
	if line != "" {
		if _, err := io.WriteString(p.Conn, strings.ReplaceAll(line, "\n", "\r\n")+"\r\n"); err != nil {
			p.t.Fatal(err)
		}
	}
	var got string
	for one := make([]byte, 1); !strings.HasSuffix(got, "\r\n") || got[strings.LastIndex("\n"+strings.TrimSuffix(got, "\r\n"), "\n"):][3] == '-'; {
		if _, err := p.Read(one); err != nil {
			p.t.Fatalf("%s: %q, %v", line, got, err)
		}
		got += string(one)
	}
	if !strings.HasPrefix(got, want) {
		p.t.Fatalf("%s: %q, want %q", line, got, want)
	}
}
