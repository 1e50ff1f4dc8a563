// Package key finds and uses the public keys that signatures of DKIM and ARC
// are verified with: key records (RFC 6376 §3.6.1, RFC 8463), their lookup
// within the budget of one message, and the check of one signature.
package key

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/internal/tag"
)

// The sizes of RSA keys that are used, in bits (RFC 8301 §3.2).
const (
	MinRSA = 1024
	MaxRSA = 4096
)

// MaxRecord is how many octets a key record may have. An RSA key of 4,096 bits
// needs about 750.
const MaxRecord = 8 << 10

// A Problem says why there is no key, or why it does not verify a signature.
// The reason is a fixed text, fit for strangers.
type Problem struct {
	Verdict authres.Verdict
	Reason  string
}

// Error returns the reason.
func (p *Problem) Error() string { return p.Reason }

// What can be wrong with a key, each named for the situation.
var (
	NoKey          = &Problem{authres.PermError, "no key"}                        // §6.1.2
	BadName        = &Problem{authres.PermError, "selector is no name of a host"} // the lookup is never made
	Unavailable    = &Problem{authres.TempError, "key unavailable"}               // §6.1.2
	TooManyLookups = &Problem{authres.Neutral, "too many keys to look up"}
	SeveralKeys    = &Problem{authres.PermError, "several key records"} // §3.6.2.2
	TooLarge       = &Problem{authres.PermError, "key record too large"}
	Malformed      = &Problem{authres.PermError, "malformed key record"}
	BadVersion     = &Problem{authres.PermError, "key record of another version"}
	Revoked        = &Problem{authres.PermError, "key revoked"}
	UnknownType    = &Problem{authres.PermError, "key of unknown type"}
	BadKey         = &Problem{authres.PermError, "malformed key"}
	ShortKey       = &Problem{authres.PermError, "RSA key shorter than 1024 bits"} // RFC 8301 §3.2
	LongKey        = &Problem{authres.PermError, "RSA key longer than 4096 bits"}
	OtherService   = &Problem{authres.PermError, "key not for email"}
	OtherAlgorithm = &Problem{authres.PermError, "key of another algorithm"}
	OtherHash      = &Problem{authres.PermError, "hash algorithm not allowed by the key"}
	OtherDomain    = &Problem{authres.PermError, "key does not speak for subdomains"} // t=s
	WrongSignature = &Problem{authres.Fail, "signature does not verify"}
)

// An Algorithm is a way to sign (RFC 6376 §3.3).
type Algorithm struct {
	Name string // as in a=
	Type string // as in k= of the key
	Hash crypto.Hash
	hash string // as in h= of the key
}

var algorithms = []Algorithm{
	{"rsa-sha256", "rsa", crypto.SHA256, "sha256"},
	{"ed25519-sha256", "ed25519", crypto.SHA256, "sha256"}, // RFC 8463
	{"rsa-sha1", "rsa", crypto.SHA1, "sha1"},               // historic: RFC 8301 §3.1
}

// ParseAlgorithm returns the algorithm of this name.
func ParseAlgorithm(name []byte) (Algorithm, bool) {
	for _, a := range algorithms {
		if string(name) == a.Name {
			return a, true
		}
	}
	return Algorithm{}, false
}

// A Record is a key record that can be used.
type Record struct {
	Type    string // "rsa" or "ed25519"
	Bits    int    // the size of the key
	Testing bool   // t=y: the domain is trying DKIM out
	Strict  bool   // t=s: only for identities of the very domain
	public  crypto.PublicKey
	hashes  []byte // h=, or nil for any
}

// Parse reads a key record.
func Parse(txt []byte) (*Record, *Problem) {
	if len(txt) > MaxRecord {
		return nil, TooLarge
	}
	r := &Record{Type: "rsa"}
	var p []byte
	given, service := false, true
	tags := tag.NewScanner(txt)
	for tags.Next() {
		t := tags.Tag()
		switch string(t.Name) {
		case "v":
			if !tags.First() || string(t.Value) != "DKIM1" {
				return nil, BadVersion
			}
		case "h":
			r.hashes = t.Value
		case "k":
			r.Type = string(t.Value)
		case "p":
			p, given = t.Value, true
		case "s":
			service = has(t.Value, "*") || has(t.Value, "email")
		case "t":
			r.Testing, r.Strict = has(t.Value, "y"), has(t.Value, "s")
		}
	}
	switch {
	case tags.Err() != nil, !given:
		return nil, Malformed
	case !service:
		return nil, OtherService
	case len(p) == 0:
		return nil, Revoked
	}
	der, err := tag.AppendBase64(nil, p)
	if err != nil {
		return nil, BadKey
	}
	if problem := r.parseKey(der); problem != nil {
		return nil, problem
	}
	return r, nil
}

func (r *Record) parseKey(der []byte) *Problem {
	switch r.Type {
	case "rsa":
		public, ok := parseRSA(der)
		if !ok {
			return BadKey
		}
		r.public, r.Bits = public, public.N.BitLen()
		switch {
		case r.Bits < MinRSA:
			return ShortKey
		case r.Bits > MaxRSA:
			return LongKey
		}
	case "ed25519":
		if len(der) != ed25519.PublicKeySize { // RFC 8463 §4.2
			return BadKey
		}
		r.public, r.Bits = ed25519.PublicKey(der), 8*len(der)
	default:
		return UnknownType
	}
	return nil
}

// Allows returns why the key cannot verify signatures made with a, or nil.
func (r *Record) Allows(a Algorithm) *Problem {
	switch {
	case r.hashes != nil && !has(r.hashes, a.hash):
		return OtherHash // §6.1.2
	case r.Type != a.Type:
		return OtherAlgorithm
	}
	return nil
}

// Verify checks the signature of the hash value digest, made with a.
func (r *Record) Verify(a Algorithm, digest, signature []byte) *Problem {
	if problem := r.Allows(a); problem != nil {
		return problem
	}
	ok := false
	switch public := r.public.(type) {
	case *rsa.PublicKey:
		ok = rsa.VerifyPKCS1v15(public, a.Hash, digest, signature) == nil
	case ed25519.PublicKey:
		ok = ed25519.Verify(public, digest, signature) // RFC 8463 §3
	}
	if !ok {
		return WrongSignature
	}
	return nil
}

// has reports whether word is one of the words of a value that colons separate.
func has(value []byte, word string) bool {
	for w := range tag.Split(value) {
		if bytes.Equal(w, []byte(word)) {
			return true
		}
	}
	return false
}
