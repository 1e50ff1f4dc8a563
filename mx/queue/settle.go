package queue

import (
	"context"
	"time"
)

const (
	// maxSettle is how many settlements go to the store at once.
	maxSettle = 1000
	// maxStuck is how many settlements may be at fault themselves; if there are more
	// it is the store. They are tried again after so long at the most.
	maxStuck     = 16
	maxStuckWait = 10 * time.Minute
	// endWait and endTries limit how long the end waits for a store that fails.
	endWait  = 10 * time.Second
	endTries = 3
)

// finish hands a job over to be settled. Mu is held.
func (r *Runner) finish(j *job) {
	s := &r.s
	s.settling++
	s.finished = append(s.finished, j)
	if len(s.finished) == 1 {
		signal(s.settle)
	}
}

// settleAll records what came of jobs: all that wait, at once.
func (r *Runner) settleAll() {
	s := &r.s
	var (
		batch, stuck []*job
		tries        int // of the batch that have failed
		endFailures  int
		wait         time.Duration // before those that are stuck are tried again
		again        = time.NewTimer(0)
	)
	defer again.Stop()
	for last := false; ; {
		if len(batch) == 0 && !last {
			select {
			case <-s.settle:
			case <-again.C:
				if r.settleStuck(&stuck); len(stuck) > 0 {
					wait = min(2*wait, maxStuckWait)
					again.Reset(wait)
				}
			case <-s.settled:
				last = true
				r.settleStuck(&stuck)
				r.abandon(stuck)
			}
		}
		batch = s.takeFinished(batch)
		if len(batch) == 0 {
			if last {
				return
			}
			continue
		}
		left, alone, err := r.settleBatch(batch, tries, len(stuck))
		if stuck = append(stuck, alone...); len(alone) > 0 {
			wait = maxTrouble
			again.Reset(wait)
		}
		if batch = left; err == nil {
			tries = 0
			continue
		}
		tries++
		if s.ctx.Err() != nil {
			if endFailures++; endFailures >= endTries {
				r.abandon(batch)
				batch = nil
				continue
			}
		}
		r.awaitStore(tries)
	}
}

// takeFinished adds jobs that are finished to a batch, as long as it has room.
func (s *scheduler) takeFinished(batch []*job) []*job {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.finished), max(0, maxSettle-len(batch)))
	batch = append(batch, s.finished[:n]...)
	rest := copy(s.finished, s.finished[n:])
	clear(s.finished[rest:])
	if s.finished = s.finished[:rest]; rest > 0 {
		signal(s.settle)
	}
	return batch
}

// awaitStore waits before the store is tried again.
func (r *Runner) awaitStore(tries int) {
	t := time.NewTimer(jitter(doubled(minTrouble, maxTrouble, tries-1)))
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.s.ctx.Done():
		time.Sleep(minTrouble)
	}
}

// settleBatch settles jobs, and returns those that could not be. If a batch fails again
// and again it tries them singly, so that one that the store cannot take does not keep
// the others: it is left alone.
func (r *Runner) settleBatch(batch []*job, tries, stuck int) (left, alone []*job, err error) {
	if tries%3 != 2 || r.s.ctx.Err() != nil {
		if err = r.settleOnce(batch, tries, toSettle); err != nil {
			return batch, nil, err
		}
		return batch[:0], nil, nil
	}
	for i := range batch {
		if e := r.settleOnce(batch[i:i+1], tries, toSettle); e != nil {
			alone, err = append(alone, batch[i]), e
			if stuck+len(alone) > maxStuck || len(alone) == i+1 && !r.takesOther(batch[i]) { // it is not up to them
				return append(alone, batch[i+1:]...), nil, err
			}
		}
	}
	if len(alone) == 0 {
		return nil, nil, nil
	}
	now := time.Now()
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	for _, j := range alone {
		r.s.uncount(j, now)
	}
	r.storeSaid(toSettle, nil, now)
	r.proceed(now)
	return nil, alone, nil
}

