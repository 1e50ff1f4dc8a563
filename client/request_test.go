package client_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// lateConn says what is written to it in answer to a chunk after a while, if late is set.
type lateConn struct {
	net.Conn
	late *atomic.Bool
	bdat bool
}

func (c *lateConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.bdat = strings.HasPrefix(string(p[:n]), "BDAT ")
	return n, err
}

func (c *lateConn) Write(p []byte) (int, error) {
	if c.bdat && c.late.Load() {
		<-time.After(300 * time.Millisecond)
	}
	return c.Conn.Write(p)
}

// The reply to BDAT LAST decides on the message, also where so many recipients stand
// before it that it begins a group of its own: it has the time of that, over a connection
// that was kept too.
func TestChunkInAGroupOfItsOwn(t *testing.T) {
	s := newSink(t, "PIPELINING", "CHUNKING")
	var late atomic.Bool
	s.Dial = func(context.Context, string, string) (net.Conn, error) {
		near, far := pipe(t)
		s.done.Go(func() { s.serve(&lateConn{Conn: far, late: &late}, []string{"PIPELINING", "CHUNKING"}) })
		return near, nil
	}
	s.Optimistic = true
	s.Timeouts.DataInit = 50 * time.Millisecond
	env := envelope(t, 1)
	for n := len("MAIL FROM:<a@example.org>\r\n"); n <= 24<<10; n += len("RCPT TO:<b@example.net>\r\n") {
		env.Recipients = append(env.Recipients, env.Recipients[0])
	}
	env.Recipients = env.Recipients[1:]
	for range 2 {
		res, err := s.Send(t.Context(), env, smtp.BytesContent([]byte("A: b\r\n")))
		if err != nil || res.Delivered() != len(env.Recipients) {
			t.Fatalf("%d delivered, %v", res.Delivered(), err)
		}
		late.Store(true)
	}
}

// A deadline that passes between two looks at the clock does not make up for a look at
// the connection.
func TestStaleConnectionAtADeadline(t *testing.T) {
	s := newSink(t, "PIPELINING", "CHUNKING")
	var near, far net.Conn
	s.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if near != nil {
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}
		near, far = pipe(t)
		s.done.Go(func() { s.serve(far, []string{"PIPELINING", "CHUNKING"}) })
		return near, nil
	}
	for i := range 2 {
		res, err := s.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n")))
		want(t, res, err, "250")
		if i == 0 {
			far.Write([]byte("250 and another thing\r\n"))
			near.SetReadDeadline(time.Unix(1, 0))
		}
	}
	if st := s.Stats(); st.Open != 1 {
		t.Errorf("%+v", st)
	}
	near.SetReadDeadline(time.Time{})
}

// Who watches hears of a command when it was written, and not when its reply is there.
func TestTraceOfWritesIsInTime(t *testing.T) {
	s := newSink(t, "PIPELINING", "CHUNKING")
	var said atomic.Int32
	answer := make(chan struct{}, 100)
	s.Trace = watched(&client.Trace{Wrote: func(_ client.ConnInfo, line string) {
		if strings.HasPrefix(line, "MAIL") {
			said.Add(1)
			answer <- struct{}{}
		}
	}})
	s.Dial = func(context.Context, string, string) (net.Conn, error) {
		near, far := pipe(t)
		s.done.Go(func() { s.serve(&askedConn{far, answer}, []string{"PIPELINING", "CHUNKING"}) })
		return near, nil
	}
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		res, err := s.Send(ctx, envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n")))
		cancel()
		want(t, res, err, "250")
	}
}

// What goes out together with a message is told without it.
func TestTraceShowsNoContent(t *testing.T) {
	for _, optimistic := range []bool{false, true} {
		s := newSink(t, "PIPELINING", "CHUNKING")
		s.Optimistic = optimistic
		var lines []string
		s.Trace = watched(&client.Trace{Wrote: func(_ client.ConnInfo, line string) { lines = append(lines, line) }})
		for range 3 {
			res, err := s.Send(t.Context(), envelope(t, 2), smtp.BytesContent([]byte("Subject: secret\r\n\r\nsecret\r\n")))
			if err != nil || res.Delivered() != 2 {
				t.Fatalf("%d delivered, %v", res.Delivered(), err)
			}
		}
		if len(lines) < 10 {
			t.Errorf("optimistic %v: %q", optimistic, lines)
		}
		for _, line := range lines {
			if verb, _, _ := strings.Cut(line, " "); !slices.Contains([]string{"EHLO", "MAIL", "RCPT", "DATA", "BDAT", "."}, verb) {
				t.Errorf("optimistic %v: the trace is told %q", optimistic, line)
			}
		}
	}
}

// askedConn reads MAIL when the client has told that it was written.
type askedConn struct {
	net.Conn
	answer chan struct{}
}

func (c *askedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if strings.HasPrefix(string(p[:n]), "MAIL") {
		<-c.answer
	}
	return n, err
}

// Where a socket takes only a part of what is written, the rest follows.
func TestShortWrites(t *testing.T) {
	for _, optimistic := range []bool{false, true} {
		s := newSink(t, "PIPELINING", "CHUNKING")
		s.Optimistic = optimistic
		s.Dial = func(context.Context, string, string) (net.Conn, error) {
			near, far := pipe(t)
			near.(*net.TCPConn).SetWriteBuffer(1) // as few as the system lets it have
			s.done.Go(func() { s.serve(far, []string{"PIPELINING", "CHUNKING"}) })
			return near, nil
		}
		content := message(64 << 10)
		for range 3 {
			res, err := s.Send(t.Context(), envelope(t, 500), smtp.BytesContent(content))
			if err != nil || res.Delivered() != 500 {
				t.Fatalf("%d delivered, %v", res.Delivered(), err)
			}
		}
		for _, got := range s.messages(t) {
			if got != string(content) {
				t.Errorf("%d octets came, or others", len(got))
			}
		}
	}
}
