package queue

import (
	"context"
	"sync"
	"time"
)

const (
	// statsAge is how long the store's Stats are believed.
	statsAge = time.Second
	// growth is by how much the place of a message grows whose size is not known.
	growth = 1 << 20
	// defaultMinFree is for a Runner without MinFree.
	defaultMinFree = 64 << 20
)

// admission knows whether there is room in the store: by its Stats, and by what has
// come since and is on its way.
type admission struct {
	mu       sync.Mutex
	stats    Stats
	asked    time.Time // when
	asking   bool
	messages int64 // that have come since
	bytes    int64
	open     int64 // on their way
	reserved int64 // their bytes
}

// place is the room that a message on its way has. The zero value is none.
type place struct {
	size int64
	open bool
}

// limits returns those of r; negative if there is none.
func (r *Runner) limits() (messages, bytes, free int64) {
	messages, bytes, free = r.MaxMessages, r.MaxBytes, orDefault(r.MinFree, defaultMinFree)
	if messages == 0 {
		messages = -1
	}
	if bytes == 0 {
		bytes = -1
	}
	return messages, bytes, free
}

// enter finds room for a message of so many octets.
func (a *admission) enter(ctx context.Context, r *Runner, p *place, size int64) error {
	messages, bytes, free := r.limits()
	if messages < 0 && bytes < 0 && free < 0 {
		return nil
	}
	if err := a.look(ctx, r.Store); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	size = max(size, 0)
	if messages >= 0 && a.stats.Messages+a.messages+a.open >= messages || !a.fits(r, size) {
		return ErrFull
	}
	p.size, p.open = size, true
	a.open++
	a.reserved += size
	return nil
}

// fits reports whether there is room for so many octets more.
func (a *admission) fits(r *Runner, n int64) bool {
	_, bytes, free := r.limits()
	coming := a.bytes + a.reserved
	if n > 1<<62-coming {
		return false
	}
	coming += n
	return (bytes < 0 || a.stats.Bytes+coming <= bytes) &&
		(free < 0 || a.stats.Free < 0 || a.stats.Free-coming >= free)
}

// grow makes a place larger, for a message that has more octets than it has said.
func (a *admission) grow(p *place, size int64, r *Runner) error {
	if !p.open {
		p.size = 1 << 62 // nobody counts
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fits(r, size+growth-p.size) {
		size += growth
	} else if !a.fits(r, size-p.size) {
		return ErrFull
	}
	a.reserved += size - p.size
	p.size = size
	return nil
}

// leave gives a place up.
func (a *admission) leave(p *place) {
	if !p.open {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p.open = false
	a.open--
	a.reserved -= p.size
}

// stay is for a message that is in the store now, with so many octets.
func (a *admission) stay(p *place, size int64) {
	if !p.open {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p.open = false
	a.open--
	a.reserved -= p.size
	a.messages++
	a.bytes += size
}

// look asks the store for its Stats if those that are known are old. While one asks,
// others take what is known.
func (a *admission) look(ctx context.Context, store Store) error {
	a.mu.Lock()
	now := time.Now()
	if !a.asked.IsZero() && (a.asking || now.Sub(a.asked) < statsAge) {
		a.mu.Unlock()
		return nil
	}
	a.asking = true
	messages, bytes := a.messages, a.bytes
	a.mu.Unlock()
	stats, err := store.Stats(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asking = false
	if err != nil {
		return err
	}
	a.stats, a.asked = stats, now
	a.messages -= messages // those have been counted
	a.bytes -= bytes
	return nil
}
