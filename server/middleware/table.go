package middleware

import (
	"crypto/sha256"
	"sync"
	"time"
)

// table is a map of bounded size, whose entries end by themselves.
type table[V any] struct {
	max    int
	ends   func(V) time.Time               // when an entry has no meaning any more
	yields func(known, coming V) time.Time // of several the earliest makes room; nil: the one that ends first

	mu      sync.Mutex
	entries map[string]V
}

func newTable[V any](limit, otherwise int, ends func(V) time.Time) *table[V] {
	if limit <= 0 {
		limit = otherwise
	}
	return &table[V]{max: limit, ends: ends, entries: make(map[string]V)}
}

// get returns the zero V for an entry that is not there or has ended.
func (t *table[V]) get(key string, now time.Time) (v V) {
	t.update(key, now, func(known *V) bool { v = *known; return false })
	return v
}

func (t *table[V]) put(key string, now time.Time, v V) {
	t.update(key, now, func(known *V) bool { *known = v; return true })
}

// update lets change look at an entry, and keeps what it makes of it if it says
// so. One that is not there or has ended is the zero V.
func (t *table[V]) update(key string, now time.Time, change func(*V) (keep bool)) {
	key = bounded(key)
	t.mu.Lock()
	defer t.mu.Unlock()
	v, known := t.entries[key]
	if known && !t.ends(v).After(now) {
		v = *new(V)
	}
	if !change(&v) {
		return
	}
	if !known {
		t.makeRoom(v, now)
	}
	t.entries[key] = v
}

// sample is how many entries are looked at for each new one, and more of them if
// none yields. They are neighbours in the map, so a few would not be enough.
const (
	sample = 16
	more   = 4 * sample
)

// makeRoom drops entries that have ended. In a full table one that has not must
// go: of a few taken at random the one that would end first, or that yields
// first to what is coming. So a flood of new keys drives out itself, not those
// who have a record of long standing.
func (t *table[V]) makeRoom(coming V, now time.Time) {
	var first string
	var at time.Time
	seen, enough := 0, sample
	if t.yields != nil {
		enough = more
	}
	for key, v := range t.entries {
		end := t.ends(v)
		if !end.After(now) {
			delete(t.entries, key)
		} else {
			if t.yields != nil {
				if own := t.yields(v, coming); own.Before(end) {
					end, enough = own, sample
				}
			}
			if at.IsZero() || end.Before(at) {
				first, at = key, end
			}
		}
		if seen++; seen >= enough {
			break
		}
	}
	if len(t.entries) >= t.max {
		delete(t.entries, first)
	}
}

// bounded keeps a long key from taking much memory.
func bounded(key string) string {
	if len(key) <= 2*sha256.Size {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return string(sum[:])
}
