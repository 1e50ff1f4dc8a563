package queue

import (
	"context"
	"sync"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/smtp/dsn"
)

// phase is how far a Runner has got.
type phase uint8

const (
	phaseUnused   phase = iota
	phaseActive         // deliveries begin
	phaseStopping       // none begins
	phaseOver
)

// scheduler decides which delivery is next. Everything in it happens under mu, and
// takes a time that does not depend on how much waits.
type scheduler struct {
	once sync.Once
	max  int // deliveries
	site int // deliveries to a destination at first, and at the most
	most int

	mu    sync.Mutex
	phase phase
	ran   bool
	sites map[string]*site
	jobs  job // the ring of all that is leased; this one is none

	running  int          // deliveries underway
	waiting  int          // in backlogs
	settling int          // over, and not recorded
	leasing  int          // calls of Store.Lease
	active   [classes]int // deliveries underway
	held     [classes]int // in backlogs, or promised a place there
	promised [classes]int // of these the latter
	begin    [classes]line
	ask      [classes]line
	turn     class // whose turn it is, where both may

	trouble trouble

	nextDue, nextLate time.Time // when the store is to be looked at; zero if not known
	nextRest, swept   time.Time // when the next rest is over, and when that was looked at last
	extendBy          time.Time // when leases have to be extended
	rescan            bool      // now, as soon as that may be

	finished []*job // to be settled

	woken     chan struct{} // for the main loop
	lateWoken chan struct{} // for who looks after what is late
	extendNow chan struct{} // for who extends leases
	settle    chan struct{} // for the settling
	settled   chan struct{} // closed when no more comes to be settled
	idle      chan struct{} // closed when a stopping scheduler has nothing left to do
	ended     chan struct{} // closed when Run returns
	ctx       context.Context
	cancel    context.CancelFunc
	work      sync.WaitGroup // goroutines of Run, but for the settling
}

// job is an item under a lease.
type job struct {
	*Leased
	site       *site
	next, prev *job                    // in the ring
	behind     *job                    // in the backlog
	since      time.Time               // when it was leased
	until      time.Time               // when the lease is over; what the Deliverer sees of it is not changed
	cancel     context.CancelCauseFunc // of the delivery
	lost       bool
	overdue    bool // the lease was over when the delivery began
	class      class

	began   time.Time
	took    time.Duration
	results []mx.Result
	s       Settlement
	unmoved bool // nothing was tried
	counted bool // in site.unrecorded
	notices []notice
	told    []*dsn.Notification // of s.Spawn
}

// line is destinations in the order of their turns.
type line struct {
	sites []*site
	first int
}

func (l *line) push(s *site) {
	if l.first > 32 && 2*l.first > len(l.sites) {
		n := copy(l.sites, l.sites[l.first:])
		clear(l.sites[n:])
		l.sites, l.first = l.sites[:n], 0
	}
	l.sites = append(l.sites, s)
}

func (l *line) pop() (s *site) {
	if l.empty() {
		return nil
	}
	s, l.sites[l.first] = l.sites[l.first], nil
	if l.first++; l.first == len(l.sites) {
		l.sites, l.first = l.sites[:0], 0
	}
	return s
}

func (l *line) len() int    { return len(l.sites) - l.first }
func (l *line) empty() bool { return l.len() == 0 }

// scheduler returns that of r, ready for use.
func (r *Runner) scheduler() *scheduler {
	s := &r.s
	s.once.Do(func() {
		s.max = max(1, orDefault(r.MaxDeliveries, 500))
		s.most = max(1, min(s.max, orDefault(r.MaxSiteDeliveries, 20)))
		s.site = max(1, min(s.most, orDefault(r.SiteDeliveries, 5)))
		s.sites = map[string]*site{}
		s.jobs.next, s.jobs.prev = &s.jobs, &s.jobs
		for _, c := range []*chan struct{}{&s.woken, &s.lateWoken, &s.extendNow, &s.settle} {
			*c = make(chan struct{}, 1)
		}
		for _, c := range []*chan struct{}{&s.settled, &s.idle, &s.ended} {
			*c = make(chan struct{})
		}
		s.ctx, s.cancel = context.WithCancel(context.Background())
	})
	return s
}

func (s *scheduler) wake() { signal(s.woken) }

// signal wakes who waits at c, or will.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// works reports whether deliveries may begin and items be leased.
func (s *scheduler) works() bool { return s.phase == phaseActive && !s.trouble.now() }

// scarce reports whether places are.
func (s *scheduler) scarce() bool { return 2*s.running > s.max }

// share is how many more deliveries a class may have, whatever the others have. A
// quarter of all is for destinations that have taken mail, and those that are dead get
// no more than that to find out whether a rest has helped.
func (s *scheduler) share(c class) int {
	if c == wellKnown {
		return s.max - s.active[c]
	}
	quarter := s.max / 4
	n := max(1, s.max-quarter) - s.active[unproven] - s.active[dead]
	if c == dead {
		n = min(n, max(1, quarter)-s.active[dead])
	}
	return n
}

// places is how many more deliveries of a class may begin now.
func (s *scheduler) places(c class) int { return min(s.max-s.busy(), s.share(c)) }

// maxLeases is how many more items of a class may be leased ahead of their turns.
func (s *scheduler) maxLeases(c class) int {
	if c == wellKnown {
		return s.maxHeld() - s.held[c]
	}
	inLine := s.begin[unproven].len() + s.begin[dead].len() + s.promised[unproven] + s.promised[dead]
	return min(s.share(c)-inLine, s.maxHeld()-s.held[unproven]-s.held[dead])
}

