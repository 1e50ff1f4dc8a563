package client_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

const host = "mx.example"

// scriptedClient is a client whose servers are scripts.
type scriptedClient struct {
	*client.Client
	ended []chan struct{} // one for each script, closed when it has been played
}

// scripted returns a client whose connections are played by the scripts in
// testdata, one after the other. When the test ends it is closed, and every
// script must have been played to its end.
func scripted(t *testing.T, names ...string) *scriptedClient {
	t.Helper()
	scripts := make([]*smtptest.Script, len(names))
	for i, name := range names {
		var err error
		if scripts[i], err = smtptest.ReadScript(filepath.Join("testdata", name+".txt")); err != nil {
			t.Fatal(err)
		}
	}
	return playing(t, scripts...)
}

// playing is scripted for scripts that are there already.
func playing(t *testing.T, scripts ...*smtptest.Script) *scriptedClient {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	dialled, playing := 0, 0
	played := make(chan error, len(scripts))
	ended := make([]chan struct{}, len(scripts))
	for i := range ended {
		ended[i] = make(chan struct{})
	}
	c := &client.Client{
		Addr:      host + ":25",
		TLSMode:   client.Plaintext,
		LocalName: "client.example",
		Timeouts:  client.EveryTimeout(10 * time.Second),
		Trace:     watched(nil),
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			if network != "tcp" || !strings.HasSuffix(addr, ":25") {
				t.Errorf("dials %q %q", network, addr)
			}
			if dialled++; dialled > len(scripts) {
				return nil, fmt.Errorf("connection %d, and there are only %d scripts", dialled, len(scripts))
			}
			script := scripts[dialled-1]
			script.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
			near, err := (&net.Dialer{}).DialContext(ctx, "tcp", ln.Addr().String())
			if err != nil {
				return nil, err
			}
			far, err := ln.Accept()
			if err != nil {
				return nil, err
			}
			playing++
			go func(end chan struct{}) {
				err := script.PlayServer(far)
				far.Close()
				close(end)
				played <- err
			}(ended[dialled-1])
			return near, nil
		},
	}
	t.Cleanup(func() {
		c.Close()
		ln.Close()
		for range playing {
			if err := <-played; err != nil {
				t.Error(err)
			}
		}
		if dialled < len(scripts) {
			t.Errorf("%d connections were made, of %d", dialled, len(scripts))
		}
	})
	return &scriptedClient{c, ended}
}

// conn makes the first connection of a scripted client, greeted and no more.
func conn(t *testing.T, c *scriptedClient, cfg client.ConnConfig) *client.Conn {
	t.Helper()
	nc, err := c.Dial(t.Context(), "tcp", c.Addr)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Timeouts = c.Timeouts
	conn, err := client.NewConn(t.Context(), nc, &cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// send sends message to b, c, d, … at example.net, n of them in all.
func send(t *testing.T, c *scriptedClient, message string, n int) (*client.Result, error) {
	t.Helper()
	return c.Send(t.Context(), envelope(t, n), smtp.BytesContent([]byte(message)))
}

func envelope(t testing.TB, n int) smtp.Envelope {
	t.Helper()
	to := make([]string, n)
	for i := range to {
		to[i] = string(rune('b'+i%25)) + strings.Repeat("x", i/25) + "@example.net"
	}
	env, err := smtp.NewEnvelope("a@example.org", to...)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

// outcomes writes a result as text: the code and Err of each recipient.
func outcomes(res *client.Result) string {
	var list []string
	for i := range res.Recipients {
		r := &res.Recipients[i]
		s := fmt.Sprint(r.Reply.Code)
		switch {
		case r.Unknown():
			s = "unknown"
		case r.Err != nil && r.Reply.IsZero():
			s = r.Err.Error()
		case (r.Err == nil) != r.Reply.Positive():
			s = fmt.Sprintf("%v with %v", r.Err, r.Reply)
		}
		list = append(list, s)
	}
	return strings.Join(list, " ")
}

// want compares outcomes.
func want(t *testing.T, res *client.Result, err error, outcome string) {
	t.Helper()
	if got := outcomes(res); got != outcome {
		t.Errorf("outcome %q, want %q (%v)", got, outcome, err)
	}
	if (err == nil) != (res.Delivered() > 0) {
		t.Errorf("%d delivered and error %v", res.Delivered(), err)
	}
}

// A sink is a server that takes everything and keeps the messages, with a client
// for it. It knows DATA and BDAT, and looks at nothing else.
type sink struct {
	*client.Client
	ln   net.Listener
	done sync.WaitGroup
	mu   sync.Mutex
	got  []string
	cut  string // what came of a message that has no end
}

func newSink(t testing.TB, offers ...string) *sink {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return sinkOn(t, ln, offers...)
}

func sinkOn(t testing.TB, ln net.Listener, offers ...string) *sink {
	t.Helper()
	s := &sink{ln: ln, Client: &client.Client{Addr: ln.Addr().String(), TLSMode: client.Plaintext, Timeouts: client.EveryTimeout(10 * time.Second), Trace: watched(nil)}}
	s.done.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			s.done.Go(func() {
				defer nc.Close()
				s.serve(nc, offers)
			})
		}
	})
	t.Cleanup(func() { s.close() })
	return s
}

