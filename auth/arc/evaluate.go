package arc

import (
	"context"
	"crypto"
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/internal/key"
	"github.com/postrider/postrider/auth/internal/message"
)

// What can be wrong with a message's signature besides its key.
var (
	expired    = &key.Problem{Verdict: authres.Fail, Reason: "signature expired"}
	partOfBody = &key.Problem{Verdict: authres.Fail, Reason: "only a part of the body is signed"}
	wrongBody  = &key.Problem{Verdict: authres.Fail, Reason: "body was changed"}
)

// maxHashed limits the octets of the header that are hashed for OldestPass:
// fifty signatures of a large header would cost as much as fifty messages.
const maxHashed = 4 << 20

// evaluate does RFC 8617 §5.2 from step 4 on.
func (c *Check) evaluate(ctx context.Context) Result {
	r := c.chain.result()
	n := len(c.chain.sets)
	if n == 0 {
		return r
	}
	r.Verdict = authres.Pass
	// Step 4. What does not fit anymore never will, and no seal helps it.
	newest := c.chain.sets[n-1].signature.verify(ctx, c.message, c.v.now())
	r.Chain[n-1].Message.note(newest)
	if r.judge(newest, signatureName, n); r.Verdict == authres.Fail {
		return r
	}
	c.seals(ctx, &r) // step 6
	if r.Verdict == authres.Pass {
		c.oldestPass(ctx, &r) // step 5
	}
	return r
}

// seals verifies every seal. Each signs all sets up to its own, in order, in
// relaxed form (§5.1.1).
func (c *Check) seals(ctx context.Context, r *Result) {
	fields := c.message.Fields()
	covered := message.NewFieldHash(message.Relaxed, crypto.SHA256)
	problems := make([]*key.Problem, len(c.chain.sets))
	for i := range c.chain.sets {
		set := &c.chain.sets[i]
		covered.Add(fields[set.results])
		covered.Add(fields[set.signature.field])
		record, problem := set.seal.lookup.Wait(ctx)
		if problem == nil {
			h := covered.Clone()
			h.AddSigned(fields[set.seal.field], set.seal.start, set.seal.end)
			problem = record.Verify(set.seal.algorithm, h.Sum(), set.seal.data)
		}
		covered.Add(fields[set.seal.field])
		r.Chain[i].Seal.note(problem)
		problems[i] = problem
	}
	for i := len(problems) - 1; i >= 0; i-- {
		r.judge(problems[i], sealName, i+1)
	}
}

// oldestPass looks how far back the signatures fit the message as it is.
func (c *Check) oldestPass(ctx context.Context, r *Result) {
	size := 0
	for _, f := range c.message.Fields() {
		size += len(f.Raw())
	}
	for i, hashed := len(c.chain.sets)-2, size; i >= 0; i, hashed = i-1, hashed+size {
		if hashed > maxHashed {
			r.OldestPass = i + 2
			return
		}
		problem := c.chain.sets[i].signature.verify(ctx, c.message, c.v.now())
		r.Chain[i].Message.note(problem)
		if problem != nil {
			r.OldestPass = i + 2
			return
		}
	}
}

// ask begins the lookup of the key.
func (s *signature) ask(keys *key.Keys) { s.lookup = keys.Start(s.Selector, s.Domain) }

// verify verifies the signature of a message, once that is closed. Most that
// do not fit any more have another body, and then the header is not hashed.
func (s *signature) verify(ctx context.Context, m *message.Message, now time.Time) *key.Problem {
	switch {
	case s.expired(now):
		return expired
	case s.length >= 0 && s.length < s.body.Octets():
		return partOfBody // anybody could append to it: RFC 6376 §8.2
	case s.length > s.body.Octets(), subtle.ConstantTimeCompare(s.body.Sum(), s.bodyHash) == 0:
		return wrongBody
	}
	record, problem := s.lookup.Wait(ctx)
	if problem != nil {
		return problem
	}
	digest := m.HeaderHash(message.Signed{
		Canon: s.canon, Hash: s.algorithm.Hash, Names: s.names, Field: s.field, Start: s.start, End: s.end,
	})
	return record.Verify(s.algorithm, digest, s.data)
}

func (s *Signature) note(problem *key.Problem) {
	s.Verdict = authres.Pass
	if problem != nil {
		s.Verdict, s.Reason = problem.Verdict, problem.Reason
	}
}

// judge says what a problem means for the chain. That a key could not be had
// counts only if there is nothing worse.
func (r *Result) judge(problem *key.Problem, field string, instance int) {
	if problem == nil || r.Verdict == authres.Fail {
		return
	}
	verdict := authres.Fail
	if problem.Verdict == authres.TempError {
		verdict = authres.TempError
	}
	if verdict != r.Verdict {
		r.Verdict, r.Reason = verdict, fmt.Sprintf("%s i=%d: %s", field, instance, problem.Reason)
	}
}
