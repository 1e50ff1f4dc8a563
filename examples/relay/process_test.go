package main

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

// child starts a relay as a process of its own.
func child(t *testing.T, args ...string) (*program, *exec.Cmd) {
	t.Helper()
	p := &program{addrs: map[string]string{}, log: new(lockedBuffer), db: filepath.Join(t.TempDir(), "relay.db")}
	cmd := exec.Command(os.Args[0], append(args, "-db", p.db)...)
	cmd.Env = append(os.Environ(), "RELAY_IS_CHILD=1")
	cmd.Stderr = p.log
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() // does nothing if it has ended
		cmd.Wait()
	})
	p.readyFrom(t, stdout)
	return p, cmd
}

// One signal lets what is underway come to its end, another does not.
func TestSignals(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no signals")
	}
	for _, signals := range []int{1, 2} {
		smarthost := smtptest.NewServer(t)
		stuck := smarthost.Fault(smtptest.AfterData().Delay(map[int]time.Duration{1: 300 * time.Millisecond, 2: time.Hour}[signals]))
		p, cmd := child(t, "-listen", "127.0.0.1:0", "-insecure-local", "-smarthost", smarthost.Addr)
		if _, err := send(t, plain(t, p.addrs["mx"]), text, "alice@example.org", "b@example.net"); err != nil {
			t.Fatal(err)
		}
		for stuck() == 0 {
			runtime.Gosched()
		}
		cmd.Process.Signal(syscall.SIGTERM)
		if signals == 2 {
			for { // the first one is known by nobody listening any longer
				conn, err := net.Dial("tcp", p.addrs["mx"])
				if err != nil {
					break
				}
				conn.Close()
			}
			cmd.Process.Signal(syscall.SIGTERM)
		}
		err := cmd.Wait()
		if killed := err != nil && strings.Contains(err.Error(), "terminated"); signals == 1 && err != nil || signals == 2 && !killed {
			t.Errorf("%d signals: %v\n%s", signals, err, p.log)
		}
		if signals == 1 {
			if got := p.outcomes(t, 1); got[0].Status != queue.Relayed {
				t.Errorf("%+v", got)
			}
		}
	}
}

// Messages of 25 MB cost less than 1 MB of memory each, from the client to the next
// hop. What is measured is what cannot be collected, clients and next hop included;
// the database has a cache of a fixed size, and one writer.
func TestLargeMessages(t *testing.T) {
	const n, size = 4, 25 << 20
	var octets atomic.Int64
	sink := &server.Server{Handler: server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
		got, err := io.Copy(io.Discard, m)
		octets.Add(got)
		return smtp.Reply{}, err
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go sink.Serve(l)
	defer sink.Close()
	p := start(t, "-listen", "127.0.0.1:0", "-insecure-local", "-smarthost", l.Addr().String())
	line := strings.Repeat("x", 76) + "\r\n"
	content := smtp.Content{Size: int64(len(text)) + size/78*78, Kind: smtp.KindExamined, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(text), &repeat{line, size / 78, 0})), nil
	}}
	env, err := smtp.NewEnvelope("alice@example.org", "b@example.net")
	if err != nil {
		t.Fatal(err)
	}
	before := live()
	failed := make(chan error, n)
	for range n {
		go func() {
			c := &client.Client{Addr: p.addrs["mx"], TLSMode: client.Plaintext}
			defer c.Close()
			_, err := c.Send(t.Context(), env, content)
			failed <- err
		}()
	}
	var samples []int
	for end := time.Now().Add(time.Minute); octets.Load() < n*(size/78*78) && time.Now().Before(end); {
		samples = append(samples, live()-before)
	}
	slices.Sort(samples) // the largest are those with much that became garbage while it was looked for
	for range n {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if len(samples) < 10 {
		t.Fatalf("%d samples, and %d octets", len(samples), octets.Load())
	}
	each := samples[len(samples)/2] / n
	t.Logf("%d messages at a time cost %d KB each, in %d samples", n, each>>10, len(samples))
	if each > 1<<20 {
		t.Error("that is too much")
	}
	p.outcomes(t, n)
}

// live is how many octets the heap holds that cannot be collected.
func live() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// repeat reads a line n times.
type repeat struct {
	line  string
	n, at int
}

func (r *repeat) Read(p []byte) (n int, err error) {
	for n < len(p) && r.n > 0 {
		m := copy(p[n:], r.line[r.at:])
		if n, r.at = n+m, r.at+m; r.at == len(r.line) {
			r.n, r.at = r.n-1, 0
		}
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
