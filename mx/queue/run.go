package queue

import (
	"context"
	"time"
)

// run is Run.
func (r *Runner) run(ctx context.Context) error {
	s := r.scheduler()
	s.mu.Lock()
	switch s.phase {
	case phaseUnused:
		s.phase = phaseActive
	default:
		defer s.mu.Unlock()
		if s.ran {
			return errRunning
		}
		s.ran = true
		return nil // after Shutdown
	}
	s.ran = true
	s.extendBy = time.Now().Add(r.leaseTime() * 2 / 3)
	stop := context.AfterFunc(ctx, s.cancel)
	defer stop()
	s.work.Add(4)
	s.mu.Unlock()
	go func() { defer s.work.Done(); r.look() }()
	go func() { defer s.work.Done(); r.lookLate() }()
	go func() { defer s.work.Done(); r.extendAll() }()
	go func() {
		defer s.work.Done()
		select {
		case <-s.idle:
			s.cancel()
		case <-s.ctx.Done():
		}
	}()
	recorded := make(chan struct{})
	go func() { defer close(recorded); r.settleAll() }()

	<-s.ctx.Done()
	s.mu.Lock()
	wasStopped := s.phase == phaseStopping
	s.phase = phaseOver
	r.emptyBacklogs()
	s.mu.Unlock()
	s.work.Wait()
	close(s.settled)
	<-recorded
	close(s.ended)
	if wasStopped {
		return nil
	}
	return ctx.Err()
}

// stop begins the end. Mu is held.
func (r *Runner) stop() {
	s := &r.s
	switch s.phase {
	case phaseUnused: // Run returns at once
		s.phase = phaseOver
		close(s.ended)
	case phaseActive:
		s.phase = phaseStopping
		r.emptyBacklogs()
		s.checkIdle()
	}
}

// emptyBacklogs gives back what is leased and was not begun. Mu is held.
func (r *Runner) emptyBacklogs() {
	for _, at := range r.s.sites {
		if at.backlog > 0 {
			r.giveBack(r.s.takeBacklog(at, nil)...)
		}
	}
}

// checkIdle ends a stopping scheduler that has nothing left to do. Mu is held.
func (s *scheduler) checkIdle() {
	if s.phase == phaseStopping && s.running+s.settling+s.leasing == 0 {
		select {
		case <-s.idle:
		default:
			close(s.idle)
		}
	}
}

// look is the main loop: it looks into the store when something becomes due, when it
// is woken, and from time to time.
func (r *Runner) look() {
	s := &r.s
	var (
		wake     = r.Wake
		timer    = time.NewTimer(0)
		poll     = time.Now() // when to look if nothing else calls for it
		earliest = poll
		after    string
	)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case _, ok := <-wake:
			if !ok {
				wake = nil
			}
			s.mu.Lock()
			s.rescan = true
			s.mu.Unlock()
		case <-s.woken:
		case <-timer.C:
		}
		now := time.Now()
		s.mu.Lock()
		if !s.nextRest.IsZero() && !now.Before(s.nextRest) || now.Sub(s.swept) >= remember {
			s.sweep(now)
			r.proceed(now)
		}
		scan := s.phase == phaseActive && !now.Before(s.nextLook(now, poll, earliest))
		if scan {
			s.rescan, s.nextDue = false, time.Time{}
		}
		s.mu.Unlock()
		if scan {
			after = r.scan(s.ctx, now, after)
			poll = now.Add(jitter(orDefault(r.Poll, 10*time.Second)))
			earliest = now.Add(max(minPause, 10*time.Since(now)))
		}
		s.mu.Lock()
		at := earlier(s.nextLook(now, poll, earliest), s.nextRest)
		s.mu.Unlock()
		timer.Reset(time.Until(at))
	}
}

// nextLook is when to look into the store.
func (s *scheduler) nextLook(now, poll, earliest time.Time) time.Time {
	at := earlier(poll, s.nextDue)
	if s.rescan {
		at = earlier(at, now)
	}
	switch {
	case s.phase != phaseActive, s.trouble.with&^toLook != 0: // then it is woken
		return now.Add(time.Hour)
	case s.trouble.now():
		return s.trouble.until
	case at.Before(earliest):
		return earliest
	}
	return at
}

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
		look := s.mayLease(now) && s.settling < s.max && !now.Before(s.nextLateLook(poll, earliest))
		if look {
			s.nextLate = time.Time{}
		}
		s.mu.Unlock()
		if look {
			earliest = now.Add(minPause)
			if poll = now.Add(jitter(orDefault(r.Poll, 10*time.Second))); r.leaseLate(s.ctx) {
				poll = earliest
			}
		}
		s.mu.Lock()
		at := s.nextLateLook(poll, earliest)
		if !s.works() || s.settling >= s.max {
			at = now.Add(time.Second)
		}
		s.mu.Unlock()
		timer.Reset(max(minPause, time.Until(at)))
	}
}

func (s *scheduler) nextLateLook(poll, earliest time.Time) time.Time {
	at := earlier(poll, s.nextLate)
	if at.Before(earliest) {
		return earliest
	}
	return at
}

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
	s.extendBy = soon
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
		j = next
	}
	r.proceed(now)
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
