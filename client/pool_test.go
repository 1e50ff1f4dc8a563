package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// countingConn counts the writes.
type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func counting(s *sink) *atomic.Int64 {
	var writes atomic.Int64
	s.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		return countingConn{nc, &writes}, err
	}
	return &writes
}

// When more wait for a connection, the next envelope leaves in the write that
// ends the data: one write, and one round trip, for a message.
func TestChained(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(*client.Client)
		each int // writes for a message
	}{
		"DATA": {func(*client.Client) {}, 1},
		"BDAT": {func(c *client.Client) { c.Chunking = true }, 1},
		"all":  {func(c *client.Client) { c.AllOrNothing = true }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 50
				s := newTown("PIPELINING", "CHUNKING")
				c := s.newClient("a:25")
				c.MaxConns = 1
				test.set(c)
				var writes atomic.Int64
				gate := make(chan struct{})
				c.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					<-gate // until all the others stand in line
					nc, err := s.dial(ctx, network, addr)
					return countingConn{nc, &writes}, err
				}
				var done sync.WaitGroup
				for i := range n {
					done.Go(func() {
						res, err := c.Send(t.Context(), envelope(t, 2), smtp.BytesContent(fmt.Appendf(nil, "A: %d\r\n", i)))
						want(t, res, err, "250 250")
					})
				}
				synctest.Wait()
				close(gate)
				done.Wait()
				if got, want := int(writes.Load()), 2+n*test.each; got != want { // EHLO, and the first envelope
					t.Errorf("%d writes, want %d", got, want)
				}
				c.Close()
				s.serving.Wait()
				slices.Sort(s.sink.got)
				if got := slices.Compact(s.sink.got); len(got) != n {
					t.Errorf("%d different messages arrived", len(got))
				}
			})
		})
	}
}

// One connection serves callers who come, go, give up and have things to send
// that the server cannot take; nobody gets the outcome of another.
func TestChainedChaos(t *testing.T) {
	s := newSink(t, "PIPELINING")
	s.MaxConns = 2
	var done sync.WaitGroup
	var delivered atomic.Int64
	for i := range 8 {
		done.Go(func() {
			for j := range 50 {
				message := fmt.Sprintf("A: %d-%d\r\n", i, j)
				ctx, cancel := context.WithCancel(t.Context())
				switch (i + j) % 5 {
				case 0:
					message += "\x00"
				case 1:
					go cancel()
				}
				res, err := s.Send(ctx, envelope(t, 1), smtp.BytesContent([]byte(message)))
				cancel()
				var content *client.ContentError
				switch {
				case err == nil:
					delivered.Add(1)
				case errors.As(err, &content) != strings.Contains(message, "\x00"):
					t.Errorf("%q: %v", message, err)
				case errors.Is(err, context.Canceled) != ((i+j)%5 == 1) && content == nil:
					t.Errorf("%q: %v", message, err)
				case res.Unknown():
					delivered.Add(1) // it may not be: the count is an upper bound
				}
			}
		})
	}
	done.Wait()
	got := s.messages(t)
	slices.Sort(got)
	if n := len(slices.Compact(slices.Clone(got))); n != len(got) {
		t.Errorf("%d messages arrived, %d different ones", len(got), n)
	}
	if int64(len(got)) > delivered.Load() {
		t.Errorf("%d arrived, %d were reported", len(got), delivered.Load())
	}
}

// behind sends first, which is more than 64 KB, and second so that its envelope is
// written behind the data of first. Both go to one recipient, or to as many as
// counts says.
func behind(t *testing.T, c *client.Client, first, second string, counts ...int) (outcome1, outcome2 string) {
	env1, env2 := envelope(t, 1), envelope(t, 1)
	if len(counts) > 0 {
		env1, env2 = envelope(t, counts[0]), envelope(t, counts[1])
	}
	return behindTo(t, c, env1, env2, first, second)
}

func behindTo(t *testing.T, c *client.Client, env1, env2 smtp.Envelope, first, second string) (outcome1, outcome2 string) {
	inData := make(chan struct{})
	body := smtp.ReaderContent(io.MultiReader(strings.NewReader(first), readerFunc(func([]byte) (int, error) {
		close(inData)
		for c.Waiting() == 0 && t.Context().Err() == nil {
			yield()
		}
		return 0, io.EOF
	})))
	var done sync.WaitGroup
	done.Go(func() {
		res, _ := c.Send(t.Context(), env1, body)
		outcome1 = outcomes(res)
	})
	<-inData
	done.Go(func() {
		content := smtp.Content{Size: -1, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(second)), nil
		}}
		res, _ := c.Send(t.Context(), env2, content)
		outcome2 = outcomes(res)
	})
	done.Wait()
	return outcome1, outcome2
}

// The envelope behind the data of a message whose reply never comes: the message
// is unknown, the envelope goes again over a new connection.
func TestChainedLost(t *testing.T) {
	chainedLost(t, scripted(t, "chained-lost", "second"))
}

