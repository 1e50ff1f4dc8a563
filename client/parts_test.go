package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// More recipients than a server takes at once: the outcome of each is that of his
// own mail transaction.
func TestLimits(t *testing.T) {
	for _, test := range []struct {
		scripts string
		n       int
		set     func(*client.Client)
		want    string
	}{
		{scripts: "limits-rcptmax", n: 5, want: "250 550 250 250 250"},
		{scripts: "limits-part-refused", n: 3, want: "550 550 250"},
		{scripts: "limits-part-refused-354", n: 2, want: "550 250"},
		{scripts: "limits-mail-refused", n: 3, want: "250 452 452"},
		{scripts: "limits-data-refused", n: 3, want: "250 554 554"},
		{scripts: "limits-data-refused-first", n: 3, want: "554 554 554"},
		{scripts: "limits-mailmax limits-mailmax-2", n: 3, want: "250 250 250"},
		{scripts: "limits-chunking", n: 2, set: func(c *client.Client) { c.Chunking = true }, want: "250 250"},
		{scripts: "limits-optimistic", n: 2, set: func(c *client.Client) { c.Optimistic = true }, want: "250 250"},
		{scripts: "limits-optimistic-refused limits-optimistic-2", n: 2, set: func(c *client.Client) { c.Optimistic = true }, want: "550 250"},
		{scripts: "limits-lmtp", n: 3, set: func(c *client.Client) { c.LMTP = true }, want: "552 250 250"},
		{scripts: "too-many", n: 4, want: "250 550 250 250"},
		{scripts: "too-many-552", n: 3, want: "250 250 250"},
		{scripts: "too-many-stop", n: 5, want: "250 250 250 250 450"},
		{scripts: "too-many-nobody", n: 3, want: "451 452 452"},
		{scripts: "too-many-again", n: 2, want: "250 452"},
		{scripts: "too-many-not", n: 4, want: "250 452 552 450"},
		{scripts: "parts-lost parts-lost-2", n: 3, want: "250 unknown 250"},
		{scripts: "parts-close parts-close-2 parts-close-3", n: 3, want: "250 250 250"},
		{scripts: "parts-421-at-end parts-421-2", n: 2, want: "421 250"},
	} {
		t.Run(test.scripts, func(t *testing.T) {
			c := scripted(t, strings.Fields(test.scripts)...)
			if test.set != nil {
				test.set(c.Client)
			}
			res, err := send(t, c, "A: b\r\n", test.n)
			want(t, res, err, test.want)
			for _, r := range res.Recipients {
				if r.Host != host || r.Addr == "" {
					t.Errorf("%v was decided by %q %q", r.To, r.Host, r.Addr)
				}
			}
		})
	}
}

// With NoRedial a connection that is gone is the end of a message, and of those who
// were to have it next.
func TestLimitsWithoutRedial(t *testing.T) {
	for script, outcome := range map[string]string{
		"parts-lost":       "250 unknown lost",
		"parts-close":      "250 lost lost",
		"parts-421-at-end": "421 421 421",
	} {
		c := scripted(t, script)
		c.NoRedial = true
		res, _ := send(t, c, "A: b\r\n", 3)
		var list []string
		for i := range res.Recipients {
			s := outcomes(&client.Result{Recipients: res.Recipients[i : i+1]})
			if r := &res.Recipients[i]; r.Err != nil && r.Reply.IsZero() && !r.Unknown() && r.Temporary() {
				s = "lost"
			}
			list = append(list, s)
		}
		if got := strings.Join(list, " "); got != outcome {
			t.Errorf("%s: outcome %q, want %q", script, got, outcome)
		}
	}
}

// The domains of recipients are counted over a session; another takes the rest, and
// the next message.
func TestLimitsOfDomains(t *testing.T) {
	c := scripted(t, "limits-domains", "limits-domains-2", "limits-domains-3")
	to := func(addrs ...string) smtp.Envelope {
		env, err := smtp.NewEnvelope("a@example.org", addrs...)
		if err != nil {
			t.Fatal(err)
		}
		return env
	}
	content := smtp.BytesContent([]byte("A: b\r\n"))
	res, err := c.Send(t.Context(), to("b@example.net", "d@EXAMPLE.net"), content)
	want(t, res, err, "250 250")
	res, err = c.Send(t.Context(), to("e@example.net", "c@example.com"), content)
	want(t, res, err, "250 250")
	c.Client.CloseIdle()
	res, err = c.Send(t.Context(), to("f@example.com"), content)
	want(t, res, err, "250")
}

