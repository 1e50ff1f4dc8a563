//go:build interop

package interop

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// keeper is a server of ours in the test's own process that keeps what it
// accepts. It refuses the recipients reject@ for good, tempfail@ for now, and
// late@ after the data where each recipient has a reply of its own.
type keeper struct {
	server.Server
	addr string // of the first listener

	mu      sync.Mutex
	kept    []keptMessage
	changed chan struct{} // closed and made anew when something below grew
	lines   []string      // commands as they came, credentials hidden
	ended   []server.Info // of connections
	refused int           // negative replies
}

// keptMessage is a message that a keeper has accepted.
type keptMessage struct {
	smtp.Envelope
	server.Info
	data []byte
}

var errLate = smtp.Reject(552, smtp.Enh(2, 2), "the mailbox is full")

// listenTCP listens at a port of the loopback interface.
func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	return listenAt(t, 0)
}

// listenAt listens at that port.
func listenAt(t *testing.T, port int) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address(port))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// listenUnix listens at a socket that programs in a root can reach.
func listenUnix(t *testing.T, path string) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	return l
}

// keep serves l with k until the test ends.
func keep(t *testing.T, k *keeper, l net.Listener) *keeper {
	t.Helper()
	k.changed = make(chan struct{})
	k.addr = l.Addr().String()
	k.Hostname = "keeper.example.com"
	k.Handler = server.HandlerFunc(func(_ context.Context, c *server.Conn) (server.Session, error) {
		return &keeping{keeper: k, conn: c}, nil
	})
	k.Observer = server.ObserverFunc(k.observe)
	k.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the keeper was told: %q", k.lines)
		}
	})
	k.listen(t, l, k.Serve)
	return k
}

// listen serves one more listener. Serve is k.Serve or k.ServeTLS.
func (k *keeper) listen(t *testing.T, l net.Listener, serve func(net.Listener) error) {
	done := make(chan error, 1)
	go func() { done <- serve(l) }()
	t.Cleanup(func() {
		k.Close()
		if err := <-done; !errors.Is(err, server.ErrServerClosed) {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), eventTime)
		defer cancel()
		if err := k.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
}

func (k *keeper) observe(e server.Event) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch e.Kind {
	case server.CommandReceived:
		k.lines = append(k.lines, e.Line)
	case server.ReplySent:
		if e.Reply.Temporary() || e.Reply.Permanent() {
			k.refused++
		}
	case server.ConnClosed:
		k.ended = append(k.ended, e.Conn.Info())
	}
	k.tell()
}

// tell wakes who waits for something new; the caller holds mu.
func (k *keeper) tell() {
	close(k.changed)
	k.changed = make(chan struct{})
}

// waitFor waits until is, called with mu held, holds.
func (k *keeper) waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	late := time.After(eventTime)
	for {
		k.mu.Lock()
		ok, changed := is(), k.changed
		k.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-late:
			k.mu.Lock()
			defer k.mu.Unlock()
			t.Fatalf("not within %v: %s", eventTime, what)
		}
	}
}

// message waits for a message with that subject.
func (k *keeper) message(t *testing.T, subject string) keptMessage {
	t.Helper()
	k.waitFor(t, "a message about "+subject, func() bool { return len(k.find(subject)) > 0 })
	return k.about(subject)[0]
}

// about returns the messages with that subject that have come so far.
func (k *keeper) about(subject string) []keptMessage {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.find(subject)
}

// find is about, for who holds mu.
func (k *keeper) find(subject string) (found []keptMessage) {
	for _, m := range k.kept {
		if bytes.Contains(m.data, []byte("\nSubject: "+subject+"\r\n")) {
			found = append(found, m)
		}
	}
	return found
}

// keeping is a session of a keeper.
type keeping struct {
	*keeper
	conn *server.Conn
	env  smtp.Envelope
}

func (s *keeping) Mail(_ context.Context, from smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error) {
	s.env = smtp.Envelope{From: from, MailParams: *p}
	return smtp.Reply{}, nil
}

func (s *keeping) Rcpt(_ context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
	switch to.Local {
	case "reject":
		return smtp.Reply{}, smtp.Reject(550, smtp.Enh(1, 1), "nobody of that name")
	case "tempfail":
		return smtp.Reply{}, smtp.Reject(451, smtp.Enh(3, 0), "come back later")
	}
	s.env.Recipients = append(s.env.Recipients, smtp.Recipient{To: to, RcptParams: *p})
	return smtp.Reply{}, nil
}

func (s *keeping) Data(_ context.Context, b *server.Body) (smtp.Reply, error) {
	var data bytes.Buffer
	if _, err := data.ReadFrom(b); err != nil {
		return smtp.Reply{}, err
	}
	env := s.env
	if b.PerRecipient() {
		env.Recipients = nil
		for i, r := range s.env.Recipients {
			if r.To.Local == "late" {
				b.SetReply(i, errLate.Reply)
			} else {
				env.Recipients = append(env.Recipients, r)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(s.kept, keptMessage{env, s.conn.Info(), data.Bytes()})
	s.tell()
	return smtp.Reply{}, nil
}

func (s *keeping) Reset(context.Context, server.ResetReason) { s.env = smtp.Envelope{} }
func (s *keeping) Close(error)                               {}

// port is the port of an address, as text.
func port(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

func portOf(addr string) int {
	n, _ := strconv.Atoi(port(addr))
	return n
}