func chainedLost(t *testing.T, c *scriptedClient) {
	t.Helper()
	c.MaxConns = 1
	if a, b := behind(t, c.Client, strings.Repeat("x: y\r\n", 20000), "A: 2\r\n"); a != "unknown" || b != "250" {
		t.Errorf("outcomes %q and %q", a, b)
	}
}

func TestChainedBehindBDAT(t *testing.T) {
	c := scripted(t, "chained-bdat")
	c.MaxConns, c.Chunking = 1, true
	if a, b := behind(t, c.Client, strings.Repeat("x", 72000)+"\r\n", "A: 2\r\n"); a != "552" || b != "250" {
		t.Errorf("outcomes %q and %q", a, b)
	}
}

func TestNotChainedBehindBDATOverLMTP(t *testing.T) {
	c := scripted(t, "lmtp-one-reply", "lmtp-second")
	c.MaxConns, c.Chunking, c.LMTP = 1, true, true
	mails := 0
	c.Trace = &client.Trace{Wrote: func(c client.ConnInfo, line string) {
		if c.ID == 1 && strings.HasPrefix(line, "MAIL") {
			mails++
		}
	}}
	if a, b := behind(t, c.Client, strings.Repeat("x", 72000)+"\r\n", "A: 2\r\n", 2, 1); a != "552 unknown" || b != "250" || mails != 1 {
		t.Errorf("outcomes %q and %q, %d envelopes over the first connection", a, b, mails)
	}
}

// An envelope behind the data of another is never one with its message.
func TestChainedOptimistic(t *testing.T) {
	s := newSink(t, "PIPELINING", "CHUNKING")
	s.MaxConns, s.Optimistic = 1, true
	large := strings.Repeat("x: y\r\n", 20000)
	if a, b := behind(t, s.Client, large, "A: 2\r\n"); a != "250" || b != "250" {
		t.Errorf("outcomes %q and %q", a, b)
	}
	if got := s.messages(t); len(got) != 2 || got[0] != large || got[1] != "A: 2\r\n" {
		t.Errorf("%d messages: %.100q", len(got), got)
	}
}

// A connection that has carried enough gets no envelope behind its last message.
func TestChainedNoFurther(t *testing.T) {
	s := newSink(t, "PIPELINING")
	s.MaxConns, s.MaxMessages = 1, 1
	var mu sync.Mutex
	mails := map[uint64]int{}
	s.Trace = &client.Trace{Wrote: func(c client.ConnInfo, line string) {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasPrefix(line, "MAIL") {
			mails[c.ID]++
		}
	}}
	if a, b := behind(t, s.Client, strings.Repeat("x: y\r\n", 20000), "A: 2\r\n"); a != "250" || b != "250" {
		t.Errorf("outcomes %q and %q", a, b)
	}
	if s.Close(); len(mails) != 2 || mails[1] != 1 {
		t.Errorf("messages of each connection: %v", mails)
	}
}

// A message that is nothing but dots does not go out in as many writes.
func TestDenseDots(t *testing.T) {
	s := newSink(t, "PIPELINING")
	writes := counting(s)
	message := strings.Repeat(".\r\n", 300<<10)
	if _, err := s.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte(message))); err != nil {
		t.Fatal(err)
	}
	if n := writes.Load(); n > 400 {
		t.Errorf("%d writes", n)
	}
}

// A thousand recipients do not go out in one group: each must fit into the window.
func TestGroupsAreBounded(t *testing.T) {
	s := newSink(t, "PIPELINING")
	writes := counting(s)
	to := make([]string, 3000)
	for i := range to {
		to[i] = fmt.Sprintf("%d-%s@example.net", i, strings.Repeat("x", 40))
	}
	env, err := smtp.NewEnvelope("", to...)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.Send(t.Context(), env, smtp.BytesContent([]byte("A: b\r\n")))
	if err != nil || res.Delivered() != len(to) {
		t.Errorf("%d delivered, %v", res.Delivered(), err)
	}
	if n := writes.Load(); n < 9 || n > 15 {
		t.Errorf("%d writes", n)
	}
}

