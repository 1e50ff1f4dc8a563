package client_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

// A message over a kept connection is one write where it goes together with its
// envelope, and two where the envelope is answered first.
func TestWritesPerMessage(t *testing.T) {
	for _, test := range []struct {
		name       string
		size       int
		rcpts      int
		optimistic bool
		want       int64
	}{
		{"DATA", 4 << 10, 1, false, 2},
		{"DATA, 100 recipients", 4 << 10, 100, false, 2},
		{"DATA, empty", 0, 1, false, 2},
		{"DATA, as much as is copied", 16 << 10, 1, false, 2},
		{"Optimistic", 4 << 10, 1, true, 1},
		{"Optimistic, 100 recipients", 4 << 10, 100, true, 1},
		{"Optimistic, the longest", 64 << 10, 1, true, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSink(t, "PIPELINING", "CHUNKING", "SIZE")
			writes := counting(s)
			s.Optimistic = test.optimistic
			content := smtp.BytesContent(nil)
			if test.size > 0 {
				content = smtp.BytesContent(message(test.size))
			}
			for i := range 3 {
				before := writes.Load()
				if _, err := s.Send(t.Context(), envelope(t, test.rcpts), content); err != nil {
					t.Fatal(err)
				}
				if n := writes.Load() - before; i > 0 && n != test.want {
					t.Errorf("%d writes, want %d", n, test.want)
				}
			}
			for _, m := range s.messages(t) {
				if len(m) != test.size {
					t.Errorf("%d octets came of %d", len(m), test.size)
				}
			}
		})
	}
}

// What Send allocates is its Result, and what opens the content.
func TestAllocationsPerMessage(t *testing.T) {
	if raceEnabled {
		t.Skip("a sync.Pool drops some of what it is given when looking for races")
	}
	addr := floor(t)
	ends, cancel := context.WithCancel(t.Context())
	defer cancel()
	for name, test := range map[string]struct {
		*client.Client
		ctx  context.Context
		most float64
	}{
		"DATA":                 {&client.Client{Addr: addr}, context.Background(), 2},
		"Optimistic":           {&client.Client{Addr: addr, Optimistic: true}, context.Background(), 2},
		"no socket":            {&client.Client{Addr: addr, Dial: turning}, context.Background(), 2},
		"context that may end": {&client.Client{Addr: addr}, ends, 4}, // context.AfterFunc has two
	} {
		t.Run(name, func(t *testing.T) {
			c := test.Client
			c.TLSMode, c.LocalName = client.Plaintext, "client.example"
			defer c.Close()
			env, content := envelope(t, 1), smtp.BytesContent(message(4<<10))
			// The average of so many is rounded down: what a garbage collection costs
			// does not count.
			n := testing.AllocsPerRun(1000, func() {
				if _, err := c.Send(test.ctx, env, content); err != nil {
					t.Fatal(err)
				}
			})
			if n > test.most {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

func turning(context.Context, string, string) (net.Conn, error) {
	return &turnConn{cannedConn: cannedConn{pieces: []string{"220 hi\r\n", "250-hi\r\n250-SIZE\r\n250 PIPELINING\r\n"}}}, nil
}

func TestEnvelopeAllocatesNothing(t *testing.T) {
	write := client.Envelope(envelope(t, 10), smtp.ParseOffers([]string{"PIPELINING", "SIZE 10000000", "8BITMIME"}))
	var buf []byte
	if n := testing.AllocsPerRun(100, func() { buf = write(buf[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := strings.Count(string(buf), "\r\n"); n != 12 || !strings.HasSuffix(string(buf), "DATA\r\n") {
		t.Errorf("%d commands: %q", n, buf)
	}
}

// A kept connection that has come to its end was not good any more before anything of
// the message was written, even where the message goes together with its envelope: the
// outcome is known, neither NoRedial nor the Rate makes a difference.
func TestStaleConnection(t *testing.T) {
	const first = `S: 220 mx.example
C: EHLO client.example
S: 250-mx.example
S: 250-CHUNKING
S: 250 PIPELINING
C: MAIL FROM:<a@example.org>
C: RCPT TO:<b@example.net>
C: BDAT 6 LAST
C: A: 1
S: 250 ok
S: 250 ok
S: 250 queued
`
	for name, last := range map[string]string{
		"closed":   "",
		"farewell": "S: 421 4.4.2 idle too long\n",
		"chatter":  "S: 250 and another thing\n",
	} {
		t.Run(name, func(t *testing.T) {
			var scripts []*smtptest.Script
			for _, text := range []string{first + last, strings.Replace(first, "A: 1", "A: 2", 1) + "C: QUIT\nS: 221 bye\n"} {
				s, err := smtptest.ParseScript(strings.NewReader(text))
				if err != nil {
					t.Fatal(err)
				}
				scripts = append(scripts, s)
			}
			c := playing(t, scripts...)
			c.Optimistic, c.NoRedial = true, true
			c.Rate = client.Rate{Messages: 1, Per: time.Hour}
			res, err := send(t, c, "A: 1\r\n", 1)
			want(t, res, err, "250")
			<-c.ended[0]
			c.HourPasses()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			res, err = c.Send(ctx, envelope(t, 1), smtp.BytesContent([]byte("A: 2\r\n")))
			want(t, res, err, "250")
		})
	}
}

// A server that has said goodbye and closed its side, but still reads, is not waited for.
func TestHalfClosedConnection(t *testing.T) {
	s := newSink(t, "PIPELINING", "CHUNKING")
	var far net.Conn
	s.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if far != nil {
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}
		near, peer := pipe(t)
		far = peer
		go (&sink{}).serve(struct{ net.Conn }{peer}, []string{"PIPELINING", "CHUNKING"})
		return near, nil
	}
	s.Optimistic = true
	res, err := s.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: 1\r\n")))
	want(t, res, err, "250")
	if _, err := far.Write([]byte("421 4.4.2 idle too long\r\n")); err != nil {
		t.Fatal(err)
	}
	far.(*net.TCPConn).CloseWrite()
	res, err = s.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: 2\r\n")))
	want(t, res, err, "250")
	if got := s.messages(t); len(got) != 1 || got[0] != "A: 2\r\n" {
		t.Errorf("%q came over the second connection", got)
	}
}

func BenchmarkEnvelope(b *testing.B) {
	write := client.Envelope(envelope(b, 1), smtp.ParseOffers([]string{"PIPELINING", "SIZE 10000000", "8BITMIME"}))
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = write(buf[:0])
	}
}
