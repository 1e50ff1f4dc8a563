package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/internal/leaktest"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/sqlqueue"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

// TestMain is the program too, for tests that need a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("RELAY_IS_CHILD") != "" {
		main()
	}
	os.Exit(leaktest.Main(m))
}

// A program is a relay that runs in this process.
type program struct {
	addrs map[string]string // by listener
	db    string
	log   *lockedBuffer
	stop  func() int // as a signal does, and returns the exit code
}

// start runs a relay until the end of the test, or until it is stopped.
func start(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{addrs: map[string]string{}, log: new(lockedBuffer)}
	if at := strings.Join(args, "\n"); !strings.Contains(at, "-db") {
		args = append(args, "-db", filepath.Join(t.TempDir(), "relay.db"))
	}
	for i, a := range args {
		if a == "-db" {
			p.db = args[i+1]
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append([]string{"-hostname", "mx.example.org", "-poll", "50ms"}, args...), nil, w, p.log)
		w.Close()
	}()
	p.stop = sync.OnceValue(func() int {
		cancel()
		select {
		case c := <-code:
			return c
		case <-time.After(30 * time.Second):
			t.Error("the relay does not stop")
			return -1
		}
	})
	t.Cleanup(func() {
		if c := p.stop(); c != 0 {
			t.Errorf("exit code %d", c)
		}
		if t.Failed() {
			t.Logf("the relay's log:\n%s", p.log)
		}
	})
	p.readyFrom(t, r)
	return p
}

// readyFrom reads what a relay prints until it is ready.
func (p *program) readyFrom(t *testing.T, r io.Reader) {
	t.Helper()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if name, addr, ok := strings.Cut(lines.Text(), " listening on "); ok {
			p.addrs[name] = addr
		} else if lines.Text() == "ready" {
			return
		}
	}
	t.Fatalf("the relay did not get ready:\n%s", p.log)
}

// A lockedBuffer is written to and read at the same time.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const text = "From: Alice <alice@example.org>\r\nTo: b@example.net\r\nSubject: test\r\n\r\nHello.\r\n"

// send hands a message to a listener, without TLS unless mode says otherwise.
func send(t *testing.T, c *client.Client, text, from string, to ...string) (*client.Result, error) {
	t.Helper()
	if c.Timeouts == (client.Timeouts{}) {
		c.Timeouts = client.EveryTimeout(20 * time.Second)
	}
	if c.LocalName == "" {
		c.LocalName = "client.example.com"
	}
	env, err := smtp.NewEnvelope(from, to...)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdle()
	return c.Send(t.Context(), env, smtp.BytesContent([]byte(text)))
}

// plain is a client of a listener that wants no TLS.
func plain(t *testing.T, addr string) *client.Client {
	c := &client.Client{Addr: addr, TLSMode: client.Plaintext}
	t.Cleanup(func() { c.Close() })
	return c
}

// wait returns the messages of a server when there are n.
func wait(t *testing.T, s *smtptest.Server, n int) []smtptest.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	got, err := s.Wait(ctx, n)
	if err != nil {
		t.Fatalf("%d messages, want %d: %v", len(got), n, err)
	}
	return got
}

// outcomes waits until so many recipients are done, and returns what has become of
// them.
func (p *program) outcomes(t *testing.T, n int) []queue.Outcome {
	t.Helper()
	store, err := sqlqueue.AttachDSN(t.Context(), p.db, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var all []queue.Outcome
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		all = nil
		for o, err := range store.Outcomes(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, o)
		}
		if len(all) >= n {
			return all
		}
		select {
		case <-t.Context().Done():
		case <-time.After(20 * time.Millisecond): // another process would have to ask again, too
		}
	}
	t.Fatalf("%d outcomes, want %d", len(all), n)
	return nil
}

// usersFile writes a file for -users: alice has the password "secret", the others
// none.
func usersFile(t *testing.T, others ...string) string {
	t.Helper()
	var b bytes.Buffer
	if code := run(t.Context(), []string{"user", "Alice@example.org"}, strings.NewReader("secret\n"), &b, &b); code != 0 {
		t.Fatal(&b)
	}
	fmt.Fprintln(&b, strings.Join(others, "\n"))
	name := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// deadAddr is an address at which nobody answers: that of one end of a connection. As
// long as there is this, and hence its listener, nobody can listen there.
func deadAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.LocalAddr().String()
}
