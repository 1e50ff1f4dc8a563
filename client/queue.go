package client

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/postrider/postrider/smtp"
)

// A queue shares the connections to one server among those who send: idle
// connections, and callers that wait because there are as many connections as
// there may be, or because the Rate lets no message begin yet.
//
// Who holds a connection drives it. After the octets of his message he writes
// the envelope of the first who waits, in the same write, reads the reply to his
// own message and hands the connection over: one round trip for each message,
// and no goroutine but the callers'.
//
// The mutex of its slots guards it.
type queue struct {
	shared *slots // of the Pool; nil if the queue has its own
	own    slots
	limits limits // set by the first call; read without the lock afterwards

	idle    []*Conn // the one used last is at the end
	open    int     // connections that exist or are being made
	waiting list.List
	running int           // calls of Send, and closings of connections
	turn    *list.Element // in the line of the slots; nil outside
	reaper  *time.Timer
	reaping bool   // reaper runs
	forget  func() // nothing is left to be remembered of the queue; nil without a Pool

	pacing   pacing
	building sync.Mutex // held, and taken before the slots', while the envelope of a claimed waiter is written
}

// limits are a Client's numbers with the defaults filled in.
type limits struct {
	open, idle          int
	messages            int
	idleTimeout, maxAge time.Duration
	interval            time.Duration // between the beginnings of two messages; 0: none
}

// A waiter is a call of Send that wants a connection.
type waiter struct {
	t       transaction
	ready   chan handover // has room for one
	element *list.Element
	state   waitState
	given   handover // what take gave at once
	waits   bool     // it gave nothing
	fresh   bool     // it has had a connection that was gone: not another idle one
}

var waiters = sync.Pool{New: func() any { return new(waiter) }}

func newWaiter(ctx context.Context, env smtp.Envelope, content smtp.Content) *waiter {
	w := waiters.Get().(*waiter)
	w.t.ctx, w.t.env, w.t.content = ctx, env, content
	return w
}

// free lets another call of Send have w. Of one that was abandoned somebody else may
// still know.
func (w *waiter) free() {
	if w.state != abandoned {
		*w = waiter{}
		waiters.Put(w)
	}
}

type waitState uint8

const (
	inLine    waitState = iota
	claimed             // its envelope is being written behind another's data, or has been
	handed              // something is in ready
	abandoned           // its context has ended
)

// A handover is what a waiter waits for. The zero value is a slot: it may make a
// connection.
type handover struct {
	conn    *Conn
	old     *Conn // an idle connection to be closed: the slot is in its place
	chained bool  // its envelope has been written
	lost    bool  // what it had begun on is gone: it has the slot
	err     error // the server on conn, which it does not get, cannot take its message
}

// slots are those that the queue's connections stand in.
func (q *queue) slots() *slots {
	if q.shared != nil {
		return q.shared
	}
	return &q.own
}

// take gives w an idle connection, or a slot, or puts it in line. The caller holds mu.
func (q *queue) take(w *waiter) {
	if q.waiting.Len() == 0 {
		if h, ok := q.grant(w); ok {
			w.given, w.waits = h, false
			return
		}
	}
	if w.ready == nil {
		w.ready = make(chan handover, 1)
	}
	w.state, w.waits = inLine, true
	w.element = q.waiting.PushBack(w)
	q.slots().waiting.Add(1)
	q.serve()
}

// takeAgain is take for another attempt.
func (q *queue) takeAgain(w *waiter) {
	s := q.slots()
	s.mu.Lock()
	defer s.mu.Unlock()
	q.take(w)
}

// await waits until w is handed something or ctx ends. What came too late it
// passes on.
func (q *queue) await(ctx context.Context, w *waiter) (handover, error) {
	select {
	case h := <-w.ready:
		return h, nil
	case <-ctx.Done():
	}
	s := q.slots()
	s.mu.Lock()
	was := w.state
	if was == inLine {
		q.waiting.Remove(w.element)
		s.waiting.Add(-1)
		q.serve()
	}
	w.state = abandoned
	s.mu.Unlock()
	switch was {
	case claimed: // the envelope is the caller's again when nobody reads it any more
		q.building.Lock()
		defer q.building.Unlock()
	case handed:
		q.decline(<-w.ready)
	}
	return handover{}, &ConnError{Op: opWait, Err: ctx.Err()}
}

const opWait = "waiting for a connection"

