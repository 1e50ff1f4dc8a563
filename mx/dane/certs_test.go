package dane_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"

	"github.com/postrider/postrider/mx/dns"
)

// now is the time in all tests.
var now = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// A party has a certificate and its key.
type party struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

var serial int64

// issue makes a certificate, which issuer signs, or the party itself if there is
// none.
func issue(issuer *party, change func(*x509.Certificate)) *party {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return issueFor(key, issuer, change)
}

func issueFor(key *ecdsa.PrivateKey, issuer *party, change func(*x509.Certificate)) *party {
	serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	change(template)
	self := &party{template, key}
	if issuer == nil {
		issuer = self
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.Certificate, key.Public(), issuer.key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return &party{cert, key}
}

func authority(name string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: name}
		c.IsCA, c.BasicConstraintsValid = true, true
		c.KeyUsage = x509.KeyUsageCertSign
		c.ExtKeyUsage = nil
	}
}

func server(names ...string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "a server"}
		c.DNSNames = names
	}
}

func expired(change func(*x509.Certificate)) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		change(c)
		c.NotAfter = now.Add(-time.Minute)
	}
}

// record is the TLSA record of a certificate.
func record(usage, selector, matching uint8, c *party) dns.TLSARecord {
	data := c.Raw
	if selector == 1 {
		data = c.RawSubjectPublicKeyInfo
	}
	switch matching {
	case 1:
		d := sha256.Sum256(data)
		data = d[:]
	case 2:
		d := sha512.Sum512(data)
		data = d[:]
	}
	return dns.TLSARecord{Usage: usage, Selector: selector, MatchingType: matching, Data: data}
}

// presented is a connection to a server with these certificates.
func presented(chain ...*party) (state tls.ConnectionState) {
	for _, c := range chain {
		state.PeerCertificates = append(state.PeerCertificates, c.Certificate)
	}
	return state
}
