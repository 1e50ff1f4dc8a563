package client_test

import (
	"context"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/smtp"
)

// A reader of 25 MB is sent in 1 MB of memory, the server in the same process
// counted.
func TestLargeMessagesNeedLittleMemory(t *testing.T) {
	const size, most = 25_000_000, 1 << 20
	for _, tt := range []struct {
		name string
		set  func(*client.Client)
	}{
		{"DATA", func(*client.Client) {}},
		{"BDAT", func(c *client.Client) { c.Chunking = true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &client.Client{Addr: floor(t), LocalName: "client.example", TLSMode: client.Plaintext}
			tt.set(c)
			defer c.Close()
			r := &sampled{line: strings.NewReader(""), left: size}
			env, err := smtp.NewEnvelope("a@example.org", "b@example.org")
			if err != nil {
				t.Fatal(err)
			}
			before := inUse()
			if _, err := c.Send(context.Background(), env, smtp.ReaderContent(r)); err != nil {
				t.Fatal(err)
			}
			if more := r.highest - before; r.left != 0 || r.highest == 0 || more > most {
				t.Errorf("%d octets more while it was sent, want %d at most; %d octets were not asked for", more, most, r.left)
			}
		})
	}
}

func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// sampled is a message of left octets that looks at the memory after each megabyte.
type sampled struct {
	line    *strings.Reader
	left    int
	highest int64
}

var lines = "\r\n" + strings.Repeat(strings.Repeat("x", 73)+"\r\n", 100)

func (s *sampled) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	if s.line.Len() == 0 {
		s.line.Reset(lines)
	}
	n, err := s.line.Read(p[:min(len(p), s.left)])
	if s.left>>20 != (s.left-n)>>20 {
		s.highest = max(s.highest, inUse())
	}
	s.left -= n
	return n, err
}
