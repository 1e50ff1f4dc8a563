package arc

import (
	"context"
	"io"
	"time"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/internal/key"
	"github.com/postrider/postrider/auth/internal/message"
	"github.com/postrider/postrider/mx/dns"
)

// A Verifier verifies chains. Only Resolver must be set. It must not be changed
// while in use, and is safe for concurrent use.
//
// A chain that is malformed costs no lookup, and one whose newest signature
// does not fit the message costs the hash of the body and the header.
type Verifier struct {
	// Resolver finds the keys.
	Resolver dns.Resolver
	// MaxLookups limits the keys that are looked up for one message; a chain
	// that needs more fails. If zero, 10.
	MaxLookups int
	// MaxHeaderSize limits the header in octets. With a larger one the chain
	// fails. If zero, 1 MiB.
	MaxHeaderSize int
	// MaxFields limits the fields of the header in the same way. If zero, 1,000.
	MaxFields int
	// Timeout bounds the lookups of one message together, from the end of the
	// header on. If zero, 20 seconds.
	Timeout time.Duration
	// Now is asked for the time. If nil, time.Now.
	Now func() time.Time
}

// Verify reads a message, with CRLF at the end of its lines, and returns what
// came of its chain. An error is r's.
func (v *Verifier) Verify(ctx context.Context, r io.Reader) (Result, error) {
	c := v.Begin(ctx)
	defer c.Abort()
	if _, err := io.Copy(c, r); err != nil {
		return Result{}, err
	}
	return c.Finish(ctx), nil
}

// Begin returns a Check for one message. It must be ended by Finish or Abort.
// Lookups end with ctx.
func (v *Verifier) Begin(ctx context.Context) *Check {
	c := &Check{v: v, keys: key.NewKeys(ctx, v.Resolver, key.Limits{Lookups: v.MaxLookups, Timeout: v.Timeout})}
	c.own = message.New(message.Limits{MaxHeader: v.MaxHeaderSize, MaxFields: v.MaxFields}, c.begin)
	return c
}

// Attach returns a Check of a message that others look at too, with the keys
// of that message. It is for the packages of this module that share both, and
// is called when the header is complete. The octets go to m, and Finish is
// called after m is closed; m and keys stay their owner's to end.
func (v *Verifier) Attach(m *message.Message, keys *key.Keys) *Check {
	c := &Check{v: v, keys: keys}
	c.begin(m)
	return c
}

// A Check is the verification of one message, which is written to it as it
// arrives. It is not safe for concurrent use.
type Check struct {
	v       *Verifier
	own     *message.Message // nil if it is another's
	keys    *key.Keys
	message *message.Message // set when the header is complete
	chain   chain
	over    bool
	result  Result
}

// Write takes the next octets of the message, which may end anywhere. It never
// fails, and ignores what comes after Finish or Abort.
func (c *Check) Write(p []byte) (int, error) {
	if c.own == nil || c.over {
		return len(p), nil
	}
	return c.own.Write(p)
}

// Finish ends the message and returns what came of its chain. It waits for keys
// until ctx ends or Timeout has passed. After Abort it returns the zero Result,
// and a second time the same as the first.
func (c *Check) Finish(ctx context.Context) Result {
	if c.over {
		return c.result
	}
	if c.own != nil {
		c.own.Close()
		defer c.keys.Close()
	}
	c.over = true
	switch {
	case c.message == nil:
	case c.message.Err() != nil:
		c.result = Result{Verdict: authres.Fail, Reason: c.message.Err().Error(), Closed: true}
	default:
		c.result = c.evaluate(ctx)
	}
	return c.result
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
	c.chain = find(m)
	// The newest first: the key budget is for those without which the chain
	// fails, then for OldestPass.
	for i := range c.chain.sets {
		s := &c.chain.sets[len(c.chain.sets)-1-i]
		s.signature.body = m.BodyHash(s.signature.bodyCanon, s.signature.algorithm.Hash, -1)
		if i == 0 {
			s.signature.ask(c.keys)
		}
		s.seal.ask(c.keys)
	}
	for i := len(c.chain.sets) - 2; i >= 0; i-- {
		c.chain.sets[i].signature.ask(c.keys)
	}
}

func (v *Verifier) now() time.Time {
	if v.Now != nil {
		return v.Now()
	}
	return time.Now()
}
