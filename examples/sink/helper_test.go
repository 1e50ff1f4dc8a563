package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

const patience = 20 * time.Second

// With this in its environment the test binary is the program.
const asProgram = "POSTRIDER_TEST_SINK"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// output is what a program writes. It is read while the program runs.
type output struct {
	io.Reader
	text strings.Builder // what was read
}

// started waits for the line "ready" and returns the addresses in the order of
// the listeners: -listen, -tls-listen, -timeout-listen, -sub-listen, -lmtp-listen.
func (o *output) started(t *testing.T) (addrs []string) {
	t.Helper()
	for lines := bufio.NewScanner(io.TeeReader(o.Reader, &o.text)); lines.Scan(); {
		if lines.Text() == "ready" {
			return addrs
		}
		if _, addr, ok := strings.Cut(lines.Text(), "msg=listening addr="); ok {
			addrs = append(addrs, addr)
		}
	}
	t.Fatalf("not ready:\n%s", &o.text)
	return nil
}

// start runs the program within the test and returns its addresses.
func start(t *testing.T, args ...string) []string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	var stdout bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, args, io.MultiWriter(w, &stdout), w)
		w.Close()
	}()
	o := &output{Reader: r}
	addrs := o.started(t)
	go io.Copy(io.Discard, r)
	t.Cleanup(func() {
		cancel()
		if c := <-code; c != 0 {
			t.Errorf("exit code %d", c)
		}
		if stdout.String() != "ready\n" {
			t.Errorf("stdout: %q", &stdout)
		}
	})
	return addrs
}

// peer is a client that does what it is told.
type peer struct {
	*testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, addr string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &peer{t, c, bufio.NewReader(c)}
}

func (p *peer) startTLS() {
	p.Conn = tls.Client(p.Conn, &tls.Config{InsecureSkipVerify: true})
	p.r = bufio.NewReader(p.Conn)
}

// reply reads one reply, whose last line must begin with want, and returns it.
func (p *peer) reply(want string) (lines string) {
	p.Helper()
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			p.Fatalf("%v after %q, want %q", err, lines, want)
		}
		lines += line
		if len(line) > 3 && line[3] == ' ' {
			if !strings.HasPrefix(line, want) {
				p.Fatalf("got %q, want %q", line, want)
			}
			return lines
		}
	}
}

// say sends a line and reads the reply.
func (p *peer) say(line, want string) string {
	p.Helper()
	p.send(line + "\r\n")
	return p.reply(want)
}

func (p *peer) send(text string) {
	p.Helper()
	if _, err := io.WriteString(p, text); err != nil {
		p.Fatal(err)
	}
}

// deliver gives a message, dot-stuffed, in the session that is open.
func (p *peer) deliver(message, want string, to ...string) {
	p.Helper()
	p.say("MAIL FROM:<a@example.org>", "250")
	for _, rcpt := range to {
		p.say("RCPT TO:<"+rcpt+">", "250")
	}
	p.say("DATA", "354")
	p.send(message + ".\r\n")
	p.reply(want)
}
