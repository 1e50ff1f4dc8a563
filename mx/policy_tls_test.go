package mx_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/dns"
)

// A pki is an authority that is trusted, and certificates of all kinds.
type pki struct {
	roots *x509.CertPool
	certs map[string]tls.Certificate
	ca    *x509.Certificate
	key   *ecdsa.PrivateKey
}

// newPKI makes certificates for mx.example.org: good, expired, of another name, of
// an authority that is not trusted, of themselves, through an intermediate, and
// without it.
func newPKI(t testing.TB) *pki {
	p := &pki{roots: x509.NewCertPool(), certs: map[string]tls.Certificate{}}
	ca, caKey := p.issue(t, "CA", nil, nil, func(c *x509.Certificate) { c.IsCA = true })
	sub, subKey := p.issue(t, "Sub CA", ca, caKey, func(c *x509.Certificate) { c.IsCA = true })
	stranger, strangerKey := p.issue(t, "Other CA", nil, nil, func(c *x509.Certificate) { c.IsCA = true })
	p.roots.AddCert(ca)
	p.ca, p.key = ca, caKey
	leaf := func(kind string, issuer *x509.Certificate, key *ecdsa.PrivateKey, change func(*x509.Certificate), also ...*x509.Certificate) {
		c, k := p.issue(t, kind, issuer, key, func(c *x509.Certificate) {
			c.DNSNames = []string{"mx.example.org"}
			if change != nil {
				change(c)
			}
		})
		cert := tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: k, Leaf: c}
		for _, a := range also {
			cert.Certificate = append(cert.Certificate, a.Raw)
		}
		p.certs[kind] = cert
	}
	leaf("good", ca, caKey, nil, ca)
	leaf("other key", ca, caKey, nil, ca)
	leaf("deep", sub, subKey, nil, sub)
	leaf("incomplete", sub, subKey, nil)
	leaf("expired", ca, caKey, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, ca)
	leaf("other name", ca, caKey, func(c *x509.Certificate) { c.DNSNames = []string{"example.com"} }, ca)
	leaf("wildcard", ca, caKey, func(c *x509.Certificate) { c.DNSNames = []string{"*.example.org"} }, ca)
	leaf("dot", ca, caKey, func(c *x509.Certificate) { c.DNSNames = []string{".example.org"} }, ca)
	leaf("domain", ca, caKey, func(c *x509.Certificate) { c.DNSNames = []string{"example.org"} }, ca)
	leaf("stranger", stranger, strangerKey, nil, stranger)
	leaf("self", nil, nil, nil)
	return p
}

func (p *pki) issue(t testing.TB, name string, issuer *x509.Certificate, issuerKey *ecdsa.PrivateKey, change func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(int64(len(p.certs) + 1)),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		BasicConstraintsValid: true,
	}
	change(template)
	if issuer == nil {
		issuer, issuerKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// named makes a good certificate for a name.
func (p *pki) named(t testing.TB, name string) tls.Certificate {
	t.Helper()
	c, key := p.issue(t, name, p.ca, p.key, func(c *x509.Certificate) { c.DNSNames = []string{name} })
	return tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key, Leaf: c}
}

// pin is a TLSA record 3 1 1 for a certificate.
func (p *pki) pin(kind string) dns.TLSARecord {
	sum := sha256.Sum256(p.certs[kind].Leaf.RawSubjectPublicKeyInfo)
	return dns.TLSARecord{Usage: 3, Selector: 1, MatchingType: 1, Data: sum[:]}
}

// pinCA is a TLSA record 2 0 1 for the authority.
func (p *pki) pinCA() dns.TLSARecord {
	sum := sha256.Sum256(p.certs["good"].Certificate[1])
	return dns.TLSARecord{Usage: 2, Selector: 0, MatchingType: 1, Data: sum[:]}
}

func tlsaLine(name string, r dns.TLSARecord) string {
	return fmt.Sprintf("\n_25._tcp.%s TLSA %d %d %d %x\n", name, r.Usage, r.Selector, r.MatchingType, r.Data)
}