// takesOther reports whether the store takes something else than the settlement of j.
func (r *Runner) takesOther(j *job) bool {
	_, err := r.Store.Extend(r.s.ctx, time.Now().Add(r.leaseTime()), []Lease{j.Lease})
	return err == nil
}

// settleStuck tries once more what the store could not take when it took the rest.
func (r *Runner) settleStuck(stuck *[]*job) {
	left := (*stuck)[:0]
	for _, j := range *stuck {
		if r.settleOnce([]*job{j}, 1, 0) != nil {
			left = append(left, j)
		}
	}
	*stuck = left
}

// settleOnce settles jobs. What is what it means if the store fails; 0 for nothing.
func (r *Runner) settleOnce(batch []*job, tries int, what errand) error {
	s := &r.s
	settlements := make([]*Settlement, 0, len(batch))
	s.mu.Lock()
	for _, j := range batch {
		if !j.lost {
			settlements = append(settlements, &j.s)
		}
	}
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.ctx))
	defer cancel()
	defer context.AfterFunc(s.ctx, func() { time.AfterFunc(endWait, cancel) })()
	var err error
	if len(settlements) > 0 {
		err = r.Store.Settle(ctx, settlements)
	}
	now := time.Now()
	s.mu.Lock()
	if what != 0 {
		r.storeSaid(what, err, now)
	}
	if err == nil {
		for _, j := range batch {
			if sent := len(settlements) > 0 && settlements[0] == &j.s; sent {
				settlements = settlements[1:]
				j.lost = false // as who extended it may have found it when it was gone
			}
			s.settling--
			s.forget(j)
			s.uncount(j, now)
			r.settled(j, now)
		}
		r.proceed(now)
		s.checkIdle()
	}
	s.mu.Unlock()
	if err == nil {
		for _, j := range batch {
			r.tellSettled(j, tries > 0)
		}
	}
	return err
}

// settled notes what is to be done next about what was settled. Mu is held.
func (r *Runner) settled(j *job, now time.Time) {
	s := &r.s
	if j.lost || j.s.Err != nil {
		return
	}
	if len(j.s.Left) > 0 {
		if j.s.Due.After(now) {
			s.noteDue(j.s.Due)
		} else if j.site != nil && s.sites[j.site.name] == j.site {
			j.site.more = true
			s.lineUp(j.site, now)
		} else {
			s.rescan = true
		}
		s.noteLate(earlier(j.Item.Expires, j.s.Warn))
	}
	for i := range j.s.Spawn {
		r.committed(j.s.Spawn[i].Commit, nil, now)
	}
}

// tellSettled tells those who watch.
func (r *Runner) tellSettled(j *job, again bool) {
	if j.lost || j.s.Err != nil {
		if j.lost {
			abortAll(&j.s)
		}
		if !again || j.lost { // else it has happened the time before, perhaps
			r.lostLease(j)
		}
		return
	}
	t := r.Trace
	if t == nil || j.unmoved {
		return
	}
	if t.Settled != nil {
		it := j.Item
		it.Recipients, it.Due, it.Warn, it.Attempts = j.s.Left, j.s.Due, j.s.Warn, j.s.Attempts
		t.Settled(r.s.ctx, j.Message, &it, j.s.Done)
	}
	for i := range j.s.Spawn {
		c := j.s.Spawn[i].Commit
		if t.Accepted != nil {
			t.Accepted(r.s.ctx, &c.Message, c.Items)
		}
		if t.Notified != nil {
			t.Notified(r.s.ctx, j.Message, j.told[i])
		}
	}
}

func abortAll(s *Settlement) {
	for i := range s.Spawn {
		s.Spawn[i].Tx.Abort()
	}
}

// abandon gives up to record what came of jobs: their leases end by themselves, and
// they are delivered again.
func (r *Runner) abandon(jobs []*job) {
	s := &r.s
	for _, j := range jobs {
		abortAll(&j.s)
		if !j.unmoved {
			r.logger().Error("queue: what came of a delivery could not be recorded, it will be made again",
				"id", j.Lease.Message.String(), "item", j.Lease.N, "done", len(j.s.Done))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range jobs {
		s.settling--
		s.forget(j)
	}
}
