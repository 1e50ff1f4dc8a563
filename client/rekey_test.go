package client_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/smtp"
)

// A rekeyConn is to the client a TLS connection on which NUL is a key update: Read
// answers it at once, and if that fails every later Write does.
type rekeyConn struct {
	net.Conn
	err       error
	deadlines int
}

func (c *rekeyConn) SetReadDeadline(t time.Time) error {
	c.deadlines++
	return c.Conn.SetReadDeadline(t)
}

func (c *rekeyConn) SetWriteDeadline(t time.Time) error {
	c.deadlines++
	return c.Conn.SetWriteDeadline(t)
}

func (c *rekeyConn) ConnectionState() tls.ConnectionState { return tls.ConnectionState{} }
func (c *rekeyConn) NetConn() net.Conn                    { return c.Conn }

func (c *rekeyConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		text := bytes.ReplaceAll(p[:n], []byte{0}, nil)
		if n > len(text) && c.err == nil {
			_, c.err = c.Conn.Write(nil) // it is after the deadline or not
		}
		if n = copy(p, text); n > 0 || err != nil {
			return n, err
		}
	}
}

func (c *rekeyConn) Write(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	return c.Conn.Write(p)
}

// A key update that comes as late as a reply may come, or while the connection is idle,
// is answered, and the connection stays what it was.
func TestLateKeyUpdate(t *testing.T) {
	for _, timeouts := range []client.Timeouts{{}, {DataBlock: time.Second}, {Mail: time.Hour}, client.EveryTimeout(5 * time.Second)} {
		t.Run(fmt.Sprint(timeouts), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := memnet.Listen()
				c := &client.Client{
					Addr: host + ":25", LocalName: "client.example", Timeouts: timeouts, IdleTimeout: 2 * time.Hour, MaxAge: 99 * time.Hour, NoRedial: true,
					Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
						nc, err := ln.Dial(ctx)
						return &rekeyConn{Conn: nc}, err
					},
				}
				all := timeouts.OrDefaults()
				var serving sync.WaitGroup
				serving.Go(func() {
					far, err := ln.Accept()
					if err != nil {
						return
					}
					defer far.Close()
					say := func(reply string, limit time.Duration) bool {
						for _, wait := range []time.Duration{limit / 2, limit/2 - limit/64} {
							time.Sleep(wait)
							io.WriteString(far, "\x00")
						}
						_, err := io.WriteString(far, reply+"\r\n")
						return err == nil
					}
					in := make([]byte, 1<<10)
					for reply, limit := "220 hi", all.Greeting; say(reply, limit); {
						n, _ := far.Read(in)
						reply, limit = "250 ok", all.Command
						switch line := string(in[:n]); {
						case strings.HasPrefix(line, "MAIL"):
							limit = all.Mail
						case strings.HasPrefix(line, "RCPT"):
							limit = all.Rcpt
						case line == "DATA\r\n":
							reply, limit = "354 go", all.DataInit
						case strings.HasSuffix(line, "\r\n.\r\n"):
							limit = all.DataEnd
						case line == "QUIT\r\n":
							limit = all.Quit
						}
						if strings.HasSuffix(string(in[:n]), "\r\n.\r\n") {
							time.AfterFunc(limit+time.Hour, func() { io.WriteString(far, "\x00") }) // it is idle
						}
					}
				})
				var infos []client.ConnInfo
				c.Trace = &client.Trace{Connected: func(i client.ConnInfo) { infos = append(infos, i) }}
				for range 3 {
					res, err := c.Send(t.Context(), envelope(t, 2), smtp.BytesContent([]byte("A: b\r\n\r\nx\r\n")))
					want(t, res, err, "250 250")
					time.Sleep(100 * time.Minute)
				}
				if len(infos) != 1 {
					t.Errorf("%d connections", len(infos))
				}
				c.Close()
				ln.Close()
				serving.Wait()
			})
		})
	}
}

// To set a deadline costs as much as to write a command. A message over TLS needs two, of
// which one is for a look at the connection before.
func TestDeadlinesOverTLS(t *testing.T) {
	s := newSink(t, "PIPELINING")
	var conn *rekeyConn
	s.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		conn = &rekeyConn{Conn: nc}
		return conn, err
	}
	s.IdleTimeout, s.Timeouts = time.Hour, client.Timeouts{}
	for range 100 {
		res, err := s.Send(t.Context(), envelope(t, 2), smtp.BytesContent([]byte("A: b\r\n")))
		want(t, res, err, "250 250")
	}
	if conn.deadlines > 250 { // some more if this has taken minutes
		t.Errorf("%d deadlines set for 100 messages", conn.deadlines)
	}
}