// One connection is all that a Conn has: who has no room on it is told so.
func TestLimitsOfConn(t *testing.T) {
	for _, test := range []struct {
		script string
		first  string // what goes before; "" for nothing
		to     string
		want   string
	}{
		{"limits-mailmax", "", "b@example.net c@example.net d@example.net", "250 250 limit"},
		{"limits-domains-conn", "", "b@example.net c@example.com d@EXAMPLE.net f@example.edu", "250 250 250 limit"},
	} {
		t.Run(test.script, func(t *testing.T) {
			c := conn(t, scripted(t, test.script), client.ConnConfig{Host: host})
			if err := c.Hello(t.Context(), "client.example"); err != nil {
				t.Fatal(err)
			}
			env, err := smtp.NewEnvelope("a@example.org", strings.Fields(test.to)...)
			if err != nil {
				t.Fatal(err)
			}
			res, err := c.Send(t.Context(), env, smtp.BytesContent([]byte("A: b\r\n")))
			wantLimit(t, res, err, test.want)
			if err := c.Quit(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMailMaxCountsVerbs(t *testing.T) {
	c := conn(t, scripted(t, "limits-mailmax-verbs"), client.ConnConfig{Host: host})
	env := envelope(t, 1)
	c.Hello(t.Context(), "client.example")
	c.Mail(t.Context(), env.From, nil)
	if _, err := c.Mail(t.Context(), env.From, nil); err != nil {
		t.Error(err)
	}
	if err := c.Reset(t.Context()); err != nil {
		t.Error(err)
	}
	res, err := c.Send(t.Context(), env, smtp.BytesContent([]byte("A: b\r\n")))
	wantLimit(t, res, err, "limit")
	if err := c.Quit(t.Context()); err != nil {
		t.Error(err)
	}
}

// wantLimit is want with "limit" for ErrLimit, which passes by itself.
func wantLimit(t *testing.T, res *client.Result, err error, outcome string) {
	t.Helper()
	var list []string
	for i := range res.Recipients {
		one := client.Result{Recipients: res.Recipients[i : i+1]}
		s := outcomes(&one)
		if r := &res.Recipients[i]; errors.Is(r.Err, client.ErrLimit) {
			s = "limit"
			if !r.Temporary() || r.Unknown() {
				t.Errorf("%v: %v is not temporary", r.To, r.Err)
			}
		}
		list = append(list, s)
	}
	if got := strings.Join(list, " "); got != outcome {
		t.Errorf("outcome %q, want %q (%v)", got, outcome, err)
	}
}

// What can be read only once goes to those who have room in one transaction.
func TestLimitsOfReader(t *testing.T) {
	for script, outcome := range map[string]string{
		"limits-reader":   "250 250 limit",
		"too-many-reader": "250 limit 452",
	} {
		t.Run(script, func(t *testing.T) {
			c := scripted(t, script)
			content := smtp.ReaderContent(strings.NewReader(strings.Repeat("x: y\r\n", 20000)))
			res, err := c.Send(t.Context(), envelope(t, 3), content)
			wantLimit(t, res, err, outcome)
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// A promise that more than one transaction cannot keep is not made.
func TestLimitsAllOrNothing(t *testing.T) {
	c := scripted(t, "limits-none")
	c.AllOrNothing = true
	_, err := send(t, c, "A: b\r\n", 3)
	var content *client.ContentError
	if !errors.As(err, &content) || content.Need != smtp.ExtLimits || content.Enhanced != smtp.Enh(5, 3) {
		t.Errorf("error %v", err)
	}
	t.Run("domains", func(t *testing.T) {
		s := newSink(t, "PIPELINING", "LIMITS RCPTDOMAINMAX=2")
		s.AllOrNothing, s.MaxConns = true, 1
		content := smtp.BytesContent([]byte("A: b\r\n"))
		for _, test := range []struct {
			to string
			ok bool
		}{
			{"a@example.net b@example.org", true},
			{"a@example.edu b@example.com", true}, // over another connection
			{"a@example.com b@example.edu c@example.net", false},
		} {
			env, err := smtp.NewEnvelope("", strings.Fields(test.to)...)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Send(t.Context(), env, content); (err == nil) != test.ok {
				t.Errorf("%s: %v", test.to, err)
			}
		}
	})
}

// Parts and envelopes behind the data of others do not get into each other's way.
func TestLimitsChained(t *testing.T) {
	large := strings.Repeat("x: y\r\n", 20000)
	t.Run("first part", func(t *testing.T) {
		c := scripted(t, "chained-parts")
		c.MaxConns = 1
		if a, b := behind(t, c.Client, large, "A: 2\r\n", 1, 3); a != "250" || b != "250 250 250" {
			t.Errorf("outcomes %q and %q", a, b)
		}
	})
	t.Run("last part", func(t *testing.T) {
		c := scripted(t, "chained-last-part")
		c.MaxConns = 1
		opened, inData := 0, make(chan struct{})
		content := smtp.Content{Size: -1, Open: func() (io.ReadCloser, error) {
			body := io.Reader(strings.NewReader("A: 1\r\n"))
			if opened++; opened == 2 { // for the first part
				body = io.MultiReader(body, readerFunc(func([]byte) (int, error) {
					close(inData)
					for c.Waiting() == 0 && t.Context().Err() == nil {
						yield()
					}
					return 0, io.EOF
				}))
			}
			return io.NopCloser(body), nil
		}}
		var done sync.WaitGroup
		done.Go(func() {
			res, err := c.Send(t.Context(), envelope(t, 3), content)
			want(t, res, err, "250 250 250")
		})
		<-inData
		res, err := c.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: 2\r\n")))
		want(t, res, err, "250")
		done.Wait()
	})
	t.Run("domains", func(t *testing.T) {
		c := scripted(t, "chained-domains", "chained-domains-2")
		c.MaxConns = 1
		other, err := smtp.NewEnvelope("a@example.org", "b@example.com")
		if err != nil {
			t.Fatal(err)
		}
		if a, b := behindTo(t, c.Client, envelope(t, 1), other, large, "A: 2\r\n"); a != "250" || b != "250" {
			t.Errorf("outcomes %q and %q", a, b)
		}
	})
	t.Run("PRDR", func(t *testing.T) {
		c := scripted(t, "prdr-chained")
		c.MaxConns = 1
		if a, b := behind(t, c.Client, large, "A: 2\r\n", 2, 2); a != "250 550" || b != "550 250" {
			t.Errorf("outcomes %q and %q", a, b)
		}
	})
}

// Whatever the limits are, each recipient is named once, in parts that keep to them.
func TestLimitsAreKept(t *testing.T) {
	s := newSink(t, "PIPELINING", "LIMITS MAILMAX=3 RCPTMAX=10")
	var mu sync.Mutex // QUIT is said while the next connection is made
	mails, rcpts, total := map[uint64]int{}, 0, map[string]int{}
	s.Trace = &client.Trace{Wrote: func(c client.ConnInfo, line string) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case strings.HasPrefix(line, "MAIL"):
			mails[c.ID]++
			rcpts = 0
		case strings.HasPrefix(line, "RCPT"):
			rcpts++
			total[line]++
		}
		if mails[c.ID] > 3 || rcpts > 10 {
			t.Errorf("%d times MAIL, %d RCPT", mails[c.ID], rcpts)
		}
	}}
	opened := 0
	content := smtp.Content{Size: -1, Open: func() (io.ReadCloser, error) {
		opened++
		return io.NopCloser(strings.NewReader("A: b\r\n")), nil
	}}
	res, err := s.Send(t.Context(), envelope(t, 95), content)
	if err != nil || res.Delivered() != 95 {
		t.Errorf("%d delivered: %v", res.Delivered(), err)
	}
	if got := s.messages(t); len(got) != 10 || opened < 11 || len(total) != 95 || len(mails) != 4 {
		t.Errorf("%d messages to %d, opened %d times, %d connections", len(got), len(total), opened, len(mails))
	}
}

// The limits of the Client's own hold for the parts of a message too.
func TestClientLimitsOfParts(t *testing.T) {
	s := newSink(t, "PIPELINING", "LIMITS RCPTMAX=1")
	s.MaxMessages = 2
	var conns atomic.Int64
	s.Trace = &client.Trace{Connected: func(client.ConnInfo) { conns.Add(1) }}
	res, err := s.Send(t.Context(), envelope(t, 5), smtp.BytesContent([]byte("A: b\r\n")))
	if err != nil || res.Delivered() != 5 || conns.Load() != 3 {
		t.Errorf("%d delivered over %d connections: %v", res.Delivered(), conns.Load(), err)
	}
	t.Run("Rate", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			pieces := []string{"220 hi\r\n", "250-hi\r\n250-LIMITS RCPTMAX=1\r\n250 PIPELINING\r\n"}
			for range 3 {
				pieces = append(pieces, "250 ok\r\n250 ok\r\n354 go\r\n", "250 queued\r\n")
			}
			c := &client.Client{
				Addr: host + ":25", TLSMode: client.Plaintext, LocalName: "client.example", Rate: client.Rate{Messages: 1, Per: time.Minute},
				Dial: func(context.Context, string, string) (net.Conn, error) { return &cannedConn{pieces: pieces}, nil },
			}
			began := time.Now()
			res, err := c.Send(t.Context(), envelope(t, 3), smtp.BytesContent([]byte("A: b\r\n")))
			want(t, res, err, "250 250 250")
			if took := time.Since(began); took != 2*time.Minute {
				t.Errorf("took %v", took)
			}
			c.Close()
		})
	})
}

// The end of the context is the end of all parts that have not begun.
func TestContextEndsParts(t *testing.T) {
	s := newSink(t, "PIPELINING", "LIMITS RCPTMAX=1")
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	s.Trace = &client.Trace{Wrote: func(_ client.ConnInfo, line string) {
		if strings.HasPrefix(line, "MAIL") {
			if n++; n == 2 {
				cancel()
			}
		}
	}}
	res, err := s.Send(ctx, envelope(t, 4), smtp.BytesContent([]byte("A: b\r\n")))
	if err != nil || n > 2 {
		t.Errorf("%d times MAIL, outcome %q, %v", n, outcomes(res), err)
	}
	for _, r := range res.Recipients[2:] { // the second may be unknown
		if !errors.Is(r.Err, context.Canceled) || r.Unknown() {
			t.Errorf("%v: %v", r.To, r.Err)
		}
	}
}

// A content that changes between the parts is not sent to the next.
func TestChangedContentBetweenParts(t *testing.T) {
	s := newSink(t, "PIPELINING", "LIMITS RCPTMAX=1")
	opened := 0
	content := smtp.Content{Size: -1, Open: func() (io.ReadCloser, error) {
		if opened++; opened > 2 {
			return io.NopCloser(strings.NewReader("x\n.\r\n\n")), nil
		}
		return io.NopCloser(strings.NewReader("A: b\r\n")), nil
	}}
	res, err := s.Send(t.Context(), envelope(t, 2), content)
	var changed *client.ContentError
	if err != nil || !res.Recipients[0].Delivered() || !errors.As(res.Recipients[1].Err, &changed) {
		t.Errorf("outcome %q, %v", outcomes(res), err)
	}
	if got := s.messages(t); len(got) != 1 {
		t.Errorf("arrived: %q", got)
	}
}

// A message that is refused here has named no domain to the server.
func TestLimitsOfDomainsRefusedHere(t *testing.T) {
	c := hello(t, "limits-domains-local")
	_, err := c.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: \x80\r\n")))
	var content *client.ContentError
	if !errors.As(err, &content) || content.Need != smtp.Ext8BitMIME {
		t.Errorf("error %v", err)
	}
	env, err := smtp.NewEnvelope("a@example.org", "b@example.com")
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Send(t.Context(), env, small)
	want(t, res, err, "250")
	wantCode(t, c.Quit(t.Context()), 0)
}
