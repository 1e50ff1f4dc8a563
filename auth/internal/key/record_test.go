package key

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"
)

// modulus returns an odd number of so many bits. Nothing is signed with it.
func modulus(bits int) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return n.Add(n, big.NewInt(12345))
}

func info(t testing.TB, key any) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

func encoded(der []byte) string { return base64.StdEncoding.EncodeToString(der) }

func TestParse(t *testing.T) {
	public := func(bits int) *rsa.PublicKey { return &rsa.PublicKey{N: modulus(bits), E: 65537} }
	good := info(t, public(1024))
	bare := encoded(x509.MarshalPKCS1PublicKey(public(1024)))
	short, long := info(t, public(1023)), info(t, public(4097))
	ed := encoded(bytes.Repeat([]byte{9}, 32))
	for _, tt := range []struct {
		txt  string
		want *Problem
		bits int
	}{
		{"p=" + good, nil, 1024},
		{"v=DKIM1; k=rsa; p=" + good, nil, 1024},
		{"v=DKIM1;k=rsa;p=" + good + ";", nil, 1024},
		{" v = DKIM1 ; p = " + good[:50] + " \t" + good[50:] + "\r\n ;", nil, 1024},
		{"p=" + strings.TrimRight(good, "="), nil, 1024},
		{"p=" + bare, nil, 1024},
		{"p=" + info(t, public(4096)), nil, 4096},
		{"v=DKIM1; k=ed25519; p=" + ed, nil, 256},
		{"v=DKIM1; h=sha256:x; s=x:email; t=x; n=note; g=*; unknown=y; p=" + good, nil, 1024},
		{"s=*; p=" + good, nil, 1024},

		{"", Malformed, 0},
		{"v=DKIM1", Malformed, 0},
		{"v=DKIM1; k=rsa", Malformed, 0},
		{"v=spf1 -all", BadVersion, 0},
		{"v=DKIM2; p=" + good, BadVersion, 0},
		{"v=dkim1; p=" + good, BadVersion, 0}, // §3.6.1: compared as it stands
		{"k=rsa; v=DKIM1; p=" + good, BadVersion, 0},
		{"p=" + good + "; p=" + good, Malformed, 0},
		{"p=" + good + ";;", Malformed, 0},
		{`v=DKIM1\; p=` + good, BadVersion, 0},
		{"hello", Malformed, 0},
		{"p=", Revoked, 0},
		{"v=DKIM1; p= \t", Revoked, 0},
		{"s=tlsrpt; p=" + good, OtherService, 0},
		{"s=; p=" + good, OtherService, 0},
		{"k=dsa; p=" + good, UnknownType, 0},
		{"k=RSA; p=" + good, UnknownType, 0},
		{"k=; p=" + good, UnknownType, 0},
		{"p=" + good[:100], BadKey, 0},
		{"p=" + good + "!", BadKey, 0},
		{"p=AAAA", BadKey, 0},
		{"k=ed25519; p=" + ed[:40], BadKey, 0},
		{"k=ed25519; p=" + good, BadKey, 0},
		{"p=" + ed, BadKey, 0},
		{"k=ed25519; p=" + info(t, ed25519.PublicKey(bytes.Repeat([]byte{9}, 32))), BadKey, 0}, // RFC 8463 §4.2: the octets alone
		{"p=" + short, ShortKey, 0},
		{"p=" + long, LongKey, 0},
		{"p=" + info(t, &rsa.PublicKey{N: modulus(1024), E: 1<<31 - 1}), nil, 1024},
		{"p=" + good + "; n=" + strings.Repeat("x", MaxRecord), TooLarge, 0},
	} {
		r, problem := Parse([]byte(tt.txt))
		if problem != tt.want || (r == nil) != (problem != nil) || r != nil && r.Bits != tt.bits {
			t.Errorf("%.80q: %v, %v, want %v and %d bits", tt.txt, r, problem, tt.want, tt.bits)
		}
	}
	for txt, want := range map[string][2]bool{"": {}, "t=y; ": {true, false}, "t=s;": {false, true}, "t=s:y ;": {true, true}, "t=Y:S:yy;": {}} {
		if r, _ := Parse([]byte(txt + "p=" + good)); r == nil || [2]bool{r.Testing, r.Strict} != want {
			t.Errorf("%s: %+v", txt, r)
		}
	}
}

