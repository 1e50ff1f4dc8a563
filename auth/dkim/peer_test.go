package dkim_test

import (
	"bytes"
	"context"
	"crypto"
	"math/rand/v2"
	"strings"
	"testing"

	peer "github.com/emersion/go-msgauth/dkim"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dkim"
	"github.com/postrider/postrider/mx/dns"
)

// anyName answers with this record whatever the name.
type anyName string

func (a anyName) Resolve(context.Context, string, dns.Type) (dns.Answer, error) {
	return dns.Answer{TXT: []string{string(a)}}, nil
}

// words of which messages are made: what canonicalization is about.
var words = []string{"a", "B", "word", "=", ";", ":", " ", "  ", "\t", " \t ", "\r\n", "\r\n\r\n", " \r\n", "\t\r\n\r\n", "\xc3\xbc", "longer-than-eight", "."}

func randomText(r *rand.Rand, n int) string {
	var b strings.Builder
	for range r.IntN(n + 1) {
		b.WriteString(words[r.IntN(len(words))])
	}
	return b.String()
}

// randomMessage returns a message with names of fields that occur again.
func randomMessage(r *rand.Rand) string {
	var b strings.Builder
	names := []string{"From", "FROM", "To", "Subject", "X", "x"}
	for range 1 + r.IntN(8) {
		value := strings.NewReplacer("\r\n\r\n", "\r\n", "\r\n", "\r\n ").Replace(randomText(r, 12))
		for strings.Contains(value, "\r\n \r\n") || strings.HasSuffix(value, "\r\n ") {
			value = strings.TrimSuffix(strings.ReplaceAll(value, "\r\n \r\n", "\r\n"), "\r\n ")
		}
		b.WriteString(names[r.IntN(len(names))] + ":" + value + "\r\n")
	}
	b.WriteString("From: alice@example.org\r\n\r\n" + randomText(r, 60))
	return b.String()
}

// What go-msgauth signs, we verify; and with an octet changed, we say what
// go-msgauth says.
func TestAgainstPeer(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	passed, failed := 0, 0
	for i := range 400 {
		key, resolver := crypto.Signer(edKey), anyName(keyRecord(edKey))
		if i%4 == 0 {
			key, resolver = rsaKey, anyName(keyRecord(rsaKey))
		}
		canon := []peer.Canonicalization{"simple", "relaxed"}
		options := &peer.SignOptions{
			Domain: "example.org", Selector: "june", Signer: key,
			HeaderCanonicalization: canon[r.IntN(2)], BodyCanonicalization: canon[r.IntN(2)],
			HeaderKeys: []string{"From", "to", "X", "x", "X", "Subject", "from"}[:1+r.IntN(7)],
		}
		text := randomMessage(r)
		var signed bytes.Buffer
		if err := peer.Sign(&signed, strings.NewReader(text), options); err != nil {
			t.Fatal(err)
		}
		v := &dkim.Verifier{Resolver: resolver}
		if got := verify(t, v, signed.String()); len(got) != 1 || got[0].Verdict != authres.Pass {
			t.Fatalf("%q: %+v", signed.String(), got)
		}
		for range 10 {
			changed := bytes.Clone(signed.Bytes())
			at := r.IntN(len(changed))
			if c := changed[at]; c == '=' || c == ':' {
				continue // padding that is missing, a field without a colon: read in different ways
			}
			changed[at] = "aA; \t=:"[r.IntN(7)]
			if bareLineEnd(changed) {
				continue // those who repair them see another message
			}
			found, err := peer.VerifyWithOptions(bytes.NewReader(changed), &peer.VerifyOptions{
				LookupTXT: func(string) ([]string, error) { return []string{string(resolver)}, nil },
			})
			want := err == nil && len(found) == 1 && found[0].Err == nil
			got := verify(t, v, string(changed))
			if is := len(got) == 1 && got[0].Verdict == authres.Pass; is != want {
				t.Errorf("%q: %v, but %v %v", changed, got, want, found)
			}
			if want {
				passed++
			} else {
				failed++
			}
		}
	}
	if passed < 100 || failed < 100 {
		t.Errorf("%d passed, %d failed: the changes tell nothing", passed, failed)
	}
}

func bareLineEnd(text []byte) bool {
	rest := bytes.ReplaceAll(text, []byte("\r\n"), nil)
	return bytes.ContainsAny(rest, "\r\n")
}
