//go:build unix

package guarantee

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const readyTime = 30 * time.Second // for the relay to be ready, or to stop

// A keeper keeps a relay running on one database: it starts the program again
// and again, and says where it listens now.
type keeper struct {
	t    *testing.T
	name string
	args []string

	mu   sync.Mutex
	addr string        // where it listens; "" while it does not
	up   chan struct{} // closed while addr is set
	log  bytes.Buffer  // what it has written to stderr, in all runs

	runs  int
	cmd   *exec.Cmd
	ready chan struct{} // closed when it has said ready
	gone  chan struct{} // closed when it has ended
}

// keep prepares a relay that is called name1.example, name2.example and so on,
// and is given these arguments besides.
func keep(t *testing.T, name string, args ...string) *keeper {
	k := &keeper{t: t, name: name, args: args, up: make(chan struct{})}
	t.Cleanup(func() {
		if k.cmd != nil {
			k.kill()
		}
		if t.Failed() {
			k.mu.Lock()
			defer k.mu.Unlock()
			log := k.log.Bytes()
			t.Logf("%s wrote:\n%s", name, log[max(0, len(log)-8<<10):])
		}
	})
	return k
}

// run is what the relay is called now.
func (k *keeper) run() string { return fmt.Sprintf("%s%d.example", k.name, k.runs) }

// spawn starts the program and does not wait for it.
func (k *keeper) spawn() {
	k.t.Helper()
	k.runs++
	args := append([]string{"-listen", "127.0.0.1:0", "-hostname", k.run(), "-insecure-local"}, k.args...)
	k.cmd = exec.Command(program, args...)
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is the test's alone
	k.cmd.Env = append(os.Environ(), "GORACE=halt_on_error=1")
	k.cmd.Stderr = (*keeperLog)(k)
	out, err := k.cmd.StdoutPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := k.cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	ready, gone := make(chan struct{}), make(chan struct{})
	k.ready, k.gone = ready, gone
	cmd := k.cmd
	go func() {
		defer close(gone)
		var addr string
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if a := loopback(lines.Text()); a != "" && addr == "" {
				addr = a
			}
			if lines.Text() == "ready" && addr != "" {
				k.listens(addr)
				close(ready)
			}
		}
		cmd.Wait()
		k.listens("")
	}()
}

// loopback returns the address in a line of the program's.
func loopback(line string) string {
	for _, word := range strings.Fields(line) {
		if _, port, err := net.SplitHostPort(word); err == nil && port != "0" {
			return word
		}
	}
	return ""
}

func (k *keeper) listens(addr string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case addr != "" && k.addr == "":
		close(k.up)
	case addr == "" && k.addr != "":
		k.up = make(chan struct{})
	}
	k.addr = addr
}

// start starts the program and waits until it is ready.
func (k *keeper) start() {
	k.t.Helper()
	k.spawn()
	select {
	case <-k.ready:
	case <-k.gone:
		k.t.Fatalf("%s has ended before it was ready: %v", k.run(), k.cmd.ProcessState)
	case <-time.After(readyTime):
		k.t.Fatalf("%s is not ready after %v", k.run(), readyTime)
	}
}

// kill ends the program at once, with SIGKILL.
func (k *keeper) kill() {
	k.t.Helper()
	select {
	case <-k.gone:
		k.t.Errorf("%s has ended by itself: %v", k.run(), k.cmd.ProcessState)
	default:
		k.cmd.Process.Kill()
	}
	<-k.gone
	k.cmd = nil
}

// stop asks the program to end and waits until it has.
func (k *keeper) stop() {
	k.t.Helper()
	k.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-k.gone:
		if !k.cmd.ProcessState.Success() {
			k.t.Errorf("%s, asked to end: %v", k.run(), k.cmd.ProcessState)
		}
	case <-time.After(readyTime):
		k.t.Errorf("%s has not ended %v after it was asked to", k.run(), readyTime)
		k.kill()
	}
	k.cmd = nil
}

// wait waits so long, or until the program ends.
func (k *keeper) wait(d time.Duration) {
	select {
	case <-k.gone:
	case <-time.After(d):
	}
}

// dial connects to the relay, when it is there.
func (k *keeper) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	for {
		k.mu.Lock()
		addr, up := k.addr, k.up
		k.mu.Unlock()
		if addr != "" {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
		select {
		case <-up:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// keeperLog is what a relay writes to.
type keeperLog keeper

func (l *keeperLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(p)
}
