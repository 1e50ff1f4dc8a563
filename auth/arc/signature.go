package arc

import (
	"bytes"
	"crypto"
	"time"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/internal/key"
	"github.com/postrider/postrider/auth/internal/message"
	"github.com/postrider/postrider/auth/internal/tag"
)

// The names of the fields of a set (RFC 8617 §4.1).
const (
	resultsName   = "ARC-Authentication-Results"
	signatureName = "ARC-Message-Signature"
	sealName      = "ARC-Seal"
)

// A kind is a field of a set that holds a signature.
type kind int

const (
	ofMessage kind = 1 << iota // ARC-Message-Signature
	ofChain                    // ARC-Seal
	ofBoth    = ofMessage | ofChain
)

// A signature is what an ARC-Message-Signature or an ARC-Seal says.
type signature struct {
	Signature
	field      int // its place in the message's Fields
	instance   int
	algorithm  key.Algorithm
	data       []byte // what b= encodes
	start, end int    // of b= in the field's Value
	lookup     *key.Lookup

	status authres.Verdict // cv=, of a seal

	canon, bodyCanon message.Canon // of a message's signature, as all below
	bodyHash         []byte
	length           int64 // l=, or -1
	names            []byte
	from             bool  // names has From
	signed, expires  int64 // t= and x=, or -1
	body             *message.BodyHash
}

// What is longer than this is no use to anybody, folded as it may be.
const maxData = 4 << 10

// tags are the tags that count: in which fields, whether one cannot do without
// (RFC 8617 §4.1.2, §4.1.3, RFC 6376 §3.5). Others are ignored.
var tags = []struct {
	name     string
	of, must kind
	read     func(s *signature, v []byte) bool
}{
	{"i", ofBoth, ofBoth, func(s *signature, v []byte) (ok bool) {
		s.instance, ok = position(v)
		return ok
	}},
	{"a", ofBoth, ofBoth, func(s *signature, v []byte) (ok bool) {
		s.algorithm, ok = key.ParseAlgorithm(v)
		s.Algorithm = s.algorithm.Name
		return ok && s.algorithm.Hash != crypto.SHA1 // RFC 8301 §3.1
	}},
	{"b", ofBoth, ofBoth, func(s *signature, v []byte) (ok bool) {
		s.data, ok = decode(v)
		return ok
	}},
	{"d", ofBoth, ofBoth, func(s *signature, v []byte) (ok bool) {
		s.Domain, ok = key.Domain(v)
		return ok
	}},
	{"s", ofBoth, ofBoth, func(s *signature, v []byte) (ok bool) {
		s.Selector, ok = key.Selector(v)
		return ok
	}},
	{"t", ofBoth, 0, func(s *signature, v []byte) (ok bool) {
		s.signed, ok = tag.Number(v, 12)
		return ok
	}},
	{"cv", ofChain, ofChain, func(s *signature, v []byte) bool {
		s.status = authres.Verdict(v)
		return s.status == authres.None || s.status == authres.Pass || s.status == authres.Fail // §4.4
	}},
	{"h", ofBoth, ofMessage, func(s *signature, v []byte) bool {
		s.names = v
		for name := range tag.Split(v) {
			if len(name) == len(sealName) && bytes.EqualFold(name, []byte(sealName)) {
				return false // §4.1.2
			}
			s.from = s.from || bytes.EqualFold(name, []byte("from"))
		}
		return true
	}},
	{"bh", ofMessage, ofMessage, func(s *signature, v []byte) (ok bool) {
		s.bodyHash, ok = decode(v)
		return ok
	}},
	{"c", ofMessage, 0, func(s *signature, v []byte) (ok bool) {
		header, body, both := bytes.Cut(v, []byte("/"))
		s.bodyCanon = message.Simple
		if s.canon, ok = message.ParseCanon(header); ok && both {
			s.bodyCanon, ok = message.ParseCanon(body)
		}
		return ok
	}},
	{"l", ofMessage, 0, func(s *signature, v []byte) (ok bool) {
		s.length, ok = tag.Number(v, 76)
		return ok
	}},
	{"x", ofMessage, 0, func(s *signature, v []byte) (ok bool) {
		s.expires, ok = tag.Number(v, 12)
		return ok && s.expires > s.signed
	}},
	{"q", ofMessage, 0, func(_ *signature, v []byte) (ok bool) {
		for method := range tag.Split(v) {
			ok = ok || bytes.EqualFold(method, []byte("dns/txt"))
		}
		return ok
	}},
}

// parse reads the field at its place in Fields. Its fault, if it has one, is a
// fixed text.
func (s *signature) parse(f message.Field, at int, k kind) (fault string) {
	// Without c= RFC 6376 says simple. Those who seal, and the test suite of ARC,
	// take it for relaxed.
	*s = signature{field: at, length: -1, signed: -1, expires: -1, canon: message.Relaxed, bodyCanon: message.Relaxed}
	var found [16][]byte // by place in tags
	list := tag.NewScanner(f.Value())
	for list.Next() {
		t := list.Tag()
		for i := range tags {
			if tags[i].name == string(t.Name) && tags[i].of&k != 0 {
				found[i] = t.Value
				if t.Value == nil {
					found[i] = []byte{}
				}
				if tags[i].name == "b" {
					s.start, s.end = t.Start, t.End
				}
			}
		}
	}
	if list.Err() != nil {
		return malformed[k]
	}
	for i := range tags {
		switch row := &tags[i]; {
		case found[i] == nil && row.must&k != 0:
			return malformed[k]
		case found[i] == nil:
		case k == ofChain && row.name == "h": // §4.1.3
			return malformed[k]
		case !row.read(s, found[i]):
			return malformed[k]
		}
	}
	return ""
}

// malformed is what is said of fields that cannot be read.
var malformed = map[kind]string{
	ofMessage: "malformed ARC-Message-Signature",
	ofChain:   "malformed ARC-Seal",
}

// expired reports whether the signature says that its time is over.
func (s *signature) expired(now time.Time) bool { return s.expires >= 0 && now.Unix() > s.expires }

// position reads the number of a set: 1 to 50 (RFC 8617 §4.2.1).
func position(v []byte) (int, bool) {
	n, ok := tag.Number(v, 2)
	return int(n), ok && n >= 1 && n <= MaxSets
}

func decode(v []byte) ([]byte, bool) {
	if len(v) > maxData {
		return nil, false
	}
	data, err := tag.AppendBase64(nil, v)
	return data, err == nil && len(data) > 0
}
