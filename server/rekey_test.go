package server_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/server"
)

// A rekeyConn is to the server a TLS connection on which a key update comes with all
// that is read: it is answered at once, and what the answer fails for every later Write
// fails for too.
type rekeyConn struct {
	net.Conn
	err error
}

func (c *rekeyConn) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{HandshakeComplete: true}
}

func (c *rekeyConn) Handshake() error { return nil }

func (c *rekeyConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.err == nil {
		_, c.err = c.Conn.Write(nil) // it is after the deadline or not
	}
	return n, err
}

func (c *rekeyConn) Write(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	return c.Conn.Write(p)
}

type rekeyListener struct{ *memnet.Listener }

func (l rekeyListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &rekeyConn{Conn: nc}, nil
}

// A key update that comes as late as anything may come is answered, and the session
// goes on.
func TestLateKeyUpdate(t *testing.T) {
	for _, tt := range []struct {
		name, said, wants string
		pause             time.Duration
	}{
		{"between commands", "NOOP\n|NOOP\n|RSET\n", "250|250|250", 299 * time.Second},
		{"in a command", "NO|OP|\nNO|OP\n", "||250|250", 99 * time.Second},
		{"in a transaction", "MAIL FROM:<>\n|RCPT TO:<b@example.com>\n|DATA\n|x\n.\n", "250|250|354|250 2.0.0", 179 * time.Second},
		{"in the data", transaction + "DATA\n|x|x|x|x|x|\n.\n", "250 250 354||||||250 2.0.0", 179 * time.Second},
		{"between chunks", transaction + "BDAT 1\nx|BDAT 1\nx|BDAT 1 LAST\nx", "250 250 250|250|250 2.0.0", 179 * time.Second},
		{"in a chunk", transaction + "BDAT 5\nx|x|x|x|x|BDAT 0 LAST\n", "250 250||||250|250 2.0.0", 179 * time.Second},
		{"in AUTH", "AUTH PLAIN\n|" + b64("\x00"+user+"\x00"+password) + "\n", "334|235", 299 * time.Second},
	} {
		for _, timeout := range []time.Duration{0, time.Second} {
			for _, socket := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, %v, %v", tt.name, timeout, socket), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := &testServer{
							Server:  &server.Server{Hostname: "mx.example", Limits: server.Limits{WriteTimeout: timeout, MinDataRate: -1}},
							backend: new(backend), t: t, listener: memnet.Listen(), log: new(notes),
						}
						withAuth(s)
						s.Handler = s.backend
						if socket {
							s.RestAnyhow()
						}
						s.serveWith(s.Server.Serve, rekeyListener{s.listener})
						p := s.hello()
						answers := strings.Split(tt.wants, "|")
						for i, said := range strings.Split(tt.said, "|") {
							time.Sleep(tt.pause)
							p.send(said)
							for _, want := range strings.Split(strings.ReplaceAll(answers[i], "250 2.0.0", "250_2.0.0"), " ") {
								if want != "" {
									p.expect(strings.ReplaceAll(want, "_", " "))
								}
							}
						}
						p.do("QUIT", "221")
						p.closed()
					})
				})
			}
		}
	}
}
