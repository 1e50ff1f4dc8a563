package dane_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/mx/dane"
	"github.com/postrider/postrider/mx/dns"
)

const name = "mx.example"

func hugeKey() []byte {
	der, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 8192), E: 3})
	if err != nil {
		panic(err)
	}
	return der
}

func verifier(records ...dns.TLSARecord) *dane.Verifier {
	return &dane.Verifier{Records: records, Names: []string{name}, Now: func() time.Time { return now }}
}

// Every usage, selector and matching type, against the right certificate and
// another one of the same name.
func TestUsages(t *testing.T) {
	ca, otherCA := issue(nil, authority("CA")), issue(nil, authority("CA"))
	mx, otherMX := issue(ca, server(name)), issue(otherCA, server(name))
	for usage := uint8(2); usage <= 3; usage++ {
		for selector := range uint8(2) {
			for matching := range uint8(3) {
				pinned := ca
				if usage == 3 {
					pinned = mx
				}
				v := verifier(record(usage, selector, matching, pinned))
				if err := v.VerifyConnection(presented(mx, ca)); err != nil {
					t.Errorf("%d %d %d: %v", usage, selector, matching, err)
				}
				if err := v.VerifyConnection(presented(otherMX, otherCA)); err == nil {
					t.Errorf("%d %d %d: another server is accepted", usage, selector, matching)
				}
				err := v.VerifyConnection(presented(mx)) // without the authority
				if needed := usage == 2 && matching != 0; needed != (err != nil) {
					t.Errorf("%d %d %d: without the authority: %v", usage, selector, matching, err)
				}
			}
		}
	}
}

