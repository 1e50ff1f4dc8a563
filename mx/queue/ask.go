package queue

import (
	"context"
	"time"
)

const (
	// maxAsking is how many calls of Store.Lease are underway at a time.
	maxAsking = 8
	// readyPage is how many destinations are asked for at a time.
	readyPage = 1000
	// minPause is the time between two looks into the store at least.
	minPause = 100 * time.Millisecond
)

// proceed begins what may begin: deliveries and, for those to come, leases. Mu is held.
func (r *Runner) proceed(now time.Time) {
	s := &r.s
	for j := s.next(now); j != nil; j = s.next(now) {
		s.work.Add(1)
		go r.deliverAll(j)
	}
	for s.leasing < maxAsking {
		at, n := s.nextToAsk(now)
		if at == nil {
			return
		}
		s.leasing++
		s.work.Add(1)
		go r.leaseAll(at, n, now)
	}
}

// nextToAsk takes the destination for which the store is asked next, and says for how
// many items; nil if there is none.
func (s *scheduler) nextToAsk(now time.Time) (*site, int) {
	for s.mayLease(now) {
		c, ok := s.choose(&s.ask, s.maxLeases)
		if !ok {
			return nil, 0
		}
		at := s.ask[c].pop()
		at.queuedToAsk = false
		if at.class != c || !s.worthAsking(at, now) {
			s.lineUp(at, now)
			continue
		}
		n := min(s.room(at, now), s.maxLeases(c))
		at.more, at.asking = false, true // what is committed from now on sets more again
		s.promise(at, n)
		return at, n
	}
	return nil, 0
}

// mayLease reports whether items may be leased: not before all leases were extended, if
// that is long ago, as it is when the process was stopped for a while. They might be
// taken for over, and their items be delivered twice.
func (s *scheduler) mayLease(now time.Time) bool {
	if !s.works() {
		return false
	}
	if now.Round(0).Before(s.extendBy) { // by the clock: time asleep counts
		return true
	}
	signal(s.extendNow)
	return false
}

// leaseAll leases items of a destination, and then of the next. Now is when it was found
// that this may be: what runs out later is not leased, it may be our own.
func (r *Runner) leaseAll(at *site, n int, now time.Time) {
	s := &r.s
	defer s.work.Done()
	for at != nil {
		items, err := r.Store.Lease(s.ctx, LeaseRequest{Destination: at.name, Max: n, Now: now, Until: time.Now().Add(r.leaseTime())})
		now = time.Now()
		s.mu.Lock()
		at.asking = false
		s.promise(at, -n)
		at.more = at.more || err != nil || len(items) >= n
		r.storeSaid(toLook, err, now)
		r.enter(at, items, now)
		if at, n = s.nextToAsk(now); at == nil {
			s.leasing--
		}
		r.proceed(now)
		s.checkIdle()
		s.mu.Unlock()
	}
}

// enter puts leased items into their destination's backlog, or gives them back if they
// cannot be begun any more. Mu is held.
func (r *Runner) enter(at *site, items []*Leased, now time.Time) {
	s := &r.s
	for _, l := range items {
		j := s.add(at, l, now)
		if s.phase == phaseActive && !at.rests(now) {
			s.lineUpJob(j)
		} else {
			r.giveBack(j)
		}
	}
	s.lineUp(at, now)
}

// giveBack ends the lease of a job of which nothing was tried. Mu is held.
func (r *Runner) giveBack(jobs ...*job) {
	for _, j := range jobs {
		j.unmoved = true
		j.s = *unmoved(j.Leased)
		r.finish(j)
	}
}

// unmoved is the settlement of an item that stays as it is.
func unmoved(l *Leased) *Settlement {
	return &Settlement{Lease: l.Lease, Left: l.Item.Recipients, Due: l.Item.Due, Warn: l.Item.Warn, Attempts: l.Item.Attempts}
}

// ready notes that the store has an item of a destination that is due, unless no more
// destinations can be remembered. Mu is held.
func (r *Runner) ready(destination string, now time.Time) bool {
	s := &r.s
	at := s.known(destination, now)
	if at == nil {
		s.rescan = true
		return false
	}
	at.more = true
	s.lineUp(at, now)
	return true
}

// scan looks for destinations that have something due, from after on. It returns
// where it has stopped because it can remember no more of them.
func (r *Runner) scan(ctx context.Context, now time.Time, after string) (stopped string) {
	s := &r.s
	for {
		names, next, err := r.Store.Ready(ctx, now, after, readyPage)
		s.mu.Lock()
		r.storeSaid(toLook, err, time.Now())
		s.noteDue(next)
		for _, name := range names {
			if !r.ready(name, now) { // it goes on from here the next time
				r.proceed(time.Now())
				s.mu.Unlock()
				return after
			}
			after = name
		}
		r.proceed(time.Now()) // the store may have taken long
		s.mu.Unlock()
		if err != nil || len(names) < readyPage {
			return ""
		}
	}
}

func (r *Runner) leaseTime() time.Duration { return orDefault(r.LeaseTime, time.Minute) }
