package queue

import (
	"errors"
	"time"
)

// trouble is with the store.
type trouble struct {
	with  errand // that have failed; 0 for none
	since time.Time
	until time.Time // when to look into the store again
	wait  time.Duration
	ended time.Time // when the last was over
}

// errand is what goes to the store: each fails and works again by itself.
type errand uint8

const (
	toLook errand = 1 << iota
	toSettle
	toExtend
)

const (
	minTrouble = 100 * time.Millisecond
	maxTrouble = 30 * time.Second
)

func (t *trouble) now() bool { return t.with != 0 }

// storeSaid takes notice of whether the store works. Nothing begins and nothing is
// leased before all that had failed works again: what has been delivered is recorded,
// and leases that have run out meanwhile are extended, before anybody takes them for
// over. Mu is held.
func (r *Runner) storeSaid(what errand, err error, now time.Time) {
	s, t := &r.s, &r.s.trouble
	switch {
	case err != nil && s.ctx.Err() != nil && errors.Is(err, s.ctx.Err()):
	case err != nil:
		if t.with == 0 {
			if t.since = now; now.Sub(t.ended) > 2*maxTrouble { // else one thing works and another does not
				t.wait = minTrouble / 2
			}
			r.logger().Error("queue: the store fails", "err", err)
		}
		t.with |= what
		if !now.Before(t.until) {
			t.wait = min(2*t.wait, maxTrouble)
			t.until = now.Add(jitter(t.wait))
		}
		s.wake()
	case t.with&what != 0:
		if t.with &^= what; t.with != 0 {
			s.wake() // to look, perhaps, which has waited for the others
			return
		}
		r.logger().Info("queue: the store works again", "after", now.Sub(t.since))
		t.ended = now
		s.wake()
		r.proceed(now)
	}
}
