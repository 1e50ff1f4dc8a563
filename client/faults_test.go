package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/emersion/go-sasl"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// A panic of the caller's reader or hook costs the connection and nothing else:
// the next message finds a free slot.
func TestPanicFreesTheSlot(t *testing.T) {
	boom := readerFunc(func([]byte) (int, error) { panic("boom") })
	once := func(f func()) func() {
		n := 0
		return func() {
			if n++; n == 1 {
				f()
			}
		}
	}
	for name, set := range map[string]func(*client.Client, func()) io.Reader{
		"reader": func(*client.Client, func()) io.Reader {
			return io.MultiReader(io.LimitReader(repeating("x: y\r\n"), 120000), boom)
		},
		"Auth": func(c *client.Client, f func()) io.Reader { c.Auth = panicking(f); return nil },
		"Connected": func(c *client.Client, f func()) io.Reader {
			c.Trace = &client.Trace{Connected: func(client.ConnInfo) { f() }}
			return nil
		},
		"Wrote": func(c *client.Client, f func()) io.Reader {
			c.Trace = &client.Trace{Wrote: func(client.ConnInfo, string) { f() }}
			return nil
		},
		"Got": func(c *client.Client, f func()) io.Reader {
			c.Trace = &client.Trace{Got: func(_ client.ConnInfo, r smtp.Reply) {
				if r.Code == 354 {
					f()
				}
			}}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink(t, "PIPELINING", "AUTH PLAIN")
			s.MaxConns = 1
			r := set(s.Client, once(func() { panic("boom") }))
			if r == nil {
				r = strings.NewReader("A: b\r\n")
			}
			func() {
				defer func() {
					if recover() == nil {
						t.Error("no panic")
					}
				}()
				s.Send(t.Context(), envelope(t, 1), smtp.ReaderContent(r))
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			res, err := s.Send(ctx, envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n")))
			want(t, res, err, "250")
			if got := s.messages(t); len(got) != 1 {
				t.Errorf("%d messages", len(got))
			}
		})
	}
}

func panicking(f func()) client.Auth {
	plain := client.PlainAuth("user", "pass")
	return func(ctx context.Context, info client.AuthInfo) (sasl.Client, error) {
		f()
		return plain(ctx, info)
	}
}

// A caller may do with its envelope what it likes as soon as Send has returned,
// although another may be about to write it. It is the race detector that fails.
func TestEnvelopeIsTheCallersAgain(t *testing.T) {
	s := newSink(t, "PIPELINING")
	s.MaxConns = 1
	content, err := smtp.BytesContent([]byte("A: b\r\n")).Examine()
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	for i := range 6 {
		done.Go(func() {
			env := envelope(t, 300)
			for j := range 60 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+(i+j)%30)*100*time.Microsecond)
				if i < 2 {
					ctx = t.Context()
				}
				s.Send(ctx, env, content)
				cancel()
				for k := range env.Recipients {
					env.Recipients[k].To.Local = "z"
				}
			}
		})
	}
	done.Wait()
}

// Who waited behind a message whose connection is lost has lost nothing yet: it is
// sent, once more even, with NoRedial too.
func TestChainedLostWithoutRedial(t *testing.T) {
	c := scripted(t, "chained-lost", "second")
	c.NoRedial = true
	chainedLost(t, c)
}

// Without PIPELINING nothing stands behind the data, whoever waits (RFC 2920 §3.1).
func TestNothingBehindTheDataWithoutPipelining(t *testing.T) {
	s := newSink(t, "CHUNKING")
	s.MaxConns = 1
	var mu sync.Mutex
	var writes []string
	s.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		return writesConn{nc, func(p []byte) {
			mu.Lock()
			defer mu.Unlock()
			writes = append(writes, string(p))
		}}, err
	}
	var done sync.WaitGroup
	for range 20 {
		done.Go(func() {
			res, err := s.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n")))
			want(t, res, err, "250")
		})
	}
	done.Wait()
	s.Close()
	for _, w := range writes {
		if strings.Contains(w, ".\r\n") && !strings.HasSuffix(w, "\r\n.\r\n") {
			t.Errorf("wrote %q", w)
		}
	}
	if len(writes) < 4*20 {
		t.Errorf("%d writes", len(writes))
	}
}

type writesConn struct {
	net.Conn
	wrote func([]byte)
}

func (c writesConn) Write(p []byte) (int, error) {
	c.wrote(bytes.Clone(p))
	return c.Conn.Write(p)
}