// handshake shakes hands with a server that has the certificate, and returns the
// name it was asked for.
func handshake(t testing.TB, cfg *tls.Config, cert tls.Certificate) (asked string, err error) {
	t.Helper()
	l := memnet.Listen()
	defer l.Close()
	done := make(chan string, 1)
	go func() {
		far, err := l.Accept()
		if err != nil {
			done <- ""
			return
		}
		defer far.Close()
		server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{cert}})
		server.Handshake()
		done <- server.ConnectionState().ServerName
	}()
	near, err := l.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = tls.Client(near, cfg).Handshake()
	near.Close()
	return <-done, err
}

// What each level takes for proven.
func TestTLSConfig(t *testing.T) {
	p := newPKI(t)
	names := []string{"mx.example.org"}
	levels := map[string]mx.Policy{
		"encrypt":     {Level: mx.LevelEncrypt},
		"verify":      {Level: mx.LevelVerify, Names: names},
		"verify many": {Level: mx.LevelVerify, Names: []string{"example.net", "example.org", "mx.example.org"}},
		"verify SNI":  {Level: mx.LevelVerify},
		"below":       {Level: mx.LevelVerify, Names: []string{".Example.org"}},
		"dane ee":     {Level: mx.LevelDANE, Names: names, TLSA: []dns.TLSARecord{p.pin("good"), p.pin("self"), p.pin("expired")}},
		"dane ta":     {Level: mx.LevelDANE, Names: names, TLSA: []dns.TLSARecord{p.pinCA()}},
		"dane SNI":    {Level: mx.LevelDANE, TLSA: []dns.TLSARecord{p.pinCA()}},
		"dane none":   {Level: mx.LevelDANE, Names: names},
	}
	accepted := map[string]string{
		"good":       "encrypt, verify, verify many, verify SNI, below, dane ee, dane ta, dane SNI",
		"other key":  "encrypt, verify, verify many, verify SNI, below, dane ta, dane SNI",
		"deep":       "encrypt, verify, verify many, verify SNI, below",
		"incomplete": "encrypt",
		"expired":    "encrypt, dane ee",
		"other name": "encrypt",
		"wildcard":   "encrypt, verify, verify many, verify SNI, below, dane ta, dane SNI",
		"dot":        "encrypt",
		"domain":     "encrypt, verify many",
		"stranger":   "encrypt",
		"self":       "encrypt, dane ee",
	}
	for kind, cert := range p.certs {
		var got string
		for _, level := range []string{"encrypt", "verify", "verify many", "verify SNI", "below", "dane ee", "dane ta", "dane SNI", "dane none"} {
			policy := levels[level]
			policy.ServerName = "mx.example.org"
			base := &tls.Config{RootCAs: p.roots, InsecureSkipVerify: true, ServerName: "elsewhere.example"}
			asked, err := handshake(t, policy.TLSConfig(base), cert)
			if asked != "mx.example.org" {
				t.Errorf("%s: asked for %q", level, asked)
			}
			if err == nil {
				got += ", " + level
			}
		}
		if want := ", " + accepted[kind]; got != want {
			t.Errorf("%s: accepted by %q, want %q", kind, got, want)
		}
	}
}

// LevelMay leaves it to client.Opportunistic, which must see what fails.
func TestTLSConfigMay(t *testing.T) {
	p := newPKI(t)
	policy := mx.Policy{ServerName: "mx.example.org"}
	if _, err := handshake(t, policy.TLSConfig(&tls.Config{InsecureSkipVerify: true}), p.certs["self"]); err == nil {
		t.Error("client.Opportunistic would take anybody for verified")
	}
	cfg := (&mx.Policy{}).TLSConfig(nil)
	if cfg.InsecureSkipVerify || cfg.ServerName != "" {
		t.Errorf("%+v", cfg)
	}
}

