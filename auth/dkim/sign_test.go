package dkim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

var (
	rsaKey = sync.OnceValue(func() crypto.Signer { return mustKey(GenerateKey(RSA, 0)) })
	edKey  = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
)

func mustKey(key crypto.Signer, err error) crypto.Signer {
	if err != nil {
		panic(err)
	}
	return key
}

func newSigner(selector string, key crypto.Signer) *Signer {
	return &Signer{Domain: "example.org", Selector: selector, Key: key}
}

// others verifies with the verifier of go-msgauth, the keys being those of the
// signers, and returns an error for each signature, from the top.
func others(t testing.TB, message []byte, signers ...*Signer) []error {
	t.Helper()
	records := map[string]string{}
	for _, s := range signers {
		name, err := s.RecordName()
		if err != nil {
			t.Fatal(err)
		}
		if records[name], err = Record(s.Key); err != nil {
			t.Fatal(err)
		}
	}
	verifications, err := msgauth.VerifyWithOptions(bytes.NewReader(message), &msgauth.VerifyOptions{
		LookupTXT: func(name string) ([]string, error) {
			if text, ok := records[name]; ok {
				return []string{text}, nil
			}
			return nil, errors.New("no such name: " + name)
		},
	})
	if err != nil {
		return []error{err}
	}
	var errs []error
	for _, v := range verifications {
		errs = append(errs, v.Err)
	}
	return errs
}