// A message is delivered when its reply is there: Send does not wait for that to
// QUIT, where a connection has carried enough.
func TestSendDoesNotWaitForQuit(t *testing.T) {
	for name, set := range map[string]func(*client.Client){
		"no idle": func(c *client.Client) { c.MaxIdle = -1 },
		"last":    func(c *client.Client) { c.MaxMessages = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				quit := 0
				c := &client.Client{
					Addr: host + ":25", TLSMode: client.Plaintext, LocalName: "client.example",
					Dial: func(context.Context, string, string) (net.Conn, error) {
						near, far := net.Pipe()
						go stalling(far, "QUIT", -1)
						return near, nil
					},
					Trace: &client.Trace{Wrote: func(_ client.ConnInfo, line string) {
						if line == "QUIT" {
							quit++
						}
					}},
				}
				set(c)
				began := time.Now()
				res, err := c.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n")))
				want(t, res, err, "250")
				if took := time.Since(began); took > 0 {
					t.Errorf("returned after %v", took)
				}
				if c.Close(); quit != 1 || time.Since(began) > 3*time.Second {
					t.Errorf("QUIT said %d times, closed after %v", quit, time.Since(began))
				}
			})
		})
	}
}

// What is wrong here does not pass by itself.
func TestLocalFaultsAreNotTemporary(t *testing.T) {
	used := smtp.ReaderContent(strings.NewReader("A: b\r\n"))
	if _, err := used.Open(); err != nil {
		t.Fatal(err)
	}
	plain := smtp.BytesContent([]byte("A: b\r\n"))
	missing := smtp.Content{Size: 3, Kind: smtp.KindExamined, Open: func() (io.ReadCloser, error) { return nil, os.ErrNotExist }}
	late := smtp.ReaderContent(io.MultiReader(io.LimitReader(repeating("x: y\r\n"), 200<<10), iotest.ErrReader(io.ErrUnexpectedEOF)))
	for name, test := range map[string]struct {
		content smtp.Content
		auth    client.Auth
	}{
		"used":         {content: used},
		"missing":      {content: missing},
		"late":         {content: late},
		"NUL":          {content: plain, auth: client.PlainAuth("user", "pa\x00ss")},
		"no mechanism": {content: plain, auth: client.ExternalAuth("")},
		"OAUTHBEARER":  {content: plain, auth: client.OAuthBearerAuth("u\x01auth=Bearer x\x01\x01", token("t"))},
		"XOAUTH2":      {content: plain, auth: client.XOAuth2Auth("u\x00", token("t"))},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink(t, "AUTH PLAIN OAUTHBEARER XOAUTH2")
			s.Auth = test.auth
			if test.auth == nil { // a connection that may be redialled
				if _, err := s.Send(t.Context(), envelope(t, 1), plain); err != nil {
					t.Fatal(err)
				}
			}
			res, err := s.Send(t.Context(), envelope(t, 1), test.content)
			var failed *client.SendError
			if !errors.As(err, &failed) || failed.Temporary() || res.Recipients[0].Temporary() {
				t.Errorf("error %v is temporary", err)
			}
			var auth *client.AuthError
			if errors.As(err, &auth) && auth.Temporary() != failed.Temporary() {
				t.Error("the two disagree")
			}
		})
	}
	t.Run("token", func(t *testing.T) { // its source is somewhere in the network
		s := newSink(t, "AUTH XOAUTH2")
		s.Auth = client.XOAuth2Auth("user", func(context.Context) (string, error) {
			return "", fmt.Errorf("token: %w", &net.OpError{Op: "dial", Err: errors.New("refused")})
		})
		_, err := s.Send(t.Context(), envelope(t, 1), plain)
		var failed *client.SendError
		if !errors.As(err, &failed) || !failed.Temporary() {
			t.Errorf("error %v", err)
		}
	})
}

// An unknown outcome is neither temporary nor permanent.
func TestUnknownIsNotTemporary(t *testing.T) {
	res, err := send(t, scripted(t, "unknown"), "A: b\r\n", 2)
	var failed *client.SendError
	var lost *client.ConnError
	if !errors.Is(err, client.ErrUnknown) || !errors.As(err, &failed) || !errors.As(err, &lost) ||
		failed.Temporary() || lost.Temporary() || res.Recipients[1].Temporary() {
		t.Errorf("error %v", err)
	}
}