// What else may be the matter with a certificate.
func TestVerify(t *testing.T) {
	ca := issue(nil, authority("CA"))
	other := issue(nil, authority("Other CA"))
	sub := issue(ca, authority("Sub CA"))
	oldSub := issue(ca, expired(authority("Old Sub CA")))
	notCA := issue(ca, server("sub.example"))
	mx := issue(ca, server(name))
	old := issue(ca, expired(server("wrong.example")))
	oldMX := issue(ca, expired(server(name)))
	young := issue(ca, func(c *x509.Certificate) { server(name)(c); c.NotBefore = now.Add(time.Minute) })
	wrong := issue(ca, server("wrong.example"))
	deep := issue(sub, server(name))
	deepOld := issue(oldSub, server(name))
	self := issue(nil, server(name))
	selfCA := issue(nil, func(c *x509.Certificate) { authority("self")(c); c.DNSNames = []string{name} })
	forClients := issue(ca, func(c *x509.Certificate) {
		server(name)(c)
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
	oldCA := issue(nil, expired(authority("Expired CA")))
	byOldCA := issue(oldCA, server(name))
	shallow := issue(nil, func(c *x509.Certificate) { authority("Shallow CA")(c); c.MaxPathLenZero = true })
	shallowSub := issue(shallow, authority("Sub of shallow"))
	tooDeep := issue(shallowSub, server(name))

	// The same authority, certified by two others.
	crossKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	crossA := issueFor(crossKey, ca, authority("Cross CA"))
	crossB := issueFor(crossKey, other, authority("Cross CA"))
	crossed := issue(crossA, server(name))

	cn := func(name string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: name} }
	}
	limited := issue(nil, func(c *x509.Certificate) {
		authority("Limited CA")(c)
		c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"limited.example"}
	})

	forged := issue(ca, server(name))
	forged.Certificate = &x509.Certificate{}
	*forged.Certificate = *mx.Certificate
	forged.Signature = bytes.Clone(mx.Signature)
	forged.Signature[len(forged.Signature)-1] ^= 1

	type records = []dns.TLSARecord
	const good, noMatch, hostname, untrusted, dates, usage = "", "no match", "hostname", "untrusted", "dates", "usage"
	for _, tt := range []struct {
		rfc     string
		name    string
		records records
		state   tls.ConnectionState
		want    string
	}{
		{"7672 §3.1.1", "EE: expired, of another name, of nobody", records{record(3, 1, 1, old)}, presented(old), good},
		{"7672 §3.1.1", "EE: not for servers", records{record(3, 0, 1, forClients)}, presented(forClients), good},
		{"7672 §3.1.1", "EE: the authority's record", records{record(3, 1, 1, ca)}, presented(mx, ca), noMatch},
		{"7671 §5.1", "EE: the second of two", records{record(3, 1, 1, self), record(3, 1, 1, mx)}, presented(mx), good},
		{"7671 §8.1", "EE: certificate renewed, key kept", records{record(3, 1, 1, crossA)}, presented(crossB), good},
		{"7671 §8.1", "EE: certificate renewed, key kept, certificate pinned", records{record(3, 0, 1, crossA)}, presented(crossB), noMatch},
		{"7671 §9", "EE: only the weaker digest is right", records{record(3, 1, 1, mx), record(3, 1, 2, self)}, presented(mx), noMatch},
		{"7672 §3.1.3", "PKIX-EE is none", records{record(1, 1, 1, mx)}, presented(mx), noMatch},
		{"7672 §3.1.3", "PKIX-TA is none", records{record(0, 1, 1, ca)}, presented(mx, ca), noMatch},
		{"7672 §2.2", "no record", nil, presented(mx, ca), noMatch},
		{"7672 §3.1", "EE fails, TA is right", records{record(3, 1, 1, self), record(2, 1, 1, ca)}, presented(mx, ca), good},
		{"8446 §4.4.2", "no certificate", records{record(3, 1, 1, mx)}, presented(), "none"},

		{"7672 §3.1.2", "TA: through an intermediate", records{record(2, 1, 1, ca)}, presented(deep, sub, ca), good},
		{"7672 §3.1.2", "TA: the intermediate is it", records{record(2, 1, 1, sub)}, presented(deep, sub), good},
		{"7672 §3.1.2", "TA: the intermediate is it, and expired", records{record(2, 1, 1, oldSub)}, presented(deepOld, oldSub), dates},
		{"7672 §3.1.2", "TA: in another order", records{record(2, 1, 1, ca)}, presented(deep, ca, other, sub), good},
		{"7672 §3.1.2", "TA: intermediate missing", records{record(2, 1, 1, ca)}, presented(deep, ca), untrusted},
		{"7672 §3.1.2", "TA: whole, intermediate missing", records{record(2, 0, 0, ca)}, presented(deep), untrusted},
		{"7672 §3.1.2", "TA: intermediate expired", records{record(2, 1, 1, ca)}, presented(deepOld, oldSub, ca), dates},
		{"7672 §3.1.2", "TA: not presented", records{record(2, 1, 1, ca)}, presented(deep, sub), noMatch},
		{"7672 §3.1.2", "TA: presented, and of no help", records{record(2, 1, 1, other)}, presented(mx, ca, other), untrusted},
		{"7672 §3.1.2", "TA: expired", records{record(2, 1, 1, ca)}, presented(oldMX, ca), dates},
		{"7672 §3.1.2", "TA: not yet valid", records{record(2, 1, 1, ca)}, presented(young, ca), dates},
		{"7672 §3.1.2", "TA: itself expired", records{record(2, 1, 1, oldCA)}, presented(byOldCA, oldCA), dates},
		{"7672 §3.1.2", "TA: wrong name", records{record(2, 1, 1, ca)}, presented(wrong, ca), hostname},
		{"7672 §3.1.2", "TA: whole, wrong name", records{record(2, 0, 0, ca)}, presented(wrong), hostname},
		{"7672 §3.1.2", "TA: key, wrong name", records{record(2, 1, 0, ca)}, presented(wrong), hostname},
		{"7672 §3.1.2", "TA: key, expired", records{record(2, 1, 0, ca)}, presented(oldMX), dates},
		{"7671 §5.2.3", "TA: key, through an intermediate", records{record(2, 1, 0, ca)}, presented(deep, sub), good},
		{"7671 §5.2.3", "TA: key, intermediate missing", records{record(2, 1, 0, ca)}, presented(deep), noMatch},
		{"7671 §5.2.3", "TA: key, which has signed something else", records{record(2, 1, 0, other)}, presented(mx, other), untrusted},
		{"7671 §5.2.3", "TA: key, signature forged", records{record(2, 1, 0, ca)}, presented(forged), noMatch},
		{"7672 §3.1.2", "TA: signature forged", records{record(2, 1, 1, ca)}, presented(forged, ca), untrusted},
		{"5280 §4.2.1.12", "TA: a certificate for clients", records{record(2, 1, 1, ca)}, presented(forClients, ca), usage},
		{"5280 §4.2.1.9", "TA: no authority on the way", records{record(2, 1, 1, ca)}, presented(issue(notCA, server(name)), notCA, ca), untrusted},
		{"5280 §4.2.1.9", "TA: is no authority", records{record(2, 1, 1, notCA)}, presented(issue(notCA, server(name)), notCA, ca), untrusted},
		{"5280 §4.2.1.9", "TA: chain too long for it", records{record(2, 1, 1, shallow)}, presented(tooDeep, shallowSub, shallow), usage},
		{"7671 §5.2", "TA: the server's own certificate", records{record(2, 1, 1, self)}, presented(self), noMatch},
		{"7671 §5.2", "TA: the server's own, presented twice", records{record(2, 0, 1, selfCA)}, presented(selfCA, selfCA), noMatch},
		{"7671 §5.2", "TA: the server's own, whole", records{record(2, 0, 0, selfCA)}, presented(selfCA), noMatch},
		{"7671 §8", "TA: cross-signed, one pinned", records{record(2, 0, 1, ca)}, presented(crossed, crossB, other, crossA, ca), good},
		{"7671 §8", "TA: cross-signed, the other pinned", records{record(2, 0, 1, other)}, presented(crossed, crossA, ca, crossB, other), good},
		{"7671 §8", "TA: cross-signed, its link missing", records{record(2, 0, 1, other)}, presented(crossed, crossA, ca, other), untrusted},
		{"7671 §8", "TA: cross-signed, its key pinned", records{record(2, 1, 1, crossA)}, presented(crossed, crossB), good},
		{"7671 §9", "TA: only the weaker digest is right", records{record(2, 1, 1, ca), record(2, 1, 2, other)}, presented(mx, ca), noMatch},
		{"7672 §3.1.2", "TA: past the certificates that are looked at", records{record(2, 1, 1, ca)},
			presented(mx, other, other, other, other, other, other, other, other, other, ca), noMatch},

		{"7672 §3.2.3", "name: a wildcard", records{record(2, 1, 1, ca)}, presented(issue(ca, server("*.example")), ca), good},
		{"7672 §3.2.3", "name: a wildcard for part of a label", records{record(2, 1, 1, ca)}, presented(issue(ca, server("m*.example")), ca), hostname},
		{"7672 §3.2.3", "name: a wildcard for two labels", records{record(2, 1, 1, ca)}, presented(issue(ca, server("*")), ca), hostname},
		{"7672 §3.2.3", "name: one of several", records{record(2, 1, 1, ca)}, presented(issue(ca, server("a.example", "MX.example")), ca), good},
		{"7672 §3.2.3", "common name", records{record(2, 1, 1, ca)}, presented(issue(ca, cn("MX.example")), ca), good},
		{"7672 §3.2.3", "common name: a wildcard", records{record(2, 1, 1, ca)}, presented(issue(ca, cn("*.example")), ca), good},
		{"7672 §3.2.3", "common name: a wildcard for everything", records{record(2, 1, 1, ca)}, presented(issue(ca, cn("*")), ca), hostname},
		{"7672 §3.2.3", "common name: another", records{record(2, 1, 1, ca)}, presented(issue(ca, cn("a.example")), ca), hostname},
		{"7672 §3.2.3", "common name beside others", records{record(2, 1, 1, ca)},
			presented(issue(ca, func(c *x509.Certificate) { cn(name)(c); c.DNSNames = []string{"a.example"} }), ca), hostname},
		{"5280 §4.2.1.10", "common name outside of what the authority may issue for", records{record(2, 1, 1, limited)},
			presented(issue(limited, cn(name)), limited), hostname},
		{"5280 §4.2.1.10", "name outside of what the authority may issue for", records{record(2, 1, 1, limited)},
			presented(issue(limited, server(name)), limited), usage},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := verifier(tt.records...).VerifyConnection(tt.state)
			if got := kind(err); got != tt.want {
				t.Errorf("RFC %s: %q, want %q (%v)", tt.rfc, got, tt.want, err)
			}
		})
	}
}

