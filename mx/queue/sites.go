package queue

import "time"

// maxSites is how many destinations something is remembered of.
func (s *scheduler) maxSites() int { return max(10_000, 8*s.max) }

// known returns what is known of a destination. It is nil if there is no room for
// another.
func (s *scheduler) known(name string, now time.Time) *site {
	at := s.sites[name]
	if at != nil {
		return at
	}
	if len(s.sites) >= s.maxSites() && !s.makeRoom() {
		return nil
	}
	at = &site{name: name, class: unproven, window: float64(s.site), used: now}
	s.sites[name] = at
	return at
}

// makeRoom forgets a destination of which nothing is at hand, of a few that chance
// has chosen: one that does not rest if it can. What the store has for it is found by looking.
func (s *scheduler) makeRoom() bool {
	var victim *site
	looked := 0
	for _, at := range s.sites {
		if at.running+at.unrecorded == 0 && at.held() == 0 && !at.asking && !at.queuedToAsk && !at.queuedToBegin {
			if victim == nil || victim.rested > 0 && at.rested == 0 {
				victim = at
			}
		}
		if looked++; looked >= 16 && victim != nil || looked >= 256 { // the next call sees others
			break
		}
	}
	if victim == nil {
		return false
	}
	delete(s.sites, victim.name)
	return true
}

// remember is how long a destination is remembered that nothing is at hand of, and
// for how long after its rest one that had one.
const remember = 5 * time.Minute

// sweep forgets destinations, and lets those go on whose rest is over.
func (s *scheduler) sweep(now time.Time) {
	s.swept, s.nextRest = now, time.Time{}
	for name, at := range s.sites {
		switch {
		case at.rests(now):
			s.nextRest = earlier(s.nextRest, at.restEnds)
		case at.idle() && now.Sub(at.used) >= remember && now.Sub(at.restEnds) >= maxRest:
			delete(s.sites, name)
		default:
			s.lineUp(at, now)
		}
	}
}

// noteDue, noteRest and noteLate remember when there is something to do.
func (s *scheduler) noteDue(t time.Time)  { s.nextDue = s.sooner(s.nextDue, t) }
func (s *scheduler) noteRest(t time.Time) { s.nextRest = s.sooner(s.nextRest, t) }

func (s *scheduler) noteLate(t time.Time) {
	if t.IsZero() || !s.nextLate.IsZero() && !t.Before(s.nextLate) {
		return
	}
	s.nextLate = t
	signal(s.lateWoken)
}

func (s *scheduler) sooner(known, t time.Time) time.Time {
	if t.IsZero() || !known.IsZero() && !t.Before(known) {
		return known
	}
	s.wake()
	return t
}
