// Package webtest has web servers in memory, and certificates for them. It
// panics where it fails, for it is used by examples too.
package webtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/memnet"
)

// A CA makes certificates.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA returns a new CA.
func NewCA() *CA {
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "a CA for tests"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(10 * 365 * 24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	key := newKey()
	return &CA{cert: sign(template, template, key, key), key: key}
}

// Pool returns a pool that trusts the CA.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// Issue makes a certificate that holds for ten years, unless change says
// otherwise, for the names.
func (ca *CA) Issue(change func(*x509.Certificate), names ...string) tls.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "a server for tests"},
		NotBefore:    ca.cert.NotBefore,
		NotAfter:     ca.cert.NotAfter,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     names,
	}
	if change != nil {
		change(template)
	}
	key := newKey()
	cert := sign(template, ca.cert, key, ca.key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

func sign(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) *x509.Certificate {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return cert
}

// A Server answers whoever dials it, at any address.
type Server struct {
	listener *memnet.Listener
	http     http.Server
	wg       sync.WaitGroup

	mu     sync.Mutex
	dialed []string
}

// Serve starts a web server with a certificate.
func Serve(cert tls.Certificate, handler http.Handler) *Server {
	s := &Server{listener: memnet.Listen()}
	s.http.Handler = handler
	s.http.ErrorLog = log.New(io.Discard, "", 0)
	config := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}}
	s.wg.Go(func() { s.http.Serve(tls.NewListener(s.listener, config)) })
	return s
}

// ServeConns starts a server that hands over each connection as it is.
func ServeConns(handle func(net.Conn)) *Server {
	s := &Server{listener: memnet.Listen()}
	s.wg.Go(func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
	return s
}

// ServeOctets starts a server that has shaken hands when it writes the response,
// as it is, and then closes without saying so.
func ServeOctets(cert tls.Certificate, response string) *Server {
	return ServeConns(func(conn net.Conn) {
		c := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}})
		if _, err := c.Read(make([]byte, 4096)); err == nil {
			io.WriteString(c, response)
		}
	})
}

// Dial connects to the server, whatever the address.
func (s *Server) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	s.mu.Lock()
	s.dialed = append(s.dialed, address)
	s.mu.Unlock()
	return s.listener.Dial(ctx)
}

// Dialed returns the addresses that were dialled.
func (s *Server) Dialed() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dialed
}

// Close stops the server.
func (s *Server) Close() {
	s.http.Close()
	s.listener.Close()
	s.wg.Wait()
}
