package mx

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/mx/dane"
)

// TLSConfig returns a copy of base, which may be nil, that accepts a peer if and
// only if it proves what p asks for. With LevelMay that is left to
// client.Opportunistic. A VerifyConnection of base is asked as well.
func (p *Policy) TLSConfig(base *tls.Config) *tls.Config {
	cfg := &tls.Config{}
	if base != nil {
		cfg = base.Clone()
	}
	if p.ServerName != "" {
		cfg.ServerName = p.ServerName
	}
	if p.Level <= LevelMay {
		cfg.InsecureSkipVerify = false // for client.Opportunistic to see it fail
		return cfg
	}
	also := cfg.VerifyConnection
	cfg.InsecureSkipVerify = true // VerifyConnection does it all
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		err := p.check(state, base)
		if err == nil && also != nil {
			err = also(state)
		}
		return err
	}
	return cfg
}

// check says why a peer does not prove what p asks for.
func (p *Policy) check(state tls.ConnectionState, base *tls.Config) error {
	names := p.Names
	if len(names) == 0 {
		names = []string{state.ServerName}
	}
	switch p.Level {
	case LevelVerify:
		return verify(state, base, names)
	case LevelDANE:
		v := dane.Verifier{Records: p.TLSA, Names: names}
		if base != nil {
			v.Now = base.Time
		}
		return v.VerifyConnection(state)
	}
	return nil
}

var errNoCertificate = errors.New("the host presented no certificate")

// verify holds a certificate against the roots of base, and against names.
func verify(state tls.ConnectionState, base *tls.Config, names []string) error {
	if len(state.PeerCertificates) == 0 {
		return errNoCertificate
	}
	leaf := state.PeerCertificates[0]
	opts := x509.VerifyOptions{Intermediates: x509.NewCertPool(), CurrentTime: time.Now()}
	if base != nil {
		opts.Roots = base.RootCAs
		if base.Time != nil {
			opts.CurrentTime = base.Time()
		}
	}
	for _, c := range state.PeerCertificates[1:] {
		opts.Intermediates.AddCert(c)
	}
	if _, err := leaf.Verify(opts); err != nil {
		return err
	}
	if !slices.ContainsFunc(names, func(name string) bool { return isFor(leaf, name) }) {
		return x509.HostnameError{Certificate: leaf, Host: strings.Join(names, ", ")}
	}
	return nil
}

// isFor reports whether a certificate is good for a name, or for one below if that
// begins with a dot.
func isFor(leaf *x509.Certificate, name string) bool {
	if !strings.HasPrefix(name, ".") {
		return leaf.VerifyHostname(name) == nil
	}
	return slices.ContainsFunc(leaf.DNSNames, func(san string) bool {
		return len(san) > len(name) && strings.HasSuffix(lowerName(san), strings.ToLower(name))
	})
}