// Large messages arrive as they were, from memory, a file and a reader, with dots
// in every place and by BDAT.
func TestLargeMessages(t *testing.T) {
	dense := strings.Repeat(".\r\n", 300<<10)
	sparse := strings.Repeat(strings.Repeat("x", 75)+"\r\n", 20<<10)
	mixed := strings.Repeat(strings.Repeat("y", 3000)+"\r\n..\r\n", 300)
	for _, offers := range [][]string{{"PIPELINING"}, {"PIPELINING", "CHUNKING"}, {"CHUNKING"}} {
		for name, message := range map[string]string{"dense": dense, "sparse": sparse, "mixed": mixed, "no end": sparse + dense + mixed + "."} {
			t.Run(strings.Join(offers, " ")+" "+name, func(t *testing.T) {
				s := newSink(t, offers...)
				s.Chunking = true
				path := filepath.Join(t.TempDir(), "message")
				if err := os.WriteFile(path, []byte(message), 0o600); err != nil {
					t.Fatal(err)
				}
				file, err := smtp.FileContent(path)
				if err != nil {
					t.Fatal(err)
				}
				contents := []smtp.Content{
					smtp.BytesContent([]byte(message)), file, smtp.ReaderContent(strings.NewReader(message)),
					smtp.ReaderAtContent(strings.NewReader(message), int64(len(message))),
				}
				for _, content := range contents {
					res, err := s.Send(t.Context(), envelope(t, 1), content)
					want(t, res, err, "250")
				}
				for i, got := range s.messages(t) {
					if got != strings.TrimSuffix(message, "\r\n")+"\r\n" {
						t.Errorf("message %d has %d octets, want %d", i, len(got), len(message))
					}
				}
				if len(s.got) != len(contents) {
					t.Errorf("%d messages", len(s.got))
				}
			})
		}
	}
}

func TestMaxMessages(t *testing.T) {
	s := newSink(t, "PIPELINING")
	s.MaxMessages = 3
	var conns, closed atomic.Int64
	s.Trace = &client.Trace{
		Connected: func(client.ConnInfo) { conns.Add(1) },
		Closed: func(_ client.ConnInfo, err error) {
			if closed.Add(1); err != nil {
				t.Error(err)
			}
		},
	}
	for range 7 {
		if _, err := s.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n"))); err != nil {
			t.Fatal(err)
		}
	}
	if s.CloseIdle(); conns.Load() != 3 {
		t.Errorf("%d connections", conns.Load())
	}
	if s.Close(); closed.Load() != 3 {
		t.Errorf("%d closed", closed.Load())
	}
}

// A server that announces MAILMAX gets no more messages over a connection, neither
// behind one another nor one by one (RFC 9422 section 4.1).
func TestMailMax(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTown("PIPELINING", "LIMITS MAILMAX=3 RCPTMAX=100")
		c := s.newClient("a:25")
		c.MaxConns = 1
		var done sync.WaitGroup
		for range 7 {
			done.Go(func() {
				res, err := c.Send(t.Context(), envelope(t, 1), small)
				want(t, res, err, "250")
			})
		}
		done.Wait()
		for range 4 {
			res, err := c.Send(t.Context(), envelope(t, 1), small)
			want(t, res, err, "250")
		}
		c.Close()
		s.serving.Wait()
		carried := map[uint64]int{}
		for _, m := range s.mails {
			carried[m.conn]++
		}
		if want := (map[uint64]int{1: 3, 2: 3, 3: 3, 4: 2}); !maps.Equal(carried, want) || len(s.quits) != 4 || s.most[""] != 1 {
			t.Errorf("messages %v, %d times QUIT", carried, len(s.quits))
		}
	})
}

func TestLocalAddr(t *testing.T) {
	from := "127.0.0.1"
	if runtime.GOOS == "linux" { // elsewhere it may not exist
		from = "127.0.0.2"
	}
	s := newSink(t, "PIPELINING")
	s.LocalAddr = from
	var local net.Addr
	s.Trace = &client.Trace{Connected: func(c client.ConnInfo) { local = c.Local }}
	res, err := s.Send(t.Context(), envelope(t, 1), small)
	want(t, res, err, "250")
	if host, _, _ := net.SplitHostPort(local.String()); host != from {
		t.Errorf("from %v", local)
	}
}

func TestNoIdle(t *testing.T) {
	s := newSink(t, "PIPELINING")
	s.MaxIdle = -1
	var closed atomic.Int64
	s.Trace = &client.Trace{Closed: func(client.ConnInfo, error) { closed.Add(1) }}
	for range 3 {
		if _, err := s.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n"))); err != nil {
			t.Fatal(err)
		}
	}
	if s.Close(); closed.Load() != 3 {
		t.Errorf("%d closed", closed.Load())
	}
}

func TestClose(t *testing.T) {
	s := newSink(t, "PIPELINING")
	inData, goOn := make(chan struct{}), make(chan struct{})
	sent := make(chan error, 1)
	go func() {
		content := smtp.ReaderContent(io.MultiReader(strings.NewReader(strings.Repeat("x: y\r\n", 20000)), readerFunc(func([]byte) (int, error) {
			close(inData)
			<-goOn
			return 0, io.EOF
		})))
		_, err := s.Send(t.Context(), envelope(t, 1), content)
		sent <- err
	}()
	<-inData
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	for { // until Close has begun
		_, err := s.Send(t.Context(), envelope(t, 1), smtp.BytesContent(nil))
		if errors.Is(err, client.ErrClosed) {
			break
		}
		yield()
	}
	select {
	case err := <-closed:
		t.Errorf("closed while a message is under way: %v", err)
	default:
	}
	close(goOn)
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := s.Close(); !errors.Is(err, client.ErrClosed) {
		t.Errorf("closed again: %v", err)
	}
}