// maxHeld is how many items may be leased ahead, of those that are well known, and of
// the others.
func (s *scheduler) maxHeld() int { return 4 * s.max }

// busy is how many deliveries count: those whose outcome is not recorded too, so that
// a slow store slows down.
func (s *scheduler) busy() int { return s.running + s.settling }

// next takes the job whose turn it is; nil if none may begin.
func (s *scheduler) next(now time.Time) *job {
	for s.works() {
		c, ok := s.choose(&s.begin, s.places)
		if !ok {
			return nil
		}
		at := s.begin[c].pop()
		at.queuedToBegin = false
		if at.class != c || !s.canBegin(at) {
			s.lineUp(at, now)
			continue
		}
		j := at.pop()
		s.waiting--
		s.held[c]--
		s.start(j, now)
		s.lineUp(at, now)
		return j
	}
	return nil
}

// choose returns the class whose turn it is, of those that have destinations in line
// and room for more.
func (s *scheduler) choose(lines *[classes]line, room func(class) int) (c class, ok bool) {
	for i := range classes {
		c = (s.turn + i) % classes
		if !lines[c].empty() && room(c) > 0 {
			s.turn = (c + 1) % classes
			return c, true
		}
	}
	return 0, false
}

// canBegin reports whether a delivery to the destination may begin as far as that is
// up to it. One that rests has no backlog. Three times as many as may be underway may
// wait for the store besides, which is enough for a fast one: however slow it is, no more
// is delivered twice after a crash.
func (s *scheduler) canBegin(at *site) bool {
	limit := at.limit(s.scarce())
	return at.backlog > 0 && at.running < limit && at.running+at.unrecorded < 4*limit
}

func (s *scheduler) start(j *job, now time.Time) {
	at := j.site
	j.began, j.class = now, at.class
	j.overdue = !now.Round(0).Before(j.until) // by the clock: time asleep counts
	at.running++
	at.used = now
	s.running++
	s.active[j.class]++
}

// stopRunning gives the place of a delivery back.
func (s *scheduler) stopRunning(j *job) {
	j.site.running--
	s.running--
	s.active[j.class]--
}

// count notes that somebody has what is not recorded yet.
func (s *scheduler) count(j *job) {
	if j.delivered() {
		j.counted = true
		j.site.unrecorded++
	}
}

// uncount is for what is recorded, or has to wait for that and keeps nobody.
func (s *scheduler) uncount(j *job, now time.Time) {
	if j.counted {
		j.counted = false
		j.site.unrecorded--
		s.lineUp(j.site, now)
	}
}

// setClass moves what a destination holds to another share.
func (s *scheduler) setClass(at *site, c class) {
	s.held[at.class] -= at.held()
	s.promised[at.class] -= at.promised
	at.class = c
	s.held[c] += at.held()
	s.promised[c] += at.promised
}

// lineUp lets a destination take its turn, for a delivery or for being asked for in
// the store, if there is something that it could do with it.
func (s *scheduler) lineUp(at *site, now time.Time) {
	if !at.queuedToBegin && s.canBegin(at) {
		at.queuedToBegin = true
		s.begin[at.class].push(at)
	}
	if !at.queuedToAsk && s.worthAsking(at, now) {
		at.queuedToAsk = true
		s.ask[at.class].push(at)
	}
}

// room is how many more items a destination can do with, as far as that is up to it.
func (s *scheduler) room(at *site, now time.Time) int {
	if at.rests(now) {
		return 0
	}
	return at.limit(s.scarce()) + at.ahead() - at.running - at.held()
}

// worthAsking reports whether the store should be asked for items of a destination:
// if it waits for one, or can do with many.
func (s *scheduler) worthAsking(at *site, now time.Time) bool {
	if !at.more || at.asking {
		return false
	}
	room := s.room(at, now)
	return room > 0 && (at.held() == 0 || 2*room > at.limit(false)+at.ahead())
}

// promise keeps places in a destination's backlog.
func (s *scheduler) promise(at *site, n int) {
	at.promised += n
	s.promised[at.class] += n
	s.held[at.class] += n
}

// add notes an item that is leased.
func (s *scheduler) add(at *site, l *Leased, now time.Time) *job {
	s.extendBy = earlier(s.extendBy, l.Lease.Until.Round(0)) // the store may have taken long
	j := &job{Leased: l, site: at, since: now, until: l.Lease.Until}
	j.prev, j.next = s.jobs.prev, &s.jobs
	j.prev.next, j.next.prev = j, j
	return j
}

// lineUpJob puts a job into its destination's backlog.
func (s *scheduler) lineUpJob(j *job) {
	at := j.site
	at.used = j.since
	if it := &j.Item; at.class == unproven && at.why.reply.Code == 0 &&
		it.Attempts > 0 && len(it.Recipients) > 0 && it.Recipients[0].Local {
		at.window = 1 // nobody was reached the last time
	}
	at.push(j)
	s.waiting++
	s.held[at.class]++
}

// forget takes a job out of the ring.
func (s *scheduler) forget(j *job) {
	j.prev.next, j.next.prev = j.next, j.prev
	j.next, j.prev = nil, nil
}

// takeBacklog empties a destination's backlog but for what keep, if not nil, says.
func (s *scheduler) takeBacklog(at *site, keep func(*job) bool) (taken []*job) {
	for range at.backlog {
		if j := at.pop(); keep != nil && keep(j) {
			at.push(j)
		} else {
			taken = append(taken, j)
		}
	}
	s.waiting -= len(taken)
	s.held[at.class] -= len(taken)
	return taken
}
