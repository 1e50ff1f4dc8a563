package mtasts

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// held is a policy in memory.
type held struct {
	Entry
	bytes int
	used  time.Time // when it was asked for the last time, or read
	retry time.Time // Refresh lets it be until then
}

// note is what is remembered of the last look at a domain's record.
type note struct {
	until time.Time // when to look again
	err   *Error    // why there is no live policy

	failedID string    // the policy that could not be fetched
	failure  *Error    // why
	retry    time.Time // it is not tried again until then
}

// recall answers from memory.
func (c *Cache) recall(domain string) (Result, bool) {
	n := c.notes.get(domain)
	if n == nil || !time.Now().Before(n.until) {
		return Result{}, false
	}
	res := c.result(domain, n.err)
	return res, res.Policy != nil || res.Err != nil // else it has expired
}

// result is the policy in force, with what the record's failure makes of it.
func (c *Cache) result(domain string, err *Error) Result {
	h := c.live(domain)
	switch {
	case h == nil && err == nil:
		return Result{}
	case h == nil:
		return absent(err)
	}
	h.used = time.Now()
	res := present(h.Entry, Cached)
	if err != nil {
		res.Origin, res.Reason, res.Err = Stale, err.Reason, err // §3.3, §5.1
	}
	return res
}

func absent(err *Error) Result { return Result{Reason: err.Reason, Err: err} }

func present(e Entry, from Origin) Result {
	return Result{Policy: &e.Policy, Origin: from, ID: e.ID, Fetched: e.Fetched, Expires: e.Expires()}
}

// live returns the policy of a domain unless it has expired.
func (c *Cache) live(domain string) *held {
	h := c.policies.get(domain)
	if h == nil || !time.Now().Before(h.Expires()) {
		return nil
	}
	return h
}

// remember notes a look at a domain's record, or the failure to fetch the policy
// that it means.
func (c *Cache) remember(domain string, hold time.Duration, err *Error, fetched string) Result {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	var n note
	if old := c.notes.peek(domain); old != nil {
		n = *old
	}
	n.until, n.err = now.Add(hold), err
	switch {
	case fetched == "":
	case err == nil:
		n.failedID, n.failure = "", nil
	default:
		n.failedID, n.failure = fetched, err
		n.retry = now.Add(max(c.RetryAfter, minRetryAfter))
	}
	c.notes.put(domain, n)
	if c.notes.len() > cmp.Or(c.MaxDomains, defaultMaxDomains) {
		c.notes.drop(c.notes.oldest())
	}
	return c.result(domain, err)
}

// commit keeps a policy that was fetched.
func (c *Cache) commit(ctx context.Context, e Entry) {
	c.mu.Lock()
	dropped := c.keep(e)
	c.mu.Unlock()
	c.save(ctx, append(dropped, e.Domain))
}

// save brings the Store up to date with what memory has of domains.
func (c *Cache) save(ctx context.Context, domains []string) {
	if c.Store == nil {
		return
	}
	for _, domain := range domains {
		e, held := c.entry(domain)
		for saved := false; !saved; {
			c.write(ctx, domain, e, held)
			was, wasHeld := e, held
			// Others write too, and the last one to do so must know the latest.
			e, held = c.entry(domain)
			saved = held == wasHeld && e.ID == was.ID && e.Fetched.Equal(was.Fetched)
		}
	}
}

func (c *Cache) write(ctx context.Context, domain string, e Entry, held bool) {
	if held {
		if err := c.Store.Save(ctx, e); err != nil {
			c.logger().Error("mtasts: a policy cannot be saved", "domain", domain, "err", err)
		}
		return
	}
	if err := c.Store.Delete(ctx, domain); err != nil {
		c.logger().Error("mtasts: a policy cannot be deleted", "domain", domain, "err", err)
	}
}

// entry returns what memory has of a domain.
func (c *Cache) entry(domain string) (e Entry, held bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.policies.peek(domain); h != nil {
		return h.Entry, true
	}
	return e, false
}

// keep puts a policy into memory, and returns the domains whose policies had to
// go for it.
func (c *Cache) keep(e Entry) (dropped []string) {
	c.drop(e.Domain)
	h := held{Entry: e, bytes: size(&e), used: time.Now()}
	c.policies.put(e.Domain, h)
	c.bytes += h.bytes
	return c.trim()
}

// trim makes room. What is short of octets goes at the expense of those policies
// that take more than their share: whoever has many large ones could else drive out
// all others.
func (c *Cache) trim() (dropped []string) {
	domains, bytes := max(cmp.Or(c.MaxDomains, defaultMaxDomains), 0), max(cmp.Or(c.MaxBytes, defaultMaxBytes), 0)
	remove := func(domain string) {
		c.drop(domain)
		dropped = append(dropped, domain)
	}
	for c.policies.len() > domains {
		remove(c.policies.oldest())
	}
	for c.bytes > bytes {
		remove(c.policies.oldestIf(func(h *held) bool { return h.bytes > bytes/max(domains, 1) }))
	}
	return dropped
}

func (c *Cache) drop(domain string) {
	if h := c.policies.peek(domain); h != nil {
		c.bytes -= h.bytes
		c.policies.drop(domain)
	}
}

// load reads the Store once.
func (c *Cache) load(ctx context.Context) error {
	for {
		c.mu.Lock()
		if c.loaded || c.Store == nil {
			c.mu.Unlock()
			return nil
		}
		landed, mine := c.board("")
		c.mu.Unlock()
		if mine {
			return c.read(ctx)
		}
		select {
		case <-landed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *Cache) read(ctx context.Context) error {
	defer c.land("")
	now := time.Now()
	var entries []Entry
	var stale []string
	for e, err := range c.Store.All(ctx) {
		name, ok := canonical(e.Domain)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			c.logger().Warn("mtasts: a policy that was saved cannot be read", "err", err)
			continue
		case !ok || name != e.Domain:
			continue
		case e.Fetched.After(now):
			e.Fetched = now // the clock was wrong; a policy must not hold for longer than it says
		}
		if !now.Before(e.Expires()) {
			stale = append(stale, e.Domain)
			continue
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b Entry) int { return a.Fetched.Compare(b.Fetched) })
	c.mu.Lock()
	for _, e := range entries {
		stale = append(stale, c.keep(e)...)
	}
	c.loaded = true
	c.mu.Unlock()
	c.save(ctx, stale)
	return nil
}

// size estimates how much memory a policy takes.
func size(e *Entry) int {
	const (
		each = 500 // an entry, its place in the order and in the map
		word = 16  // a string's head
	)
	n := each + 2*len(e.Domain) + len(e.ID)
	for _, pattern := range e.Policy.MX {
		n += word + len(pattern)
	}
	return n
}
