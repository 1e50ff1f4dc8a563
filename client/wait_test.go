package client_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/smtp"
)

// stalling is a server that answers the commands of a session, without
// PIPELINING, until at is the next to be answered; then it says nothing more. It
// takes as much of the message as reads says, in lines; all if negative.
func stalling(nc net.Conn, at string, reads int) {
	in := make([]byte, 1)
	line := func() (string, bool) {
		var b strings.Builder
		for {
			if _, err := nc.Read(in); err != nil {
				return "", false
			}
			if b.WriteByte(in[0]); in[0] == '\n' {
				return strings.TrimSuffix(b.String(), "\r\n"), true
			}
		}
	}
	answer := func(verb, reply string) bool {
		if verb == at {
			io.Copy(io.Discard, nc) // until the client closes
			return false
		}
		io.WriteString(nc, reply+"\r\n")
		return true
	}
	defer nc.Close()
	if at == "connect" || !answer("greeting", "220 hi") {
		return
	}
	for {
		command, ok := line()
		verb, _, _ := strings.Cut(command, " ")
		reply := "250 ok"
		if verb == "DATA" {
			reply = "354 go"
		}
		if !ok || !answer(verb, reply) {
			return
		}
		if verb != "DATA" {
			continue
		}
		for ; reads != 0; reads-- {
			if l, ok := line(); !ok || l == "." {
				break
			}
		}
		if reads == 0 { // neither reads nor writes
			synctest.Wait()
			<-closedBy(nc)
			return
		}
		if !answer("end", "250 queued") {
			return
		}
	}
}

// closedBy waits for the other end of a pipe without reading what it wrote.
func closedBy(nc net.Conn) chan struct{} {
	c := make(chan struct{})
	go func() {
		defer close(c)
		for {
			nc.SetWriteDeadline(time.Now().Add(time.Hour))
			if _, err := nc.Write([]byte{'2'}); !errors.Is(err, os.ErrDeadlineExceeded) && err != nil {
				return
			}
		}
	}()
	return c
}

// Every wait has the limit of RFC 5321 section 4.5.3.2.
func TestTimeouts(t *testing.T) {
	for _, test := range []struct {
		at    string
		op    string
		limit time.Duration
	}{
		{"greeting", "greeting", 5 * time.Minute},
		{"EHLO", "EHLO", 5 * time.Minute},
		{"MAIL", "MAIL", 5 * time.Minute},
		{"RCPT", "RCPT", 5 * time.Minute},
		{"DATA", "DATA", 2 * time.Minute},
		{"block", "message data", 3 * time.Minute},
		{"end", "end of data", 10 * time.Minute},
	} {
		t.Run(test.at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				go stalling(far, test.at, map[bool]int{true: 2, false: -1}[test.at == "block"])
				c := &client.Client{
					Addr: host + ":25", TLSMode: client.Plaintext, LocalName: "client.example",
					Dial: func(context.Context, string, string) (net.Conn, error) { return near, nil },
				}
				began := time.Now()
				content := smtp.BytesContent([]byte(strings.Repeat("x: y\r\n", 100)))
				res, err := c.Send(t.Context(), envelope(t, 1), content)
				// A deadline that stands already may be up to five seconds early.
				if took := time.Since(began); took > test.limit || took < test.limit-5*time.Second {
					t.Errorf("gave up after %v, want %v", took, test.limit)
				}
				var lost *client.ConnError
				if !errors.As(err, &lost) || lost.Op != test.op || !lost.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("error %v", err)
				}
				if res.Unknown() != (test.at == "end") {
					t.Errorf("unknown: %v", res.Unknown())
				}
				c.Close()
			})
		})
	}
}

// A reply that trickles in, an octet at a time, does not stretch the limit.
func TestSlowReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				time.Sleep(time.Minute)
				if _, err := io.WriteString(far, "2"); err != nil {
					return
				}
			}
		}()
		began := time.Now()
		_, err := client.NewConn(t.Context(), near, nil)
		if took := time.Since(began); !errors.Is(err, os.ErrDeadlineExceeded) || took > 5*time.Minute {
			t.Errorf("error %v after %v", err, took)
		}
		<-done
	})
}

