package wire

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// reads is a connection whose Read returns one string after the other.
type reads struct {
	net.Conn
	left []string
}

func (r *reads) Read(p []byte) (int, error) {
	if len(r.left) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.left[0])
	if r.left[0] = r.left[0][n:]; r.left[0] == "" {
		r.left = r.left[1:]
	}
	return n, nil
}

// inPieces cuts s into pieces of n octets.
func inPieces(s string, n int) *reads {
	r := new(reads)
	for ; len(s) > n; s = s[n:] {
		r.left = append(r.left, s[:n])
	}
	if s != "" {
		r.left = append(r.left, s)
	}
	return r
}

// allLinesOf reads until the end. A line that is wrong is shown by its error.
func allLinesOf(t *testing.T, in *Input, limit int) (lines []string) {
	t.Helper()
	for {
		line, ok, err := in.Line(limit)
		switch {
		case err == ErrBareLF:
			lines = append(lines, "bare LF: "+string(line))
		case err != nil:
			lines = append(lines, err.Error()+" "+string(line))
		case ok:
			lines = append(lines, string(line))
		}
		if ok {
			continue
		}
		if err := in.Fill(true, false); err == io.EOF {
			return lines
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestInputLine(t *testing.T) {
	const limit = 10
	const tooLong = "wire: line too long "
	for _, tt := range []struct {
		in   string
		want []string
	}{
		{"a\r\nbc\r\n\r\nd\r\n", []string{"a", "bc", "", "d"}},
		{"12345678\r\nx\r\n", []string{"12345678", "x"}},
		{"123456789\r\nx\r\n", []string{tooLong + "12345678", "x"}},
		{strings.Repeat("y", 40000) + "\r\nx\r\n", []string{tooLong + "yyyyyyyy", "x"}},
		{strings.Repeat("y", 40000) + "\nx\r\n", []string{tooLong + "yyyyyyyy", "x"}},
		{"a\nb\r\n\nc\r\n", []string{"bare LF: a", "b", "bare LF: ", "c"}},
		{"a\rb\r\n\r\r\n", []string{"a\rb", "\r"}},
		{"a\x00\r\n", []string{"a\x00"}},
		{"a\r\nunfinished", []string{"a"}},
		{"a\r\nunfinished and too long", []string{"a"}},
		{"", nil},
	} {
		for _, size := range []int{1, 2, 3, 7, 4096, 1 << 20} {
			var in Input
			in.Reset(inPieces(tt.in, size), false)
			if got := allLinesOf(t, &in, limit); fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("%.60q in pieces of %d: %q, want %q", tt.in, size, got, tt.want)
			}
			in.Close()
		}
	}
}

// The limit may differ from one line to the next, and what was looked at under
// one limit is not looked at again under another.
func TestInputLimitChanges(t *testing.T) {
	var in Input
	in.Reset(inPieces("12345678\r\n12345678\r\n", 4), false)
	defer in.Close()
	for range 2 {
		if err := in.Fill(false, false); err != nil {
			t.Fatal(err)
		}
		if line, ok, err := in.Line(10); ok || err != nil {
			t.Fatalf("%q %v before the end came", line, err)
		}
	}
	in.Fill(false, false)
	if line, _, err := in.Line(10); string(line) != "12345678" || err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	in.Fill(false, false)
	in.Fill(false, false)
	if _, ok, err := in.Line(9); !ok || err != ErrLineTooLong {
		t.Fatalf("%t, %v", ok, err)
	}
}

func TestInputUnreadAndConsume(t *testing.T) {
	var in Input
	in.Reset(inPieces("a\r\nbody octets\r\n.\r\nb\r\n", 100), false)
	defer in.Close()
	in.Fill(true, false)
	in.Line(512)
	if got := string(in.Unread()); got != "body octets\r\n.\r\nb\r\n" {
		t.Fatalf("%q", got)
	}
	in.Consume(len("body octets\r\n.\r\n"))
	if line, ok, err := in.Line(512); string(line) != "b" || !ok || err != nil {
		t.Fatalf("%q, %t, %v", line, ok, err)
	}
	if in.Release(); in.buf != nil {
		t.Error("the buffer is kept though nothing is in it")
	}
}

func TestInputResetDropsWhatIsUnread(t *testing.T) {
	var in Input
	in.Reset(inPieces(strings.Repeat("x", 600)+"\r\n", 500), false)
	in.Fill(true, false)
	if _, ok, _ := in.Line(100); ok {
		t.Fatal("a line")
	}
	in.Fill(true, false) // the rest of an over-long line
	if n := in.Reset(inPieces("a\r\n", 9), false); n != 102 {
		t.Errorf("%d dropped, want 102", n)
	}
	defer in.Close()
	if got := allLinesOf(t, &in, 100); fmt.Sprint(got) != "[a]" {
		t.Errorf("%q: the new connection begins with an old line's end", got)
	}
}

// A body may leave some octets undecided while the buffer grows and is moved.
func TestInputKeepsWhatIsUnreadWhileTheBufferChanges(t *testing.T) {
	var text strings.Builder
	for i := range 40000 {
		fmt.Fprintf(&text, "%d\r\n", i)
	}
	var in Input
	in.Reset(inPieces(text.String(), 1<<20), false)
	defer in.Close()
	var got strings.Builder
	for round := 0; ; round++ {
		err := in.Fill(false, round > 2)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		keep := min(round%5*30, len(in.Unread()))
		n := len(in.Unread()) - keep
		got.Write(in.Unread()[:n])
		in.Consume(n)
	}
	got.Write(in.Unread())
	if got.String() != text.String() {
		t.Error("octets were lost or repeated")
	}
	if len(in.buf) != LargeBuffer {
		t.Errorf("a buffer of %d", len(in.buf))
	}
}

// stuck is a connection whose Read does nothing, against the rules.
type stuck struct{ net.Conn }

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestInputFillNeedsProgress(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		for _, idle := range []bool{false, true} {
			var in Input
			in.Reset(stuck{}, encrypted)
			if err := in.Fill(idle, false); err != io.ErrNoProgress {
				t.Errorf("encrypted %t, idle %t: %v", encrypted, idle, err)
			}
			in.Close()
		}
	}
}

// connections are pairs of every kind that an Input reads from.
func connections(t *testing.T) map[string]func() (client, server net.Conn, encrypted bool) {
	listen := func(network, addr string) func() (client, server net.Conn, encrypted bool) {
		return func() (net.Conn, net.Conn, bool) {
			l, err := net.Listen(network, addr)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			client, err := net.Dial(network, l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			return client, server, false
		}
	}
	tcp := listen("tcp", "127.0.0.1:0")
	return map[string]func() (client, server net.Conn, encrypted bool){
		"TCP":  tcp,
		"unix": listen("unix", filepath.Join(t.TempDir(), "s")),
		"pipe": func() (net.Conn, net.Conn, bool) {
			client, server := net.Pipe()
			return client, server, false
		},
		"TLS": func() (net.Conn, net.Conn, bool) {
			client, server, _ := tcp()
			c := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
			s := tls.Server(server, &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
			done := make(chan error)
			go func() { done <- c.Handshake() }()
			if err := errors.Join(s.Handshake(), <-done); err != nil {
				t.Fatal(err)
			}
			return c, s, true
		},
	}
}

func certificate(t *testing.T) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestInputOverConnections(t *testing.T) {
	for name, connect := range connections(t) {
		t.Run(name, func(t *testing.T) {
			client, server, encrypted := connect()
			defer client.Close()
			defer server.Close()
			var in Input
			in.Reset(server, encrypted)
			defer in.Close()

			// A wait that ends with nothing holds nothing.
			server.SetReadDeadline(time.Unix(1, 0))
			if err := in.Fill(true, false); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("%v", err)
			}
			if in.buf != nil {
				t.Error("a buffer is held while nothing has come")
			}
			server.SetReadDeadline(time.Now().Add(10 * time.Second))

			var want []string
			for i := range 500 {
				want = append(want, strings.Repeat("x", i))
			}
			go func() {
				defer client.Close()
				for i := 0; i < len(want); i += 50 {
					io.WriteString(client, strings.Join(want[i:i+50], "\r\n")+"\r\n")
				}
			}()
			if got := allLinesOf(t, &in, 512); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got %d lines: %.200q", len(got), got)
			}
			if in.buf != nil {
				t.Error("a buffer is held after the end")
			}
			server.Close()
			if err := in.Fill(true, false); err == nil {
				t.Error("a closed connection can be read from")
			}
		})
	}
}

// A deadline that is moved from outside ends a wait that has begun.
func TestInputWaitIsInterrupted(t *testing.T) {
	for name, connect := range connections(t) {
		t.Run(name, func(t *testing.T) {
			client, server, encrypted := connect()
			defer client.Close()
			defer server.Close()
			var in Input
			in.Reset(server, encrypted)
			defer in.Close()
			started := make(chan struct{})
			go func() {
				<-started
				server.SetReadDeadline(time.Unix(1, 0))
			}()
			close(started)
			if err := in.Fill(true, false); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestInputAllocatesNothing(t *testing.T) {
	client, server, _ := connections(t)["TCP"]()
	defer client.Close()
	defer server.Close()
	var in Input
	in.Reset(server, false)
	defer in.Close()
	group := []byte("MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n")
	allocs := testing.AllocsPerRun(200, func() {
		client.Write(group)
		for lines := 0; lines < 3; {
			if _, ok, _ := in.Line(512); ok {
				lines++
			} else if err := in.Fill(true, false); err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocs > 0 {
		t.Errorf("%g allocations for three lines", allocs)
	}
}

// Rest returns when there is something to read, and takes none of it; half a
// line that came before is kept without a buffer.
func TestInputRest(t *testing.T) {
	for name, connect := range connections(t) {
		for _, half := range []string{"", "NO", strings.Repeat("x", 100)} {
			t.Run(fmt.Sprintf("%s, %d octets before", name, len(half)), func(t *testing.T) {
				client, server, encrypted := connect()
				defer client.Close()
				defer server.Close()
				var in Input
				in.Reset(server, encrypted)
				defer in.Close()
				say := func(octets string) (said chan struct{}) {
					said = make(chan struct{})
					go func() {
						defer close(said)
						if octets != "" {
							io.WriteString(client, octets)
						}
					}()
					return said
				}
				said := say(half)
				for len(in.Unread()) < len(half) {
					if err := in.Fill(true, false); err != nil {
						t.Fatal(err)
					}
				}
				<-said
				silence := func() {
					t.Helper()
					server.SetReadDeadline(time.Unix(1, 0))
					if err := in.Fill(true, false); !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Fatalf("%v", err)
					}
				}
				silence()
				in.Rest() // ended by the deadline
				if n := cap(in.buf); n > 2*len(half)+8 {
					t.Errorf("%d octets of memory for %d", n, len(half))
				}
				for _, rest := range []string{"OP\r\n", "", "NOOP\r\n"} {
					silence()
					server.SetReadDeadline(time.Now().Add(10 * time.Second))
					if said := say(rest); name != "pipe" && rest == "OP\r\n" {
						<-said // now it is there before; else it comes meanwhile
					}
					if rest == "" {
						continue
					}
					in.Rest()
					for {
						line, ok, _ := in.Line(512)
						if ok {
							if want := half + strings.TrimSuffix(rest, "\r\n"); string(line) != want {
								t.Errorf("got %q, want %q", line, want)
							}
							break
						}
						if err := in.Fill(true, false); err != nil {
							t.Fatal(err)
						}
					}
					half = ""
				}
				client.Close()
				in.Rest()
				if err := in.Fill(true, false); err == nil {
					t.Error("a read after the end")
				}
			})
		}
	}
}

// Who stops in the middle of a line holds no buffer of ours, without a rest too.
func TestInputHoldsLittleForHalfALine(t *testing.T) {
	for _, name := range []string{"TCP", "unix"} {
		for _, half := range []string{"N", "NOOP 789", "NOOP 7890", strings.Repeat("x", 2000)} {
			client, server, _ := connections(t)[name]()
			defer client.Close()
			defer server.Close()
			var in Input
			in.Reset(server, false)
			defer in.Close()
			for _, more := range []string{half, "y"} {
				before := len(in.Unread())
				io.WriteString(client, more)
				for len(in.Unread()) < before+len(more) {
					if err := in.Fill(true, false); err != nil {
						t.Fatal(err)
					}
				}
				server.SetReadDeadline(time.Now().Add(time.Millisecond))
				if err := in.Fill(true, false); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("%v", err)
				}
				server.SetReadDeadline(time.Time{})
				if n, had := cap(in.buf), len(in.Unread()); n > 2*had+8 {
					t.Errorf("%s: %d octets of memory for %d", name, n, had)
				}
			}
			io.WriteString(client, "\r\n")
			for {
				line, ok, err := in.Line(4096)
				if ok || err != nil {
					if string(line) != half+"y" || err != nil {
						t.Errorf("%s: got %.20q, %v", name, line, err)
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
