//go:build unix

package wire

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Who stops in the middle of a line holds no buffer of ours, without a rest too: be it
// behind a line that has been read or not, and the deadline to come or past.
func TestInputHoldsLittleForHalfALine(t *testing.T) {
	for _, kind := range []string{"TCP", "unix"} {
		for _, before := range []string{"", "NOOP\r\n"} {
			for _, half := range []string{"N", "NOOP 789", "NOOP 7890", strings.Repeat("x", 2000)} {
				var in Input
				defer in.Close()
				client, server, _ := readsFrom(t, &in, connections(t)[kind])
				for _, more := range []string{before + half, "y"} {
					had := len(in.Unread())
					io.WriteString(client, more)
					for len(in.Unread()) < had+len(more) {
						if err := in.Fill(true, false); err != nil {
							t.Fatal(err)
						}
					}
					if before != "" && had == 0 {
						if line, ok, _ := in.Line(4096); !ok {
							t.Fatalf("%s: %q", kind, line)
						}
					}
					server.SetReadDeadline(time.Unix(1, 0))
					if err := in.Fill(true, false); !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Fatalf("%v", err)
					}
					server.SetReadDeadline(time.Now().Add(time.Minute))
					if n, had := cap(in.buf), len(in.Unread()); n > 2*had+8 {
						t.Errorf("%s: %d octets of memory for %d", kind, n, had)
					}
				}
				io.WriteString(client, "\r\n")
				for {
					line, ok, err := in.Line(4096)
					if ok || err != nil {
						if string(line) != half+"y" || err != nil {
							t.Errorf("%s: got %.20q, %v", kind, line, err)
						}
						break
					}
					if err := in.Fill(true, false); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
}

// What the poller calls has let go of the buffer when it says that there is nothing.
func TestWaitHoldsLittle(t *testing.T) {
	for _, kind := range []string{"TCP", "unix"} {
		for _, half := range []string{"", "NO", strings.Repeat("x", 100)} {
			var in Input
			defer in.Close()
			client, _, _ := readsFrom(t, &in, connections(t)[kind])
			io.WriteString(client, half)
			for len(in.Unread()) < len(half) {
				if err := in.Fill(true, false); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				found := true
				rawConn(in.conn).Control(func(fd uintptr) { found = in.tryRead(fd) })
				if found || string(in.Unread()) != half {
					t.Errorf("%s: found something, or %q is left of %q", kind, in.Unread(), half)
				}
				if n := cap(in.buf); n > 2*len(half)+8 {
					t.Errorf("%s: %d octets of memory for %d", kind, n, len(half))
				}
			}
		}
	}
}

// Rest waits, time and again, until there is something, though the line before has taken
// what there was.
func TestRestWaits(t *testing.T) {
	for _, kind := range []string{"TCP", "unix", "TLS"} {
		t.Run(kind, func(t *testing.T) {
			var in Input
			defer in.Close()
			client, server, _ := readsFrom(t, &in, connections(t)[kind])
			for range 3 {
				server.SetReadDeadline(time.Unix(1, 0))
				if err := in.Fill(true, false); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("%v", err)
				}
				server.SetReadDeadline(time.Now().Add(time.Minute))
				done := make(chan struct{})
				go func() {
					defer close(done)
					in.Rest()
				}()
				untilRest(t, done)
				io.WriteString(client, "NOOP\r\n")
				<-done
				for {
					line, ok, _ := in.Line(512)
					if ok && string(line) == "NOOP" {
						break
					}
					if err := in.Fill(true, false); ok || err != nil {
						t.Fatalf("%q, %v", line, err)
					}
				}
			}
		})
	}
}

// untilRest waits until a goroutine waits in Rest. It must not be done before.
func untilRest(t *testing.T, done <-chan struct{}) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); runtime.Gosched() {
		for stack := range bytes.SplitSeq(stacks[:runtime.Stack(stacks, true)], []byte("\n\n")) {
			if bytes.Contains(stack, []byte("wire.(*Input).Rest(")) && bytes.Contains(stack, []byte("[IO wait")) {
				return
			}
		}
		select {
		case <-done:
			t.Fatal("did not wait")
		default:
		}
	}
	t.Fatal("does not wait")
}

// Octets, an end and an error are all something: who rests has to go on.
func TestLook(t *testing.T) {
	for name, happens := range map[string]func(client net.Conn){
		"octets": func(client net.Conn) { io.WriteString(client, "x") },
		"end":    func(client net.Conn) { client.Close() },
	} {
		var in Input
		defer in.Close()
		client, _, _ := readsFrom(t, &in, connections(t)["unix"])
		look := func() (found bool) {
			in.parker.woken = false
			in.parker.raw.Control(func(fd uintptr) { found = in.parker.look(fd) })
			return found
		}
		if look() {
			t.Errorf("%s: there before they came", name)
		}
		if happens(client); !look() {
			t.Errorf("%s: not seen", name)
		}
	}
	if !new(parker).look(^uintptr(0)) { // not a descriptor
		t.Error("an error is not seen")
	}
}
