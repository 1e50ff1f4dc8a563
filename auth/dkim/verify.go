package dkim

import (
	"context"
	"io"
	"time"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/internal/key"
	"github.com/postrider/postrider/auth/internal/message"
	"github.com/postrider/postrider/mx/dns"
)

// A Verifier verifies the signatures of messages. Only Resolver must be set. It
// must not be changed while in use, and is safe for concurrent use.
//
// Whatever a message holds, the cost is bounded: the body is hashed once for
// each pair of canonicalization and algorithm among the signatures that are
// evaluated, and memory is that of the header and a few kilobytes.
type Verifier struct {
	// Resolver finds the keys.
	Resolver dns.Resolver
	// MaxSignatures limits the signatures of one message that are evaluated.
	// Those of the author's domain come first, then from the top of the header
	// down; the others' verdict is Neutral. If zero, 8; if negative, none.
	MaxSignatures int
	// MaxLookups limits the keys that are looked up for one message, those of
	// the author's domain first. If zero, 10.
	MaxLookups int
	// MaxHeaderSize limits the header in octets. A larger one's signatures are
	// not evaluated: one PermError. If zero, 1 MiB.
	MaxHeaderSize int
	// MaxFields limits the fields of the header in the same way. If zero, 1,000.
	MaxFields int
	// Timeout bounds the lookups of one message together, from the end of the
	// header on. If zero, 20 seconds.
	Timeout time.Duration
	// AllowLength takes signatures of a part of the body, l=. Anybody can
	// append to such a message what they like (RFC 6376 §8.2), so without it
	// their verdict is Policy. With it the body is hashed once more for each
	// length that is not another signature's too.
	AllowLength bool
	// AllowSHA1 takes rsa-sha1, for looking at old mail. Without it the verdict
	// is PermError, as RFC 8301 §3.1 demands.
	AllowSHA1 bool
	// Now is asked for the time. If nil, time.Now.
	Now func() time.Time
}

// Verify reads a message, with CRLF at the end of its lines, and returns a
// result for each signature, from the top of the header down, 64 at most. No
// result means no signature. An error is r's.
func (v *Verifier) Verify(ctx context.Context, r io.Reader) ([]Result, error) {
	c := v.Begin(ctx)
	defer c.Abort()
	if _, err := io.Copy(c, r); err != nil {
		return nil, err
	}
	return c.Finish(ctx), nil
}

// Begin returns a Check for one message. It must be ended by Finish or Abort.
// Lookups end with ctx.
func (v *Verifier) Begin(ctx context.Context) *Check {
	c := &Check{v: v, keys: v.newKeys(ctx)}
	limits := message.Limits{MaxHeader: v.MaxHeaderSize, MaxFields: v.MaxFields}
	c.own = message.New(limits, c.begin)
	return c
}

// Attach returns a Check of a message that others look at too, with the keys
// of that message. It is for the packages of this module that share both, and
// is called when the header is complete. The octets go to m, and Finish is
// called after m is closed; m and keys stay their owner's to end.
func (v *Verifier) Attach(m *message.Message, keys *key.Keys) *Check {
	c := &Check{v: v, keys: keys}
	c.begin(m)
	keys.Go()
	return c
}

func (v *Verifier) newKeys(ctx context.Context) *key.Keys {
	return key.NewKeys(ctx, v.Resolver, key.Limits{Lookups: v.MaxLookups, Timeout: v.Timeout})
}

// A Check is the verification of one message, which is written to it as it
// arrives. It is not safe for concurrent use.
type Check struct {
	v          *Verifier
	own        *message.Message // nil if it is another's
	keys       *key.Keys
	message    *message.Message // set when the header is complete
	first      bool             // it was so before this Write
	signatures []signature      // from top to bottom
	over       bool
	results    []Result
}

// Write takes the next octets of the message, which may end anywhere. It never
// fails, and ignores what comes after Finish or Abort.
func (c *Check) Write(p []byte) (int, error) {
	if c.own == nil || c.over {
		return len(p), nil
	}
	c.own.Write(p)
	if c.message != nil && (c.first || !c.own.InBody()) {
		// More is to come: look the keys up meanwhile. When the whole message
		// came at once there is nothing to do meanwhile.
		c.keys.Go()
	}
	c.first = c.message != nil
	return len(p), nil
}

// Finish ends the message and returns a result for each signature, from the
// top of the header down. It waits for keys until ctx ends or Timeout has
// passed; signatures whose keys are not there by then get TempError. After
// Abort it returns nil, and a second time the same as the first.
func (c *Check) Finish(ctx context.Context) []Result {
	if c.over {
		return c.results
	}
	if c.own != nil {
		c.own.Close()
		defer c.keys.Close()
	}
	c.over = true
	if c.message == nil {
		return nil
	}
	if err := c.message.Err(); err != nil {
		c.results = []Result{{Verdict: authres.PermError, Reason: err.Error()}}
		return c.results
	}
	for i := range c.signatures {
		s := &c.signatures[i]
		s.evaluate(ctx, c.message)
		c.results = append(c.results, s.Result)
	}
	tellApart(c.results, c.signatures)
	return c.results
}

// Abort ends the check without a result, and with it every lookup that is
// under way. After Finish it does nothing.
func (c *Check) Abort() {
	if c.over {
		return
	}
	c.over = true
	if c.own != nil {
		c.keys.Close()
	}
}

// begin is called when the header is complete.
func (c *Check) begin(m *message.Message) {
	c.message = m
	if m.Err() != nil {
		return
	}
	c.signatures = c.v.find(m)
	for _, s := range c.v.choose(m, c.signatures) {
		s.body = m.BodyHash(s.bodyCanon, s.algorithm.Hash, s.length)
		s.key = c.keys.Want(s.Selector, s.Domain)
	}
}

func (v *Verifier) now() time.Time {
	if v.Now != nil {
		return v.Now()
	}
	return time.Now()
}
