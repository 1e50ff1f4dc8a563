package dane

import (
	"crypto/x509"

	"github.com/postrider/postrider/mx/dns"
)

// maxPresented limits the certificates of a server that are looked at. Each may
// have been signed by each key that stands in a record.
const maxPresented = 10

// anchors returns the certificates at which a chain may end: those that the
// records match among the presented ones, those that stand in a record whole, and
// those that a key in a record has signed.
func anchors(leaf *x509.Certificate, issuers []*x509.Certificate, authorities []dns.TLSARecord) []*x509.Certificate {
	var found []*x509.Certificate
	for _, r := range authorities {
		for _, c := range issuers {
			if matches(r, c) {
				found = append(found, c)
			}
		}
		switch {
		case r.MatchingType != whole:
		case r.Selector == 0: // need not be presented (RFC 7671 §5.2.2)
			if c, err := x509.ParseCertificate(r.Data); err == nil && !c.Equal(leaf) {
				found = append(found, c)
			}
		default: // nor need the one that has this key (RFC 7671 §5.2.3)
			found = append(found, signedBy(r.Data, leaf, issuers)...)
		}
	}
	return found
}

// signedBy returns the certificates that a public key has signed.
func signedBy(der []byte, leaf *x509.Certificate, issuers []*x509.Certificate) []*x509.Certificate {
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil
	}
	issuer := &x509.Certificate{PublicKey: key, PublicKeyAlgorithm: algorithm(key)}
	var signed []*x509.Certificate
	for _, c := range append([]*x509.Certificate{leaf}, issuers...) {
		if issuer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil {
			signed = append(signed, c)
		}
	}
	return signed
}
