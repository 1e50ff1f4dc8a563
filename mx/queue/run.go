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
	s.extendBy = time.Now().Round(0).Add(r.leaseTime() * 2 / 3)
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