// ours verifies with the Verifier of this package.
func ours(t testing.TB, message []byte, signers ...*Signer) []Result {
	t.Helper()
	zone := new(dnstest.Zone)
	for _, s := range signers {
		name, err := s.RecordName()
		if err != nil {
			t.Fatal(err)
		}
		text, err := Record(s.Key)
		if err != nil {
			t.Fatal(err)
		}
		if err := zone.Add(name + " TXT " + dnstest.Quote(text)); err != nil {
			t.Fatal(err)
		}
	}
	results, err := (&Verifier{Resolver: zone}).Verify(context.Background(), bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// accepted fails the test unless each of the signers has signed the message, in
// this order from the top, and go-msgauth and we verify it.
func accepted(t testing.TB, message []byte, signers ...*Signer) {
	t.Helper()
	errs := others(t, whole(message), signers...)
	for i, err := range errs[:min(len(errs), len(signers))] {
		if err != nil {
			t.Errorf("go-msgauth, signature %d: %v\n%q", i, err, message)
		}
	}
	results := ours(t, message, signers...)
	if len(errs) < len(signers) || len(results) < len(signers) {
		t.Fatalf("%v, %v; want %d signatures\n%q", errs, results, len(signers), message)
	}
	for i, s := range signers {
		p, err := s.prepare()
		if err != nil {
			t.Fatal(err)
		}
		if r := results[i]; r.Verdict != authres.Pass || r.Domain != p.domain || r.Selector != p.selector || r.Algorithm != p.key.Algorithm() {
			t.Errorf("signature %d: %+v\n%q", i, r, message)
		}
	}
}

const plain = "From: Ann <ann@example.org>\r\n" +
	"To: bob@example.net\r\n" +
	"Subject: Hello\r\n" +
	"\r\n" +
	"One line.\r\n"

// What is signed verifies, whatever the message looks like.
func TestSignVerifies(t *testing.T) {
	for name, message := range map[string]string{
		"plain":           plain,
		"empty body":      "From: a@example.org\r\n\r\n",
		"no body":         "From: a@example.org\r\n",
		"no line end":     "From: a@example.org\r\n\r\nthe last line",
		"no header end":   "From: a@example.org",
		"empty lines":     "From: a@example.org\r\n\r\n\r\n\r\nx\r\n\r\n\r\n\r\n",
		"only empty":      "From: a@example.org\r\n\r\n\r\n\r\n",
		"blanks":          "From: a@example.org\r\n\r\n a \t b  \r\n\t\r\n  \r\nc\td\r\n \r\n",
		"eight bits":      "From: a@example.org\r\nSubject: Gr\xc3\xbc\xc3\x9fe\r\n\r\n\xff\xfe \xc3\xa4\r\n",
		"NUL":             "From: a@example.org\r\n\r\na\x00b\r\n",
		"long lines":      "From: a@example.org\r\nSubject: " + strings.Repeat("x", 5000) + "\r\n\r\n" + strings.Repeat("y ", 50000) + "\r\n",
		"folded":          "From: a@example.org\r\nSubject:\r\n  a\r\n\tb  \t c\r\nTo:\ta@example.net \r\n\r\nx\r\n",
		"old white space": "From : a@example.org\r\nSUBJECT\t: x\r\n\r\nx\r\n",
		"several":         "To: a@example.net\r\nFrom: a@example.org\r\nTo: b@example.net\r\nSubject: a\r\nSubject: b\r\n\r\nx\r\n",
		"everything":      everything() + "\r\nx\r\n",
		"signed before":   "DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=x; h=from; bh=AA==; b=AA==\r\n" + plain,
	} {
		for _, header := range []Canonicalization{Relaxed, Simple} {
			for _, body := range []Canonicalization{Relaxed, Simple} {
				t.Run(fmt.Sprintf("%s/%v/%v", name, header, body), func(t *testing.T) {
					rsa, ed := newSigner("rsa", rsaKey()), newSigner("ed", edKey)
					for _, s := range []*Signer{rsa, ed} {
						s.Header, s.Body = header, body
					}
					fields, err := Signatures(strings.NewReader(message), rsa, ed)
					if err != nil {
						t.Fatal(err)
					}
					accepted(t, append(fields, message...), rsa, ed)
				})
			}
		}
	}
}

// whole returns a message with what its end lacks; go-msgauth wants the empty
// line.
func whole(message []byte) []byte {
	if !bytes.HasSuffix(message, []byte("\r\n")) {
		message = append(message, "\r\n"...)
	}
	if !bytes.Contains(message, []byte("\r\n\r\n")) {
		message = append(message, "\r\n"...)
	}
	return message
}

// everything is a header section with one of each field that is signed.
func everything() string {
	var b strings.Builder
	for _, f := range signedFields {
		b.WriteString(f.name + ": x@example.org\r\n")
	}
	return b.String()
}

// The field, octet for octet: Ed25519 signatures are deterministic, and so is
// the clock.
func TestSignatureField(t *testing.T) {
	for _, test := range []struct {
		name    string
		signer  Signer
		message string
	}{
		{"default", Signer{Domain: "example.org", Selector: "s"}, plain},
		{"everything", Signer{Domain: "example.org", Selector: "s"}, everything() + "\r\nx\r\n"},
		{"options", Signer{Domain: "Example.ORG", Selector: "a.b", Identity: `"ann=x;y z"@Mail.example.org`, Lifetime: 7 * 24 * time.Hour,
			Header: Simple, Body: Simple, Fields: []string{"FROM", "X-a", "Date"}, Oversign: []string{"Subject", "from"}}, plain},
		{"u-labels", Signer{Domain: "bücher.example", Selector: "grüße", Identity: "grüße@post.bücher.example", Oversign: []string{}}, plain},
		{"long", Signer{Domain: strings.Repeat("long-domain.", 15) + "example", Selector: strings.Repeat("x", 50),
			Identity: "@" + strings.Repeat("long-domain.", 15) + "example"}, plain},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.signer.Key = edKey
				fields, err := Signatures(strings.NewReader(test.message), &test.signer)
				if err != nil {
					t.Fatal(err)
				}
				golden(t, "testdata/sign/"+test.name+".txt", fields)
				for line := range strings.SplitSeq(string(fields), "\r\n") {
					if len(line) > 76 && strings.Count(line, " ") > 1 {
						t.Errorf("a line of %d octets could have been folded: %s", len(line), line)
					}
					if strings.Trim(line, " \t") == "" && line != "" {
						t.Error("a line of white space")
					}
				}
				accepted(t, append(fields, test.message...), &test.signer)
			})
		})
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

var update = flag.Bool("update", false, "write testdata/sign anew")

