package client_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// turnConn is a server of no cost: it answers the envelope and the data by turns.
type turnConn struct {
	cannedConn
	data bool
	poll bool // the next Read is to see whether there is something
}

func (c *turnConn) SetReadDeadline(t time.Time) error {
	c.poll = time.Until(t) < time.Second
	return nil
}

func (c *turnConn) Read(p []byte) (int, error) {
	switch {
	case c.poll:
		return 0, os.ErrDeadlineExceeded
	case len(strings.Join(c.pieces, "")) > 0:
		return c.cannedConn.Read(p)
	case !c.data:
		c.data = true
		return copy(p, "250 2.1.0 sender ok\r\n250 2.1.5 recipient ok\r\n354 go ahead\r\n"), nil
	}
	c.data = false
	return copy(p, "250 2.0.0 queued as 4fJk2T\r\n"), nil
}

func message(size int) []byte {
	line := strings.Repeat("x", 73) + "\r\n"
	m := "Subject: benchmark\r\n\r\n" + strings.Repeat(line, size/len(line)+1)
	return []byte(m[:size-2] + "\r\n")
}

// BenchmarkSend is what Send costs, without network or server.
func BenchmarkSend(b *testing.B) {
	for _, size := range []int{4 << 10, 1 << 20} {
		b.Run(map[bool]string{true: "4KB", false: "1MB"}[size == 4<<10], func(b *testing.B) {
			conn := &turnConn{cannedConn: cannedConn{pieces: []string{"220 hi\r\n", "250-hi\r\n250-SIZE\r\n250 PIPELINING\r\n"}}}
			c := &client.Client{
				Addr: host + ":25", LocalName: "client.example", TLSMode: client.Plaintext,
				Dial: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
			}
			benchmark(b, c, size)
		})
	}
}

// BenchmarkSendTCP has a server of little cost behind loopback.
func BenchmarkSendTCP(b *testing.B) {
	for _, test := range []struct {
		name string
		size int
		set  func(*client.Client)
	}{
		{"4KB", 4 << 10, func(c *client.Client) {}},
		{"4KB-optimistic", 4 << 10, func(c *client.Client) { c.Optimistic = true }},
		{"1MB", 1 << 20, func(c *client.Client) {}},
		{"1MB-chunking", 1 << 20, func(c *client.Client) { c.Chunking = true }},
	} {
		b.Run(test.name, func(b *testing.B) {
			c := &client.Client{LocalName: "client.example", TLSMode: client.Plaintext}
			c.Addr = floor(b)
			test.set(c)
			benchmark(b, c, test.size)
		})
	}
}

func benchmark(b *testing.B, c *client.Client, size int) {
	env := envelope(b, 1)
	content := smtp.BytesContent(message(size))
	ctx := context.Background()
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Send(ctx, env, content); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	c.Close()
}

// BenchmarkPool is what BenchmarkSend is, by a Pool, one Key after the other.
func BenchmarkPool(b *testing.B) {
	for _, keys := range []int{1, 1000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			p := &client.Pool{MaxConns: -1, MaxIdle: keys, New: func(k client.Key) (*client.Client, error) {
				conn := &turnConn{cannedConn: cannedConn{pieces: []string{"220 hi\r\n", "250-hi\r\n250-SIZE\r\n250 PIPELINING\r\n"}}}
				return &client.Client{
					Addr: k.Addr, LocalName: k.LocalName, TLSMode: client.Plaintext, IdleTimeout: time.Hour,
					Dial: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
				}, nil
			}}
			list := make([]client.Key, keys)
			for i := range list {
				list[i] = client.Key{Addr: fmt.Sprintf("mx%d.example.com:25", i), LocalName: "client.example", TLS: "opportunistic"}
			}
			env := envelope(b, 1)
			content := smtp.BytesContent(message(4 << 10))
			ctx := context.Background()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := p.Send(ctx, list[i%keys], env, content); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			if n := p.Stats().Open; n > keys {
				b.Errorf("%d connections", n)
			}
			p.Close()
		})
	}
}

// floor is a server that looks for as little as can be.
func floor(b testing.TB) (addr string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			serveFloor(nc)
			nc.Close()
		}
	}()
	b.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}

func serveFloor(nc net.Conn) {
	nc.SetDeadline(time.Now().Add(time.Minute))
	in := bufio.NewReaderSize(nc, 64<<10)
	var out []byte
	io.WriteString(nc, "220 floor\r\n")
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		switch {
		case bytes.HasPrefix(line, []byte("EHLO")):
			out = append(out, "250-floor\r\n250-CHUNKING\r\n250 PIPELINING\r\n"...)
		case bytes.HasPrefix(line, []byte("DATA")):
			nc.Write(append(out, "354 go\r\n"...))
			out = out[:0]
			for end := [5]byte{}; string(end[:]) != "\r\n.\r\n"; {
				in.Peek(1)
				p, err := in.Peek(in.Buffered())
				if err != nil || len(p) == 0 {
					return
				}
				if n := min(len(p), 5); n > 0 {
					copy(end[:], end[n:])
					copy(end[5-n:], p[len(p)-n:])
				}
				in.Discard(len(p))
			}
			out = append(out, "250 ok\r\n"...)
		case bytes.HasPrefix(line, []byte("BDAT")):
			n := 0
			for _, c := range line[5:] {
				if c < '0' || c > '9' {
					break
				}
				n = 10*n + int(c-'0')
			}
			in.Discard(n)
			out = append(out, "250 ok\r\n"...)
		default:
			out = append(out, "250 ok\r\n"...)
		}
		if in.Buffered() == 0 {
			nc.Write(out)
			out = out[:0]
		}
	}
}
