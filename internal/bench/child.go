package main

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

// Environment variables that turn this program into a server or a sender.
const (
	envServer = "POSTRIDER_BENCH_SERVER" // the peer's name
	envTLS    = "POSTRIDER_BENCH_TLS"    // the security
	envConns  = "POSTRIDER_BENCH_CONNS"  // connections to allow
	envCPU    = "POSTRIDER_BENCH_CPU"    // file for a CPU profile
	envTo     = "POSTRIDER_BENCH_TO"     // where a sender sends
	envCase   = "POSTRIDER_BENCH_CASE"   // what: the key of an outgoing case
)

// The questions a child answers, one line each, on its standard input.
const (
	askCPU      = "cpu"      // nanoseconds of user and system time so far
	askResident = "resident" // octets of resident memory once garbage is returned; the peak begins anew
	askPeak     = "peak"     // the most octets of resident memory since then
	askSend     = "send"     // messages sent in a round; its length in ns and the messages a connection follow
)

// A child is a server or a sender in a process of its own, seen from the parent.
type child struct {
	addr string

	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr *bytes.Buffer
}

// startChild runs this binary again as the named peer and waits until it is
// ready. The caller calls close.
func startChild(name string, opt options) (*child, error) {
	return startPeer(peer{name: name}, opt)
}

func startPeer(p peer, opt options) (c *child, err error) {
	exe, name := p.exe, oursName
	if exe == "" {
		name = p.name
		exe, err = os.Executable()
	}
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), envServer+"="+name, envConns+"="+strconv.Itoa(opt.conns))
	if opt.profile != "" {
		cmd.Env = append(cmd.Env, envCPU+"="+opt.profile)
	}
	if opt.to != "" {
		cmd.Env = append(cmd.Env, envTo+"="+opt.to, envCase+"="+opt.outgoing.key)
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
	c = &child{cmd: cmd, stdin: stdin, stdout: bufio.NewReader(stdout), stderr: new(bytes.Buffer)}
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

// cpu is the user and system time that the peer has spent so far.
func (c *child) cpu() (time.Duration, error) {
	n, err := c.ask(askCPU)
	return time.Duration(n), err
}

// resident is the server's resident memory in octets, garbage returned first.
func (c *child) resident() (int64, error) { return c.ask(askResident) }

// peak is the most that it has been since resident was called.
func (c *child) peak() (int64, error) { return c.ask(askPeak) }

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

// beChild does what a child does, and ends the process, if this process is one.
func beChild() {
	name := os.Getenv(envServer)
	if name == "" {
		return
	}
	if err := runChild(name); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// runChild is main in a child: it serves, or sends when asked to, as the peer called
// name until its standard input ends.
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
	all := peers()
	if opt.to = os.Getenv(envTo); opt.to != "" {
		all = outgoingPeers()
		for _, c := range outgoingCases() {
			if c.key == os.Getenv(envCase) {
				opt.outgoing = c
			}
		}
	}
	for _, p := range all {
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
	return fmt.Errorf("no peer called %q", name)
}

func answer(server *instance) error {
	questions := bufio.NewScanner(os.Stdin)
	for questions.Scan() {
		var n int64
		var err error
		switch question, rest, _ := strings.Cut(questions.Text(), " "); question {
		case askCPU:
			var d time.Duration
			d, err = server.cpu()
			n = int64(d)
		case askResident:
			runtime.GC() // a sync.Pool lets go at the second collection
			debug.FreeOSMemory()
			if err = forgetPeak(); err == nil {
				n, err = ownResident()
			}
		case askPeak:
			n, err = ownPeak()
		case askSend:
			var l load
			var sent int
			if _, err = fmt.Sscan(rest, &l.slice, &l.messages); err == nil {
				sent, err = server.send(l)
			}
			n = int64(sent)
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
