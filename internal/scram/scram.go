// Package scram is what both sides of SCRAM (RFC 5802, RFC 7677) have in common:
// the mechanisms, the TLS channel bindings, and a strict reading of the messages.
//
// The exchange itself is that of xdg-go/scram, which reads leniently: it knows no
// bound, lets an empty nonce and most mandatory extensions pass, and takes a
// channel binding with a mechanism that has none. So every message is parsed here
// first, and what the grammar of RFC 5802 §7 does not allow never gets there.
package scram

import (
	"errors"
	"strings"

	xdg "github.com/xdg-go/scram"
	"github.com/xdg-go/stringprep"
)

// A Mechanism is one of the SCRAM family.
type Mechanism struct {
	Name string
	Hash xdg.HashGeneratorFcn
	SHA1 bool // the hash is SHA-1, else SHA-256
	Plus bool // with channel binding
}

// Mechanisms returns all, the strongest first. A binding to the TLS connection
// is worth more than the better hash: without it who holds a valid certificate
// can stand in the middle, while SHA-1 is no weakness in HMAC and PBKDF2.
func Mechanisms() [4]Mechanism {
	return [...]Mechanism{
		{"SCRAM-SHA-256-PLUS", xdg.SHA256, false, true},
		{"SCRAM-SHA-1-PLUS", xdg.SHA1, true, true},
		{"SCRAM-SHA-256", xdg.SHA256, false, false},
		{"SCRAM-SHA-1", xdg.SHA1, true, false},
	}
}

// IsPlus reports whether a mechanism is one of SCRAM with channel binding.
func IsPlus(name string) bool {
	return strings.HasPrefix(name, "SCRAM-") && strings.HasSuffix(name, "-PLUS")
}

// MinIterations is the least that RFC 7677 §4 allows. RFC 5802 asks the same.
const MinIterations = 4096

// Prepare makes of a user name or a password what is compared and hashed
// (SASLprep, RFC 4013). Its errors do not show any of it.
func Prepare(s string) (string, error) {
	p, err := stringprep.SASLprep.Prepare(s)
	switch {
	case err != nil:
		return "", errPrepare // the library's error names the character
	case p == "":
		return "", errEmpty // RFC 5802 §5.1
	}
	return p, nil
}

var (
	errPrepare = errors.New("a character that SASLprep does not allow")
	errEmpty   = errors.New("nothing is left of it after SASLprep")
)
