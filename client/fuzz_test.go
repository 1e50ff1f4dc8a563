package client_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// Whatever a server says, Send comes back, and says that a message was delivered
// only to as many recipients as the server said 2xx to.
func FuzzServer(f *testing.F) {
	f.Add("220 hi\r\n", "250-a\r\n250 PIPELINING\r\n", "250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n", "250 queued\r\n", uint8(0))
	f.Add("220 hi\r\n", "250-a\r\n250-CHUNKING\r\n250 PIPELINING\r\n", "250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n", "", uint8(1))
	f.Add("220 hi\r\n", "250 LHLO\r\n", "250 ok\r\n", "250 ok\r\n", uint8(2))
	f.Add("220 hi\r\n", "500 no\r\n", "250 ok\r\n", "250 ok\r\n", uint8(4))
	f.Add("421 bye\r\n", "", "", "", uint8(7))
	f.Add("220-\r\n", "220 hi\n250 x\n", "\x00", "354", uint8(0))
	f.Add("220 hi\r\n", "250-a\r\n250-PRDR\r\n250 PIPELINING\r\n", "250 ok\r\n250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n", "353 wait\r\n250 b\r\n550 c\r\n250 queued\r\n", uint8(0))
	f.Add("220 hi\r\n", "250-a\r\n250-PRDR\r\n250-CHUNKING\r\n250 PIPELINING\r\n", "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n", "353 wait\r\n250 b\r\n421 bye\r\n", uint8(1))
	f.Add("220 hi\r\n", "250-a\r\n250-LIMITS RCPTMAX=1 MAILMAX=2\r\n250 PIPELINING\r\n", "250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n", "250 ok\r\n452 full\r\n354 go\r\n250 queued\r\n", uint8(0))
	f.Add("220 hi\r\n", "250-a\r\n250-LIMITS RCPTDOMAINMAX=1\r\n250 PIPELINING\r\n", "250 ok\r\n250 ok\r\n452 4.5.3 many\r\n354 go\r\n250 queued\r\n", "250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n", uint8(16))
	f.Add("220 hi\r\n", "250-a\r\n250-XCLIENT ADDR\r\n250 PIPELINING\r\n", "220 hi again\r\n250-a\r\n250-XFORWARD ADDR\r\n250 LIMITS RCPTMAX=2\r\n250 ok\r\n", "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n250 ok\r\n", uint8(16))
	env, err := smtp.NewEnvelope("a@example.org", "b@example.net", "c@example.net", "d@example.com")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, greeting, hello, envelope, end string, set uint8) {
		near := &cannedConn{pieces: []string{greeting, hello, envelope, end}}
		dials := 0
		c := &client.Client{
			Addr: host + ":25", LocalName: "client.example", TLSMode: client.Plaintext,
			Optimistic: set&1 != 0, LMTP: set&2 != 0, AllOrNothing: set&4 != 0, Chunking: set&8 != 0, NoRedial: true,
			Dial: func(context.Context, string, string) (net.Conn, error) {
				if dials++; dials > 1 {
					return nil, io.ErrUnexpectedEOF
				}
				return near, nil
			},
		}
		content := smtp.BytesContent([]byte("A: b\r\n"))
		if set&16 != 0 {
			verbs(t, near, env, content)
			return
		}
		res, err := c.Send(t.Context(), env, content)
		plausible(t, res, err, env)
		c.Close()
		if !near.closed {
			t.Fatal("the connection is open")
		}
	})
}

// verbs says what Client.Send does not say.
func verbs(t *testing.T, near *cannedConn, env smtp.Envelope, content smtp.Content) {
	conn, err := client.NewConn(t.Context(), near, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.Hello(t.Context(), "client.example")
	conn.Etrn(t.Context(), "example.org")
	if conn.XClient(t.Context(), smtp.XClient{Addr: "192.0.2.7"}) == nil && conn.Offers() != nil {
		t.Fatal("the offers before XCLIENT are there")
	}
	conn.Hello(t.Context(), "client.example")
	conn.XForward(t.Context(), smtp.XForward{Addr: "192.0.2.7"})
	for range 2 {
		res, err := conn.Send(t.Context(), env, content)
		plausible(t, res, err, env)
	}
}

// plausible checks what must hold of a result, whatever the server has said.
func plausible(t *testing.T, res *client.Result, err error, env smtp.Envelope) {
	if (err == nil) != (res.Delivered() > 0) || len(res.Recipients) != len(env.Recipients) {
		t.Fatalf("%v: %+v", err, res)
	}
	for _, r := range res.Recipients {
		if r.Delivered() && !r.Reply.Positive() || r.Err != nil && r.Err.Error() == "undecided" {
			t.Fatalf("%+v", r)
		}
	}
}

// cannedConn is a connection to a server that says one piece after the other,
// whatever it hears, and hangs up. Nothing ever waits.
type cannedConn struct {
	net.Conn // nil: no other method is called
	pieces   []string
	closed   bool
}

func (c *cannedConn) Read(p []byte) (int, error) {
	for len(c.pieces) > 0 && c.pieces[0] == "" {
		c.pieces = c.pieces[1:]
	}
	if len(c.pieces) == 0 || c.closed {
		return 0, io.EOF
	}
	n := copy(p, c.pieces[0])
	c.pieces[0] = c.pieces[0][n:]
	return n, nil
}

func (c *cannedConn) Write(p []byte) (int, error)      { return len(p), nil }
func (c *cannedConn) Close() error                     { c.closed = true; return nil }
func (c *cannedConn) LocalAddr() net.Addr              { return nil }
func (c *cannedConn) RemoteAddr() net.Addr             { return nil }
func (c *cannedConn) SetDeadline(time.Time) error      { return nil }
func (c *cannedConn) SetReadDeadline(time.Time) error  { return nil }
func (c *cannedConn) SetWriteDeadline(time.Time) error { return nil }
