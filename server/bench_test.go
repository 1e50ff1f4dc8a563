package server_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// BenchmarkTransaction measures a mail transaction without a network: what
// the client sends is in memory, what the server answers is dropped.
func BenchmarkTransaction(b *testing.B) {
	text := "From: <alice@example.org>\r\nTo: <bob@example.com>\r\nSubject: bench\r\n\r\n" + strings.Repeat(strings.Repeat("x", 73)+"\r\n", 4096/75)
	cases := []struct{ name, transaction string }{
		{"4KB", "MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n" + text + ".\r\n"},
		{"4KB-BDAT", "MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.com>\r\nBDAT " + strconv.Itoa(len(text)) + " LAST\r\n" + text},
		{"100-recipients", "MAIL FROM:<alice@example.org>\r\n" + strings.Repeat("RCPT TO:<bob@example.com>\r\n", 100) + "DATA\r\n" + text + ".\r\n"},
		{"1MB", "MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n" + strings.Repeat(text, 256) + ".\r\n"},
	}
	for _, c := range cases {
		b.Run(c.name, func(b *testing.B) {
			srv := &server.Server{
				Hostname: "bench.example",
				Handler: server.Deliver(func(_ context.Context, m *server.Message) (smtp.Reply, error) {
					_, err := io.Copy(io.Discard, m.Body)
					return smtp.Reply{}, err
				}),
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(c.transaction)))
			conn := &replayConn{first: []byte("EHLO client.example\r\n"), again: []byte(c.transaction), times: b.N, done: make(chan struct{})}
			l := &oneConn{conn: conn}
			b.ResetTimer()
			go srv.Serve(l)
			<-conn.done
			b.StopTimer()
			srv.Close()
			if n := bytes.Count(conn.last, []byte("250 2.0.0 ")); n == 0 {
				b.Fatalf("last reply: %q", conn.last)
			}
		})
	}
}

// oneConn is a listener that accepts one connection.
type oneConn struct{ conn net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	return nil, net.ErrClosed
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// replayConn gives first once and again many times, then EOF.
type replayConn struct {
	first, again, rest []byte
	times              int
	last               []byte
	done               chan struct{}
}

func (c *replayConn) Read(p []byte) (int, error) {
	if c.first != nil {
		n := copy(p, c.first)
		c.first = nil
		return n, nil
	}
	if len(c.rest) == 0 {
		if c.times == 0 {
			return 0, io.EOF
		}
		c.times--
		c.rest = c.again
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *replayConn) Write(p []byte) (int, error) {
	c.last = append(c.last[:0], p...)
	return len(p), nil
}
func (c *replayConn) Close() error {
	select {
	case <-c.done:
	default:
		close(c.done)
	}
	return nil
}
func (c *replayConn) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (c *replayConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (c *replayConn) SetDeadline(time.Time) error      { return nil }
func (c *replayConn) SetReadDeadline(time.Time) error  { return nil }
func (c *replayConn) SetWriteDeadline(time.Time) error { return nil }
