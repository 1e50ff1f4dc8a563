package server

import (
	"net/netip"
	"sync"
	"time"

	"github.com/postrider/postrider/smtp"
)

// maxRated bounds the addresses that a rates remembers.
const maxRated = 1 << 16

// rates are token buckets, one for each address. A bucket holds the tokens of
// one minute and is told by a single instant: when it will be full again. One
// that has not been touched for a minute is full, so it may be forgotten.
// That is why two maps are enough, of which the older is dropped when the
// younger is a minute old or full: nothing is ever searched for what to evict.
type rates struct {
	token time.Duration // how long it takes for one to come back

	mu         sync.Mutex
	young, old map[netip.Prefix]time.Time
	born       time.Time // of young
}

// newRates returns nil for a rate that is no limit.
func newRates(perMinute int) *rates {
	if perMinute <= 0 {
		return nil
	}
	return &rates{token: time.Minute / time.Duration(perMinute)}
}

// take takes a token out of an address's bucket. It reports false, and takes
// nothing, when there is none.
func (r *rates) take(key netip.Prefix, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	full, ok := r.young[key]
	if !ok {
		full = r.old[key]
	}
	if full.Before(now) {
		full = now
	}
	full = full.Add(r.token)
	if full.Sub(now) > time.Minute {
		return false
	}
	if r.young == nil || len(r.young) >= maxRated/2 || now.Sub(r.born) >= time.Minute {
		r.old, r.young, r.born = r.young, make(map[netip.Prefix]time.Time), now
	}
	r.young[key] = full
	return true
}

// mayBegin reports whether one more mail transaction may begin, and takes a
// place for it if places are counted. The reply says why not.
func (c *conn) mayBegin() (refusal smtp.Reply) {
	if limit := c.cfg.limits.MaxTransactions; limit > 0 {
		c.placed = true
		if over(c.srv.transactions.Add(1), int64(limit)) {
			c.giveBack()
			return replyOverloaded
		}
	}
	if r := c.cfg.messageRate; r != nil {
		if key, limited := c.countedBy(); limited && !r.take(key, time.Now()) {
			c.giveBack()
			return tooManyPerMinute
		}
	}
	return smtp.Reply{}
}

// giveBack frees the place of a mail transaction.
func (c *conn) giveBack() {
	if c.placed {
		c.placed = false
		c.srv.transactions.Add(-1)
	}
}