// messages ends the server and returns what it got.
func (s *sink) messages(t testing.TB) []string {
	t.Helper()
	s.close()
	return s.got
}

func (s *sink) close() {
	s.Close()
	s.ln.Close()
	s.done.Wait()
}

func (s *sink) serve(nc net.Conn, offers []string) {
	in := bufio.NewReader(nc)
	keep := func(message string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.got = append(s.got, message)
	}
	var chunks strings.Builder
	io.WriteString(nc, "220 sink\r\n")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		reply := "250 ok"
		var n int64
		switch verb, arg, _ := strings.Cut(strings.TrimSuffix(line, "\r\n"), " "); verb {
		case "EHLO":
			reply = strings.Join(append([]string{"250-sink"}, offers...), "\r\n250-")
			i := strings.LastIndex(reply, "250-")
			reply = reply[:i] + "250 " + reply[i+4:]
		case "DATA":
			io.WriteString(nc, "354 go\r\n")
			message, err := readData(in)
			if err != nil {
				s.mu.Lock()
				s.cut = message
				s.mu.Unlock()
				return
			}
			keep(message)
		case "BDAT":
			last := strings.HasSuffix(arg, " LAST")
			fmt.Sscan(arg, &n)
			if _, err := io.CopyN(&chunks, in, n); err != nil {
				return
			}
			if last {
				keep(chunks.String())
				chunks.Reset()
			}
		case "QUIT":
			io.WriteString(nc, "221 bye\r\n")
			return
		}
		if _, err := io.WriteString(nc, reply+"\r\n"); err != nil {
			return
		}
	}
}

// readData reads as far as CRLF.CRLF and undoes the dot-stuffing.
func readData(in *bufio.Reader) (string, error) {
	var b strings.Builder
	for start := true; ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return b.String() + line, err
		}
		if start && line == ".\r\n" {
			return b.String(), nil
		}
		if start && line[0] == '.' {
			line = line[1:]
		}
		b.WriteString(line)
		start = strings.HasSuffix(line, "\r\n")
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// yield lets others go on.
func yield() { runtime.Gosched() }

// pipe is a loopback connection.
func pipe(t testing.TB) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if near, err = net.Dial("tcp", ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near, far
}

var certificates = sync.OnceValues(func() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), IsCA: true, BasicConstraintsValid: true, // for any clock
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
})

// certificate is for host and 127.0.0.1, signed by itself.
func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	cert, err := certificates()
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// trusting is the TLS configuration of a client that trusts certificate.
func trusting(t testing.TB) *tls.Config {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(certificate(t).Leaf)
	return &tls.Config{RootCAs: pool}
}

// serverTLS is the server's side of TLS over nc.
func serverTLS(t testing.TB, nc net.Conn) net.Conn {
	t.Helper()
	return tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
}