// kind sorts errors.
func kind(err error) string {
	var hostname x509.HostnameError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, dane.ErrNoMatch):
		return "no match"
	case errors.As(err, &hostname):
		return "hostname"
	case errors.As(err, &unknown):
		return "untrusted"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "dates"
	case errors.As(err, &invalid):
		return "usage"
	}
	return "none"
}

// Each of the names will do (RFC 7672 §3.2.2); without any, none does.
func TestNames(t *testing.T) {
	ca := issue(nil, authority("CA"))
	mx := issue(ca, server(name))
	for want, names := range map[string][]string{
		"":         {"example", "MX.Example."},
		"hostname": nil,
	} {
		v := verifier(record(2, 1, 1, ca))
		v.Names = names
		if got := kind(v.VerifyConnection(presented(mx, ca))); got != want {
			t.Errorf("%q: %q, want %q", names, got, want)
		}
		v = verifier(record(3, 1, 1, mx))
		v.Names = names
		if err := v.VerifyConnection(presented(mx, ca)); err != nil {
			t.Errorf("%q: %v", names, err)
		}
	}
	v := verifier(record(2, 1, 1, ca))
	v.Names = []string{"mx"}
	dots := issue(ca, func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: "*.."} })
	if got := kind(v.VerifyConnection(presented(dots, ca))); got != "hostname" {
		t.Errorf("a wildcard for nothing: %q", got)
	}
	v.Names = []string{""}
	noName := issue(ca, func(*x509.Certificate) {})
	if got := kind(v.VerifyConnection(presented(noName, ca))); got != "hostname" {
		t.Errorf("no name: %q", got)
	}
}

