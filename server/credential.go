package server

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"unique"

	xdg "github.com/xdg-go/scram"

	"github.com/postrider/postrider/internal/scram"
)

// DefaultIterations is how often a password is hashed unless one says
// otherwise. It costs 15 ms of a current server core, or of a client's, for
// each check of a password; an attacker who has stolen the credentials pays it
// for each guess.
const DefaultIterations = 100_000

const (
	maxIterations = 10_000_000
	maxCredential = 8192 // octets of its text
	saltSize      = 16
)

// A Credential is what a server keeps instead of a password: salted keys that
// verify it, by SCRAM or when it comes as it is (RFC 5802 §3). They do not let
// anybody log in, but passwords can be guessed with them, and a server can be
// impersonated: they belong in no log. The zero Credential matches no password.
//
// Its text is that of RFC 5803, and of PostgreSQL's pg_authid:
// "SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey", in base64. With a key for
// SCRAM-SHA-1 too, a space and the same with that name follow.
type Credential struct {
	// A handle, lest fmt show them where it calls no String: in a field that is
	// not exported.
	of unique.Handle[keys]
}

type keys struct{ sha256, sha1 key }

type key struct {
	iterations           int // 0: there is none
	salt, stored, server string
}

// NewCredential makes a Credential of a password, with random salts. If
// iterations is 0, DefaultIterations; otherwise it must be 4,096 at least (RFC
// 7677 §4) and 10,000,000 at most, but clients refuse to hash for so long: ours
// more than 1,000,000 times. It has a key for each of the mechanisms, SCRAM-SHA-256 and
// SCRAM-SHA-1; if none is named, for SCRAM-SHA-256. It is an error if SASLprep
// does not allow the password (RFC 4013).
func NewCredential(password string, iterations int, mechanisms ...string) (Credential, error) {
	if iterations == 0 {
		iterations = DefaultIterations
	}
	if iterations < scram.MinIterations || iterations > maxIterations {
		return Credential{}, errIterations
	}
	prepared, err := scram.Prepare(password)
	if err != nil {
		return Credential{}, fmt.Errorf("smtp server: password: %w", err)
	}
	if len(mechanisms) == 0 {
		mechanisms = []string{nameSHA256}
	}
	var all keys
	for _, name := range mechanisms {
		salt := make([]byte, saltSize)
		rand.Read(salt)
		switch name {
		case nameSHA256:
			all.sha256, err = newKey(xdg.SHA256, prepared, string(salt), iterations)
		case nameSHA1:
			all.sha1, err = newKey(xdg.SHA1, prepared, string(salt), iterations)
		default:
			err = fmt.Errorf("smtp server: no credential for mechanism %q", name)
		}
		if err != nil {
			return Credential{}, err
		}
	}
	return Credential{unique.Make(all)}, nil
}

// keys returns those that there are.
func (c Credential) keys() keys {
	if c == (Credential{}) {
		return keys{}
	}
	return c.of.Value()
}

// newKey derives the keys of a prepared password (RFC 5802 §3).
func newKey(hash xdg.HashGeneratorFcn, password, salt string, iterations int) (key, error) {
	client, err := hash.NewClientUnprepped("", password, "")
	if err != nil {
		return key{}, err
	}
	keys, err := client.GetStoredCredentialsWithError(xdg.KeyFactors{Salt: salt, Iters: iterations})
	return key{iterations, salt, string(keys.StoredKey), string(keys.ServerKey)}, err
}

// String shows what may be shown: the mechanisms.
func (c Credential) String() string {
	var names []string
	for name, k := range c.keys().each {
		names = append(names, name+"$"+strconv.Itoa(k.iterations)+":***")
	}
	return strings.Join(names, " ")
}

// GoString is String.
func (c Credential) GoString() string { return c.String() }

// LogValue is String.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// each yields the keys that there are.
func (k keys) each(yield func(string, key) bool) {
	if k.sha256.iterations == 0 || yield(nameSHA256, k.sha256) {
		if k.sha1.iterations > 0 {
			yield(nameSHA1, k.sha1)
		}
	}
}

const nameSHA256, nameSHA1 = "SCRAM-SHA-256", "SCRAM-SHA-1"

// MarshalText returns the text for a database. The zero Credential's is empty.
func (c Credential) MarshalText() ([]byte, error) {
	var b []byte
	for name, k := range c.keys().each {
		if len(b) > 0 {
			b = append(b, ' ')
		}
		b = fmt.Appendf(b, "%s$%d:%s$%s:%s", name, k.iterations, to64(k.salt), to64(k.stored), to64(k.server))
	}
	return b, nil
}

func to64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// UnmarshalText parses what MarshalText returns (RFC 5803 §2). Its errors do not
// show any of it.
func (c *Credential) UnmarshalText(text []byte) error {
	if len(text) > maxCredential {
		return errCredential
	}
	var all keys
	for value := range strings.FieldsSeq(string(text)) {
		into, size := &all.sha256, 32
		rest, ok := strings.CutPrefix(value, nameSHA256+"$")
		if !ok {
			into, size = &all.sha1, 20
			rest, ok = strings.CutPrefix(value, nameSHA1+"$")
		}
		if !ok || into.iterations > 0 {
			return errCredential
		}
		k, err := parseKey(rest, size)
		if err != nil {
			return err
		}
		*into = k
	}
	if *c = (Credential{}); all != (keys{}) {
		c.of = unique.Make(all)
	}
	return nil
}

// parseKey parses what stands behind the mechanism's name; size is that of the
// hash.
func parseKey(s string, size int) (key, error) {
	info, value, ok1 := strings.Cut(s, "$")
	count, salt, ok2 := strings.Cut(info, ":")
	stored, server, ok3 := strings.Cut(value, ":")
	if !ok1 || !ok2 || !ok3 {
		return key{}, errCredential
	}
	n, err := strconv.ParseUint(count, 10, 31)
	if err != nil || count[0] == '0' {
		return key{}, errCredential
	}
	if n < scram.MinIterations || n > maxIterations {
		return key{}, errIterations
	}
	k := key{iterations: int(n)}
	for _, part := range []struct {
		into *string
		text string
	}{{&k.salt, salt}, {&k.stored, stored}, {&k.server, server}} {
		b, err := decode64([]byte(part.text))
		if err != nil {
			return key{}, errCredential
		}
		*part.into = string(b)
	}
	if k.salt == "" || len(k.salt) > maxSalt || len(k.stored) != size || len(k.server) != size {
		return key{}, errCredential
	}
	return k, nil
}

const maxSalt = 1024

var (
	errCredential = errors.New("smtp server: malformed credential")
	errIterations = errors.New("smtp server: a credential needs between 4,096 and 10,000,000 iterations")
)
