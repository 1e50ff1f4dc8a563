package queue

import (
	"time"

	"github.com/postrider/postrider/smtp"
)

// A class of destinations has its share of the deliveries.
type class uint8

const (
	wellKnown class = iota // it has taken mail
	unproven               // nothing is known of it
	dead                   // it rests, or it is found out whether that has helped
	classes
)

// site is what is known of a destination.
type site struct {
	name  string
	class class
	used  time.Time // last

	// window is how many deliveries it may have. It is that of Postfix's scheduler:
	// each success adds 1/window, each failure takes as much away, and when failures
	// without a success between them make a cohort the destination is dead.
	window   float64
	cohorts  float64
	restEnds time.Time
	rested   int // rests since it took mail last
	took     time.Duration

	running     int
	unrecorded  int  // deliveries that are over, are with somebody, and would be made again if we died now
	first, last *job // leased, in the order of their turns
	backlog     int  // how many
	promised    int  // places for what is being leased

	more   bool // the store may have items for it that are due
	asking bool // and is being asked for them

	queuedToBegin, queuedToAsk bool

	why heard // what it said, or what happened, when it failed last
}

// heard is who has said what.
type heard struct {
	reply smtp.Reply
	local bool
	host  string
	err   error
}

// maxAhead is how many items of a destination are leased ahead of their turn.
const maxAhead = 256

func (s *site) rests(now time.Time) bool { return now.Before(s.restEnds) }

// held is how many items it has that wait for their turn.
func (s *site) held() int { return s.backlog + s.promised }

// idle reports whether nothing of it is at hand.
func (s *site) idle() bool {
	return s.running+s.unrecorded == 0 && s.held() == 0 && !s.asking && !s.more
}

// ahead is how many items it goes through in a second: so many are leased ahead, so
// that the store is not asked for each.
func (s *site) ahead() int {
	if s.class != wellKnown || s.took <= 0 {
		return 0
	}
	return int(min(s.window*float64(time.Second)/float64(s.took), maxAhead))
}

// limit is how many deliveries it may have now. When places are scarce, one is enough
// to find out what it is like.
func (s *site) limit(scarce bool) int {
	if s.class == dead || s.class == unproven && scarce {
		return 1
	}
	return int(s.window)
}

func (s *site) push(j *job) {
	if s.last == nil {
		s.first = j
	} else {
		s.last.behind = j
	}
	s.last = j
	s.backlog++
}

func (s *site) pop() *job {
	j := s.first
	if s.first = j.behind; s.first == nil {
		s.last = nil
	}
	j.behind = nil
	s.backlog--
	return j
}

// succeeded notes a delivery that has found it well, with the limits that the window
// has, and reports whether it had been dead before.
func (s *site) succeeded(first, most int, took time.Duration) (recovered bool) {
	recovered = s.class == dead
	if s.class != wellKnown {
		s.window = float64(first)
	}
	s.cohorts, s.rested, s.restEnds, s.why = 0, 0, time.Time{}, heard{}
	if s.window < float64(min(most, s.running+1+first)) { // no more than it has use for
		s.window = min(s.window+1/s.window, float64(most))
	}
	if s.took == 0 {
		s.took = took
	}
	s.took += (took - s.took) / 8
	return recovered
}

// failed notes a delivery that has failed for the destination's sake, and reports
// whether it gets a rest for that.
func (s *site) failed(now time.Time, scarce bool, why heard) (rests bool) {
	s.why = why
	if s.rests(now) { // begun before it
		return false
	}
	cohort := s.window
	if s.class != wellKnown {
		cohort = float64(s.limit(scarce))
	}
	s.cohorts += 1 / cohort
	s.window = max(1, s.window-1/s.window)
	if s.cohorts < 1-1e-9 {
		return false
	}
	s.restEnds = now.Add(jitter(doubled(minRest, maxRest, s.rested)))
	s.rested++
	s.cohorts = 0
	return true
}
