package mtasts

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/postrider/postrider/mx/dns"
)

// A Cache finds the policies of domains, keeps them and renews them. The zero
// value is ready to use. It is safe for concurrent use; it must not be copied,
// nor its fields changed, after its first use.
//
// The DNS is asked whether there is a policy, and which. One that is not known
// yet is fetched; a known one is used while it has not expired, even if it cannot
// be found or fetched any more (RFC 8461 §3.3), and even if the domain's record is
// gone: a domain that wants no policy any longer publishes one of mode [None]
// (§8.3). Policies should also be renewed before they expire: see [Cache.Run].
//
// Callers that ask for the same domain at the same time wait for one lookup:
// that of the first of them, with its context. If that caller gives up, one of
// the others looks up anew. Lookup starts no goroutine.
type Cache struct {
	// Resolver is asked for the records. If nil, a zero dns.Std. A dns.Cache
	// saves questions, but is not needed.
	Resolver dns.Resolver

	// Fetcher gets the policies. If nil, one with the Resolver.
	Fetcher *Fetcher

	// Store keeps the policies beyond the end of the Cache. If nil, they go with
	// it, and an attacker may prevent that they are found again. So it is with those
	// that it fails to read or to save, which the Logger is told; mail goes on.
	Store Store

	// MaxDomains limits the policies that are kept. Beyond, those go that were
	// not asked for the longest. Of as many domains it is remembered for a while
	// that they have none. If zero, 10,000.
	MaxDomains int

	// MaxBytes limits the memory that the policies take, as far as that can be
	// told. Beyond, those go that take more than MaxBytes/MaxDomains. If zero, 32
	// MiB.
	MaxBytes int

	// MaxRecordTTL limits how long what the DNS says about a domain's record is
	// remembered, that there is none too. If zero, 5 minutes. It is remembered
	// for its TTL, and 10 seconds at least.
	MaxRecordTTL time.Duration

	// RetryAfter is how long a policy is not fetched again after that has
	// failed, unless its id changes. If zero, 5 minutes, which is also the
	// least (RFC 8461 §3.3).
	RetryAfter time.Duration

	// RefreshAfter is the age at which Refresh renews a policy; at half of its
	// MaxAge it does so anyway. If zero, a day (RFC 8461 §3.3).
	RefreshAfter time.Duration

	// Logger is told when a policy cannot be renewed, and of errors of the
	// Store. If nil, slog.Default.
	Logger *slog.Logger

	mu       sync.Mutex
	loaded   bool                     // the Store has been read
	flights  map[string]chan struct{} // by domain; closed at the end. "" stands for the reading of the Store
	policies lru[held]
	bytes    int // of policies
	notes    lru[note]
}

const (
	defaultMaxDomains   = 10_000
	defaultMaxBytes     = 32 << 20
	minRecordTTL        = 10 * time.Second
	defaultMaxRecordTTL = 5 * time.Minute
	dnsRetryAfter       = time.Minute     // since the DNS did not answer
	minRetryAfter       = 5 * time.Minute // §3.3
)

// An Origin says where a policy comes from.
type Origin uint8

// The origins.
const (
	Absent  Origin = iota // there is no policy; Err says why
	Fetched               // it was fetched just now
	Cached                // it was fetched before, and is the one that the domain's record means
	Stale                 // it was fetched before. The domain's record is gone, or means another that cannot be had; Err says why
)

// String returns the origin as a word.
func (o Origin) String() string {
	switch o {
	case Absent:
		return "absent"
	case Fetched:
		return "fetched"
	case Cached:
		return "cached"
	case Stale:
		return "stale"
	}
	return fmt.Sprintf("Origin(%d)", uint8(o))
}

// A Result is what is known about the policy of a domain.
type Result struct {
	// Policy is in force. It may be of mode None. If nil, there is none, and mail
	// is delivered as if MTA-STS did not exist (RFC 8461 §3.3). It must not be
	// changed.
	Policy *Policy

	Origin  Origin
	ID      string    // of the record for which Policy was fetched
	Fetched time.Time // when
	Expires time.Time

	// Reason and Err say why no policy is live: not with Fetched and Cached. Err
	// is an *Error.
	Reason Reason
	Err    error
}

