//go:build interop

package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	commandTime = 60 * time.Second // for a program that does its work and ends
	eventTime   = 20 * time.Second // for something to happen in a server
)

// The programs under test, built by TestMain, and where they are.
var sendProgram, sinkProgram, programs string

// process is a program that runs until it is stopped.
type process struct {
	cmd  *exec.Cmd
	out  *output
	done chan struct{} // closed when the process is gone and cmd.ProcessState is set
}

// start starts argv, with r as its root directory unless r is nil, and stops
// it when the test ends.
func start(t *testing.T, r *root, argv ...string) *process {
	t.Helper()
	return startAs(t, 0, r, argv...)
}

// startAs is start for a program that belongs to the account uid.
func startAs(t *testing.T, uid uint32, r *root, argv ...string) *process {
	t.Helper()
	p := &process{out: &output{}, done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), testTime(t))
	p.cmd = command(ctx, r, argv)
	if uid != 0 {
		p.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: uid}
	}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		defer cancel()
		p.cmd.Wait()
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s wrote:\n%s", argv[0], p.out)
		}
	})
	return p
}

// stop asks the process to end, then ends what is left of its group.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// listening waits until the process takes connections at every port.
func (p *process) listening(t *testing.T, ports ...int) {
	t.Helper()
	for _, port := range ports {
		p.eventually(t, fmt.Sprintf("port %d open", port), func() bool {
			conn, err := net.DialTimeout("tcp", address(port), time.Second)
			if err != nil {
				return false
			}
			conn.Close()
			return true
		})
	}
}

// eventually polls, for what another program does cannot be waited for
// otherwise, until is holds or the process is gone.
func (p *process) eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(eventTime)
	for !is() {
		select {
		case <-tick.C:
		case <-p.done:
			t.Fatalf("%s ended (%v) before: %s\n%s", p.cmd.Path, p.cmd.ProcessState, what, p.out)
		case <-late:
			t.Fatalf("not within %v: %s\n%s", eventTime, what, p.out)
		}
	}
}

// logged waits for a line of the process's log that has all of the texts.
func (p *process) logged(t *testing.T, log string, texts []string) (found string) {
	t.Helper()
	p.eventually(t, fmt.Sprintf("a line with %q in the log", texts), func() bool {
	lines:
		for line := range strings.Lines(readFile(log)) {
			for _, text := range texts {
				if !strings.Contains(line, text) {
					continue lines
				}
			}
			found = line
			return true
		}
		return false
	})
	return found
}

// result is what a program left that did its work and ended.
type result struct {
	code   int
	stdout string
	stderr string
}

func (r result) String() string {
	return fmt.Sprintf("exit %d\nstdout:\n%s\nstderr:\n%s", r.code, r.stdout, r.stderr)
}

// output is both streams, for programs that are not choosy about which.
func (r result) output() string { return r.stdout + r.stderr }

// run runs argv to its end, with r as its root directory unless r is nil.
func run(t *testing.T, r *root, stdin []byte, argv ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), min(commandTime, testTime(t)))
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := command(ctx, r, argv)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if ctx.Err() != nil || err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v\n%s%s", strings.Join(argv, " "), err, &stdout, &stderr)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// command prepares argv as the leader of a process group of its own, which is
// killed whole when ctx ends.
func command(ctx context.Context, r *root, argv []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	if r != nil {
		cmd.Dir = "/"
		cmd.SysProcAttr.Chroot = r.dir
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "LC_ALL=C"}
	}
	return cmd
}

// testTime is how long a program may run: less than the test binary may.
func testTime(t *testing.T) time.Duration {
	deadline, ok := t.Deadline()
	if !ok {
		return 5 * time.Minute
	}
	return max(time.Until(deadline)-15*time.Second, time.Second)
}

// freePort finds a port of the loopback interface that nobody listens at, and
// never the same one twice. It is below those that the kernel gives to outgoing
// connections, lest one of them is there first.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := 20000 + int(nextPort.Add(1)+int32(os.Getpid()))%12000
		ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			ln.Close()
			return port
		}
	}
	t.Fatal("no free port between 20000 and 32000")
	return 0
}

var nextPort atomic.Int32

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// output collects what a running process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// readFile is for logs shown when a test has failed: a missing one is empty.
func readFile(name string) string {
	data, _ := os.ReadFile(name)
	return string(data)
}