// A reply may take as long as its own time limit says, although the deadline that
// stands on the connection is that of another and shorter wait; TLS goes on after
// such a deadline has passed too.
func TestWaitIsLongerThanTheOneBefore(t *testing.T) {
	trust := trusting(t)
	valid := certificate(t).Leaf.NotBefore
	trust.Time = func() time.Time { return valid } // the bubble has a clock of its own
	for _, mode := range []client.TLSMode{client.Plaintext, client.ImplicitTLS} {
		synctest.Test(t, func(t *testing.T) {
			ln := memnet.Listen()
			defer ln.Close()
			done := make(chan struct{})
			go func() {
				defer close(done)
				far, err := ln.Accept()
				if err != nil {
					return
				}
				if mode == client.ImplicitTLS {
					far = serverTLS(t, far)
				}
				defer far.Close()
				in := bufio.NewReader(far)
				io.WriteString(far, "220 hi\r\n")
				for {
					line, err := in.ReadString('\n')
					if err != nil {
						return
					}
					switch line {
					case "MAIL FROM:<a@example.org>\r\n":
						time.Sleep(4 * time.Minute)
					case ".\r\n":
						time.Sleep(9 * time.Minute)
					case "A: b\r\n":
						continue
					case "DATA\r\n":
						io.WriteString(far, "354 go\r\n")
						continue
					}
					io.WriteString(far, "250 ok\r\n")
				}
			}()
			c := &client.Client{
				Addr: host + ":25", TLSMode: mode, LocalName: "client.example", TLSConfig: trust, IdleTimeout: time.Hour,
				Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return ln.Dial(ctx) },
			}
			for range 2 {
				began := time.Now()
				res, err := c.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n")))
				if took := time.Since(began); err != nil || took != 13*time.Minute {
					t.Errorf("%v after %v: %v", outcomes(res), took, err)
				}
			}
			c.Close()
			<-done
		})
	}
}

// The end of the context ends every wait at once, and its error is the error.
func TestContextEndsEveryWait(t *testing.T) {
	for _, at := range []string{"dial", "greeting", "EHLO", "MAIL", "RCPT", "DATA", "block", "end"} {
		t.Run(at, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				if at != "dial" {
					go stalling(far, at, map[bool]int{true: 2, false: -1}[at == "block"])
				}
				c := &client.Client{
					Addr: host + ":25", TLSMode: client.Plaintext, LocalName: "client.example",
					Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
						if at == "dial" {
							<-ctx.Done()
							return nil, errors.New("no connection")
						}
						return near, nil
					},
				}
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				began := time.Now()
				content := smtp.BytesContent([]byte(strings.Repeat("x: y\r\n", 100)))
				res, err := c.Send(ctx, envelope(t, 3), content)
				if took := time.Since(began); took != time.Second || !errors.Is(err, context.Canceled) {
					t.Errorf("returned %v after %v", err, took)
				}
				for _, r := range res.Recipients {
					if !errors.Is(r.Err, context.Canceled) || r.Unknown() != (at == "end") || (r.Host == host) != (at != "dial") {
						t.Errorf("%s: %v, from %q", r.To, r.Err, r.Host)
					}
				}
				c.Close()
				near.Close()
			})
		})
	}
}

// Who waits for a connection is released by his context too.
func TestContextEndsWaitingInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		go stalling(far, "end", -1)
		c := &client.Client{
			Addr: host + ":25", TLSMode: client.Plaintext, LocalName: "client.example", MaxConns: 1,
			Dial: func(context.Context, string, string) (net.Conn, error) { return near, nil },
		}
		first, endFirst := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := c.Send(first, envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n")))
			done <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		res, err := c.Send(ctx, envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n")))
		if !errors.Is(err, context.DeadlineExceeded) || res.Unknown() || time.Since(began) != time.Second {
			t.Errorf("error %v after %v", err, time.Since(began))
		}
		endFirst()
		if err := <-done; !errors.Is(err, client.ErrUnknown) {
			t.Errorf("error %v", err)
		}
		c.Close()
	})
}

// What is idle is closed with QUIT when its time is over, by a timer and not by a
// goroutine that waits.
func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var quits []time.Duration
		began := time.Now()
		conns := 0
		c := &client.Client{
			Addr: host + ":25", TLSMode: client.Plaintext, LocalName: "client.example", IdleTimeout: time.Minute,
			Dial: func(context.Context, string, string) (net.Conn, error) {
				near, far := net.Pipe()
				go stalling(far, "", -1)
				conns++
				return near, nil
			},
			Trace: &client.Trace{Wrote: func(_ client.ConnInfo, line string) {
				if line == "QUIT" {
					quits = append(quits, time.Since(began))
				}
			}},
		}
		message := smtp.BytesContent([]byte("A: b\r\n"))
		for range 3 { // one connection, used at 0, 45 and 90 seconds
			if _, err := c.Send(t.Context(), envelope(t, 1), message); err != nil {
				t.Fatal(err)
			}
			time.Sleep(45 * time.Second)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if conns != 1 || len(quits) != 1 || quits[0].Round(time.Second) != 150*time.Second {
			t.Errorf("%d connections, QUIT at %v", conns, quits)
		}
		if _, err := c.Send(t.Context(), envelope(t, 1), message); err != nil || conns != 2 {
			t.Errorf("%d connections, %v", conns, err)
		}
		c.Close()
	})
}

// What is idle is closed in time although others are in use.
func TestIdleTimeoutOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTown("PIPELINING")
		c := s.newClient("a:25")
		c.IdleTimeout = time.Minute
		hold := make(chan struct{})
		var done sync.WaitGroup
		done.Go(func() { c.Send(t.Context(), envelope(t, 1), slow(hold)) })
		synctest.Wait()
		for range 6 { // the connection that was used last is used again
			if _, err := c.Send(t.Context(), envelope(t, 1), small); err != nil {
				t.Error(err)
			}
			if hold != nil {
				close(hold)
				done.Wait()
				hold = nil
			}
			time.Sleep(20 * time.Second)
		}
		if len(s.dials) != 2 || len(s.quits) != 1 || c.Stats().Idle != 1 {
			t.Errorf("%d connections, %d times QUIT, %+v", len(s.dials), len(s.quits), c.Stats())
		}
		c.Close()
		s.serving.Wait()
	})
}