// Lookup returns the policy of a recipient domain in A-labels, or that of a smart
// host's name (RFC 8461 §3.4). It may take as long as the DNS, and a minute for a
// policy to be fetched. The error is the context's, if that ends before.
func (c *Cache) Lookup(ctx context.Context, domain string) (Result, error) {
	name, ok := canonical(domain)
	if !ok {
		return absent(&Error{Domain: domain, Reason: NoRecord}), nil
	}
	if err := c.load(ctx); err != nil {
		return Result{}, err
	}
	for {
		c.mu.Lock()
		if res, ok := c.recall(name); ok {
			c.mu.Unlock()
			return res, nil
		}
		landed, mine := c.board(name)
		c.mu.Unlock()
		if mine {
			defer c.land(name)
			return c.discover(ctx, name)
		}
		select {
		case <-landed:
		case <-ctx.Done():
			return Result{}, ctx.Err()
		}
	}
}

// board begins what only one caller does at a time, unless it is under way.
func (c *Cache) board(key string) (landed chan struct{}, mine bool) {
	if landed = c.flights[key]; landed != nil {
		return landed, false
	}
	if c.flights == nil {
		c.flights = map[string]chan struct{}{}
	}
	landed = make(chan struct{})
	c.flights[key] = landed
	return landed, true
}

func (c *Cache) land(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.flights[key])
	delete(c.flights, key)
}

// discover asks the DNS, and the web server if need be.
func (c *Cache) discover(ctx context.Context, domain string) (Result, error) {
	record, ttl, err := lookUp(ctx, c.resolver(), domain)
	if ctx.Err() != nil {
		return Result{}, ctx.Err()
	}
	hold := min(max(ttl, minRecordTTL), cmp.Or(c.MaxRecordTTL, defaultMaxRecordTTL))
	if err != nil {
		if err.Reason == DNSFailed {
			hold = dnsRetryAfter
		}
		return c.remember(domain, hold, err, ""), nil
	}

	c.mu.Lock()
	h, n := c.live(domain), c.notes.peek(domain)
	switch {
	case h != nil && h.ID == record.ID:
	case n != nil && n.failedID == record.ID && time.Now().Before(n.retry):
		err = n.failure // §3.3
	default:
		c.mu.Unlock()
		return c.renew(ctx, domain, record.ID, hold)
	}
	c.mu.Unlock()
	return c.remember(domain, hold, err, ""), nil
}

// renew fetches the policy that a record means.
func (c *Cache) renew(ctx context.Context, domain, id string, hold time.Duration) (Result, error) {
	e, err := c.fetch(ctx, domain, id)
	if ctx.Err() != nil && err != nil {
		return Result{}, ctx.Err()
	}
	if err == nil {
		c.commit(ctx, e)
	}
	res := c.remember(domain, hold, err, id)
	switch {
	case err == nil:
		res = present(e, Fetched) // even if there was no room for it
	case res.Policy != nil && res.Policy.Mode != None:
		c.logger().Warn("mtasts: the new policy of a domain cannot be fetched", "domain", domain, "err", err) // §3.3
	}
	return res, nil
}

// fetch gets a policy.
func (c *Cache) fetch(ctx context.Context, domain, id string) (Entry, *Error) {
	f := c.Fetcher
	if f == nil {
		f = new(Fetcher)
	}
	if f.Resolver == nil {
		with := *f
		with.Resolver = c.resolver()
		f = &with
	}
	began := time.Now()
	policy, err := f.Fetch(ctx, domain)
	if err != nil {
		e, ok := err.(*Error)
		if !ok {
			e = &Error{Domain: domain, Reason: FetchFailed, Err: err}
		}
		return Entry{}, e
	}
	return Entry{Domain: domain, ID: id, Policy: *policy, Fetched: began}, nil
}

func (c *Cache) resolver() dns.Resolver {
	if c.Resolver == nil {
		return dns.Std{}
	}
	return c.Resolver
}

func (c *Cache) logger() *slog.Logger {
	if c.Logger == nil {
		return slog.Default()
	}
	return c.Logger
}
