package mx

import (
	"container/list"
	"context"
	"slices"
	"strings"
	"sync"
)

// A Limiter says when a message may go to a site: the hosts that domains have in
// common, see Route.Site. It is safe for concurrent use.
type Limiter interface {
	// Acquire waits until a delivery to site may begin, or says why it may not
	// now; its recipients are then deferred. Release, if not nil, is called once,
	// at the end of the delivery.
	Acquire(ctx context.Context, site string) (release func(), err error)
}

// SiteLimiter is a Limiter that lets so many deliveries to a site happen at a
// time. Who is too early waits, first come, first served. The zero value is ready
// to use; it must not be copied, nor PerSite changed, after its first use.
type SiteLimiter struct {
	// PerSite limits deliveries to one site. If zero, 20. If negative, there is no
	// limit.
	PerSite int

	mu    sync.Mutex
	sites map[string]*site
}

// A site is one at which there are deliveries.
type site struct {
	running int
	waiting list.List // of chan struct{}, closed for whose turn it is
}

// Acquire waits until there is room, or ctx ends.
func (l *SiteLimiter) Acquire(ctx context.Context, name string) (release func(), err error) {
	if l.PerSite < 0 {
		return func() {}, nil
	}
	l.mu.Lock()
	s := l.sites[name]
	if s == nil {
		if l.sites == nil {
			l.sites = map[string]*site{}
		}
		s = &site{}
		l.sites[name] = s
	}
	release = func() { l.release(name, s) }
	if s.running < l.most() {
		s.running++
		l.mu.Unlock()
		return release, nil
	}
	turn := make(chan struct{})
	place := s.waiting.PushBack(turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return release, nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	select {
	case <-turn: // at the same time
		l.mu.Unlock()
		release()
	default:
		s.waiting.Remove(place)
		l.mu.Unlock()
	}
	return nil, ctx.Err()
}

func (l *SiteLimiter) most() int {
	if l.PerSite == 0 {
		return 20
	}
	return l.PerSite
}

// release lets the first who waits in, in the place of who is done.
func (l *SiteLimiter) release(name string, s *site) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if first := s.waiting.Front(); first != nil {
		close(s.waiting.Remove(first).(chan struct{}))
		return
	}
	if s.running--; s.running == 0 {
		delete(l.sites, name)
	}
}

// Site returns a name for the hosts that the route tries first: domains with the
// same of these share it, however many they are.
func (r *Route) Site() string {
	names := make([]string, 0, len(r.Hosts))
	for _, h := range r.Hosts {
		if h.Preference == r.Hosts[0].Preference {
			names = append(names, h.Name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}