// A connection that has come of age while nobody used it is not used again.
func TestMaxAgeIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTown("PIPELINING")
		c := s.newClient("a:25")
		c.MaxConns, c.MaxAge, c.IdleTimeout = 1, time.Minute, time.Hour
		for range 3 {
			if _, err := c.Send(t.Context(), envelope(t, 1), small); err != nil {
				t.Fatal(err)
			}
			time.Sleep(40 * time.Second)
		}
		if len(s.dials) != 2 || len(s.quits) != 1 || s.most[""] != 1 {
			t.Errorf("%d connections, %d times QUIT", len(s.dials), len(s.quits))
		}
		c.Close()
		s.serving.Wait()
	})
}

func TestMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conns := 0
		c := &client.Client{
			Addr: host + ":25", TLSMode: client.Plaintext, LocalName: "client.example", MaxAge: time.Minute,
			Dial: func(context.Context, string, string) (net.Conn, error) {
				near, far := net.Pipe()
				go stalling(far, "", -1)
				conns++
				return near, nil
			},
		}
		for range 6 {
			if _, err := c.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n"))); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Second)
		}
		if c.Close(); conns != 2 {
			t.Errorf("%d connections", conns)
		}
	})
}

// Close waits for QUIT's reply, but not for long, however many do not answer.
func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &client.Client{
			Addr: host + ":25", TLSMode: client.Plaintext, LocalName: "client.example",
			Dial: func(context.Context, string, string) (net.Conn, error) {
				near, far := net.Pipe()
				go stalling(far, "QUIT", -1)
				return near, nil
			},
		}
		done := make(chan struct{})
		hold := make(chan struct{})
		for range 4 {
			go func() {
				content := smtp.ReaderContent(io.MultiReader(strings.NewReader(strings.Repeat("x: y\r\n", 12000)), readerFunc(func([]byte) (int, error) {
					<-hold
					return 0, io.EOF
				})))
				c.Send(t.Context(), envelope(t, 1), content)
				done <- struct{}{}
			}()
		}
		synctest.Wait()
		close(hold)
		for range 4 {
			<-done
		}
		began := time.Now()
		c.Close()
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// A caller who gives up while another drives his envelope: he returns at once, the
// other's message is delivered, and the connection, on which replies to the
// envelope are under way, is closed.
func TestContextEndsWhenChained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		goOn := make(chan struct{})
		heard := make(chan string, 1)
		go func() {
			defer far.Close()
			in := bufio.NewReader(far)
			var all strings.Builder
			defer func() { heard <- all.String() }()
			io.WriteString(far, "220 hi\r\n")
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				all.WriteString(line)
				switch line {
				case "EHLO client.example\r\n":
					io.WriteString(far, "250-hi\r\n250 PIPELINING\r\n")
				case "DATA\r\n":
					io.WriteString(far, "250 ok\r\n250 ok\r\n354 go\r\n")
				case ".\r\n":
					<-goOn // with the envelope of the other unread
					io.WriteString(far, "250 queued\r\n")
				}
			}
		}()
		c := &client.Client{
			Addr: host + ":25", TLSMode: client.Plaintext, LocalName: "client.example", MaxConns: 1,
			Dial: func(context.Context, string, string) (net.Conn, error) { return near, nil },
		}
		closed := 0
		c.Trace = &client.Trace{Closed: func(client.ConnInfo, error) { closed++ }}
		inLine := make(chan struct{})
		body := smtp.ReaderContent(io.MultiReader(strings.NewReader(strings.Repeat("x: y\r\n", 12000)), readerFunc(func([]byte) (int, error) {
			<-inLine
			return 0, io.EOF
		})))
		first := make(chan error, 1)
		go func() {
			_, err := c.Send(t.Context(), envelope(t, 1), body)
			first <- err
		}()
		synctest.Wait() // the first is in his data
		ctx, cancel := context.WithCancel(t.Context())
		second := make(chan error, 1)
		go func() {
			res, err := c.Send(ctx, envelope(t, 1), smtp.BytesContent([]byte("A: never\r\n")))
			if res.Unknown() {
				t.Error("what was never written is unknown")
			}
			second <- err
		}()
		synctest.Wait() // the second is in line
		close(inLine)
		synctest.Wait() // his envelope is written
		cancel()
		if err := <-second; !errors.Is(err, context.Canceled) {
			t.Errorf("the second: %v", err)
		}
		close(goOn)
		if err := <-first; err != nil {
			t.Errorf("the first: %v", err)
		}
		if closed != 1 {
			t.Error("the connection is kept")
		}
		near.Close()
		if all := <-heard; strings.Contains(all, "never") || strings.Count(all, "MAIL") != 2 {
			t.Errorf("the server heard %d times MAIL", strings.Count(all, "MAIL"))
		}
		c.Close()
	})
}
