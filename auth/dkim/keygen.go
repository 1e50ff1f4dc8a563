package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/postrider/postrider/auth/internal/signing"
)

// A KeyType is the kind of a key, in the word that a key record has for it
// (RFC 6376 §3.6.1, RFC 8463 §4).
type KeyType string

// The kinds of keys that signatures are made with.
const (
	RSA     KeyType = "rsa"     // every verifier knows it
	Ed25519 KeyType = "ed25519" // short and fast; sign with an RSA key too, for those who do not know it (RFC 8463 §3)
)

// GenerateKey makes a new private key. An RSA key has so many bits, 1024 to
// 4096; if zero, 2048. An Ed25519 key has no choice of size: bits is zero.
func GenerateKey(t KeyType, bits int) (crypto.Signer, error) {
	switch {
	case t == RSA && bits == 0:
		return rsa.GenerateKey(rand.Reader, signing.DefaultRSA)
	case t == RSA && (bits < signing.MinRSA || bits > signing.MaxRSA):
		return nil, fmt.Errorf("dkim: an RSA key has %d to %d bits, not %d", signing.MinRSA, signing.MaxRSA, bits) // RFC 8301 §3.2
	case t == RSA:
		return rsa.GenerateKey(rand.Reader, bits)
	case t == Ed25519 && bits == 0:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case t == Ed25519:
		return nil, errors.New("dkim: the size of an Ed25519 key cannot be chosen")
	}
	return nil, fmt.Errorf("dkim: no type of key %q", t)
}

// MarshalPrivateKey returns a key that GenerateKey has made as PEM, in the form
// PKCS #8 that other programs read too. Keep it where only the signing program
// can read it.
func MarshalPrivateKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("dkim: private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// LoadPrivateKey reads a private key from a file, as ParsePrivateKey does.
func LoadPrivateKey(file string) (crypto.Signer, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	key, err := ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return key, nil
}

// ParsePrivateKey reads a private key from PEM, in the form PKCS #8 or, for RSA,
// PKCS #1. What stands before it, and blocks of other types such as the public
// key, are passed over. An encrypted key is an error.
func ParsePrivateKey(text []byte) (crypto.Signer, error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil, errors.New("dkim: private key: no PEM block with one")
		}
		var key any
		var err error
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY", block.Headers["DEK-Info"] != "":
			return nil, errors.New("dkim: private key: it is encrypted")
		case block.Type == "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case block.Type == "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		default:
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("dkim: private key: %w", err)
		}
		switch key := key.(type) {
		case *rsa.PrivateKey:
			return key, nil
		case ed25519.PrivateKey:
			return key, nil
		}
		return nil, fmt.Errorf("dkim: private key: DKIM has no signatures with a %T", key)
	}
}
