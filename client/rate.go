package client

import (
	"context"
	"time"
)

// A Rate is a number of messages in a time. They are spaced evenly: with
// Rate{60, time.Minute} one begins every second at most. The zero Rate is no
// limit.
type Rate struct {
	Messages int           // If zero, there is no limit.
	Per      time.Duration // If zero, 1 second.
}

// interval is the time from the beginning of a message to that of the next.
func (r Rate) interval() time.Duration {
	if r.Messages <= 0 {
		return 0
	}
	if r.Per <= 0 {
		r.Per = time.Second
	}
	n := time.Duration(r.Messages)
	return max(1, r.Per/n+min(1, r.Per%n)) // rounded up: never more than Messages
}

// pacing is what a queue remembers for its Rate. The Rate is kept twice: who must
// wait does so in line and holds no connection, and who has got one, perhaps after
// a dial that took its time, looks again before he says MAIL.
type pacing struct {
	begun time.Time // when the last message began, or will
	given time.Time // when somebody was given a connection; zero again when one begins
	timer *time.Timer
}

// untilNext is how long the first in line must wait for the Rate. The caller of
// this and of begin holds mu.
func (q *queue) untilNext() time.Duration {
	if q.limits.interval == 0 {
		return 0
	}
	last := q.pacing.begun
	if last.Before(q.pacing.given) {
		last = q.pacing.given
	}
	return q.limits.interval - time.Since(last)
}

// begin reserves the earliest time at which a message may begin, and returns it.
func (q *queue) begin() time.Time {
	if q.limits.interval == 0 {
		return time.Time{}
	}
	now := time.Now()
	if next := q.pacing.begun.Add(q.limits.interval); now.Before(next) {
		now = next
	}
	q.pacing.begun, q.pacing.given = now, time.Time{}
	return now
}

// notBegun gives back what begin reserved, unless somebody has reserved since. Who was
// to begin gives his connection back next, or reserves again for another.
func (q *queue) notBegun(at time.Time) {
	if q.limits.interval == 0 {
		return
	}
	s := q.slots()
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.pacing.begun.Equal(at) {
		q.pacing.begun = at.Add(-q.limits.interval)
	}
}

// granted says that somebody was given a connection to begin on. The caller holds
// mu.
func (q *queue) granted() {
	if q.limits.interval > 0 {
		q.pacing.given = time.Now()
	}
}

// unused says that who was given a connection last will not begin.
func (q *queue) unused() {
	if q.limits.interval == 0 {
		return
	}
	s := q.slots()
	s.mu.Lock()
	defer s.mu.Unlock()
	q.pacing.given = time.Time{}
}

// pace waits until the holder of a connection may begin, and returns when that
// is, for notBegun.
func (q *queue) pace(ctx context.Context) (at time.Time, err error) {
	if q.limits.interval == 0 {
		return at, nil
	}
	s := q.slots()
	s.mu.Lock()
	at = q.begin()
	s.mu.Unlock()
	wait := time.Until(at)
	if wait <= 0 {
		return at, nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return at, nil
	case <-ctx.Done():
		q.notBegun(at)
		return at, &ConnError{Op: opWait, Err: ctx.Err()}
	}
}

// wake looks after the queue again when wait is over. The caller holds mu.
func (q *queue) wake(wait time.Duration) {
	if q.pacing.timer == nil {
		q.pacing.timer = time.AfterFunc(wait, q.woken)
	} else {
		q.pacing.timer.Reset(wait)
	}
}

func (q *queue) woken() {
	s := q.slots()
	s.mu.Lock()
	defer s.mu.Unlock()
	q.serve()
	q.rest()
}