// What is no key in DER.
func TestBadRSA(t *testing.T) {
	const n = "0201 0b 0201 03" // 11 and 3
	bits := hex.EncodeToString(rsaAlgorithm)
	for text, want := range map[string]bool{
		"3006" + n: true, "3006" + n + "00": false, "3008" + n + "0500": false, "3003 0201 0b": false, "3106" + n: false,
		"3006 0201 0b 0301 03": false, "300681 0201 0b 0201 03": false, "308106" + n: false, "30820006" + n: false,
		"3080" + n + "0000": false, "3007" + n: false, "3006 0200 0201 03 00": false, "3007 020200 0b 0201 03": false,
		"3006 0201 8b 0201 03": false, "3006 0201 00 0201 03": false, "3007 0202008b 0201 03": true, "3006 0201 0b 0201 83": false,
		"300a 0201 0b 02050100000003": false, "30": false, "": false,
		"301a" + bits + "0309 00 3006" + n: true, "301a" + bits + "0309 01 3006" + n: false, "301b" + bits + "0309 00 3006" + n + "00": false,
		"301b" + bits + "030a 00 3006" + n + "00": false, "3011" + bits + "0300": false, "301a" + bits + "0409 00 3006" + n: false,
	} {
		der, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(text, err)
		}
		if key, ok := parseRSA(der); ok != want {
			t.Errorf("%s: %v %t, want %t", text, key, ok, want)
		}
	}
}

func TestVerify(t *testing.T) {
	secret, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	edPublic, edSecret, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("header"))
	signed, err := rsa.SignPKCS1v15(nil, secret, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	edSigned := ed25519.Sign(edSecret, digest[:])
	p, edP := "p="+info(t, &secret.PublicKey), "k=ed25519;p="+encoded(edPublic)
	for _, tt := range []struct {
		txt, algorithm string
		signature      []byte
		want           *Problem
	}{
		{p, "rsa-sha256", signed, nil},
		{"h=sha256;" + p, "rsa-sha256", signed, nil},
		{"h=sha1 : sha256;" + p, "rsa-sha256", signed, nil},
		{"h=sha1;" + p, "rsa-sha256", signed, OtherHash},
		{"h=;" + p, "rsa-sha256", signed, OtherHash},
		{edP, "ed25519-sha256", edSigned, nil},
		{"h=sha1;" + edP, "ed25519-sha256", edSigned, OtherHash},
		{edP, "rsa-sha256", signed, OtherAlgorithm},
		{p, "ed25519-sha256", edSigned, OtherAlgorithm},
		{p, "rsa-sha256", edSigned, WrongSignature},
		{p, "rsa-sha256", signed[1:], WrongSignature},
		{p, "rsa-sha256", append([]byte{0}, signed...), WrongSignature},
		{p, "rsa-sha256", nil, WrongSignature},
		{p, "rsa-sha1", signed, WrongSignature}, // a digest of another length
		{edP, "ed25519-sha256", edSigned[1:], WrongSignature},
		{edP, "ed25519-sha256", signed, WrongSignature},
	} {
		r, problem := Parse([]byte(tt.txt))
		if problem != nil {
			t.Fatal(problem)
		}
		a, ok := ParseAlgorithm([]byte(tt.algorithm))
		if !ok {
			t.Fatal(tt.algorithm)
		}
		if problem := r.Verify(a, digest[:], tt.signature); problem != tt.want {
			t.Errorf("%s %.20q: %v, want %v", tt.algorithm, tt.txt, problem, tt.want)
		}
	}
	for _, name := range []string{"", "rsa", "RSA-SHA256", "rsa-sha512", "ed25519-sha1"} {
		if _, ok := ParseAlgorithm([]byte(name)); ok {
			t.Errorf("%s is known", name)
		}
	}
}