// A field that somebody adds breaks the signature if it is one of those that
// are shown to people, or if it stands in the message already.
func TestOversigned(t *testing.T) {
	s := newSigner("s", edKey)
	for _, test := range []struct {
		name, oversign, field string
		breaks                bool
	}{
		{"second From", "", "From: eve@example.org", true},
		{"second Subject", "", "subject: Hello", true},
		{"second To", "", "To: eve@example.org", true},
		{"first Cc", "", "Cc: eve@example.org", true},
		{"first Date", "", "Date: Mon, 02 Nov 2026 10:00:00 +0000", true},
		{"first Reply-To", "", "Reply-To: eve@example.org", true},
		{"second Content-Type", "", "CONTENT-TYPE: text/html", true},
		{"first Sender", "", "Sender: list@example.net", false},
		{"first MIME-Version", "", "MIME-Version: 1.0", false},
		{"List-Id", "", "List-Id: <list.example.net>", false},
		{"Received", "", "Received: by mx.example.net; Mon, 02 Nov 2026 10:00:00 +0000", false},
		{"none is oversigned", "none", "Reply-To: eve@example.org", false},
		{"of one's own", "X-Own", "X-Own: eve", true},
		{"instead of the others", "X-Own", "Reply-To: eve@example.org", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			signer := *s
			switch test.oversign {
			case "":
			case "none":
				signer.Oversign = []string{}
			default:
				signer.Oversign = []string{test.oversign}
			}
			message := "Content-Type: text/plain\r\n" + plain
			fields, err := Signatures(strings.NewReader(message), &signer)
			if err != nil {
				t.Fatal(err)
			}
			accepted(t, append(fields, message...), &signer)
			errs := others(t, []byte(string(fields)+test.field+"\r\n"+message), &signer)
			if broken := errs[0] != nil; broken != test.breaks {
				t.Errorf("broken %t, want %t: %v\n%s", broken, test.breaks, errs[0], fields)
			}
			result := ours(t, []byte(string(fields)+test.field+"\r\n"+message), &signer)[0]
			if broken := result.Verdict == authres.Fail; broken != test.breaks || !broken && result.Verdict != authres.Pass {
				t.Errorf("broken %t, want %t: %+v", broken, test.breaks, result)
			}
		})
	}
}

func TestNotSigned(t *testing.T) {
	for _, test := range []struct {
		name, message string
		want          error  // that errors.Is finds
		text          string // or what it says
	}{
		{"empty", "", ErrNoFrom, ""},
		{"no From", "To: a@example.org\r\n\r\nFrom: a@example.org\r\n", ErrNoFrom, ""},
		{"no header section", "\r\nFrom: a@example.org\r\n", ErrNoFrom, ""},
		{"two From", "From: a@example.org\r\nfrom: b@example.org\r\n\r\n", ErrNoFrom, ""},
		{"LF in the header section", "Subject: a\nFrom: a@example.org\r\nFrom: a@example.org\r\n\r\n", ErrBareLineEnd, ""},
		{"CR in the header section", "Subject: a\rb\r\nFrom: a@example.org\r\n\r\n", ErrBareLineEnd, ""},
		{"NUL in the header section", "Subject: a\x00b\r\nFrom: a@example.org\r\n\r\n", ErrHeader, ""},
		{"LF everywhere", strings.ReplaceAll(plain, "\r\n", "\n"), ErrBareLineEnd, ""},
		{"LF in the body", plain + "a\nb\r\n", ErrBareLineEnd, ""},
		{"LF at the end", plain + "a\n", ErrBareLineEnd, ""},
		{"CR in the body", plain + "a\rb\r\n", ErrBareLineEnd, ""},
		{"CR at the end", plain + "a\r", ErrBareLineEnd, ""},
		{"CR CR LF", plain + "a\r\r\n", ErrBareLineEnd, ""},
		{"a line of an mbox file", "From ann@example.org Mon Nov  2 10:00:00 2026\r\n" + plain, ErrHeader, ""},
		{"no colon", "From: a@example.org\r\nSubject\r\n\r\n", ErrHeader, ""},
		{"no name", "From: a@example.org\r\n: x\r\n\r\n", ErrHeader, ""},
		{"begins with white space", " x\r\nFrom: a@example.org\r\n\r\n", ErrHeader, ""},
		{"space in a name", "From: a@example.org\r\nSub ject: x\r\n\r\n", ErrHeader, ""},
		{"header section too large", "From: a@example.org\r\nX: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", nil, "header too large"},
		{"too many fields", "From: a@example.org\r\n" + strings.Repeat("X: x\r\n", 1000) + "\r\n", nil, "too many header fields"},
		{"too many to sign", "From: a@example.org\r\n" + strings.Repeat("To: x\r\n", 100) + "\r\n", nil, "more than 100 fields to sign"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := BeginSigning(newSigner("s", edKey))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write([]byte(test.message)); err != nil {
				t.Error(err)
			}
			for range 2 {
				fields, err := s.Finish()
				if fields != nil || err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
					t.Errorf("%q, %v", fields, err)
				}
			}
			if _, err := s.Write([]byte("x")); err == nil {
				t.Error("written after Finish")
			}
		})
	}
}

