package dkim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

func TestGenerateKey(t *testing.T) {
	for _, test := range []struct {
		alg  KeyType
		bits int
		want int // bits; 0 means that it is refused
	}{
		{RSA, 0, 2048},
		{RSA, 1024, 1024},
		{RSA, 3072, 3072},
		{RSA, 512, 0},
		{RSA, 1023, 0},
		{RSA, 4097, 0},
		{RSA, -1, 0},
		{Ed25519, 0, 256},
		{Ed25519, 2048, 0},
		{"dsa", 0, 0},
		{"", 0, 0},
	} {
		key, err := GenerateKey(test.alg, test.bits)
		bits := 0
		switch key := key.(type) {
		case *rsa.PrivateKey:
			bits = key.N.BitLen()
		case ed25519.PrivateKey:
			bits = 8 * len(key.Seed())
		}
		if bits != test.want || (err == nil) != (test.want > 0) {
			t.Errorf("GenerateKey(%q, %d): %d bits, %v", test.alg, test.bits, bits, err)
		}
	}
}

func TestPrivateKeys(t *testing.T) {
	for _, key := range []crypto.Signer{rsaKey(), edKey} {
		text, err := MarshalPrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})
		for _, text := range []string{string(text), "a comment\n" + string(text), string(public) + string(text)} {
			got, err := ParsePrivateKey([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if !key.(interface{ Equal(crypto.PrivateKey) bool }).Equal(got) {
				t.Errorf("another key came back from\n%s", text)
			}
		}
	}
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey().(*rsa.PrivateKey))})
	if got, err := ParsePrivateKey(pkcs1); err != nil || !rsaKey().(*rsa.PrivateKey).Equal(got) {
		t.Errorf("PKCS #1: %v", err)
	}
	if _, err := MarshalPrivateKey(&device{}); err == nil {
		t.Error("a device gave its key away")
	}
}

func TestBadPrivateKeys(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := x509.MarshalPKCS8PrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind, data string, headers map[string]string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(data), Headers: headers}))
	}
	for _, test := range []struct{ name, text, want string }{
		{"nothing", "", "no PEM block"},
		{"no PEM", "MIIE", "no PEM block"},
		{"public key", block("PUBLIC KEY", "x", nil), "no PEM block"},
		{"half", block("PRIVATE KEY", "x", nil)[:40], "no PEM block"},
		{"garbage", block("PRIVATE KEY", "x", nil), "private key: "},
		{"garbage in PKCS #1", block("RSA PRIVATE KEY", "x", nil), "private key: "},
		{"encrypted", block("ENCRYPTED PRIVATE KEY", "x", nil), "encrypted"},
		{"encrypted as of old", block("RSA PRIVATE KEY", "x", map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}), "encrypted"},
		{"ECDSA", block("PRIVATE KEY", string(other), nil), "no signatures with a *ecdsa.PrivateKey"},
	} {
		key, err := ParsePrivateKey([]byte(test.text))
		if key != nil || err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, %v", test.name, key, err)
		}
	}
}

func TestRecord(t *testing.T) {
	// The key of RFC 8463 appendix A.2, which names its record.
	public := ed25519.NewKeyFromSeed(mustDecode(t, "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")).Public()
	const want = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
	if got, err := Record(public); got != want || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	withTags := strings.Replace(want, "p=", "t=y:s; n=made in 2026; p=", 1)
	if got, err := Record(public, "t=y:s", "n=made in 2026"); got != withTags || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	for _, tag := range []string{"", "t", "p=x", "v=DKIM1", "k=rsa", "x=y", "t=y;p=", "t=y\r\n", "n=\x7f", "n= x", "n=grüße", "n=" + strings.Repeat("x", 300), " =x", "t n=x"} {
		if got, err := Record(public, tag); err == nil {
			t.Errorf("tag %q: %s", tag, got)
		}
	}
	if got, err := Record(public, "t=y", "n=x", "t=s"); err == nil || !strings.Contains(err.Error(), "t= is given twice") {
		t.Errorf("%s, %v", got, err)
	}
	for _, key := range []any{nil, "x", hugeKey(), tinyKey(), publicKey{hugeKey()}, &ecdsa.PublicKey{}} {
		if got, err := Record(key); err == nil {
			t.Errorf("%T: %s", key, got)
		}
	}
	text, err := Record(rsaKey())
	if err != nil || !strings.HasPrefix(text, "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A") || len(text) < 400 {
		t.Errorf("%s, %v", text, err)
	}
}

