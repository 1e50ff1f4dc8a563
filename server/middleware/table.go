package middleware

import (
	"crypto/sha256"
	"math/rand/v2"
	"sync"
	"time"
)

// table is a map of bounded size, whose entries end by themselves.
type table[V any] struct {
	max    int
	ends   func(V) time.Time               // when an entry has no meaning any more
	yields func(known, coming V) time.Time // of several the earliest makes room; nil: the one that ends first

	mu      sync.Mutex
	entries []entry[V]     // in no order
	at      map[string]int // where the entry of a key is
}

type entry[V any] struct {
	key string
	v   V
}

func newTable[V any](limit, otherwise int, ends func(V) time.Time) *table[V] {
	if limit <= 0 {
		limit = otherwise
	}
	return &table[V]{max: limit, ends: ends, at: make(map[string]int)}
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
	i, known := t.at[key]
	var v V
	if known && t.ends(t.entries[i].v).After(now) {
		v = t.entries[i].v
	}
	if !change(&v) {
		return
	}
	if known {
		t.entries[i].v = v
		return
	}
	t.makeRoom(v, now)
	t.at[key] = len(t.entries)
	t.entries = append(t.entries, entry[V]{key, v})
}

// drop takes out the i-th entry. The last takes its place.
func (t *table[V]) drop(i int) {
	delete(t.at, t.entries[i].key)
	last := len(t.entries) - 1
	if i < last {
		t.entries[i] = t.entries[last]
		t.at[t.entries[i].key] = i
	}
	t.entries[last] = entry[V]{}
	t.entries = t.entries[:last]
}

// sample is how many entries are looked at for each new one, and more if none
// yields.
const (
	sample = 16
	more   = 4 * sample
)

// makeRoom drops entries that have ended. In a full table one that has not must
// go: of a few taken at random the one that would end first, or that yields
// first to what is coming. So a flood of new keys drives out itself, not those
// who have a record of long standing. Chance is asked for each: neighbours in a map
// are not there by chance.
func (t *table[V]) makeRoom(coming V, now time.Time) {
	var first string
	var at time.Time
	enough := sample
	if t.yields != nil {
		enough = more
	}
	for seen := 0; seen < enough && len(t.entries) > 0; seen++ {
		i := rand.IntN(len(t.entries))
		v := t.entries[i].v
		end := t.ends(v)
		if !end.After(now) {
			t.drop(i)
			continue
		}
		if t.yields != nil {
			if own := t.yields(v, coming); own.Before(end) {
				end, enough = own, sample
			}
		}
		if at.IsZero() || end.Before(at) {
			first, at = t.entries[i].key, end
		}
	}
	if i, ok := t.at[first]; ok && len(t.entries) >= t.max {
		t.drop(i)
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
