package mtasts

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

const (
	sweepEvery    = 10 * time.Minute
	sweepWorkers  = 8
	sweepRetry    = time.Hour           // after a policy could not be renewed
	refreshUnused = 30 * 24 * time.Hour // a policy that nobody has asked for is not renewed after that
)

// Run calls Refresh every 10 minutes until the context ends, and returns its
// error. It is meant to run in a goroutine of the caller's.
func (c *Cache) Run(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		if err := c.Refresh(ctx); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Refresh renews the policies for which it is time, lest somebody who prevents
// that they are fetched need only wait until they expire (RFC 8461 §3.3, §10.2).
// It fetches up to eight at a time and returns when it is done with all; the
// error is the context's. A failure is told to the Logger, and tried again after
// an hour. Policies that have expired are removed; those that nobody has asked
// for in 30 days are left to expire.
func (c *Cache) Refresh(ctx context.Context) error {
	if err := c.load(ctx); err != nil {
		return err
	}
	due, expired := c.due(time.Now())
	c.save(ctx, expired)
	queue := make(chan Entry)
	var wg sync.WaitGroup
	for range min(sweepWorkers, len(due)) {
		wg.Go(func() {
			for e := range queue {
				c.refresh(ctx, e)
			}
		})
	}
	for _, e := range due {
		if ctx.Err() != nil {
			break
		}
		queue <- e
	}
	close(queue)
	wg.Wait()
	return ctx.Err()
}

// due returns the policies to be renewed, those first that expire first, and
// removes what has expired.
func (c *Cache) due(now time.Time) (due []Entry, expired []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.policies.all(func(domain string, h *held) {
		after := min(cmp.Or(c.RefreshAfter, 24*time.Hour), h.Policy.MaxAge/2)
		switch {
		case !now.Before(h.Expires()):
			expired = append(expired, domain)
		case now.Before(h.Fetched.Add(after)), now.Before(h.retry), now.Sub(h.used) > refreshUnused:
		default:
			due = append(due, h.Entry)
		}
	})
	for _, domain := range expired {
		c.drop(domain)
	}
	slices.SortFunc(due, func(a, b Entry) int { return a.Expires().Compare(b.Expires()) })
	return due, expired
}

// refresh renews one policy. Without a record the domain may have given up
// MTA-STS, and its policy expires; but a DNS that does not answer stops nothing.
func (c *Cache) refresh(ctx context.Context, e Entry) {
	record, _, err := lookUp(ctx, c.resolver(), e.Domain)
	if err == nil || err.Reason == DNSFailed {
		id := cmp.Or(record.ID, e.ID)
		var renewed Entry
		if renewed, err = c.fetch(ctx, e.Domain, id); err == nil {
			c.replace(ctx, renewed)
			return
		}
	}
	if ctx.Err() != nil {
		return
	}
	if e.Policy.Mode != None { // §3.3
		c.logger().Warn("mtasts: the policy of a domain cannot be renewed", "domain", e.Domain, "expires", e.Expires(), "err", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.policies.peek(e.Domain); h != nil {
		h.retry = time.Now().Add(sweepRetry)
	}
}

// replace is commit for a policy that nobody has asked for.
func (c *Cache) replace(ctx context.Context, e Entry) {
	c.mu.Lock()
	old := c.policies.peek(e.Domain)
	if old == nil || old.Fetched.After(e.Fetched) {
		c.mu.Unlock()
		return // it was dropped meanwhile, or renewed
	}
	c.bytes += size(&e) - old.bytes
	old.Entry, old.bytes, old.retry = e, size(&e), time.Time{}
	if n := c.notes.peek(e.Domain); n != nil && n.failedID == e.ID {
		c.notes.drop(e.Domain)
	}
	dropped := c.trim()
	c.mu.Unlock()
	c.save(ctx, append(dropped, e.Domain))
}
