package guarantee

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

// A sink is where the relay delivers everything, notifications too. It notes in
// the ledger what it accepts. Unless it is calm it is slow, refuses connections
// and closes some when it has a message and before it has said so.
type sink struct {
	*ledger
	addr  string
	calm  atomic.Bool
	away  atomic.Bool                    // everybody is to come back later
	gate  atomic.Pointer[func(*message)] // called when a message has begun to come, if not nil
	count atomic.Int64                   // transactions

	runs sync.Map // *atomic.Int64 by EHLO name: how many transactions were underway at most
	busy sync.Map // *atomic.Int64: and are

	tried sync.Map // *atomic.Int64 by local-part: how often those who come later were
}

func startSink(t *testing.T, l *ledger) *sink {
	t.Helper()
	s := &sink{ledger: l}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = ln.Addr().String()
	srv := &server.Server{
		Hostname: "sink.example",
		Handler:  s.handler(),
		Limits:   server.Limits{MaxConnsPerIP: 10_000, MaxRejected: 1 << 30},
		Logger:   slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-done; !errors.Is(err, server.ErrServerClosed) {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := srv.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *sink) handler() server.Handler {
	return server.HandlerFunc(func(_ context.Context, c *server.Conn) (server.Session, error) {
		if s.moody(50) {
			return nil, server.ErrAbort
		}
		return &sinking{sink: s, conn: c}, nil
	})
}

// moody is true once in n times.
func (s *sink) moody(n int) bool { return !s.calm.Load() && rand.IntN(n) == 0 }

// begin counts a transaction of that run of the relay, until end is called.
func (s *sink) begin(run string) (end func()) {
	now, _ := s.busy.LoadOrStore(run, new(atomic.Int64))
	peak, _ := s.runs.LoadOrStore(run, new(atomic.Int64))
	n := now.(*atomic.Int64).Add(1)
	for p := peak.(*atomic.Int64); n > p.Load(); {
		p.Store(n)
	}
	return func() { now.(*atomic.Int64).Add(-1) }
}

// tries counts, and returns how often a recipient of that name has come.
func (s *sink) tries(local string) int64 {
	n, _ := s.tried.LoadOrStore(local, new(atomic.Int64))
	return n.(*atomic.Int64).Add(1)
}

// sinking is a session of a sink.
type sinking struct {
	*sink
	conn *server.Conn
	from smtp.ReversePath
	to   []smtp.ForwardPath
	end  func()
}

func (s *sinking) Mail(_ context.Context, from smtp.ReversePath, _ *smtp.MailParams) (smtp.Reply, error) {
	s.from = from
	s.end = s.begin(s.conn.Hello())
	return smtp.Reply{}, nil
}

func (s *sinking) Rcpt(_ context.Context, to smtp.ForwardPath, _ *smtp.RcptParams) (smtp.Reply, error) {
	switch {
	case s.away.Load():
		return smtp.Reply{}, smtp.Reject(451, smtp.Enh(3, 0), "come back later")
	case strings.HasSuffix(to.Local, fmt.Sprintf(".%d", refused)):
		return smtp.Reply{}, smtp.Reject(550, smtp.Enh(1, 1), "nobody of that name")
	case strings.HasSuffix(to.Local, fmt.Sprintf(".%d", later)) && s.tries(to.Local) <= 2:
		return smtp.Reply{}, smtp.Reject(451, smtp.Enh(2, 0), "come back later")
	}
	s.to = append(s.to, to)
	return smtp.Reply{}, nil
}

func (s *sinking) Data(_ context.Context, b *server.Body) (smtp.Reply, error) {
	note, err := s.read(b)
	if err != nil {
		return smtp.Reply{}, err
	}
	if s.moody(4) {
		<-time.After(rand.N(20 * time.Millisecond))
	}
	if s.moody(100) {
		return smtp.Reply{}, server.ErrAbort // it was never here
	}
	drop := s.moody(100)
	if drop {
		s.mu.Lock()
		s.dropped++
		s.mu.Unlock()
	}
	note(arrival{transaction: int(s.count.Add(1)), run: s.conn.Hello(), dropped: drop})
	if drop {
		return smtp.Reply{}, server.ErrAbort
	}
	return smtp.Reply{}, nil
}

// read reads a message to its end and returns what notes that it is here.
func (s *sinking) read(b *server.Body) (note func(arrival), err error) {
	if s.from.IsNull() {
		return s.readBounce(b)
	}
	r := bufio.NewReaderSize(b, 32<<10)
	var first []byte
	for !bytes.HasPrefix(first, []byte("X-Load: ")) {
		if first, err = r.ReadSlice('\n'); err != nil {
			return nil, err
		}
		if len(bytes.TrimSpace(first)) == 0 {
			s.complain("a message without X-Load for %v", s.to)
			_, err := io.Copy(io.Discard, r)
			return func(arrival) {}, err
		}
	}
	id := strings.TrimSpace(strings.TrimPrefix(string(first), "X-Load: "))
	h := sha256.New()
	h.Write(first)
	m := s.find(id)
	if gate := s.gate.Load(); m != nil && gate != nil {
		(*gate)(m)
	}
	if _, err := r.WriteTo(h); err != nil {
		return nil, err
	}
	switch {
	case m == nil:
		s.complain("message %q was never sent", id)
		return func(arrival) {}, nil
	case s.from.Mailbox.String() != m.from():
		s.complain("message %q comes from %v", id, s.from)
	case [sha256.Size]byte(h.Sum(nil)) != m.sum:
		s.complain("message %q was changed", id)
	}
	return func(a arrival) {
		for _, to := range s.to {
			if !strings.HasPrefix(to.Local, id+".") {
				s.complain("message %q has come to %v", id, to)
			}
			s.arrived(to.Mailbox.String(), a, "")
		}
	}, nil
}

func (s *sinking) readBounce(b *server.Body) (func(arrival), error) {
	head, err := b.Header()
	if err != nil {
		return nil, err
	}
	id := field(head, "Message-ID")
	report, err := dsn.Parse(b)
	if err != nil {
		if !errors.Is(err, dsn.ErrNotReport) {
			return nil, err
		}
		s.complain("%v: %v", s.to, err)
		report = &dsn.Report{}
	}
	if _, err := io.Copy(io.Discard, b); err != nil {
		return nil, err
	}
	return func(a arrival) {
		for _, r := range report.Recipients {
			box, ok := r.Final.Mailbox()
			switch {
			case !ok || id == "":
				s.complain("a notification %q about %v", id, r.Final)
			case len(s.to) != 1 || !strings.HasPrefix(box.Local, s.to[0].Local+"."):
				s.complain("a notification about %v has come to %v", box, s.to)
			case r.Action != dsn.Failed:
				s.complain("a notification that %v is %v", box, r.Action)
			default:
				s.arrived(box.String(), a, id)
			}
		}
	}, nil
}

func (s *sinking) Reset(context.Context, server.ResetReason) {
	if s.end != nil {
		s.end()
	}
	s.to, s.end = nil, nil
}

func (s *sinking) Close(error) {}

// field returns the value of a field that stands on one line.
func field(head []byte, name string) string {
	for line := range strings.Lines(string(head)) {
		if n, value, _ := strings.Cut(line, ":"); strings.EqualFold(n, name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
