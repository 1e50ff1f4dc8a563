package dkim

import (
	"context"
	"crypto/subtle"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/internal/key"
	"github.com/postrider/postrider/auth/internal/message"
	"github.com/postrider/postrider/auth/internal/tag"
)

// A signature is a DKIM-Signature field and what is found out about it.
type signature struct {
	Result
	problem *key.Problem // nil if it is to be evaluated

	field      int // in the message's Fields
	algorithm  key.Algorithm
	canon      message.Canon // of the header
	bodyCanon  message.Canon
	length     int64 // l=, or -1
	exact      bool  // the domain of i= is d= itself
	names      []byte
	bodyHash   []byte
	data       []byte // what b= encodes
	text       []byte // b= as it is
	start, end int    // of b= in the field's Value

	body *message.BodyHash
	key  *key.Lookup
}

// What can be wrong with a signature (RFC 6376 §6.1.1 and what that refers
// to), each named for the situation.
var (
	noSyntax     = permError("malformed signature")
	duplicate    = permError("tag given twice")
	missing      = permError("required tag missing")
	badVersion   = permError("signature of another version")
	badDomain    = permError("malformed domain")
	badSelector  = permError("malformed selector")
	badIdentity  = permError("malformed identity")
	otherDomain  = permError("identity not within the domain")
	badNames     = permError("malformed list of fields")
	noFrom       = permError("From not signed")
	badData      = permError("malformed signature data")
	badBodyHash  = permError("malformed body hash")
	badTime      = permError("malformed time")
	expired      = permError("signature expired")
	badLength    = permError("malformed body length")
	beyondBody   = permError("body shorter than its signed part")
	historic     = permError("rsa-sha1 not accepted") // RFC 8301 §3.1
	otherMethod  = &key.Problem{Verdict: authres.Neutral, Reason: "unknown algorithm"}
	otherCanon   = &key.Problem{Verdict: authres.Neutral, Reason: "unknown canonicalization"}
	otherQuery   = &key.Problem{Verdict: authres.Neutral, Reason: "unknown query method"}
	notEvaluated = &key.Problem{Verdict: authres.Neutral, Reason: "too many signatures"}
	partOfBody   = &key.Problem{Verdict: authres.Policy, Reason: "only a part of the body is signed"}
	wrongBody    = &key.Problem{Verdict: authres.Fail, Reason: "body was changed"}
)

func permError(reason string) *key.Problem {
	return &key.Problem{Verdict: authres.PermError, Reason: reason}
}

// parse reads the field f, which stands at the place at.
func (s *signature) parse(v *Verifier, f message.Field, at int) {
	s.field, s.length = at, -1
	var t tags
	problem := s.scan(f.Value(), &t)
	// Who signed, and how, is told even if the rest is of no use.
	var isDomain, isSelector bool
	s.algorithm, _ = key.ParseAlgorithm(t.a)
	s.Algorithm = s.algorithm.Name
	s.Domain, isDomain = key.Domain(t.d)
	s.Selector, isSelector = key.Selector(t.s)
	switch {
	case problem != nil:
		s.problem = problem
	case t.v == nil, t.a == nil, t.b == nil, t.bh == nil, t.d == nil, t.h == nil, t.s == nil:
		s.problem = missing // §3.5
	case string(t.v) != "1":
		s.problem = badVersion
	case !isDomain:
		s.problem = badDomain
	case !isSelector:
		s.problem = badSelector
	default:
		s.problem = s.parseTags(v, &t)
	}
}

// scan finds the tags in a field's value.
func (s *signature) scan(value []byte, t *tags) *key.Problem {
	list := tag.NewScanner(value)
	for list.Next() {
		found := list.Tag()
		if to := t.named(found.Name); to != nil {
			*to = found.Value
			if to == &t.b {
				s.start, s.end = found.Start, found.End
			}
		}
	}
	switch list.Err() {
	case nil:
		return nil
	case tag.ErrDuplicate:
		return duplicate // §3.2
	}
	return noSyntax
}

// evaluate sets the verdict, once the message is closed.
func (s *signature) evaluate(ctx context.Context, m *message.Message) {
	if s.problem == nil {
		s.problem = s.verify(ctx, m)
	}
	s.Verdict = authres.Pass
	if s.problem != nil {
		s.Verdict, s.Reason = s.problem.Verdict, s.problem.Reason
	}
}

// verify does §6.1.2 and §6.1.3. The body comes first: when that was changed,
// no key and no other time helps, and the header is not hashed.
func (s *signature) verify(ctx context.Context, m *message.Message) *key.Problem {
	record, problem := s.key.Wait(ctx)
	if record != nil {
		s.Testing, s.KeyBits = record.Testing, record.Bits
	}
	switch {
	case s.length > s.body.Octets():
		return beyondBody // §3.5
	case subtle.ConstantTimeCompare(s.body.Sum(), s.bodyHash) == 0:
		return wrongBody
	case problem != nil:
		return problem
	case record.Strict && !s.exact:
		return key.OtherDomain // §3.6.1
	}
	if problem := record.Allows(s.algorithm); problem != nil {
		return problem
	}
	digest := m.HeaderHash(message.Signed{
		Canon: s.canon, Hash: s.algorithm.Hash, Names: s.names, Field: s.field, Start: s.start, End: s.end,
	})
	return record.Verify(s.algorithm, digest, s.data)
}