// Whatever an identity is made of, it is nothing but the value of i=.
func TestIdentities(t *testing.T) {
	for identity, want := range map[string]string{
		"bob@example.org": "bob@", "bob=example.net@example.org": "bo=62=3Dexample.net@", "b=@example.org": "=62=3D@",
		"bücher@example.org": "=62=C3=BCcher@", `"b ;b=x\" |"@example.org`: `"=62=20=3B=62=3Dx\"=20|"@`, `"a=3Db"@example.org`: `"a=3D3Db"@`,
	} {
		s := newSigner("s", edKey)
		s.Identity = identity
		fields, err := Signatures(strings.NewReader(plain), s)
		if err != nil {
			t.Fatal(err)
		}
		accepted(t, append(fields, plain...), s)
		if !bytes.Contains(fields, []byte(" i="+want+"example.org;")) {
			t.Errorf("%s: want %s in\n%s", identity, want, fields)
		}
	}
}

func TestSignerIsChecked(t *testing.T) {
	weak := mustKey(GenerateKey(RSA, 1024))
	for _, test := range []struct {
		name   string
		change func(*Signer)
		want   string // in the error; empty means that there is none
	}{
		{"complete", func(s *Signer) {}, ""},
		{"no domain", func(s *Signer) { s.Domain = "" }, "domain"},
		{"domain of one label", func(s *Signer) { s.Domain = "localhost" }, "only one label"},
		{"domain with a final dot", func(s *Signer) { s.Domain = "example.org." }, "domain"},
		{"domain with a line end", func(s *Signer) { s.Domain = "example.org\r\nX: y" }, "domain"},
		{"domain with a tag", func(s *Signer) { s.Domain = "example.org; l=0" }, "domain"},
		{"domain that is no U-label", func(s *Signer) { s.Domain = "\u2488.example" }, "domain"},
		{"no selector", func(s *Signer) { s.Selector = "" }, "selector"},
		{"selector with a tag", func(s *Signer) { s.Selector = "s;l=0" }, "selector"},
		{"selector of several labels", func(s *Signer) { s.Selector = "2026.mail" }, ""},
		{"a name too long", func(s *Signer) { s.Selector = strings.Repeat("sixty-octets.", 18) + "x" }, "253"},
		{"no key", func(s *Signer) { s.Key = nil }, "no key"},
		{"weak key", func(s *Signer) { s.Key = weak }, "fewer than 2048"},
		{"weak key, allowed", func(s *Signer) { s.Key, s.MinRSABits = weak, 1024 }, ""},
		{"any key allowed", func(s *Signer) { s.MinRSABits = 512 }, "MinRSABits"},
		{"key of another kind", func(s *Signer) { s.Key = oddKey{} }, "no signatures with"},
		{"huge key", func(s *Signer) { s.Key = publicKey{hugeKey()} }, "not between 1024 and 4096"},
		{"tiny key", func(s *Signer) { s.Key, s.MinRSABits = publicKey{tinyKey()}, 1024 }, "not between 1024 and 4096"},
		{"identity in the domain", func(s *Signer) { s.Identity = `"a b"@example.org` }, ""},
		{"identity below the domain", func(s *Signer) { s.Identity = "@mail.example.org" }, ""},
		{"identity elsewhere", func(s *Signer) { s.Identity = "a@notexample.org" }, "neither example.org nor below"},
		{"identity above the domain", func(s *Signer) { s.Identity = "a@org" }, "neither example.org nor below"},
		{"identity without @", func(s *Signer) { s.Identity = "example.org" }, "no @"},
		{"identity with a line end", func(s *Signer) { s.Identity = "a\r\nb@example.org" }, "identity"},
		{"lifetime in the past", func(s *Signer) { s.Lifetime = -time.Hour }, "lifetime"},
		{"lifetime of no time", func(s *Signer) { s.Lifetime = time.Millisecond }, "lifetime"},
		{"canonicalization", func(s *Signer) { s.Body = 2 }, "canonicalization"},
		{"fields without From", func(s *Signer) { s.Fields = []string{"To"} }, "From"},
		{"no fields", func(s *Signer) { s.Fields = []string{} }, "From"},
		{"field with a colon", func(s *Signer) { s.Fields = []string{"From", "a:b"} }, "name of a field"},
		{"field with a tag", func(s *Signer) { s.Fields = []string{"From", "a;l=0"} }, "name of a field"},
		{"oversigned field with a line end", func(s *Signer) { s.Oversign = []string{"a\r\nb"} }, "name of a field"},
		{"oversigned signatures", func(s *Signer) { s.Oversign = []string{"From", "dkim-signature"} }, "cannot be oversigned"},
		{"field without name", func(s *Signer) { s.Oversign = []string{""} }, "name of a field"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSigner("s", edKey)
			test.change(s)
			_, err := Signatures(strings.NewReader(plain), s)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
	if name, err := (&Signer{Domain: "Bücher.example", Selector: "S"}).RecordName(); name != "s._domainkey.xn--bcher-kva.example" || err != nil {
		t.Errorf("without a key: %q, %v", name, err)
	}
	if name, err := new(Signer).RecordName(); name != "" || err == nil {
		t.Errorf("without names: %q", name)
	}
	if _, err := BeginSigning(); err == nil {
		t.Error("signed by nobody")
	}
	if _, err := BeginSigning(newSigner("s", edKey), &Signer{}); err == nil {
		t.Error("signed by a signer that is not complete")
	}
}

// Signatures do not depend on how the octets come.
func TestSigningInPieces(t *testing.T) {
	message := "From: a@example.org\r\nSubject: a\r\n b\r\n\r\n x \t y \r\n\r\n\r\nz\r\n\r\n"
	synctest.Test(t, func(t *testing.T) {
		signer := newSigner("s", edKey)
		want, err := Signatures(strings.NewReader(message), signer)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Signatures(iotest.OneByteReader(strings.NewReader(message)), signer)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("octet by octet: %v\n%s\nwant\n%s", err, got, want)
		}
	})
}

// An abandoned Signing leaves nothing behind: the bubble would not end.
func TestSigningIsAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := BeginSigning(newSigner("s", edKey), newSigner("r", rsaKey()))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(s, plain)
	})
}