// A name that cannot be said is found before a connection is made.
func TestLocalNameIsChecked(t *testing.T) {
	c := scripted(t)
	c.LocalName = "a\r\nb"
	_, err := send(t, c, "A: b\r\n", 1)
	var failed *client.SendError
	if !errors.As(err, &failed) || failed.Temporary() || !strings.Contains(err.Error(), "LocalName") {
		t.Errorf("error %v", err)
	}
	if _, err := c.Connect(t.Context()); err == nil || !strings.Contains(err.Error(), "LocalName") {
		t.Errorf("error %v", err)
	}
}

// Whoever gives up a reader has it closed, whatever became of the message.
func TestReaderIsClosed(t *testing.T) {
	r := &closeCounter{Reader: strings.NewReader("A: b\r\n")}
	if _, err := scripted(t).Send(t.Context(), smtp.Envelope{}, smtp.ReaderContent(r)); err == nil || r.closed != 1 {
		t.Errorf("closed %d times, %v", r.closed, err)
	}
}

type closeCounter struct {
	io.Reader
	closed int
}

func (c *closeCounter) Close() error { c.closed++; return nil }

// A name that nobody gave does not make a TCP connection one to this machine: it
// may be a tunnel's near end.
func TestNoCredentialsIntoATunnel(t *testing.T) {
	s := newSink(t, "AUTH PLAIN")
	for name, allowed := range map[string]bool{"": false, host: false, "localhost": true, "127.0.0.1": true} {
		nc, err := net.Dial("tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.NewConn(t.Context(), nc, &client.ConnConfig{Host: name})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Hello(t.Context(), "client.example"); err != nil {
			t.Fatal(err)
		}
		if err := c.Auth(t.Context(), client.PlainAuth("user", "pass")); errors.Is(err, client.ErrPlaintextAuth) == allowed {
			t.Errorf("host %q: %v", name, err)
		}
		c.Close()
	}
}

// A chunk is written in pieces that each have their time.
func TestLargeChunkToASlowServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		const size = 2 << 20
		go func() {
			defer far.Close()
			in := make([]byte, 256<<10)
			io.WriteString(far, "220 hi\r\n")
			for _, reply := range []string{"250-hi\r\n250 CHUNKING\r\n", "250 ok\r\n", "250 ok\r\n"} {
				far.Read(in)
				io.WriteString(far, reply)
			}
			far.Read(in[:len("BDAT 2097152 LAST\r\n")])
			for n := 0; n < size; { // 256 KB in two minutes
				m, err := io.ReadFull(far, in)
				if n += m; err != nil {
					return
				}
				time.Sleep(2 * time.Minute)
			}
			io.WriteString(far, "250 ok\r\n")
		}()
		c, err := client.NewConn(t.Context(), near, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Hello(t.Context(), "client.example"); err != nil {
			t.Fatal(err)
		}
		env := envelope(t, 1)
		c.Mail(t.Context(), env.From, nil)
		c.Rcpt(t.Context(), env.Recipients[0].To, nil)
		if _, err := c.Bdat(t.Context(), make([]byte, size), true); err != nil {
			t.Error(err)
		}
	})
}

// A row of the caller's that panics over the envelope of somebody who waits, while
// that is written behind another message, does not leave him waiting for ever.
func TestPanicOverTheEnvelopeBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTown("PIPELINING", "OWN")
		c := s.newClient("a:25")
		c.MaxConns = 1
		c.Extensions = []*smtp.Extension{{Keyword: "OWN", Mail: []smtp.MailParam{{Name: "OWN", Fits: func(_ smtp.Offers, p *smtp.MailParams) error {
			if len(p.Other) > 0 {
				panic("boom")
			}
			return nil
		}}}}}
		hold := make(chan struct{})
		var done sync.WaitGroup
		var panics atomic.Int64
		sending := func(content smtp.Content, other ...smtp.Param) {
			done.Go(func() {
				defer func() {
					if recover() != nil {
						panics.Add(1)
					}
				}()
				env := envelope(t, 1)
				env.MailParams.Other = other
				c.Send(t.Context(), env, content)
			})
			synctest.Wait()
		}
		sending(slow(hold))
		sending(small, smtp.Param{Name: "OWN"})
		close(hold)
		done.Wait()
		if n := panics.Load(); n != 2 {
			t.Errorf("%d calls panicked", n)
		}
		c.Close()
		s.serving.Wait()
	})
}
