package dnslist_test

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

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/dnslist"
	"github.com/postrider/postrider/smtp"
)

// lists is the DNS of the tests. The clients are those of 192.0.2.0/24 and
// 2001:db8::.
const lists = `
; addresses
2.0.0.127.bl.example      A    127.0.0.2
10.2.0.192.bl.example     A    127.0.0.2
10.2.0.192.bl.example     TXT  "see http://bl.example/?192.0.2.10 \013\010550 \255"
11.2.0.192.bl.example     A    127.0.0.10
12.2.0.192.bl.example     A    127.0.0.2
13.2.0.192.bl.example     TIMEOUT
14.2.0.192.bl.example     A    127.0.0.2
15.2.0.192.bl.example     A    127.0.0.2
0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example A 127.0.0.2
10.2.0.192.bl2.example    A    127.0.0.3
11.2.0.192.bl2.example    SERVFAIL
13.2.0.192.bl2.example    A    127.0.0.2

; allow lists
12.2.0.192.wl.example     A    127.0.0.5
14.2.0.192.wl.example     TIMEOUT
15.2.0.192.wl.example     REFUSED

; lists that are none
*.everything.example      A    127.0.0.2
10.2.0.192.parked.example A    198.51.100.1
10.2.0.192.mixed.example  A    127.0.0.2
10.2.0.192.mixed.example  A    198.51.100.1
10.2.0.192.refuses.example A   127.255.255.254
10.2.0.192.says-no.example A   127.0.0.1
10.2.0.192.no-test.example A   127.0.0.2
1.0.0.127.no-test.example SERVFAIL
10.2.0.192.stalls.example STALL
everything6.example       SECURE
*.everything6.example     A    127.0.0.2

; names
test.names.example            A  127.0.1.2
bad.example.names.example     A  127.0.1.2
bad.example.names.example     TXT "spam from here"
xn--bcher-kva.example.names.example A 127.0.1.2
mail.bad.example.names.example A 127.0.1.2
192.0.2.1.names.example       A  127.0.1.2
localhost.names.example       A  127.0.1.2
`

// host is a server on a network of its own, with a Handler that notes what it
// is asked.
type host struct {
	*server.Server
	zone     *dnstest.Zone
	listener *memnet.Listener
	addrs    chan net.Addr // of the clients to come
	tls      *tls.Config   // of clients
	served   sync.Once

	mu      sync.Mutex
	calls   []string
	reports []dnslist.Result
	logged  bytes.Buffer
}

func (h *host) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, fmt.Sprintf(format, args...))
}

func (h *host) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.logged.Write(p)
}

// log returns the log and forgets it.
func (h *host) log() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer h.logged.Reset()
	return h.logged.String()
}

// noted returns the calls and forgets them.
func (h *host) noted() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer func() { h.calls = nil }()
	return strings.Join(h.calls, " ")
}

// reported returns the results and forgets them.
func (h *host) reported() []dnslist.Result {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer func() { h.reports = nil }()
	return h.reports
}

func (h *host) NewSession(context.Context, *server.Conn) (server.Session, error) {
	h.note("new")
	return &session{h}, nil
}

type session struct{ h *host }

func (s *session) Mail(_ context.Context, from smtp.ReversePath, _ *smtp.MailParams) (smtp.Reply, error) {
	s.h.note("mail%v", from)
	return smtp.Reply{}, nil
}

func (s *session) Rcpt(_ context.Context, to smtp.ForwardPath, _ *smtp.RcptParams) (smtp.Reply, error) {
	s.h.note("rcpt%v", to)
	return smtp.Reply{}, nil
}

func (s *session) Data(_ context.Context, b *server.Body) (smtp.Reply, error) {
	s.h.note("data")
	_, err := io.Copy(io.Discard, b)
	return smtp.Reply{}, err
}

func (s *session) Reset(_ context.Context, why server.ResetReason) { s.h.note("reset/%v", why) }

func (s *session) Close(error) { s.h.note("close") }

const user, password = "alice", "pencil"

// start makes a server with the middleware. It serves from the first client until
// the test ends.
func start(t *testing.T, o dnslist.Options, around ...func(server.Handler) server.Handler) *host {
	t.Helper()
	h := &host{listener: memnet.Listen(), addrs: make(chan net.Addr, 1), zone: dnstest.MustParse(lists)}
	if o.Resolver == nil {
		o.Resolver = h.zone
	}
	if o.Report == nil {
		o.Report = func(_ context.Context, c *server.Conn, r dnslist.Result) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.reports = append(h.reports, r)
		}
	}
	var inner server.Handler = h
	for _, m := range around {
		inner = m(inner)
	}
	h.Server = &server.Server{
		Hostname: "mx.example", Handler: dnslist.Middleware(o)(inner),
		Logger:                  slog.New(slog.NewTextHandler(h, nil)),
		Limits:                  server.Limits{MaxErrors: -1, MaxIdleChat: -1, MaxRejected: -1},
		PlaintextAuthOnLoopback: true,
		Extensions:              []server.Extension{server.SMTPUTF8},
		Auth: server.Passwords(func(_ context.Context, u, p string) error {
			if u != user || p != password {
				return server.ErrCredentials
			}
			return nil
		}),
	}
	return h
}

func (h *host) serve(t *testing.T) {
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
	h.served.Do(func() { h.serve(t) })
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
