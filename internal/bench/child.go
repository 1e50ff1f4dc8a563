package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"
)

// Environment variables that turn the test binary into a server.
const (
	envServer = "POSTRIDER_BENCH_SERVER" // the peer's name
	envTLS    = "POSTRIDER_BENCH_TLS"    // the security
	envConns  = "POSTRIDER_BENCH_CONNS"  // connections to allow
	envCPU    = "POSTRIDER_BENCH_CPU"    // file for a CPU profile
)

// The questions a child answers, one line each, on its standard input.
const (
	askCPU      = "cpu"      // nanoseconds of user and system time so far
	askResident = "resident" // octets of resident memory once garbage is returned
)

// A child is a server in a process of its own, seen from the load generator.
type child struct {
	addr string

	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr *bytes.Buffer
}

// startChild runs this binary again as the named server and waits until it
// listens. The caller calls close.
func startChild(name string, opt options) (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), envServer+"="+name, envConns+"="+strconv.Itoa(opt.conns))
	if opt.profile != "" {
		cmd.Env = append(cmd.Env, envCPU+"="+opt.profile)
	}
	cmd.Env = append(cmd.Env, envTLS+"="+strconv.Itoa(int(opt.security)))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, stdin: stdin, stdout: bufio.NewReader(stdout), stderr: new(bytes.Buffer)}
	cmd.Stderr = c.stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if c.addr, err = c.line(); err != nil {
		c.close()
		return nil, fmt.Errorf("start %s: %w: %s", name, err, c.stderr)
	}
	return c, nil
}

// cpu is the user and system time that the server has spent so far.
func (c *child) cpu() (time.Duration, error) {
	n, err := c.ask(askCPU)
	return time.Duration(n), err
}

// resident is the server's resident memory in octets, garbage returned first.
func (c *child) resident() (int64, error) { return c.ask(askResident) }

// close ends the child and waits for it: the end of its input is its signal.
func (c *child) close() error {
	c.stdin.Close()
	hung := time.AfterFunc(10*time.Second, func() { c.cmd.Process.Kill() })
	defer hung.Stop()
	return c.cmd.Wait()
}

func (c *child) ask(question string) (int64, error) {
	if _, err := fmt.Fprintln(c.stdin, question); err != nil {
		return 0, err
	}
	answer, err := c.line()
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(answer, 10, 64)
}

func (c *child) line() (string, error) {
	s, err := c.stdout.ReadString('\n')
	return strings.TrimSpace(s), err
}

// runChild is main in a child: it serves as the peer called name until its
// standard input ends.
func runChild(name string) error {
	var opt options
	secured, _ := strconv.Atoi(os.Getenv(envTLS))
	opt.security = security(secured)
	opt.conns, _ = strconv.Atoi(os.Getenv(envConns))
	if path := os.Getenv(envCPU); path != "" {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	for _, p := range peers() {
		if p.name != name {
			continue
		}
		server, err := p.start(opt)
		if err != nil {
			return err
		}
		defer server.stop()
		fmt.Println(server.addr)
		return answer(server)
	}
	return fmt.Errorf("no server called %q", name)
}

func answer(server *instance) error {
	questions := bufio.NewScanner(os.Stdin)
	for questions.Scan() {
		var n int64
		var err error
		switch questions.Text() {
		case askCPU:
			var d time.Duration
			d, err = server.cpu()
			n = int64(d)
		case askResident:
			runtime.GC() // a sync.Pool lets go at the second collection
			debug.FreeOSMemory()
			n, err = ownResident()
		default:
			err = errors.New("unknown question")
		}
		if err != nil {
			return err
		}
		fmt.Println(n)
	}
	return questions.Err()
}
