package key

import (
	"bytes"
	"crypto/rsa"
	"math/big"
)

// rsaAlgorithm is the AlgorithmIdentifier of RSA keys (RFC 3279 §2.3.1).
var rsaAlgorithm = []byte{0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 1, 1, 5, 0}

// parseRSA reads an RSA key in DER. Two forms are in use: RFC 6376 §3.6.1 says
// RSAPublicKey, and shows SubjectPublicKeyInfo in its examples.
func parseRSA(der []byte) (*rsa.PublicKey, bool) {
	seq, rest, ok := element(der, sequence)
	if !ok || len(rest) > 0 {
		return nil, false
	}
	if wrapped, isInfo := bytes.CutPrefix(seq, rsaAlgorithm); isInfo {
		bits, rest, ok := element(wrapped, bitString)
		if !ok || len(rest) > 0 || len(bits) == 0 || bits[0] != 0 {
			return nil, false
		}
		if seq, rest, ok = element(bits[1:], sequence); !ok || len(rest) > 0 {
			return nil, false
		}
	}
	n, seq, ok := element(seq, integer)
	if !ok || !positive(n) {
		return nil, false
	}
	e, seq, ok := element(seq, integer)
	if !ok || !positive(e) || len(e) > 4 || len(seq) > 0 {
		return nil, false
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(n)}
	for _, c := range e {
		key.E = key.E<<8 | int(c)
	}
	return key, true
}

// The tags of DER that keys have.
const (
	integer   = 0x02
	bitString = 0x03
	sequence  = 0x30
)

// element reads the element of DER that b begins with, which has this tag. A
// key record has no room for lengths of more than two octets.
func element(b []byte, tag byte) (content, rest []byte, ok bool) {
	if len(b) < 2 || b[0] != tag {
		return nil, nil, false
	}
	n, at := int(b[1]), 2
	switch {
	case n == 0x81 && len(b) > 2 && b[2] >= 0x80:
		n, at = int(b[2]), 3
	case n == 0x82 && len(b) > 3 && b[2] > 0:
		n, at = int(b[2])<<8|int(b[3]), 4
	case n >= 0x80:
		return nil, nil, false
	}
	if len(b)-at < n {
		return nil, nil, false
	}
	return b[at : at+n], b[at+n:], true
}

// positive reports whether b is an integer above zero in its shortest form.
func positive(b []byte) bool {
	switch {
	case len(b) == 0 || b[0] >= 0x80:
		return false
	case b[0] == 0:
		return len(b) > 1 && b[1] >= 0x80
	}
	return true
}
