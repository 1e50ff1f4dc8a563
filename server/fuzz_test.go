package server_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// played is a connection whose client has said all it will ever say.
type played struct {
	left   []byte
	pieces int // octets that one Read gives at most
	got    bytes.Buffer
}

func (c *played) Read(p []byte) (int, error) {
	if len(c.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.pieces)], c.left)
	c.left = c.left[n:]
	return n, nil
}

func (c *played) Write(p []byte) (int, error)      { return c.got.Write(p) }
func (c *played) Close() error                     { return nil }
func (c *played) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 25} }
func (c *played) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1025} }
func (c *played) SetDeadline(time.Time) error      { return nil }
func (c *played) SetReadDeadline(time.Time) error  { return nil }
func (c *played) SetWriteDeadline(time.Time) error { return nil }

// queue is a listener for connections that are put into it.
type queue struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *queue) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *queue) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *queue) Addr() net.Addr { return &net.TCPAddr{} }

// arena is a server that plays whole sessions and judges them.
type arena struct {
	*server.Server
	queue    *queue
	ended    chan struct{}
	sessions int // opened and not yet closed
	messages []string
	accepted int  // by the server's own account
	ahead    bool // messages are looked at before they are read
}

func newArena(tb testing.TB, configure func(*server.Server)) *arena {
	scrams := pencils(tb)
	scrams.FixNonce(nonce256)
	a := &arena{queue: &queue{conns: make(chan net.Conn), done: make(chan struct{})}, ended: make(chan struct{})}
	a.Server = &server.Server{
		Hostname: "mx.example", TLSConfig: serverTLS, PlaintextAuthOnLoopback: true,
		Auth:       server.Authenticators(server.Passwords(func(_ context.Context, u, p string) error { return nil }), scrams),
		Extensions: []server.Extension{server.SMTPUTF8, server.BinaryMIME, server.DSN},
		Limits:     server.Limits{MaxConnsPerIP: -1, MaxMessageSize: 5000, MaxHeaderSize: 3000, MaxRecipients: 5},
		Logger:     slog.New(slog.NewTextHandler(panicking{tb}, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Handler: server.HandlerFunc(func(context.Context, *server.Conn) (server.Session, error) {
			a.sessions++
			return &fighter{a}, nil
		}),
		Observer: server.ObserverFunc(func(e server.Event) {
			switch e.Kind {
			case server.MessageAccepted:
				a.accepted++
			case server.ConnClosed:
				a.ended <- struct{}{}
			}
		}),
	}
	configure(a.Server)
	served := make(chan error, 1)
	go func() { served <- a.Serve(a.queue) }()
	tb.Cleanup(func() {
		a.Close()
		a.Shutdown(context.Background())
		if err := <-served; err != server.ErrServerClosed {
			tb.Error(err)
		}
	})
	return a
}

// panicking is where a log must stay empty: the handlers make no mistake.
type panicking struct{ testing.TB }

func (p panicking) Write(b []byte) (int, error) {
	p.Errorf("the log: %s", b)
	return len(b), nil
}

type fighter struct{ a *arena }

func (f *fighter) Mail(_ context.Context, from smtp.ReversePath, _ *smtp.MailParams) (smtp.Reply, error) {
	return smtp.Reply{}, rejected(from.Local)
}

func (f *fighter) Rcpt(_ context.Context, to smtp.ForwardPath, _ *smtp.RcptParams) (smtp.Reply, error) {
	return smtp.Reply{}, rejected(to.Local)
}

func (f *fighter) Data(_ context.Context, b *server.Body) (smtp.Reply, error) {
	var teed strings.Builder
	if f.a.ahead {
		b.Header()
		b.Tee(&teed)
	}
	var start [6]byte
	n, err := io.ReadFull(b, start[:])
	if string(start[:n]) == "reject" {
		return smtp.Reply{}, rejected("reject")
	}
	text := start[:n]
	if err == nil {
		var rest []byte
		rest, err = io.ReadAll(b)
		text = append(text, rest...)
	}
	if err == nil || err == io.EOF || err == io.ErrUnexpectedEOF { // a short message
		f.a.messages = append(f.a.messages, string(text))
		if f.a.ahead && teed.String() != string(text) {
			panic("a Tee got something else")
		}
		return smtp.Reply{}, nil
	}
	return smtp.Reply{}, nil // a lie, which must not be believed
}

func (f *fighter) Reset(context.Context, server.ResetReason) {}

func (f *fighter) Close(error) { f.a.sessions-- }

// fight plays one session.
func (a *arena) fight(t *testing.T, octets []byte, pieces int) {
	t.Helper()
	a.messages, a.accepted = nil, 0
	c := &played{left: octets, pieces: max(pieces, 1)}
	a.queue.conns <- c
	<-a.ended
	if a.sessions != 0 {
		t.Errorf("%d sessions are left", a.sessions)
	}
	if a.accepted != len(a.messages) && a.Role != server.LMTP {
		t.Errorf("%d messages were accepted, %d delivered", a.accepted, len(a.messages))
	}
	if a.EarlyTalker == server.EarlyTolerate || c.got.Len() > 0 { // else an early talker of another protocol
		wellFormed(t, c.got.String())
	}
	for _, message := range a.messages {
		if !sentByDATA(octets, message) && !bytes.Contains(bytes.ToUpper(octets), []byte("LAST\r\n")) {
			t.Errorf("%q was delivered, and no end of data stands behind it", message)
		}
	}
}

// sentByDATA reports whether a message stands in octets, dot-stuffed and with the
// end of data behind it (RFC 5321 §4.5.2).
func sentByDATA(octets []byte, message string) bool {
next:
	for at := range octets {
		rest := octets[at:]
		for i := 0; i <= len(message); i++ {
			beginning := i == 0 || strings.HasSuffix(message[:i], "\r\n")
			if beginning && len(rest) > 0 && rest[0] == '.' {
				if i == len(message) && bytes.HasPrefix(rest, []byte(".\r\n")) {
					return true
				}
				rest = rest[1:]
			}
			if i == len(message) || len(rest) == 0 || rest[0] != message[i] {
				continue next
			}
			rest = rest[1:]
		}
	}
	return false
}

// wellFormed checks everything that the server has sent.
func wellFormed(t *testing.T, text string) {
	t.Helper()
	if !strings.HasPrefix(text, "220 mx.example ") && !strings.HasPrefix(text, "554 you spoke before ") {
		t.Errorf("greeting %.80q", text)
	}
	before := "" // the code of a reply that goes on
	for line := range strings.SplitAfterSeq(text, "\r\n") {
		if line == "" {
			break
		}
		if strings.HasPrefix(line, "\x15\x03") || strings.HasPrefix(line, "\x16\x03") {
			return // a TLS alert, or more
		}
		body, crlf := strings.CutSuffix(line, "\r\n")
		switch {
		case !crlf, len(body) < 4, len(line) > smtp.MaxReplyLine, body[0] < '2', body[0] > '5',
			body[1] < '0', body[1] > '9', body[2] < '0', body[2] > '9', body[3] != ' ' && body[3] != '-',
			before != "" && before != body[:3],
			strings.ContainsFunc(body, func(r rune) bool { return r < ' ' || r > '~' && r < 0xa0 || r == 0xfffd }):
			t.Errorf("malformed reply line %q", line)
		}
		if before = ""; body[3] == '-' {
			before = body[:3]
		}
	}
	if before != "" {
		t.Errorf("the last reply has no end: %.80q", text)
	}
}

// seeds are the clients' sides of all conversations.
func seeds(tb testing.TB) (list []string) {
	files, err := filepath.Glob("testdata/*/*.txt")
	if err != nil || len(files) == 0 {
		tb.Fatal("no conversations", err)
	}
	unescape := strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\t`, "\t", `\0`, "\x00", `\\`, `\`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		var said strings.Builder
		for line := range strings.Lines(string(text)) {
			if line, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "C:"); ok {
				line, bare := strings.CutSuffix(strings.TrimPrefix(line, " "), `\`)
				said.WriteString(unescape.Replace(line))
				if !bare {
					said.WriteString("\r\n")
				}
			}
		}
		list = append(list, said.String())
	}
	for _, alike := range lookAlikes {
		list = append(list, "EHLO x.example\r\n"+transactionCRLF+"DATA\r\na"+alike+"QUIT\r\n.\r\nQUIT\r\n")
	}
	return append(list, "", "\r\n", "\n", "BDAT 99999999999999999999\r\n", "EHLO x.example\r\n"+transactionCRLF+"BDAT 9223372036854775807\r\nx",
		"LHLO x.example\r\n"+transactionCRLF+transactionCRLF+"BDAT 1 LAST\r\nxQUIT\r\n", strings.Repeat("x", 100000), strings.Repeat("\r\n", 100))
}

var transactionCRLF = strings.ReplaceAll(transaction, "\n", "\r\n")

// FuzzSession plays arbitrary octets as whole sessions: the server survives,
// everything it says is well formed, every session is closed, and a message is
// delivered only when its end has come.
func FuzzSession(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add([]byte(seed), byte(0), byte(255))
		f.Add([]byte(seed), byte(1), byte(3))
		f.Add([]byte(seed), byte(2), byte(0))
		f.Add([]byte(seed), byte(100), byte(4))
		f.Add([]byte(seed), byte(160), byte(255))
		f.Add([]byte(seed), byte(82), byte(255)) // XCLIENT's
		f.Add([]byte(seed), byte(252), byte(200))
		f.Add([]byte(seed), byte(253), byte(200))
		f.Add([]byte(seed), byte(254), byte(200))
		f.Add([]byte(strings.ReplaceAll(seed, "EHLO", "LHLO")), byte(4), byte(100))
	}
	f.Fuzz(func(t *testing.T, octets []byte, mode, pieces byte) {
		if len(octets) > 200000 {
			return
		}
		a := newArena(t, func(s *server.Server) {
			s.Role = []server.Role{server.MX, server.MX, server.Submission, server.MX, server.LMTP}[mode%5]
			s.BodyPolicy = server.Policy(mode / 5 % 4)
			if s.BodyPolicy == server.Normalize {
				s.BodyPolicy = server.Pass // what is delivered stands in octets
			}
			s.ChunkPolicy = server.Policy(mode / 20 % 4)
			s.RequireTLS = mode == 255
			if mode/80%2 == 1 {
				s.Trusted = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
			}
			switch mode {
			case 254:
				s.EarlyTalker, s.Limits.GreetingDelay = server.EarlyRefuse, 1
			case 253:
				s.EarlyTalker, s.Limits.GreetingDelay = server.EarlyDelay, 1
			case 252:
				s.Limits.Tarpit, s.Limits.TarpitAfter = 1, -1
				s.Limits.MaxTransactions, s.Limits.MaxMessageRate = 1, 3
			}
		})
		a.ahead = mode >= 100
		a.fight(t, octets, int(pieces)*int(pieces))
	})
}
