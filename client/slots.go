package client

import (
	"container/list"
	"slices"
	"sync"
	"sync/atomic"
)

// slots are the places for connections that one queue has, or all queues of a
// Pool together. A slot is free when its connection has been closed, and not
// before: a server that counts never sees more connections than there may be.
//
// As long as a queue stands in line there is neither a free slot nor an idle
// connection.
type slots struct {
	mu      sync.Mutex
	closed  bool
	running int           // calls of Send, and closings of connections
	drained chan struct{} // closed when running comes to zero after closed is set
	ids     uint64

	open, maxOpen  int // connections that exist or are being made
	idle, maxIdle  int
	waiting        atomic.Int32 // changed with mu held
	oldest, newest *Conn        // of the idle connections
	line           list.List    // of queues in which somebody needs a slot, each once
}

const unlimited = 1 << 30

// maxTurn is how many messages a connection may carry while other keys wait for
// its slot.
const maxTurn = 10

// join counts a call of Send by c, whose queue this is, and takes for w; false after
// close.
func (q *queue) join(c *Client, w *waiter) bool {
	s := q.slots()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if q.limits.open == 0 {
		q.limits = c.limits()
		s.maxOpen, s.maxIdle = unlimited, unlimited
	}
	q.arrive()
	q.take(w)
	return true
}

// arrive counts something that close waits for. The caller holds mu.
func (q *queue) arrive() {
	q.running++
	q.slots().running++
}

// part undoes arrive.
func (q *queue) part() {
	s := q.slots()
	s.mu.Lock()
	defer s.mu.Unlock()
	q.running--
	if s.running--; s.running == 0 && s.drained != nil {
		close(s.drained)
		s.drained = nil
	}
	q.rest()
}

// rest lets a Pool forget a queue that has nothing left but its limits. The caller
// holds mu.
func (q *queue) rest() {
	if q.forget == nil || q.open > 0 || q.running > 0 {
		return
	}
	if wait := q.untilNext(); wait > 0 {
		q.wake(wait)
		return
	}
	q.stop()
	q.forget()
}

// grant gives what w needs if there is any and the Rate lets it: an idle
// connection, or a slot, if need be that of the connection that nobody has used
// for longest. The caller holds mu.
func (q *queue) grant(w *waiter) (h handover, ok bool) {
	s := q.slots()
	n := len(q.idle)
	switch {
	case q.untilNext() > 0:
		return h, false
	case n > 0 && !w.fresh:
		h.conn = s.unkeep(q.idle[n-1])
	case n > 0 && q.open >= q.limits.open:
		h.old = s.unkeep(q.idle[0])
	case q.open >= q.limits.open:
		return h, false
	case s.open < s.maxOpen:
		s.open++
		q.open++
	case s.oldest != nil:
		h.old = s.unkeep(s.oldest)
		if h.old.home != q { // which counts it until it is closed
			q.open++
		}
	default:
		return h, false
	}
	q.granted()
	return h, true
}

// stand puts q in line or takes it out. The caller holds mu.
func (q *queue) stand(in bool) {
	switch line := &q.slots().line; {
	case in && q.turn == nil:
		q.turn = line.PushBack(q)
	case !in && q.turn != nil:
		line.Remove(q.turn)
		q.turn = nil
	}
}

// next serves the queues in line, each in its turn. The caller holds mu.
func (s *slots) next() {
	for s.line.Len() > 0 && (s.open < s.maxOpen || s.oldest != nil) {
		q := s.line.Front().Value.(*queue)
		q.stand(false)
		q.serve()
	}
}

// mayStay reports whether c may carry another message for its own queue. The
// caller holds mu.
func (s *slots) mayStay(c *Conn) bool {
	others := s.line.Len()
	if c.home.turn != nil {
		others--
	}
	if others == 0 {
		c.passed = 0
		return true
	}
	c.passed++
	return c.passed < maxTurn
}

// freeSlot lets the first who waits make a connection in the place of one that
// is gone.
func (q *queue) freeSlot() {
	s := q.slots()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	q.open--
	s.next()
	q.serve()
	q.rest()
}

// slotTaken is freeSlot for a connection that was closed for another's sake: by
// holds its slot already.
func (q *queue) slotTaken(by *queue) {
	if q == by {
		return
	}
	s := q.slots()
	s.mu.Lock()
	defer s.mu.Unlock()
	q.open--
	q.serve()
	q.rest()
}

// keep puts c among the idle connections, as the newest. The caller holds mu.
func (s *slots) keep(c *Conn) {
	if cap(c.buf) > 2*coalesce {
		c.buf = nil
	}
	c.home.idle = append(c.home.idle, c)
	c.older, c.newer = s.newest, nil
	if s.newest != nil {
		s.newest.newer = c
	} else {
		s.oldest = c
	}
	s.newest = c
	s.idle++
}

// unkeep undoes keep. The caller holds mu.
func (s *slots) unkeep(c *Conn) *Conn {
	q := c.home
	i := len(q.idle) - 1
	for q.idle[i] != c {
		i--
	}
	q.idle = slices.Delete(q.idle, i, i+1)
	if c.older != nil {
		c.older.newer = c.newer
	} else {
		s.oldest = c.newer
	}
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		s.newest = c.older
	}
	c.older, c.newer = nil, nil
	s.idle--
	return c
}

func (s *slots) nextID() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids++
	return s.ids
}

func (s *slots) stats(keys int) Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Keys: keys, Open: s.open, Idle: s.idle, Waiting: int(s.waiting.Load())}
}
