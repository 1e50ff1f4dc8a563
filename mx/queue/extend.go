package queue

import (
	"context"
	"time"
)

// extendAll keeps the leases of all that is leased.
func (r *Runner) extendAll() {
	s := &r.s
	leaseTime := r.leaseTime()
	timer := time.NewTimer(leaseTime / 3)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.extendNow:
		case <-timer.C:
		}
		next := leaseTime / 3
		if r.extend(s.ctx, leaseTime) != nil {
			next = min(next, time.Second)
		}
		timer.Reset(next)
	}
}

// extend makes leases longer that have less than two thirds of their time left, but
// gives those back whose turn has not come for all of it.
func (r *Runner) extend(ctx context.Context, leaseTime time.Duration) error {
	s := &r.s
	now := time.Now()
	soon := now.Add(leaseTime * 2 / 3)
	var leases []Lease
	s.mu.Lock()
	for _, at := range s.sites {
		if at.backlog > 0 {
			r.endLateOf(at, now)
			tooLong := s.takeBacklog(at, func(j *job) bool { return now.Sub(j.since) < leaseTime })
			if len(tooLong) > 0 {
				at.took = max(at.took, leaseTime) // too many were leased ahead
			}
			r.giveBack(tooLong...)
			s.lineUp(at, now)
		}
	}
	for j := s.jobs.next; j != &s.jobs; j = j.next {
		if j.until.Before(soon) {
			leases = append(leases, j.Lease)
		}
	}
	s.mu.Unlock()
	var lost []Lease
	var err error
	until := now.Add(leaseTime)
	if len(leases) > 0 {
		lost, err = r.Store.Extend(ctx, until, leases)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.storeSaid(toExtend, err, time.Now())
	if err != nil {
		return err
	}
	s.extendBy = soon.Round(0)
	type key struct {
		id ID
		n  int
	}
	extended := make(map[key]int64, len(leases))
	for _, l := range leases {
		extended[key{l.Message, l.N}] = l.Token
	}
	for _, l := range lost {
		extended[key{l.Message, l.N}] = -l.Token
	}
	for j := s.jobs.next; j != &s.jobs; {
		next := j.next
		switch extended[key{j.Lease.Message, j.Lease.N}] {
		case 0:
		case j.Lease.Token:
			j.until = until
		case -j.Lease.Token:
			r.lose(j)
		}
		if !j.lost {
			s.extendBy = earlier(s.extendBy, j.until.Round(0)) // of what was leased meanwhile
		}
		j = next
	}
	r.proceed(time.Now())
	return nil
}

// lose is for a job whose lease is lost. Mu is held.
func (r *Runner) lose(j *job) {
	s := &r.s
	j.lost = true
	if j.cancel != nil {
		j.cancel(ErrLost)
	}
	if j.site == nil || j.cancel != nil {
		return
	}
	if taken := s.takeBacklog(j.site, func(o *job) bool { return o != j }); len(taken) > 0 {
		r.lostLease(j)
		s.forget(j)
	}
}

// lostLease tells of a lease that somebody else has now.
func (r *Runner) lostLease(j *job) {
	r.logger().Warn("queue: the lease of an item is lost", "id", j.Lease.Message.String(), "item", j.Lease.N)
}