func TestMasterFile(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"a.example", "", "a.example. IN TXT \"\"\n"},
		{"a.example.", "x", "a.example. IN TXT \"x\"\n"},
		{"a.example", `a"b\c`, `a.example. IN TXT "a\"b\\c"` + "\n"},
		{"a.example", "a\nb\xff", `a.example. IN TXT "a\010b\255"` + "\n"},
		{"a.example", strings.Repeat("x", 255), `a.example. IN TXT "` + strings.Repeat("x", 255) + "\"\n"},
		{"a.example", strings.Repeat("x", 254) + `""` + strings.Repeat("y", 300), `a.example. IN TXT ( "` + strings.Repeat("x", 254) + `\""` +
			"\n\t\"" + `\"` + strings.Repeat("y", 254) + "\"\n\t\"" + strings.Repeat("y", 46) + "\" )\n"},
	} {
		if got := MasterFile(test.name, test.text); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

func TestCheck(t *testing.T) {
	good, err := Record(edKey)
	if err != nil {
		t.Fatal(err)
	}
	other, err := Record(rsaKey())
	if err != nil {
		t.Fatal(err)
	}
	txt := func(text string) string { return "s._domainkey.example.org TXT " + dnstest.Quote(text) }
	for _, test := range []struct{ name, zone, identity, want string }{
		{"good", txt(good), "", ""},
		{"good, on trial", txt(strings.Replace(good, "p=", "t=y; p=", 1)), "", ""},
		{"an alias", "s._domainkey.example.org CNAME key.example.net\nkey.example.net TXT " + dnstest.Quote(good), "", ""},
		{"missing", "example.org TXT x", "", "no key"},
		{"another key", txt(other), "", "dkim: signatures do not verify with s._domainkey.example.org: "},
		{"cut off", txt(good[:len(good)-9]), "", "dkim: signatures do not verify with s._domainkey.example.org: "},
		{"revoked", txt("v=DKIM1; p="), "", "revoked"},
		{"strict, and the identity is below", txt(strings.Replace(good, "p=", "t=s; p=", 1)), "@mail.example.org", "do not verify"},
		{"no answer", "s._domainkey.example.org SERVFAIL", "", "dkim: s._domainkey.example.org: dns: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSigner("s", edKey)
			s.Identity = test.identity
			s.Now = func() time.Time { return time.Unix(1, 0) } // the same clock for both
			s.Lifetime = time.Hour
			zone := dnstest.MustParse(test.zone)
			err := s.Check(t.Context(), zone)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			var failed *dns.Error
			if got := errors.As(err, &failed); got != (test.name == "no answer") {
				t.Errorf("%v has a *dns.Error: %t", err, got)
			}
			if n := len(zone.Queries()); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
	if err := new(Signer).Check(t.Context(), new(dnstest.Zone)); err == nil {
		t.Error("a Signer that is not complete is said to work")
	}
}

func TestLoadPrivateKey(t *testing.T) {
	key, err := GenerateKey(Ed25519, 0)
	if err != nil {
		t.Fatal(err)
	}
	text, err := MarshalPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := LoadPrivateKey(file); err != nil || !key.(ed25519.PrivateKey).Equal(got) {
		t.Errorf("%v, %v", got, err)
	}
	os.WriteFile(file, []byte("no key"), 0o600)
	for _, name := range []string{file, file + "x"} {
		if _, err := LoadPrivateKey(name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