// The clock is the caller's, or the machine's.
func TestNow(t *testing.T) {
	ca := issue(nil, func(c *x509.Certificate) {
		authority("CA")(c)
		c.NotAfter = now.AddDate(200, 0, 0)
		c.NotBefore = time.Unix(0, 0)
	})
	mx := issue(ca, func(c *x509.Certificate) {
		server(name)(c)
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	})
	v := verifier(record(2, 1, 1, ca))
	v.Now = nil
	if err := v.VerifyConnection(presented(mx, ca)); err != nil {
		t.Error(err)
	}
	v.Now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	if got := kind(v.VerifyConnection(presented(mx, ca))); got != "dates" {
		t.Errorf("%q", got)
	}
}

// A handshake, and one that resumes it, ask the Verifier.
func TestHandshake(t *testing.T) {
	mx, other := issue(nil, server(name)), issue(nil, server(name))
	cfg := &tls.Config{ServerName: name, InsecureSkipVerify: true, Time: func() time.Time { return now }, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	srv := &tls.Config{Time: cfg.Time, Certificates: []tls.Certificate{{Certificate: [][]byte{mx.Raw}, PrivateKey: mx.key}}}
	l := memnet.Listen()
	defer l.Close()
	shake := func(v *dane.Verifier) (resumed bool, err error) {
		cfg.VerifyConnection = v.VerifyConnection
		done := make(chan error, 1)
		go func() {
			b, err := l.Accept()
			if err == nil {
				defer b.Close()
				_, err = tls.Server(b, srv).Write([]byte("x")) // behind the session ticket
			}
			done <- err
		}()
		a, err := l.Dial(t.Context())
		if err != nil {
			return false, err
		}
		defer a.Close()
		c := tls.Client(a, cfg)
		if err = c.Handshake(); err == nil {
			_, err = c.Read(make([]byte, 1))
		}
		a.Close()
		<-done
		return c.ConnectionState().DidResume, err
	}
	if resumed, err := shake(verifier(record(3, 1, 1, mx))); resumed || err != nil {
		t.Fatal(resumed, err)
	}
	if resumed, err := shake(verifier(record(3, 1, 1, mx))); !resumed || err != nil {
		t.Fatalf("resumed %t: %v", resumed, err)
	}
	if resumed, err := shake(verifier(record(3, 1, 1, other))); !resumed || !errors.Is(err, dane.ErrNoMatch) {
		t.Errorf("resumed %t with other records: %v", resumed, err)
	}
}

// Whatever stands in a record: nothing but the record of a certificate, or of its
// authority, makes it good.
func FuzzTLSA(f *testing.F) {
	ca := issue(nil, authority("CA"))
	mx := issue(ca, server(name))
	right := map[string]bool{}
	for usage := range uint8(4) {
		for selector := range uint8(2) {
			for matching := range uint8(3) {
				for _, c := range []*party{ca, mx} {
					r := record(usage, selector, matching, c)
					f.Add(usage, selector, matching, r.Data)
					right[fmt.Sprint(r)] = usage == 2 && c == ca || usage == 3 && c == mx
				}
			}
		}
	}
	f.Add(uint8(2), uint8(1), uint8(0), hugeKey())
	f.Fuzz(func(t *testing.T, usage, selector, matching uint8, data []byte) {
		r := dns.TLSARecord{Usage: usage, Selector: selector, MatchingType: matching, Data: data}
		err := verifier(r).VerifyConnection(presented(mx, ca))
		if (err == nil) != right[fmt.Sprint(r)] {
			t.Errorf("%v: %v", r, err)
		}
		strong := record(usage, selector, 2, mx)
		both := dane.Usable([]dns.TLSARecord{r, strong})
		for _, u := range both {
			if u.Usage < 2 || u.Usage > 3 || u.Selector > 1 || u.MatchingType > 2 || len(u.Data) == 0 {
				t.Errorf("%v is usable", u)
			}
		}
	})
}
