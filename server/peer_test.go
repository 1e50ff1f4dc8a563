package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/server"
)

// peer is a client of one connection.
type peer struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

// dial connects and reads nothing.
func (s *testServer) dial() *peer {
	s.t.Helper()
	conn, err := s.listener.Dial(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	return newPeer(s.t, conn)
}

func newPeer(t *testing.T, conn net.Conn) *peer {
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().AddDate(0, 1, 0)) // bubbles have time; elsewhere it is go test that ends it
	return &peer{t, conn, bufio.NewReader(conn)}
}

// hello connects and says EHLO or LHLO.
func (s *testServer) hello() *peer {
	s.t.Helper()
	p := s.dial()
	p.expect("220 ")
	if s.Role == server.LMTP {
		p.do("LHLO client.example", "250")
	} else {
		p.do("EHLO client.example", "250")
	}
	return p
}

// send writes text, in which each LF stands for CRLF.
func (p *peer) send(text string) { p.raw(strings.ReplaceAll(text, "\n", "\r\n")) }

func (p *peer) raw(octets string) {
	p.t.Helper()
	if _, err := io.WriteString(p.Conn, octets); err != nil {
		p.t.Fatalf("sending %.80q: %v", octets, err)
	}
}

// flood sends more than the network holds, while replies are read.
func (p *peer) flood(octets string) {
	done := make(chan struct{})
	p.t.Cleanup(func() { p.Close(); <-done })
	go func() {
		defer close(done)
		io.WriteString(p.Conn, octets)
	}()
}

// reply reads one reply, its lines joined with LF.
func (p *peer) reply() (string, error) {
	var lines []string
	for {
		line, err := p.r.ReadString('\n')
		if err != nil {
			return strings.Join(lines, "\n") + line, err
		}
		text, crlf := strings.CutSuffix(line, "\r\n")
		if !crlf || len(text) < 4 || text[3] != ' ' && text[3] != '-' {
			p.t.Errorf("malformed reply line %q", line)
		}
		if lines = append(lines, text); len(text) < 4 || text[3] == ' ' {
			return strings.Join(lines, "\n"), nil
		}
	}
}

// expect reads as many replies, of which each begins as wanted.
func (p *peer) expect(wants ...string) {
	p.t.Helper()
	for i, want := range wants {
		got, err := p.reply()
		if err != nil || !strings.HasPrefix(got, want) {
			p.t.Fatalf("reply %d of %d: %q, %v; want %q", i+1, len(wants), got, err, want)
		}
	}
}

// do sends one command and expects one reply.
func (p *peer) do(line, want string) {
	p.t.Helper()
	p.send(line + "\n")
	if got, err := p.reply(); err != nil || !strings.HasPrefix(got, want) {
		p.t.Fatalf("%.80s: %q, %v; want %q", line, got, err, want)
	}
}

// closed expects the end of the connection, and nothing before it.
func (p *peer) closed() {
	p.t.Helper()
	if got, err := p.reply(); err == nil || got != "" || errors.Is(err, context.DeadlineExceeded) {
		p.t.Fatalf("%q, %v; want the end of the connection", got, err)
	}
}

// startTLS says STARTTLS and shakes hands.
func (p *peer) startTLS() {
	p.t.Helper()
	p.do("STARTTLS", "220 ")
	p.upgrade()
}

func (p *peer) upgrade() { p.t.Helper(); p.upgradeWith(clientTLS) }

func (p *peer) upgradeWith(config *tls.Config) {
	p.t.Helper()
	conn := tls.Client(p.Conn, config)
	if err := conn.Handshake(); err != nil {
		p.t.Fatal(err)
	}
	p.Conn, p.r = conn, bufio.NewReader(conn)
}
