package dkim

import (
	"bytes"
	"crypto"
	"strings"
	"time"

	"github.com/postrider/postrider/auth/internal/key"
	"github.com/postrider/postrider/auth/internal/message"
	"github.com/postrider/postrider/auth/internal/tag"
)

// tags are the values of the tags of a signature that count here, in place. A
// tag that is absent is nil (RFC 6376 §3.5).
type tags struct{ v, a, b, bh, c, d, h, i, l, q, s, t, x []byte }

// named returns where the value of the tag of this name goes, nil if it is
// ignored (§3.2).
func (t *tags) named(name []byte) *[]byte {
	switch string(name) {
	case "v":
		return &t.v
	case "a":
		return &t.a
	case "b":
		return &t.b
	case "bh":
		return &t.bh
	case "c":
		return &t.c
	case "d":
		return &t.d
	case "h":
		return &t.h
	case "i":
		return &t.i
	case "l":
		return &t.l
	case "q":
		return &t.q
	case "s":
		return &t.s
	case "t":
		return &t.t
	case "x":
		return &t.x
	}
	return nil
}

// What is longer than these is no use to anybody.
const (
	maxIdentity = 1 << 10 // RFC 5321 §4.5.3.1 allows 64 octets and a domain
	maxData     = 4 << 10 // of b= and bh=, folded as they may be
	maxDecoded  = key.MaxRSA / 8
	maxPrefix   = 64
)

// parseTags reads all but who signed.
func (s *signature) parseTags(v *Verifier, t *tags) *key.Problem {
	for _, parse := range [...]func(*tags) *key.Problem{s.parseData, s.parseIdentity, s.parseNames, s.parseCanon, s.parseQuery} {
		if problem := parse(t); problem != nil {
			return problem
		}
	}
	for _, parse := range [...]func(*Verifier, *tags) *key.Problem{s.parseAlgorithm, s.parseTimes, s.parseLength} {
		if problem := parse(v, t); problem != nil {
			return problem
		}
	}
	return nil
}

// parseData reads b=.
func (s *signature) parseData(t *tags) *key.Problem {
	if len(t.b) > maxData {
		return badData
	}
	data, err := tag.AppendBase64(nil, t.b)
	if err != nil || len(data) == 0 || len(data) > maxDecoded {
		return badData
	}
	s.data, s.text = data, t.b
	return nil
}

// parseIdentity reads i=, which lies within d= (§3.5).
func (s *signature) parseIdentity(t *tags) *key.Problem {
	if t.i == nil {
		s.Identity, s.exact = "@"+s.Domain, true
		return nil
	}
	if len(t.i) > maxIdentity {
		return badIdentity
	}
	i := tag.AppendCompact(nil, t.i)
	at := bytes.LastIndexByte(i, '@')
	if at < 0 {
		return badIdentity
	}
	domain, ok := key.Domain(i[at+1:])
	if !ok {
		return badIdentity
	}
	if domain != s.Domain && !strings.HasSuffix(domain, "."+s.Domain) {
		return otherDomain
	}
	s.Identity, s.exact = string(i), domain == s.Domain
	return nil
}

// parseNames reads h=, which holds From (§5.4).
func (s *signature) parseNames(t *tags) *key.Problem {
	from := false
	for name := range tag.Split(t.h) {
		if len(name) == 0 || bytes.ContainsAny(name, " \t\r\n") {
			return badNames
		}
		from = from || len(name) == 4 && bytes.EqualFold(name, []byte("from"))
	}
	if !from {
		return noFrom
	}
	s.names = t.h
	return nil
}

// parseCanon reads c=: the header's and, after a slash, the body's. What is
// not said is simple (§3.5).
func (s *signature) parseCanon(t *tags) *key.Problem {
	if t.c == nil {
		return nil
	}
	header, body, both := bytes.Cut(t.c, []byte("/"))
	var ok bool
	if s.canon, ok = message.ParseCanon(header); !ok {
		return otherCanon
	}
	if s.bodyCanon, ok = message.ParseCanon(body); both && !ok {
		return otherCanon
	}
	return nil
}

// parseQuery reads q=, of which one word must be the only method there is.
func (s *signature) parseQuery(t *tags) *key.Problem {
	if t.q == nil {
		return nil
	}
	for method := range tag.Split(t.q) {
		if bytes.EqualFold(method, []byte("dns/txt")) {
			return nil
		}
	}
	return otherQuery
}

// parseAlgorithm judges a=, and reads bh=, which depends on it.
func (s *signature) parseAlgorithm(v *Verifier, t *tags) *key.Problem {
	if s.algorithm.Name == "" {
		return otherMethod
	}
	if s.algorithm.Hash == crypto.SHA1 && !v.AllowSHA1 {
		return historic
	}
	if len(t.bh) > maxData {
		return badBodyHash
	}
	var err error
	if s.bodyHash, err = tag.AppendBase64(nil, t.bh); err != nil || len(s.bodyHash) != s.algorithm.Hash.Size() {
		return badBodyHash
	}
	return nil
}

// parseTimes reads t= and x=. A time to come in t= is a clock that is wrong,
// and no reason to refuse (§3.5 leaves it open).
func (s *signature) parseTimes(v *Verifier, t *tags) *key.Problem {
	var ok bool
	if t.t != nil {
		if s.Signed, ok = parseTime(t.t); !ok {
			return badTime
		}
	}
	if t.x == nil {
		return nil
	}
	if s.Expires, ok = parseTime(t.x); !ok || t.t != nil && !s.Expires.After(s.Signed) {
		return badTime // §3.5
	}
	if v.now().After(s.Expires) {
		return expired
	}
	return nil
}

func parseTime(v []byte) (time.Time, bool) {
	n, ok := tag.Number(v, 12) // §3.5
	if !ok {
		return time.Time{}, false
	}
	return time.Unix(n, 0).UTC(), true
}

// parseLength reads l=.
func (s *signature) parseLength(v *Verifier, t *tags) *key.Problem {
	if t.l == nil {
		return nil
	}
	var ok bool
	if s.length, ok = tag.Number(t.l, 76); !ok { // §3.5
		return badLength
	}
	if !v.AllowLength {
		return partOfBody
	}
	return nil
}

// tellApart sets the Signature of each result: eight characters of b=, more if
// others begin with the same (RFC 6008 §4).
func tellApart(results []Result, signatures []signature) {
	texts := make([]string, len(results))
	for i := range signatures {
		texts[i] = prefix(signatures[i].text)
	}
	for i, text := range texts {
		n := min(len(text), 8)
		for j, other := range texts {
			for j != i && other != text && n < len(text) && strings.HasPrefix(other, text[:n]) {
				n++
			}
		}
		results[i].Signature = text[:n]
	}
}

func prefix(text []byte) string {
	var room [maxPrefix]byte
	n := 0
	for word := range bytes.FieldsSeq(text) {
		n += copy(room[n:], word)
	}
	return string(room[:n])
}