// decline passes on what was handed to somebody who has gone.
func (q *queue) decline(h handover) {
	q.unused()
	switch {
	case h.err != nil:
	case h.chained: // replies to an envelope are under way
		defer q.freeSlot()
		h.conn.Close()
	case h.conn != nil:
		q.giveBack(h.conn)
	case h.old != nil:
		q.retire(h.old)
	default:
		q.freeSlot()
	}
}

// serve hands those who wait what there is. It looks at the clock once before each
// grant: whoever gets none then either stands in line or is woken. The caller holds
// mu.
func (q *queue) serve() {
	wait := q.untilNext()
	for e := q.waiting.Front(); e != nil && wait <= 0; e, wait = q.waiting.Front(), q.untilNext() {
		h, ok := q.grant(e.Value.(*waiter))
		if !ok {
			break
		}
		q.first(handed).ready <- h
	}
	q.stand(q.waiting.Len() > 0 && wait <= 0 && q.open < q.limits.open)
	if q.waiting.Len() > 0 && wait > 0 {
		q.wake(wait)
	}
}

// first takes the first waiter out of the line. The caller holds mu.
func (q *queue) first(next waitState) *waiter {
	e := q.waiting.Front()
	if e == nil {
		return nil
	}
	w := q.waiting.Remove(e).(*waiter)
	w.state = next
	q.slots().waiting.Add(-1)
	return w
}

// hand gives w, which was claimed, h; false if nobody is there to take it.
func (q *queue) hand(w *waiter, h handover) bool {
	s := q.slots()
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.state == abandoned {
		return false
	}
	w.state = handed
	w.ready <- h
	return true
}

// claim takes the first waiter whose message the server on c can take, and
// appends the beginning of its envelope to the buffer of c. Without PIPELINING
// nothing may stand behind the data (RFC 2920 §3.1).
func (q *queue) claim(c *Conn) {
	if q == nil || !c.may.pipelining || q.slots().waiting.Load() == 0 || q.spent(c, time.Now()) {
		return
	}
	q.building.Lock() // to the end: who gives up takes his envelope with him
	defer q.building.Unlock()
	for w, at := q.claimFirst(c); w != nil; w, at = q.claimFirst(c) {
		c.behind = w // before anything that may panic: release knows of him
		if err := c.begin(&w.t); err != nil {
			c.behind = nil
			q.notBegun(at)
			q.hand(w, handover{conn: c, err: err})
			if c.full() {
				return
			}
			continue
		}
		w.t.plan.together = false
		c.buf = c.appendGroup(&w.t, c.buf)
		return
	}
}

// claimFirst claims the first waiter, if c may carry another message now, which
// then has begun.
func (q *queue) claimFirst(c *Conn) (w *waiter, begun time.Time) {
	s := q.slots()
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.waiting.Len() == 0 || q.untilNext() > 0 || !s.mayStay(c) {
		return nil, begun
	}
	return q.first(claimed), q.begin()
}

// release is called by who held c when it is done with it.
func (q *queue) release(c *Conn) {
	next := c.behind
	c.behind = nil
	if next != nil {
		if c.dead != nil {
			if !q.hand(next, handover{lost: true}) {
				q.freeSlot()
			}
			return
		}
		if q.hand(next, handover{conn: c, chained: true}) {
			return
		}
		c.Close() // the replies to an envelope are under way
	}
	q.giveBack(c)
}

// giveBack keeps c, and lets the first who waits have it: one of its own queue,
// or one of another that needs its slot.
func (q *queue) giveBack(c *Conn) {
	if c.dead != nil {
		defer q.freeSlot()
		c.Close()
		return
	}
	now := time.Now()
	if q.spent(c, now) {
		q.retire(c)
		return
	}
	c.idleSince = now
	s := q.slots()
	s.mu.Lock()
	s.keep(c)
	if !s.mayStay(c) {
		q.stand(false) // to the end of the line, if need be
	} else if q.waiting.Len() > 0 {
		q.serve()
	}
	if s.next(); q.waiting.Len() > 0 {
		q.serve()
	}
	old := q.surplus()
	q.watch()
	s.mu.Unlock()
	if old != nil {
		old.home.retire(old)
	}
}

// spent reports whether c has carried enough.
func (q *queue) spent(c *Conn, now time.Time) bool {
	return c.full() || q.limits.messages > 0 && c.messages >= q.limits.messages || now.Sub(c.opened) >= q.limits.maxAge
}
