package dkim

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/internal/signing"
	"github.com/postrider/postrider/mx/dns"
)

// Record returns the text of the TXT record that publishes a key, a public one
// or, as every signer has its public half, a private one (RFC 6376 §3.6.1). It
// belongs at the name that [Signer.RecordName] gives.
//
// Each of the tags, as in "t=s", is added before the key: "t=y" says that the
// domain is trying DKIM out, "t=s" that signatures with the key never have an
// Identity below the domain, "t=y:s" both, "n=" is a note to people. None may be
// given twice.
//
// Most programs that manage a zone take the text as it is. One that wants the
// lines of a zone file gets them from [MasterFile]: strings in the DNS have at
// most 255 octets, which is less than an RSA key of 2048 bits needs.
func Record(key any, tags ...string) (string, error) {
	if signer, ok := key.(crypto.Signer); ok {
		key = signer.Public()
	}
	var t KeyType
	var data []byte
	switch public := key.(type) {
	case *rsa.PublicKey:
		if n := public.N.BitLen(); n < signing.MinRSA || n > signing.MaxRSA { // RFC 8301 §3.2
			return "", fmt.Errorf("dkim: record: an RSA key of %d bits; it has to have %d to %d", n, signing.MinRSA, signing.MaxRSA)
		}
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			return "", fmt.Errorf("dkim: record: %w", err)
		}
		t, data = RSA, der
	case ed25519.PublicKey:
		t, data = Ed25519, public // RFC 8463 §4: without any wrapping
	default:
		return "", fmt.Errorf("dkim: record: DKIM has no signatures with a %T", key)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "v=DKIM1; k=%s; ", t) // v= comes first, §3.6.1
	for i, tag := range tags {
		if err := checkRecordTag(tag); err != nil {
			return "", err
		}
		if slices.ContainsFunc(tags[:i], func(s string) bool { return s[0] == tag[0] }) { // §3.2
			return "", fmt.Errorf("dkim: record: the tag %c= is given twice; several flags are one tag, such as t=y:s", tag[0])
		}
		b.WriteString(tag + "; ")
	}
	b.WriteString("p=" + base64.StdEncoding.EncodeToString(data))
	return b.String(), nil
}

// Check looks whether the DNS, as r shows it, has a record with which others
// will verify what s signs. A program that signs asks when it starts, so that a
// key that was forgotten, misspelt or cut off is found by it and not by everybody
// else. Check makes a signature to find out. The error says what is wrong; it
// wraps a [*dns.Error] if the DNS did not answer.
func (s *Signer) Check(ctx context.Context, r dns.Resolver) error {
	name, err := s.RecordName()
	if err != nil {
		return err
	}
	answer, err := r.Resolve(ctx, name, dns.TXT)
	if err != nil {
		return fmt.Errorf("dkim: %s: %w", name, err)
	}
	probe := "From: postmaster@" + s.Domain + "\r\n\r\n"
	fields, err := Signatures(strings.NewReader(probe), s)
	if err != nil {
		return err
	}
	v := &Verifier{Resolver: answered(answer), Now: s.Now}
	results, err := v.Verify(ctx, strings.NewReader(string(fields)+probe))
	switch {
	case err != nil:
		return fmt.Errorf("dkim: %s: %w", name, err)
	case results[0].Verdict != authres.Pass:
		return fmt.Errorf("dkim: signatures do not verify with %s: %s", name, results[0].Reason)
	}
	return nil
}

// answered is a Resolver that has asked already.
type answered dns.Answer

func (a answered) Resolve(context.Context, string, dns.Type) (dns.Answer, error) {
	return dns.Answer(a), nil
}

// checkRecordTag checks that what is added to a record is one tag, and none of
// those that Record writes (§3.2, §3.6.1).
func checkRecordTag(tag string) error {
	name, value, ok := strings.Cut(tag, "=")
	switch {
	case !ok, !slices.Contains([]string{"t", "n", "s", "h"}, name), len(tag) > 255:
		return fmt.Errorf("dkim: record: %q is none of the tags t=, n=, s= and h=", tag)
	case strings.ContainsFunc(value, func(r rune) bool { return r == ';' || r < ' ' || r > '~' }),
		strings.TrimSpace(value) != value:
		return fmt.Errorf("dkim: record: %q has a character that cannot stand in a tag", tag)
	}
	return nil
}

// MasterFile returns a TXT record in the form of a zone file (RFC 1035 §5.1),
// its text cut into strings of at most 255 octets, on several lines if there is
// more than one:
//
//	s2026._domainkey.example.org. IN TXT ( "v=DKIM1; k=rsa; p=MIIBIjANBgkqhk…"
//		"…AQAB" )
//
// The name is absolute, with or without its final dot.
func MasterFile(name, text string) string {
	const most = 255 // RFC 1035 §3.3
	b := []byte(strings.TrimSuffix(name, ".") + ". IN TXT ")
	long := len(text) > most
	if long {
		b = append(b, "( "...)
	}
	for first := true; first || text != ""; first = false {
		part := text[:min(len(text), most)]
		text = text[len(part):]
		if !first {
			b = append(b, "\n\t"...)
		}
		b = append(b, '"')
		for _, c := range []byte(part) {
			switch {
			case c == '"', c == '\\':
				b = append(b, '\\', c)
			case c < ' ' || c > '~':
				b = fmt.Appendf(b, "\\%03d", c)
			default:
				b = append(b, c)
			}
		}
		b = append(b, '"')
	}
	if long {
		b = append(b, " )"...)
	}
	return string(append(b, '\n'))
}
