package scram

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of what a peer may send. The rest is bounded by the length of a line.
const (
	maxNonce = 256  // octets of each side's half; 24 to 32 are usual
	maxSalt  = 1024 // octets; 16 are usual
)

// MaxName is how many octets a user's name may have (RFC 4616 §2 asks for 255
// at least).
const MaxName = 1024

var (
	// ErrSyntax says that a message breaks the grammar or a bound.
	ErrSyntax = errors.New("malformed SCRAM message")
	// ErrExtension says that a message has a mandatory extension: nobody
	// knows any (RFC 5802 §5.1, attribute "m").
	ErrExtension = errors.New("unknown mandatory SCRAM extension")
)

// ClientFirst is the first message of a client.
type ClientFirst struct {
	Flag    byte   // 'n', 'y' or 'p'
	Binding string // its name, with 'p'
	AuthzID string // "" if there is none
	User    string
}

// ParseClientFirst parses a client-first-message (RFC 5802 §7).
func ParseClientFirst(s string) (ClientFirst, error) {
	flag, rest, ok := strings.Cut(s, ",")
	authzid, bare, ok2 := strings.Cut(rest, ",")
	if !ok || !ok2 || flag == "" {
		return ClientFirst{}, ErrSyntax
	}
	m := ClientFirst{Flag: flag[0]}
	switch m.Binding, ok = strings.CutPrefix(flag, "p="); {
	case ok && isBindingName(m.Binding):
	case ok, flag != "n" && flag != "y":
		return ClientFirst{}, ErrSyntax
	default:
		m.Binding = ""
	}
	if authzid != "" {
		name, ok := strings.CutPrefix(authzid, "a=")
		if m.AuthzID, ok = saslname(name, ok); !ok {
			return ClientFirst{}, ErrSyntax
		}
	}
	values, err := attributes(bare, "nr")
	if err != nil {
		return ClientFirst{}, err
	}
	if m.User, ok = saslname(values[0], true); !ok || !isNonce(values[1], maxNonce) {
		return ClientFirst{}, ErrSyntax
	}
	return m, nil
}

// CheckClientFinal parses a client-final-message (RFC 5802 §7).
func CheckClientFinal(s string) error {
	at := strings.LastIndexByte(s, ',')
	if at < 0 {
		return ErrSyntax
	}
	values, err := attributes(s[:at], "cr")
	if err != nil {
		return err
	}
	proof, ok := strings.CutPrefix(s[at:], ",p=")
	if !ok || !isBase64(proof) || !isBase64(values[0]) || !isNonce(values[1], 2*maxNonce) {
		return ErrSyntax
	}
	return nil
}

// ServerFirst is the first message of a server.
type ServerFirst struct {
	Salt       string // its octets
	Iterations int    // whether they are enough or too many is for the caller to say
}

// ParseServerFirst parses a server-first-message (RFC 5802 §7).
func ParseServerFirst(s string) (ServerFirst, error) {
	values, err := attributes(s, "rsi")
	if err != nil {
		return ServerFirst{}, err
	}
	if !isNonce(values[0], 2*maxNonce) || !isBase64(values[1]) || len(values[1]) > base64.StdEncoding.EncodedLen(maxSalt) {
		return ServerFirst{}, ErrSyntax
	}
	salt, _ := base64.StdEncoding.DecodeString(values[1])
	n, err := strconv.ParseUint(values[2], 10, 31)
	if err != nil || values[2][0] == '0' {
		return ServerFirst{}, ErrSyntax
	}
	return ServerFirst{Salt: string(salt), Iterations: int(n)}, nil
}

// CheckServerFinal parses a server-final-message with a proof (RFC 5802 §7).
func CheckServerFinal(s string) error {
	values, err := attributes(s, "v")
	if err == nil && !isBase64(values[0]) {
		err = ErrSyntax
	}
	return err
}

// attributes returns the values of the named attributes, with which s begins in
// this order; what follows them are extensions, which are passed over.
func attributes(s, names string) ([]string, error) {
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return nil, ErrSyntax
	}
	if strings.HasPrefix(s, "m=") {
		return nil, ErrExtension
	}
	var values []string
	for attribute := range strings.SplitSeq(s, ",") {
		switch {
		case len(attribute) < len("x=y") || attribute[1] != '=' || !isLetter(attribute[0]):
			return nil, ErrSyntax
		case len(values) < len(names) && attribute[0] != names[len(values)]:
			return nil, ErrSyntax
		case len(values) < len(names):
			values = append(values, attribute[2:])
		case attribute[0] == 'm':
			return nil, ErrExtension
		}
	}
	if len(values) < len(names) {
		return nil, ErrSyntax
	}
	return values, nil
}

// saslname decodes a user name, in which "=2C" and "=3D" stand for "," and "=".
func saslname(s string, ok bool) (string, bool) {
	if !ok || s == "" || len(s) > MaxName || strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
		return "", false
	}
	return escapes.Replace(s), strings.Count(s, "=") == strings.Count(s, "=2C")+strings.Count(s, "=3D")
}

var escapes = strings.NewReplacer("=2C", ",", "=3D", "=")

func isNonce(s string, limit int) bool {
	return s != "" && len(s) <= limit && !strings.ContainsFunc(s, func(r rune) bool { return r < '!' || r > '~' || r == ',' })
}

func isBase64(s string) bool {
	_, err := base64.StdEncoding.Strict().DecodeString(s)
	return err == nil && s != "" && !strings.ContainsAny(s, "\r\n") // which DecodeString skips
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// isBindingName: RFC 5801 §4, cb-name.
func isBindingName(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		return !isLetter(byte(r)) && (r < '0' || r > '9') && r != '.' && r != '-' || r > '~'
	})
}
