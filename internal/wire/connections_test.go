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

// Whatever the connection before has left, the next one is read from its beginning: the
// one over the same socket too.
func TestInputResetReadsTheOther(t *testing.T) {
	kinds := connections(t)
	for kind, connect := range kinds {
		for _, before := range []string{"", "a line\r\n", "half"} {
			for _, ended := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %q before, ended %t", kind, before, ended), func(t *testing.T) {
					var in Input
					defer in.Close()
					old, _, _ := readsFrom(t, &in, kinds["TCP"])
					io.WriteString(old, before)
					for len(in.Unread()) < len(before) {
						if err := in.Fill(true, false); err != nil {
							t.Fatal(err)
						}
					}
					if _, ok, err := in.Line(512); ok != strings.HasSuffix(before, "\n") || err != nil {
						t.Fatalf("%t, %v", ok, err)
					}
					if old.Close(); ended {
						if err := in.Fill(true, false); err != io.EOF {
							t.Fatal(err)
						}
					}
					client, server, encrypted := readsFrom(t, &in, connect)
					if encrypted { // from STARTTLS on
						in.Reset(server.(*tls.Conn).NetConn(), false)
						in.Reset(server, true)
					}
					if line, ok, err := in.Line(512); ok || err != nil {
						t.Errorf("%q, %v though nothing was read", line, err)
					}
					go func() {
						defer client.Close()
						io.WriteString(client, "another\r\n")
					}()
					if got := allLinesOf(t, &in, 512); fmt.Sprint(got) != "[another]" {
						t.Errorf("%q", got)
					}
				})
			}
		}
	}
}

// Which buffer is taken is the caller's choice, over sockets and else; over TLS who does
// not wait for long gets a record in one read.
func TestInputFillIdleAndLarge(t *testing.T) {
	for _, tt := range []struct {
		kind        string
		idle, large bool
		buffer, n   int
	}{
		{"TCP", true, false, SmallBuffer, 3},
		{"TCP", true, true, LargeBuffer, 3},
		{"TCP", false, false, SmallBuffer, 3},
		{"TCP", false, true, LargeBuffer, 3},
		{"pipe", true, false, SmallBuffer, 3},
		{"pipe", true, true, LargeBuffer, 3},
		{"TLS", true, true, SmallBuffer, 1},
		{"TLS", false, false, SmallBuffer, 3},
		{"TLS", false, true, LargeBuffer, 3},
	} {
		t.Run(fmt.Sprintf("%s, idle %t, large %t", tt.kind, tt.idle, tt.large), func(t *testing.T) {
			var in Input
			defer in.Close()
			client, _, _ := readsFrom(t, &in, connections(t)[tt.kind])
			go io.WriteString(client, "abc")
			if err := in.Fill(tt.idle, tt.large); err != nil {
				t.Fatal(err)
			}
			if len(in.buf) != tt.buffer || len(in.Unread()) != tt.n {
				t.Errorf("%d octets in a buffer of %d; want %d in %d", len(in.Unread()), len(in.buf), tt.n, tt.buffer)
			}
		})
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

// readsFrom has in read from a new connection, which is closed when the test ends.
func readsFrom(t *testing.T, in *Input, connect func() (client, server net.Conn, encrypted bool)) (client, server net.Conn, encrypted bool) {
	client, server, encrypted = connect()
	t.Cleanup(func() { client.Close(); server.Close() })
	server.SetReadDeadline(time.Now().Add(time.Minute))
	in.Reset(server, encrypted)
	return client, server, encrypted
}
