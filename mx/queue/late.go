package queue

import (
	"context"
	"time"
)

// lateBatch is how many late items are leased at a time.
const lateBatch = 100

// lookLate looks after what has to be given up and whose senders are to be told.
func (r *Runner) lookLate() {
	s := &r.s
	var (
		timer    = time.NewTimer(0)
		poll     = time.Now()
		earliest = poll
	)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.lateWoken:
		case <-timer.C:
		}
		now := time.Now()
		s.mu.Lock()
		look := s.mayLookLate(now) && !now.Before(s.nextLateLook(poll, earliest))
		if look {
			s.nextLate = time.Time{}
		}
		s.mu.Unlock()
		if look {
			earliest = now.Add(minPause)
			if poll = now.Add(jitter(orDefault(r.Poll, 10*time.Second))); r.leaseLate(s.ctx, now) {
				poll = earliest
			}
		}
		s.mu.Lock()
		at := s.nextLateLook(poll, earliest)
		if !s.mayLookLate(now) {
			at = now.Add(time.Second)
		}
		s.mu.Unlock()
		timer.Reset(max(minPause, time.Until(at)))
	}
}

// mayLookLate reports whether late items may be leased: they may wait for an attempt,
// and for being settled, but not without limit.
func (s *scheduler) mayLookLate(now time.Time) bool {
	return s.mayLease(now) && s.settling < s.max && s.waiting < s.maxHeld()
}

func (s *scheduler) nextLateLook(poll, earliest time.Time) time.Time {
	at := earlier(poll, s.nextLate)
	if at.Before(earliest) {
		return earliest
	}
	return at
}

// leaseLate leases what has to be given up or whose senders are to be told, and does
// so. It reports whether there may be more.
func (r *Runner) leaseLate(ctx context.Context, now time.Time) (more bool) {
	s := &r.s
	s.mu.Lock()
	s.leasing++ // so that the end waits for it
	s.mu.Unlock()
	items, err := r.Store.Lease(ctx, LeaseRequest{Late: true, Max: lateBatch, Now: now, Until: now.Add(r.leaseTime())})
	s.mu.Lock()
	defer s.mu.Unlock()
	r.storeSaid(toLook, err, time.Now())
	more = len(items) == lateBatch
	for _, l := range items {
		at := s.known(l.Item.Destination, now)
		if at != nil && s.phase == phaseActive && !l.Message.mustReturn() && l.Item.expired(now) && l.Item.Due.Before(l.Item.Expires) && !at.rests(now) {
			r.enter(at, []*Leased{l}, now) // one more attempt, for which there was no time
			continue
		}
		j := s.add(at, l, now)
		s.settling++
		s.mu.Unlock()
		r.endLate(j, now)
		s.mu.Lock()
	}
	s.leasing--
	r.proceed(now)
	s.checkIdle()
	return more
}

// endLate is for a late item that is counted as settling already.
func (r *Runner) endLate(j *job, now time.Time) {
	s := &r.s
	r.lateOutcome(j, now)
	r.notify(j)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settling--
	r.finish(j)
}

// endLateOf does so for those items in a destination's backlog whose turn may come too
// late. Mu is held.
func (r *Runner) endLateOf(at *site, now time.Time) {
	s := &r.s
	for _, j := range s.takeBacklog(at, func(j *job) bool { return !j.tooLate(now) && !j.Item.warns(now) }) {
		s.settling++
		s.work.Go(func() { r.endLate(j, now) })
	}
}