func TestReaderFails(t *testing.T) {
	broken := errors.New("broken")
	fields, err := Signatures(io.MultiReader(strings.NewReader(plain), iotest.ErrReader(broken)), newSigner("s", edKey))
	if fields != nil || !errors.Is(err, broken) {
		t.Errorf("%q, %v", fields, err)
	}
}

// A key in a device signs too, and is not believed.
func TestDevice(t *testing.T) {
	for _, key := range []crypto.Signer{rsaKey(), edKey} {
		s := newSigner("s", &device{Signer: key})
		fields, err := Signatures(strings.NewReader(plain), s)
		if err != nil {
			t.Fatal(err)
		}
		accepted(t, append(fields, plain...), s)
		s.Key = &device{Signer: key, fault: 1}
		if fields, err := Signatures(strings.NewReader(plain), s); fields != nil || err == nil {
			t.Errorf("%T: a bad signature was taken: %q", key, fields)
		}
		s.Key = &device{Signer: key, err: io.ErrClosedPipe}
		if _, err := Signatures(strings.NewReader(plain), s); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%T: %v", key, err)
		}
	}
}

type device struct {
	crypto.Signer
	fault byte
	err   error
}

func (d *device) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if d.err != nil {
		return nil, d.err
	}
	sig, err := d.Signer.Sign(rand, digest, opts)
	if err == nil {
		sig[len(sig)/2] ^= d.fault
	}
	return sig, err
}

type oddKey struct{ crypto.Signer }

func (oddKey) Public() crypto.PublicKey { return "odd" }

// The clock may be the application's.
func TestSignerNow(t *testing.T) {
	s := newSigner("s", edKey)
	s.Lifetime, s.Now = time.Hour, func() time.Time { return time.Unix(1234567890, 0) }
	fields, err := Signatures(strings.NewReader(plain), s)
	if err != nil || !strings.Contains(string(fields), "t=1234567890; x=1234571490;") {
		t.Errorf("%s, %v", fields, err)
	}
}

// hugeKey and tinyKey have a modulus that nobody has factors of.
func hugeKey() *rsa.PublicKey {
	return &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 4096), E: 65537}
}
func tinyKey() *rsa.PublicKey {
	return &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1022), E: 65537}
}

type publicKey struct{ public *rsa.PublicKey }

func (k publicKey) Public() crypto.PublicKey { return k.public }
func (k publicKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("no private key")
}

func mustDecode(t *testing.T, text string) []byte {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// To finish again gives the same, whatever the time.
func TestFinishAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := BeginSigning(newSigner("s", edKey))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(s, plain)
		first, err := s.Finish()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if again, err := s.Finish(); err != nil || !bytes.Equal(again, first) {
			t.Errorf("%q, %v; want %q", again, err, first)
		}
	})
}
