package dns

import (
	"cmp"
	"time"
)

// An entry is what is remembered of a question, in a ring by when it was asked
// for.
type entry struct {
	key        cacheKey
	answer     Answer
	err        error
	life       time.Duration // in all
	expires    time.Time
	bytes      int
	next, prev *entry
}

// give returns what was remembered, with the TTL that is left.
func (e *entry) give(left time.Duration) (Answer, error) {
	a := e.answer
	age := e.life - left
	a.TTL = max(0, min(a.TTL-age, left))
	return a, e.err
}

// lifetime returns how long an answer is kept.
func (c *Cache) lifetime(a *Answer, err error) time.Duration {
	if err != nil {
		return min(cmp.Or(c.FailureTTL, defaultFailureTTL), maxFailureTTL)
	}
	limit := cmp.Or(c.MaxTTL, defaultMaxTTL)
	if a.Empty() {
		limit = cmp.Or(c.MaxNegativeTTL, defaultMaxNegativeTTL)
	}
	return min(max(a.TTL, cmp.Or(c.MinTTL, defaultMinTTL)), limit)
}

// keep remembers an answer.
func (c *Cache) keep(k cacheKey, a Answer, err error) {
	life := c.lifetime(&a, err)
	e := &entry{key: k, answer: a, err: err, life: life, expires: time.Now().Add(life), bytes: size(k, &a)}
	limit := cmp.Or(c.MaxBytes, defaultMaxBytes)
	if life <= 0 || e.bytes > limit {
		return
	}
	if c.entries == nil {
		c.entries = map[cacheKey]*entry{}
		c.recent.next, c.recent.prev = &c.recent, &c.recent
	}
	if old := c.entries[k]; old != nil {
		c.drop(old)
	}
	for len(c.entries) > 0 && (len(c.entries) >= cmp.Or(c.MaxEntries, defaultMaxEntries) || c.bytes+e.bytes > limit) {
		c.drop(c.recent.prev)
	}
	c.entries[k] = e
	c.bytes += e.bytes
	c.link(e)
}

// use puts an entry in front of the others.
func (c *Cache) use(e *entry) {
	if c.recent.next != e {
		e.unlink()
		c.link(e)
	}
}

func (c *Cache) link(e *entry) {
	e.prev, e.next = &c.recent, c.recent.next
	e.next.prev, c.recent.next = e, e
}

func (e *entry) unlink() { e.prev.next, e.next.prev = e.next, e.prev }

func (c *Cache) drop(e *entry) {
	e.unlink()
	delete(c.entries, e.key)
	c.bytes -= e.bytes
}

// size estimates how much memory an entry takes.
func size(k cacheKey, a *Answer) int {
	const (
		each   = 450 // an entry, its place in the map, and its key
		word   = 16  // a string's head
		record = 40  // what else one takes, at most
	)
	n := each + len(k.name) + len(a.Canonical) + record*(len(a.Addrs)+len(a.MX)+len(a.TLSA))
	for _, list := range [][]string{a.Chain, a.Names, a.TXT} {
		for _, s := range list {
			n += word + len(s)
		}
	}
	for _, m := range a.MX {
		n += len(m.Host)
	}
	for _, t := range a.TLSA {
		n += len(t.Data)
	}
	return n
}
