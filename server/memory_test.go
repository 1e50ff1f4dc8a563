package server_test

import (
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// inUse is the memory of objects that are reachable, and that of stacks.
func inUse() (heap, stacks int64) {
	runtime.GC()
	runtime.GC() // a sync.Pool lets go at the second collection
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), int64(m.StackInuse)
}

// A connection at rest costs little, however deep its handler was. The client's
// ends, in the same process, cost some of it. Measured: 4.3 KB.
func TestIdleConnectionsAreCheap(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes frames larger")
	}
	const conns, most = 400, 5 << 10
	s := &server.Server{
		Hostname: "mx.example",
		Limits:   server.Limits{MaxConnsPerIP: conns, MaxIdleChat: -1},
		Handler: server.HandlerFunc(func(ctx context.Context, c *server.Conn) (server.Session, error) {
			deep(100)
			return new(backend).NewSession(ctx, c)
		}),
	}
	s.RestAfter(10 * time.Millisecond)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	defer func() { s.Close(); s.Shutdown(context.Background()); <-served }()

	heap, stacks := inUse()
	var clients []net.Conn
	say := func(conn net.Conn, octets string) {
		var space [512]byte
		io.WriteString(conn, octets)
		if _, err := conn.Read(space[:]); err != nil {
			t.Fatal(err)
		}
	}
	for range conns {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		clients = append(clients, conn)
		say(conn, "")
		say(conn, "EHLO client.example\r\n")
	}
	rested(t, conns)
	for end := time.Now().Add(30 * time.Second); ; {
		h, st := inUse()
		each := (h - heap + st - stacks) / conns
		if each <= most {
			t.Logf("%d octets each", each)
			return
		}
		// With what stack a goroutine begins goes by what others used at the last
		// garbage collection: now these count, and may rest again.
		for _, conn := range clients {
			say(conn, "RSET\r\n")
		}
		rested(t, conns)
		if time.Now().After(end) {
			t.Fatalf("%d octets each, of which %d are stack; want %d at most", each, (st-stacks)/conns, most)
		}
	}
}

// deep makes a stack grow.
func deep(n int) byte {
	var frame [128]byte
	if n > 0 {
		frame[n] = deep(n - 1)
	}
	return frame[n] + 1
}

// A message of 25 MB passes through the server in 1 MB at most.
func TestLargeMessagesNeedLittleMemory(t *testing.T) {
	const size, most = 25_000_000, 1 << 20
	line := strings.Repeat("x", 998) + "\r\n"
	for _, kind := range []string{"TCP", "TLS"} {
		for _, verb := range []string{"DATA", "BDAT"} {
			t.Run(kind+" "+verb, func(t *testing.T) {
				var before, highest, got atomic.Int64
				s := start(t, withTLS)
				s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
					n, err := io.Copy(&sampler{highest: &highest}, b)
					got.Store(n)
					return smtp.Reply{}, err
				}
				p := s.overSockets()[kind]()
				p.do("EHLO client.example", "250")
				block := []byte("\r\n" + strings.Repeat(line, 100)[2:]) // no header
				p.send(transaction)
				p.expect("250", "250")
				heap, _ := inUse()
				before.Store(heap)
				if verb == "DATA" {
					p.do("DATA", "354")
				}
				for range size / len(block) {
					if verb == "BDAT" {
						p.send("BDAT 100000\n")
					}
					if _, err := p.Write(block); err != nil {
						t.Fatal(err)
					}
					if verb == "BDAT" {
						p.expect("250")
					}
				}
				if verb == "BDAT" {
					p.do("BDAT 0 LAST", "250")
				} else {
					p.do(".", "250")
				}
				want(t, "octets", got.Load(), size)
				if more := highest.Load() - before.Load(); highest.Load() == 0 || more > most {
					t.Errorf("%d octets more while it passed; want %d at most", more, most)
				}
			})
		}
	}
}

// sampler looks at the memory after each megabyte.
type sampler struct {
	n       int
	highest *atomic.Int64
}

func (s *sampler) Write(p []byte) (int, error) {
	before := s.n
	if s.n += len(p); before>>20 != s.n>>20 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		s.highest.Store(max(s.highest.Load(), int64(m.HeapAlloc)))
	}
	return len(p), nil
}
