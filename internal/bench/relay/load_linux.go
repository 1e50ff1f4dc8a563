package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// A counter reads the running count that smtp-source and smtp-sink print, and
// notes when it rose.
type counter struct {
	mu    sync.Mutex
	n     int
	marks map[int]time.Time // when the count was first seen to be so much, for those asked for
	risen chan struct{}     // has something when n has grown
}

// pause lets several counts come together, so that reading them costs the
// machine little. It bounds how exact the times are.
const pause = 2 * time.Millisecond

// follow reads from r to its end; the first group of number has the count.
func (c *counter) follow(r io.Reader, number *regexp.Regexp) {
	buf := make([]byte, 64<<10)
	var kept int
	for {
		n, err := r.Read(buf[kept:])
		text := buf[:kept+n]
		if all := number.FindAllSubmatchIndex(text, -1); len(all) > 0 {
			last := all[len(all)-1]
			value, _ := strconv.Atoi(string(text[last[2]:last[3]]))
			c.seen(value, time.Now())
			text = text[last[1]:]
		}
		kept = copy(buf, text[max(0, len(text)-100):])
		if err != nil {
			return
		}
		time.Sleep(pause)
	}
}

func (c *counter) seen(n int, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n = max(c.n, n)
	for mark, t := range c.marks {
		if t.IsZero() && mark <= c.n {
			c.marks[mark] = at
		}
	}
	select {
	case c.risen <- struct{}{}:
	default:
	}
}

// mark asks to note when the count will be n.
func (c *counter) mark(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.marks == nil {
		c.marks = map[int]time.Time{}
	}
	c.marks[n] = time.Time{}
}

func (c *counter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// reached waits until the count has been n, which was marked, and says when.
func (c *counter) reached(ctx context.Context, n int) (time.Time, error) {
	for {
		c.mu.Lock()
		at, now := c.marks[n], c.n
		c.mu.Unlock()
		if !at.IsZero() {
			return at, nil
		}
		select {
		case <-c.risen:
		case <-ctx.Done():
			return at, fmt.Errorf("%d messages of %d: %w", now, n, ctx.Err())
		}
	}
}

// A sink is a running smtp-sink.
type sink struct {
	addr string
	got  counter
	cmd  *exec.Cmd
	done chan struct{}
}

var sinkCount = regexp.MustCompile(`mesg=(\d+)\s`)

func startSink(ctx context.Context, r *root) (*sink, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	s := &sink{addr: addr, done: make(chan struct{}), cmd: r.command("/usr/sbin/smtp-sink", "-c", "-u", "nobody", addr, "256")}
	s.got.risen = make(chan struct{}, 1)
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(s.done)
		s.got.follow(out, sinkCount)
	}()
	if err := listening(ctx, addr); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *sink) stop() {
	s.cmd.Process.Kill()
	<-s.done
	s.cmd.Wait()
}

var sourceCount = regexp.MustCompile(`(\d+)\r`)

// A run is one smtp-source.
type run struct {
	began, first, last time.Time // start, first and last message accepted
}

// source hands messages to the MTA at addr and returns when all are accepted.
func source(ctx context.Context, r *root, addr string, l load) (run, error) {
	argv := []string{"/usr/sbin/smtp-source", "-c", "-s", strconv.Itoa(l.sessions), "-m", strconv.Itoa(l.messages),
		"-l", strconv.Itoa(l.size), "-M", "client.bench.example", "-f", "sender@client.bench.example", "-t", "recipient@bench.example"}
	if l.kept {
		argv = append(argv, "-d")
	}
	cmd := r.command(append(argv, addr)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return run{}, err
	}
	c := counter{risen: make(chan struct{}, 1)}
	c.mark(1)
	c.mark(l.messages)
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return run{}, err
	}
	stop := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	defer stop()
	c.follow(out, sourceCount)
	if err := cmd.Wait(); err != nil {
		return run{}, fmt.Errorf("smtp-source: %w", err)
	}
	first, err := c.reached(ctx, 1)
	if err != nil {
		return run{}, err
	}
	last, err := c.reached(ctx, l.messages)
	return run{began, first, last}, err
}
