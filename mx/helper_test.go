package mx_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
)

// A network is what is reached behind addresses: "192.0.2.1", or with a port.
type network struct {
	t     testing.TB
	mu    sync.Mutex
	hosts map[string]func(ctx context.Context) (net.Conn, error)
	log   []string // what was dialled
}

func newNetwork(t testing.TB) *network {
	return &network{t: t, hosts: map[string]func(context.Context) (net.Conn, error){}}
}

// dial is a Client's Dial. Nobody listens at addresses that are not in the network.
func (n *network) dial(ctx context.Context, _, addr string, local netip.Addr) (net.Conn, error) {
	n.mu.Lock()
	entry := addr
	if local.IsValid() {
		entry += " from " + local.String()
	}
	n.log = append(n.log, entry)
	connect := n.hosts[addr]
	if connect == nil {
		if ap, err := netip.ParseAddrPort(addr); err == nil {
			connect = n.hosts[ap.Addr().String()]
		}
	}
	n.mu.Unlock()
	if connect == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("connection refused")}
	}
	return connect(ctx)
}

// dialled returns what was, and forgets it.
func (n *network) dialled() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	log := n.log
	n.log = nil
	return log
}

// server puts a server behind an address.
func (n *network) server(addr string, configure ...func(*smtptest.Server)) *smtptest.Server {
	s := smtptest.NewServer(n.t, append(configure, smtptest.InMemory)...)
	n.hosts[addr] = func(ctx context.Context) (net.Conn, error) { return s.Dial(ctx, "tcp", addr) }
	return s
}

// script puts scripted servers behind an address, one for each connection; the last
// is for all that follow. They need not be played to their ends, but as far as they
// are the client must do what they say.
func (n *network) script(addr string, scripts ...string) {
	var parsed []*smtptest.Script
	for _, text := range scripts {
		s, err := smtptest.ParseScript(strings.NewReader(text))
		if err != nil {
			n.t.Fatal(err)
		}
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(n.t)}}
		parsed = append(parsed, s)
	}
	listener := memnet.Listen()
	var played sync.WaitGroup
	n.t.Cleanup(func() {
		listener.Close()
		played.Wait()
	})
	n.hosts[addr] = func(ctx context.Context) (net.Conn, error) {
		n.mu.Lock()
		script := parsed[0]
		if len(parsed) > 1 {
			parsed = parsed[1:]
		}
		n.mu.Unlock()
		played.Go(func() {
			far, err := listener.Accept()
			if err != nil {
				return
			}
			defer far.Close()
			if err := script.PlayServer(far); err != nil && !quiet(err) {
				n.t.Errorf("%s: %v", addr, err)
			}
		})
		return listener.Dial(ctx)
	}
}

// quiet reports whether err is only that the client has gone.
func quiet(err error) bool {
	text := err.Error()
	return strings.Contains(text, io.EOF.Error()) || strings.Contains(text, "closed") || strings.Contains(text, "QUIT") ||
		strings.Contains(text, "TLS") || strings.Contains(text, "tls")
}

// mxClient is a Client in a network.
func (n *network) client(zone *dnstest.Zone) *mx.Client {
	c := &mx.Client{
		Router:   &mx.Router{Resolver: zone},
		Dial:     n.dial,
		Hello:    "relay.example",
		Timeouts: client.EveryTimeout(10 * time.Second),
	}
	n.t.Cleanup(func() { c.Close() })
	return c
}

func message(t testing.TB, to ...string) *mx.Message {
	t.Helper()
	env, err := smtp.NewEnvelope("from@example.com", to...)
	if err != nil {
		t.Fatal(err)
	}
	return &mx.Message{Envelope: env, Content: smtp.BytesContent([]byte("Subject: test\r\n\r\nHello.\r\n"))}
}

// sentence sums up a Result: "failed recipient 550 5.1.1", with "ours" if no server
// said so.
func sentence(r mx.Result) string {
	words := []string{r.Status.String()}
	if r.Unknown {
		words = append(words, "unknown")
	}
	if r.Err != nil {
		words = append(words, r.Scope.String())
	}
	words = append(words, fmt.Sprint(r.Reply.Code))
	if e := r.Reply.EnhancedString(); e != "" {
		words = append(words, e)
	}
	if r.Local {
		words = append(words, "ours")
	}
	return strings.Join(words, " ")
}

func sentences(results []mx.Result) []string {
	var all []string
	for _, r := range results {
		all = append(all, sentence(r))
	}
	return all
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\ngot  %q\nwant %q", what, got, want)
	}
}

// certificate is for names below example.org, and its own issuer.
var certificate = func() func(testing.TB) tls.Certificate {
	var once sync.Once
	var cert tls.Certificate
	return func(t testing.TB) tls.Certificate {
		once.Do(func() {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			template := &x509.Certificate{
				SerialNumber:          big.NewInt(1),
				Subject:               pkix.Name{CommonName: "test"},
				DNSNames:              []string{"*.example.org"},
				NotBefore:             time.Unix(0, 0), // whether it is synctest's clock, which begins in 2000, or not
				NotAfter:              time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
				BasicConstraintsValid: true,
				IsCA:                  true,
			}
			der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
			if err != nil {
				t.Fatal(err)
			}
			leaf, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
		})
		return cert
	}
}()

// requireTLSServer has that certificate, and offers REQUIRETLS.
func requireTLSServer(t testing.TB) func(*smtptest.Server) {
	return func(s *smtptest.Server) {
		s.Config.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
		s.Config.Extensions = append(s.Config.Extensions, server.RequireTLS)
	}
}

// trusting trusts certificate.
func trusting(t testing.TB) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(certificate(t).Leaf)
	return &tls.Config{RootCAs: roots}
}