// The clock and the further demands of the base hold with every level.
func TestTLSConfigBase(t *testing.T) {
	p := newPKI(t)
	no := errors.New("no")
	for _, policy := range []mx.Policy{
		{Level: mx.LevelEncrypt},
		{Level: mx.LevelVerify},
		{Level: mx.LevelDANE, TLSA: []dns.TLSARecord{p.pinCA()}},
	} {
		policy.ServerName = "mx.example.org"
		asked := 0
		base := &tls.Config{RootCAs: p.roots, VerifyConnection: func(tls.ConnectionState) error { asked++; return no }}
		if _, err := handshake(t, policy.TLSConfig(base), p.certs["good"]); !errors.Is(err, no) || asked != 1 {
			t.Errorf("%s: %v, asked %d times", policy.Level, err, asked)
		}
		if _, err := handshake(t, policy.TLSConfig(base), p.certs["stranger"]); asked != 1 && policy.Level > mx.LevelEncrypt {
			t.Errorf("%s: %v, asked %d times", policy.Level, err, asked)
		}
		base = &tls.Config{RootCAs: p.roots, Time: func() time.Time { return time.Now().Add(2 * time.Hour) }}
		_, err := handshake(t, policy.TLSConfig(base), p.certs["good"])
		if late := err != nil; late != (policy.Level > mx.LevelEncrypt) {
			t.Errorf("%s: two hours later: %v", policy.Level, err)
		}
	}
}

// Connections are shared where they have proved the same.
func TestClass(t *testing.T) {
	p := newPKI(t)
	a, b := p.pin("good"), p.pin("self")
	same := [][]mx.Policy{
		{{}, {Source: mx.SourceMTASTS, Names: []string{"mx.example.org"}}, {Source: mx.SourceTLSOptional, Why: "because"}},
		{{Source: mx.SourceMTASTS, ServerName: "mx.example.org"}}, // testing: the certificate is reported on
		{{Level: mx.LevelNone}},
		{{Level: mx.LevelEncrypt}, {Level: mx.LevelEncrypt, Source: mx.SourceDANE}},
		{{Level: mx.LevelVerify, Names: []string{"mx.example.org"}}, {Level: mx.LevelVerify, Names: []string{"mx.example.org"}, Source: mx.SourceRequireTLS}},
		{{Level: mx.LevelVerify, Names: []string{"mx.example.net"}}},
		{{Level: mx.LevelVerify, Names: []string{"mx.example.org", "mx.example.net"}}},
		{{Level: mx.LevelDANE, Names: []string{"mx.example.org"}, TLSA: []dns.TLSARecord{a}},
			{Level: mx.LevelDANE, Names: []string{"mx.example.net"}, TLSA: []dns.TLSARecord{a}}}, // of usage 3, which no name matters to
		{{Level: mx.LevelDANE, Names: []string{"mx.example.org"}, TLSA: []dns.TLSARecord{a, p.pinCA()}}},
		{{Level: mx.LevelDANE, Names: []string{"mx.example.net"}, TLSA: []dns.TLSARecord{a, p.pinCA()}}},
		{{Level: mx.LevelDANE, Names: []string{"mx.example.org"}, TLSA: []dns.TLSARecord{b}}},
		{{Level: mx.LevelDANE, Names: []string{"mx.example.org"}, TLSA: []dns.TLSARecord{a, b}},
			{Level: mx.LevelDANE, Names: []string{"mx.example.org"}, TLSA: []dns.TLSARecord{b, a}}},
		{{Level: mx.LevelDANE, Names: []string{"mx.example.org"}, TLSA: []dns.TLSARecord{{Usage: 3, Selector: 0, MatchingType: 1, Data: a.Data}}}},
		{{Level: mx.LevelDANE, Names: []string{"mx.example.org"}, TLSA: []dns.TLSARecord{{Usage: 2, Selector: 1, MatchingType: 1, Data: a.Data}}}},
		{{Level: mx.LevelDANE, Names: []string{"mx.example.org"}, TLSA: []dns.TLSARecord{{Usage: 3, Selector: 1, MatchingType: 0, Data: a.Data}}}},
	}
	seen := map[string]int{}
	for i, group := range same {
		for _, policy := range group {
			class := policy.Class()
			if first, known := seen[class]; known && first != i {
				t.Errorf("%d and %d are alike: %s", first, i, class)
			}
			if class != group[0].Class() {
				t.Errorf("%d: %q and %q", i, class, group[0].Class())
			}
			seen[class] = i
		}
	}
}
