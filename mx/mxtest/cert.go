package mxtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"time"
)

// Names makes the certificate of a host one for these names, or for none, and not
// for its own.
func Names(names ...string) func(*Host) {
	return func(h *Host) { h.names = append([]string{}, names...) }
}

// Expired makes the certificate of a host one that has expired an hour ago.
func Expired(h *Host) {
	h.issue = func(h *Host) *tls.Certificate {
		return h.inet.ca.issue(h.certNames(), time.Now().Add(-time.Hour))
	}
}

// SelfSigned makes the certificate of a host its own issuer.
func SelfSigned(h *Host) {
	h.issue = func(h *Host) *tls.Certificate { return (*authority)(nil).issue(h.certNames(), always) }
}

// Untrusted makes the certificate of a host one that somebody vouches for whom
// nobody trusts.
func Untrusted(h *Host) {
	h.issue = func(h *Host) *tls.Certificate { return h.inet.stranger.issue(h.certNames(), always) }
}

// Certificate gives a host a certificate of the caller's.
func Certificate(cert tls.Certificate) func(*Host) {
	return func(h *Host) { h.issue = func(*Host) *tls.Certificate { return &cert } }
}

func (h *Host) trusted() *tls.Certificate { return h.inet.ca.issue(h.certNames(), always) }

func (h *Host) certNames() []string {
	if h.names != nil {
		return h.names
	}
	return []string{h.Name}
}

// Renew gives the host a new key, and a certificate that differs from the one it
// has as the options say: Names, Expired, SelfSigned, Untrusted, Certificate. What
// the DNS says of the old one stays.
func (h *Host) Renew(options ...func(*Host)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range options {
		f(h)
	}
	h.cert = h.issue(h)
}

// Certificate returns the certificate of the host.
func (h *Host) Certificate() *x509.Certificate {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.leaf()
}

// leaf is called with mu held.
func (h *Host) leaf() *x509.Certificate {
	leaf, err := x509.ParseCertificate(h.cert.Certificate[0])
	check(err)
	return leaf
}

// ClientTLSConfig returns what a client needs that knows the host by its name.
func (h *Host) ClientTLSConfig() *tls.Config {
	config := h.inet.TLSConfig()
	config.ServerName = h.Name
	return config
}

// certificate is for tls.Config.GetCertificate.
func (h *Host) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cert, nil
}

// always is when certificates expire: later than a test may pretend to be.
var always = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// An authority issues certificates. The nil authority's vouch for themselves.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(name string) *authority {
	template := newTemplate(name, always)
	template.IsCA = true
	template.KeyUsage = x509.KeyUsageCertSign
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	a := &authority{template, key}
	a.cert, err = x509.ParseCertificate(a.sign(template, key))
	check(err)
	return a
}

func newTemplate(name string, until time.Time) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	check(err)
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Unix(0, 0), // the clock of testing/synctest begins in 2000
		NotAfter:              until,
		BasicConstraintsValid: true,
	}
}

// issue makes a certificate and its key. The authority's own goes with it, as DANE
// wants it (RFC 7672 §3.1.2).
func (a *authority) issue(names []string, until time.Time) *tls.Certificate {
	template := newTemplate("mxtest", until)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.DNSNames = names
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	if a == nil {
		own := &authority{template, key}
		return &tls.Certificate{Certificate: [][]byte{own.sign(template, key)}, PrivateKey: key}
	}
	return &tls.Certificate{Certificate: [][]byte{a.sign(template, key), a.cert.Raw}, PrivateKey: key}
}

func (a *authority) sign(template *x509.Certificate, key *ecdsa.PrivateKey) []byte {
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	check(err)
	return der
}
