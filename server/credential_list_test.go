package server

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadCredentials(t *testing.T) {
	c, err := NewCredential("secret", 4096, "SCRAM-SHA-256", "SCRAM-SHA-1")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := c.MarshalText()
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte("# users\n\nalice@example.org "+string(text)+"\r\n bob@example.org \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := LoadCredentials(file)
	if err != nil || len(l) != 2 {
		t.Fatal(len(l), err)
	}
	if got, err := l.Lookup(t.Context(), "alice@example.org"); err != nil || got != c {
		t.Errorf("alice: %v, %v", got, err)
	}
	for _, user := range []string{"bob@example.org", "Alice@example.org", "", "# users"} {
		if _, err := l.Lookup(t.Context(), user); !errors.Is(err, ErrCredentials) {
			t.Errorf("%s: %v", user, err)
		}
	}
	if _, err := CredentialList(nil).Lookup(t.Context(), "a"); !errors.Is(err, ErrCredentials) {
		t.Error(err)
	}
	for _, bad := range []string{"a secret", "a\na", "a " + string(text) + " " + string(text), "a " + strings.Repeat("x", 100000)} {
		if l, err := ReadCredentials(strings.NewReader(bad)); err == nil || l != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%.20q: %v, %v", bad, l, err)
		}
	}
	var b strings.Builder
	if err := WriteCredential(&b, "carol@example.org", "pass word"); err != nil {
		t.Fatal(err)
	}
	if l, err := ReadCredentials(strings.NewReader(b.String())); err != nil || len(l) != 1 || l["carol@example.org"].String() == "" {
		t.Errorf("%q: %v, %v", b.String(), l, err)
	}
	for _, user := range []string{"", "#", "a b", "a\nb"} {
		if err := WriteCredential(&b, user, "x"); err == nil {
			t.Errorf("wrote %q", user)
		}
	}
	if _, err := LoadCredentials(file + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestSelfSigned(t *testing.T) {
	c, err := SelfSigned("mx.example.org", "mail.example.org")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := c.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	for name, good := range map[string]bool{"mx.example.org": true, "mail.example.org": true, "example.org": false} {
		if _, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); (err == nil) != good {
			t.Errorf("%s: %v", name, err)
		}
	}
	if c.Reload() == nil {
		t.Error("reloaded from nowhere")
	}
	if again, err := c.GetCertificate(nil); again != pair || err != nil {
		t.Error("the certificate is gone", err)
	}
}

func TestObservers(t *testing.T) {
	var got string
	note := func(name string) Observer {
		return ObserverFunc(func(e Event) { got += name + e.Line + " " })
	}
	Observers(note("a"), note("b")).Observe(Event{Line: "NOOP"})
	Observers().Observe(Event{})
	if got != "aNOOP bNOOP " {
		t.Error(got)
	}
}