func TestNames(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, tt := range []struct{ text, domain, selector string }{
		{"example.org", "example.org", "example.org"},
		{"EXAMPLE.org", "example.org", "example.org"},
		{"b\xc3\xbccher.example", "xn--bcher-kva.example", "xn--bcher-kva.example"}, // RFC 8616 §4
		{"example", "", "example"},
		{"_x.example.org", "", "_x.example.org"},
		{"a_b", "", "a_b"},
		{"-a.example", "", "-a.example"},
		{"a-.example", "", "a-.example"},
		{"a--b.example", "a--b.example", "a--b.example"},
		{"1.2", "1.2", "1.2"},
		{"", "", ""},
		{".", "", ""},
		{"example.org.", "", ""},
		{".example.org", "", ""},
		{"a..b", "", ""},
		{"a b.example", "", ""},
		{"a\x00.example", "", ""},
		{"a\r\n .example", "", ""},
		{"a/b.example", "", ""},
		{"*.example", "", ""},
		{"[192.0.2.1]", "", ""},
		{"a@b.example", "", ""},
		{"\xff.example", "", ""},
		{long + "a.example", "", ""},
		{long + "." + long + "." + long + "." + long, "", ""},
		{strings.Repeat("\xc3\xbc", 1000) + ".example", "", ""},
	} {
		if got, ok := Domain([]byte(tt.text)); ok != (tt.domain != "") || ok && got != tt.domain {
			t.Errorf("domain %q: %q %t, want %q", tt.text, got, ok, tt.domain)
		}
		if got, ok := Selector([]byte(tt.text)); ok != (tt.selector != "") || ok && got != tt.selector {
			t.Errorf("selector %q: %q %t, want %q", tt.text, got, ok, tt.selector)
		}
	}
}

// What our reader of DER takes for a key, the standard library takes for the
// same, and what that writes is read.
func FuzzParseRSA(f *testing.F) {
	for _, bits := range []int{512, 1024, 1025, 2048} {
		key := &rsa.PublicKey{N: modulus(bits), E: 65537}
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
		f.Add(x509.MarshalPKCS1PublicKey(key))
	}
	for _, text := range []string{"30060201010201 03", "3003020101", "30060201000201ff", "300702020001020103", "3081060201010201 03", "30800000"} {
		der, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		if len(der) > MaxRecord {
			t.Skip()
		}
		var want *rsa.PublicKey
		if any, err := x509.ParsePKIXPublicKey(der); err == nil {
			want, _ = any.(*rsa.PublicKey)
		} else if key, err := x509.ParsePKCS1PublicKey(der); err == nil {
			want = key
		}
		got, ok := parseRSA(der)
		if ok && (want == nil || !got.Equal(want)) {
			t.Errorf("%x: %v, want %v", der, got, want)
		}
		if ok || want == nil || want.E >= 1<<31 {
			return
		}
		if info, err := x509.MarshalPKIXPublicKey(want); bytes.Equal(der, x509.MarshalPKCS1PublicKey(want)) || err == nil && bytes.Equal(der, info) {
			t.Errorf("%x: no key, want %v", der, want)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("v=DKIM1; k=ed25519; h=sha256; s=email; t=y:s; p=" + encoded(bytes.Repeat([]byte{9}, 32))))
	f.Add([]byte("p=" + info(f, &rsa.PublicKey{N: modulus(1024), E: 3})))
	f.Fuzz(func(t *testing.T, txt []byte) {
		r, problem := Parse(txt)
		if (r == nil) == (problem == nil) {
			t.Fatal(r, problem)
		}
		for _, a := range algorithms {
			if r != nil && r.Verify(a, make([]byte, a.Hash.Size()), txt) == nil {
				t.Log("verified") // so small is the key's order that anything goes
			}
		}
	})
}
