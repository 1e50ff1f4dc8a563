// Package signing makes the signature fields of DKIM and ARC: it checks keys,
// signs digests, and writes tag lists that are folded where their grammar has
// room for it.
package signing

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
)

// How long an RSA key may be, in bits (RFC 8301 §3.2).
const (
	MinRSA     = 1024 // "Signers MUST use RSA keys of at least 1024 bits"
	DefaultRSA = 2048 // "Signers SHOULD use RSA keys of at least 2048 bits"
	MaxRSA     = 4096 // verifiers need not take longer ones
)

// A Key signs digests. Make one with NewKey.
type Key struct {
	signer crypto.Signer
	public crypto.PublicKey
	opts   crypto.SignerOpts
}

// NewKey checks that DKIM has signatures with the key. An RSA key must have at
// least minRSA bits; if that is zero, 2048.
func NewKey(signer crypto.Signer, minRSA int) (Key, error) {
	if signer == nil {
		return Key{}, errors.New("no key")
	}
	if minRSA == 0 {
		minRSA = DefaultRSA
	}
	k := Key{signer: signer, public: signer.Public()}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		k.opts = crypto.SHA256 // RFC 8301 §3.1: no SHA-1
		switch n := public.N.BitLen(); {
		case n < MinRSA || n > MaxRSA:
			return Key{}, fmt.Errorf("the RSA key has %d bits, which is not between %d and %d", n, MinRSA, MaxRSA)
		case n < minRSA:
			return Key{}, fmt.Errorf("the RSA key has %d bits, which is fewer than %d", n, minRSA)
		}
	case ed25519.PublicKey:
		k.opts = crypto.Hash(0) // RFC 8463 §3: PureEdDSA, of the digest
		if len(public) != ed25519.PublicKeySize {
			return Key{}, errors.New("the Ed25519 key is malformed")
		}
	default:
		return Key{}, fmt.Errorf("there are no signatures with a %T", public)
	}
	return k, nil
}

// Algorithm is the value of the tag a=.
func (k Key) Algorithm() string {
	if _, ok := k.public.(ed25519.PublicKey); ok {
		return "ed25519-sha256"
	}
	return "rsa-sha256"
}

// Sign signs a SHA-256 digest.
func (k Key) Sign(digest []byte) ([]byte, error) {
	sig, err := k.signer.Sign(rand.Reader, digest, k.opts)
	if err != nil {
		return nil, err
	}
	switch k.signer.(type) {
	case *rsa.PrivateKey, ed25519.PrivateKey:
		return sig, nil
	}
	// A device's answer is checked: others would find the fault when it is too late.
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		err = rsa.VerifyPKCS1v15(public, crypto.SHA256, digest, sig)
	case ed25519.PublicKey:
		if !ed25519.Verify(public, digest, sig) {
			err = errors.New("it does not verify")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the signature that the key made is bad: %w", err)
	}
	return sig, nil
}
