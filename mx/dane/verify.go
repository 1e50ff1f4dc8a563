package dane

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"time"

	"github.com/postrider/postrider/mx/dns"
)

// ErrNoMatch means that no TLSA record is that of the certificate which a server
// presented, or of one of its issuers.
var ErrNoMatch = errors.New("dane: no TLSA record matches the certificate")

var errNoCertificate = errors.New("dane: the server presented no certificate")

// A Verifier holds a server's certificate against TLSA records. It must not be
// changed while in use, and is safe for concurrent use.
type Verifier struct {
	// Records are those of Records.Usable. Any that are not usable count for
	// nothing. If none is usable, no certificate is good.
	Records []dns.TLSARecord
	// Names are the reference identifiers, one of which a certificate must hold if
	// an authority vouches for it: the TLSA base domain, the domain to which the
	// mail goes, and what that is an alias of (RFC 7672 §3.2.2). What Records of
	// usage 3 are for needs none.
	Names []string
	// Now is asked for the time. If nil, time.Now.
	Now func() time.Time
}

// VerifyConnection is for the field of this name in a tls.Config, whose
// InsecureSkipVerify must be set: that leaves all of the verification to it.
//
// The error is ErrNoMatch, or, where an authority of the records is at hand, one of
// those of x509.Certificate.Verify and VerifyHostname.
func (v *Verifier) VerifyConnection(state tls.ConnectionState) error {
	presented := state.PeerCertificates
	if len(presented) == 0 {
		return errNoCertificate
	}
	var authorities []dns.TLSARecord
	for _, r := range Usable(v.Records) {
		switch {
		case r.Usage == usageTA:
			authorities = append(authorities, r)
		case matches(r, presented[0]): // neither name nor time matter (RFC 7672 §3.1.1)
			return nil
		}
	}
	if len(authorities) == 0 {
		return ErrNoMatch
	}
	return v.issued(presented, authorities)
}

// issued reports whether one of the authorities has issued the certificate, for
// one of the names.
func (v *Verifier) issued(presented []*x509.Certificate, authorities []dns.TLSARecord) error {
	now := time.Now
	if v.Now != nil {
		now = v.Now
	}
	leaf := presented[0]
	var issuers []*x509.Certificate // the server's own certificate is no authority
	for _, c := range presented[1:min(len(presented), maxPresented)] {
		if !c.Equal(leaf) {
			issuers = append(issuers, c)
		}
	}
	opts := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now()}
	ends := anchors(leaf, issuers, authorities)
	if len(ends) == 0 {
		return ErrNoMatch
	}
	for _, c := range ends {
		opts.Roots.AddCert(c)
	}
	for _, c := range issuers {
		opts.Intermediates.AddCert(c)
	}
	chains, err := leaf.Verify(opts)
	if err != nil {
		return err
	}
	return v.named(leaf, chains)
}

// named reports whether a certificate is for one of the names.
func (v *Verifier) named(leaf *x509.Certificate, chains [][]*x509.Certificate) error {
	var first error
	for _, name := range v.Names {
		err := leaf.VerifyHostname(name)
		if err == nil || !constrained(chains) && commonName(leaf, name) {
			return nil
		}
		first = cmp.Or(first, err)
	}
	return cmp.Or(first, error(x509.HostnameError{Certificate: leaf}))
}

// commonName reports whether the certificate holds a name where older ones have
// it, which counts if it has no other (RFC 7672 §3.2.3).
func commonName(c *x509.Certificate, name string) bool {
	if len(c.DNSNames) > 0 {
		return false
	}
	held, name := plain(c.Subject.CommonName), plain(name)
	if rest, ok := strings.CutPrefix(held, "*."); ok {
		_, name, _ = strings.Cut(name, ".")
		held = rest
	}
	return held == name && dns.ValidName(held)
}

// constrained reports whether an authority may issue for some names only, which
// nobody has held the common name against (RFC 5280 §4.2.1.10).
func constrained(chains [][]*x509.Certificate) bool {
	for _, chain := range chains {
		for _, c := range chain {
			if len(c.PermittedDNSDomains) > 0 || len(c.ExcludedDNSDomains) > 0 {
				return true
			}
		}
	}
	return false
}
