package dane

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"slices"

	"github.com/postrider/postrider/mx/dns"
)

// The certificate usages of SMTP (RFC 7672 §3.1).
const (
	usageTA uint8 = 2 // an authority that has issued the certificate: DANE-TA
	usageEE uint8 = 3 // the server's certificate itself: DANE-EE
)

const (
	maxRecords = 64      // that are held against a certificate
	maxData    = 1 << 14 // octets of a whole certificate or key
	maxRSA     = 8192    // bits of a key, as in crypto/tls: larger ones cost too much
)

// selectors is how a certificate becomes what is compared, and what such octets
// must be if they stand in a record whole (RFC 6698 §2.1.2).
var selectors = map[uint8]struct {
	of    func(*x509.Certificate) []byte
	valid func(der []byte) bool
}{
	0: { // the certificate
		func(c *x509.Certificate) []byte { return c.Raw },
		func(der []byte) bool {
			c, err := x509.ParseCertificate(der)
			return err == nil && algorithm(c.PublicKey) != x509.UnknownPublicKeyAlgorithm
		},
	},
	1: { // its public key
		func(c *x509.Certificate) []byte { return c.RawSubjectPublicKeyInfo },
		func(der []byte) bool {
			key, err := x509.ParsePKIXPublicKey(der)
			return err == nil && algorithm(key) != x509.UnknownPublicKeyAlgorithm
		},
	},
}

const whole uint8 = 0 // the matching type of octets that are no digest

// digests are the other matching types (RFC 6698 §2.1.3). The strongest has the
// highest number.
var digests = map[uint8]struct {
	size int
	of   func([]byte) []byte
}{
	1: {sha256.Size, func(b []byte) []byte { d := sha256.Sum256(b); return d[:] }},
	2: {sha512.Size, func(b []byte) []byte { d := sha512.Sum512(b); return d[:] }},
}

// Usable returns the records that a certificate can be held against: of usage 2
// or 3 (RFC 7672 §3.1.3), well formed, each once, and of several digests of the
// same thing the strongest (RFC 7671 §9). There are 64 at most.
func Usable(records []dns.TLSARecord) []dns.TLSARecord {
	var kept []dns.TLSARecord
	strongest := map[[2]uint8]uint8{} // by usage and selector
	for _, r := range records {
		if !usable(r) || slices.ContainsFunc(kept, func(k dns.TLSARecord) bool { return same(k, r) }) {
			continue
		}
		kept = append(kept, r)
		subject := [2]uint8{r.Usage, r.Selector}
		strongest[subject] = max(strongest[subject], r.MatchingType)
	}
	kept = slices.DeleteFunc(kept, func(r dns.TLSARecord) bool {
		return r.MatchingType != whole && r.MatchingType < strongest[[2]uint8{r.Usage, r.Selector}]
	})
	return kept[:min(len(kept), maxRecords)]
}

func unusable(records []dns.TLSARecord) (n int) {
	for _, r := range records {
		if !usable(r) {
			n++
		}
	}
	return n
}

func usable(r dns.TLSARecord) bool {
	selector, ok := selectors[r.Selector]
	switch {
	case !ok, r.Usage != usageTA && r.Usage != usageEE, len(r.Data) > maxData:
		return false
	case r.MatchingType == whole:
		return selector.valid(r.Data)
	}
	return digests[r.MatchingType].size == len(r.Data) && len(r.Data) > 0
}

func same(a, b dns.TLSARecord) bool {
	return a.Usage == b.Usage && a.Selector == b.Selector && a.MatchingType == b.MatchingType && bytes.Equal(a.Data, b.Data)
}

// matches reports whether a usable record is that of a certificate.
func matches(r dns.TLSARecord, c *x509.Certificate) bool {
	data := selectors[r.Selector].of(c)
	if d, ok := digests[r.MatchingType]; ok {
		data = d.of(data)
	}
	return bytes.Equal(data, r.Data)
}

// algorithm returns what a public key is for; it is unknown if it cannot, or shall
// not, verify a signature.
func algorithm(key any) x509.PublicKeyAlgorithm {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() <= maxRSA {
			return x509.RSA
		}
	case *ecdsa.PublicKey:
		return x509.ECDSA
	case ed25519.PublicKey:
		return x509.Ed25519
	}
	return x509.UnknownPublicKeyAlgorithm
}
