package dns

import (
	"context"
	"strings"
	"sync"
	"time"
)

// Cache stands in front of a Resolver and remembers what that says. The zero
// value is ready to use. It is a [Resolver], and safe for concurrent use; it
// must not be copied, nor its fields changed, after its first use.
//
// An answer is kept for its TTL, also one that there is nothing (RFC 2308), and
// is given with the TTL that remains. A failure is kept for a moment, lest a
// domain that does not answer be asked for again with every message
// (RFC 2308 §7, RFC 9520). That a caller would not wait any longer is no failure.
//
// Callers that ask for the same at the same time wait for one lookup: that of
// the first of them, with its context. If that caller gives up, one of the
// others looks up anew. Cache starts no goroutine.
type Cache struct {
	// Resolver is asked for what is not known. If nil, a zero Std.
	Resolver Resolver

	// MaxTTL limits how long answers with records are kept. If zero, a day.
	MaxTTL time.Duration

	// MaxNegativeTTL limits how long it is known that there is nothing. If
	// zero, one hour (RFC 2308 §5).
	MaxNegativeTTL time.Duration

	// MinTTL is how long answers are kept that may be kept for less, or whose
	// TTL is unknown as with Std. If zero, 5 seconds, about the transaction for
	// which RFC 1035 §3.2.1 lets a TTL of zero be used; negative, what the
	// answer says.
	MinTTL time.Duration

	// FailureTTL is how long a failure is kept, 5 minutes at most
	// (RFC 2308 §7.1). If zero, 10 seconds; negative, not at all.
	FailureTTL time.Duration

	// MaxEntries limits the answers that are kept. Beyond, those go that were
	// not asked for the longest. If zero, 50,000.
	MaxEntries int

	// MaxBytes limits the memory that the answers take, as far as that can be
	// told. If zero, 32 MiB.
	MaxBytes int

	mu      sync.Mutex
	entries map[cacheKey]*entry
	recent  entry // of a ring: next was used the latest, prev the longest ago
	bytes   int
	flights map[cacheKey]*flight
}

const (
	defaultMaxTTL         = 24 * time.Hour
	defaultMaxNegativeTTL = time.Hour
	defaultMinTTL         = 5 * time.Second
	defaultFailureTTL     = 10 * time.Second
	maxFailureTTL         = 5 * time.Minute // RFC 2308 §7.1
	defaultMaxEntries     = 50_000
	defaultMaxBytes       = 32 << 20
)

// cacheKey is a question. Names differ in more than case and the final dot.
type cacheKey struct {
	name string
	typ  Type
}

// A flight is a lookup that is under way.
type flight struct {
	landed chan struct{} // closed when the rest is known
	known  bool          // false: the one who looked up gave up
	answer Answer
	err    error
}

// Resolve answers from memory, or asks the Resolver.
func (c *Cache) Resolve(ctx context.Context, name string, t Type) (Answer, error) {
	var buf [256]byte
	key, ok := appendKey(buf[:0], name)
	if !ok {
		return nowhere(name), nil
	}
	for {
		c.mu.Lock()
		if e := c.entries[cacheKey{string(key), t}]; e != nil {
			if left := time.Until(e.expires); left > 0 {
				c.use(e)
				c.mu.Unlock()
				return e.give(left)
			}
			c.drop(e)
		}
		f := c.flights[cacheKey{string(key), t}]
		if f == nil {
			f = &flight{landed: make(chan struct{})}
			if c.flights == nil {
				c.flights = map[cacheKey]*flight{}
			}
			k := cacheKey{string(key), t}
			c.flights[k] = f
			c.mu.Unlock()
			return c.lookUp(ctx, name, k, f)
		}
		c.mu.Unlock()
		select {
		case <-f.landed:
			if f.known {
				return f.answer, f.err
			}
		case <-ctx.Done():
			return Answer{}, interrupted(name, t, ctx.Err())
		}
	}
}

// lookUp asks the Resolver for all who wait.
func (c *Cache) lookUp(ctx context.Context, name string, k cacheKey, f *flight) (Answer, error) {
	defer func() { // also if the Resolver panics
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.flights, k)
		if f.known {
			c.keep(k, f.answer, f.err)
		}
		close(f.landed)
	}()
	r := c.Resolver
	if r == nil {
		r = Std{}
	}
	f.answer, f.err = r.Resolve(ctx, strings.Clone(name), k.typ) // it may be kept, and not the text of which it is a part
	f.known = f.err == nil || ended(ctx) == nil
	return f.answer, f.err
}

// appendKey appends a name as it is in keys.
func appendKey(b []byte, name string) ([]byte, bool) {
	if !fits(name) {
		return nil, false
	}
	for i := range len(name) {
		b = append(b, lower(name[i]))
	}
	if len(b) > 1 && b[len(b)-1] == '.' {
		b = b[:len(b)-1]
	}
	return b, true
}
