package mtasts

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"
)

// An Entry is a policy that has been fetched.
type Entry struct {
	Domain  string // in lower case and A-labels, without a final dot
	ID      string // of the record for which the policy was fetched
	Policy  Policy
	Fetched time.Time
}

// minLife is how long every policy holds, so that it is the same throughout a
// delivery.
const minLife = time.Minute

// Expires returns when the policy does not hold any longer: MaxAge after it was
// fetched, and a minute at least.
func (e *Entry) Expires() time.Time { return e.Fetched.Add(max(e.Policy.MaxAge, minLife)) }

// A Store keeps the policies of a [Cache] beyond its end. It is safe for
// concurrent use. There is one Entry for a domain at most. A Cache bounds how
// many there are by what it saves and deletes.
type Store interface {
	// All returns what is kept, in any order, and an error for each entry that
	// cannot be read. A Cache calls it once, before its first answer.
	All(ctx context.Context) iter.Seq2[Entry, error]
	// Save keeps an entry in the place of one for the same domain.
	Save(ctx context.Context, e Entry) error
	// Delete removes the entry for a domain if there is one.
	Delete(ctx context.Context, domain string) error
}

// A MemoryStore keeps policies in memory, for as long as it lives. The zero value
// is empty.
type MemoryStore struct {
	mu      sync.Mutex
	entries map[string]Entry
}

// All returns what is kept.
func (s *MemoryStore) All(context.Context) iter.Seq2[Entry, error] {
	s.mu.Lock()
	list := slices.Collect(maps.Values(s.entries))
	s.mu.Unlock()
	return func(yield func(Entry, error) bool) {
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// Save keeps an entry.
func (s *MemoryStore) Save(_ context.Context, e Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries == nil {
		s.entries = map[string]Entry{}
	}
	s.entries[e.Domain] = e
	return nil
}

// Delete removes an entry.
func (s *MemoryStore) Delete(_ context.Context, domain string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.entries, domain)
	return nil
}
