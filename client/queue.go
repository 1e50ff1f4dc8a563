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
// there may be.
//
// Who holds a connection drives it. After the octets of his message he writes
// the envelope of the first who waits, in the same write, reads the reply to his
// own message and hands the connection over: one round trip for each message,
// and no goroutine but the callers'.
type queue struct {
	mu      sync.Mutex
	idle    []*Conn // the one used last is at the end
	open    int     // connections that exist or are being made
	waiting list.List
	closed  bool
	running int           // calls of Send, and closings of connections
	drained chan struct{} // closed when running comes to zero after closed is set
	reaper  *time.Timer
	ids     uint64
	limits  limits // set by the first call
}

// limits are a Client's numbers with the defaults filled in.
type limits struct {
	open, idle          int
	messages            int
	idleTimeout, maxAge time.Duration
}

// A waiter is a call of Send that wants a connection.
type waiter struct {
	t       transaction
	ready   chan handover // has room for one
	element *list.Element
	state   waitState
}

type waitState uint8

const (
	inLine    waitState = iota
	claimed             // its envelope is in another's buffer, or written
	handed              // something is in ready
	abandoned           // its context has ended
)

// A handover is what a waiter waits for. The zero value is a slot: it may make a
// connection.
type handover struct {
	conn    *Conn
	chained bool  // its envelope has been written
	lost    bool  // its envelope was written to a connection that is gone; it has the slot
	err     error // the server on conn, which it does not get, cannot take its message
}

// join counts a call of Send; false after close.
func (q *queue) join(l limits) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	if q.limits.open == 0 { // written once: it is read without the lock
		q.limits = l
	}
	q.running++
	return true
}

func (q *queue) part() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running--; q.running == 0 && q.drained != nil {
		close(q.drained)
		q.drained = nil
	}
}

// take returns an idle connection, or the zero handover for a slot, or puts w in
// line if there are as many connections as may be.
func (q *queue) take(w *waiter) (h handover, wait bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n := len(q.idle); n > 0 {
		h.conn = q.idle[n-1]
		q.idle[n-1] = nil
		q.idle = q.idle[:n-1]
		return h, false
	}
	if q.open < q.limits.open {
		q.open++
		return h, false
	}
	if w.ready == nil {
		w.ready = make(chan handover, 1)
	}
	w.state = inLine
	w.element = q.waiting.PushBack(w)
	return h, true
}

// await waits until w is handed something or ctx ends. What came too late it
// passes on.
func (q *queue) await(ctx context.Context, w *waiter) (handover, error) {
	select {
	case h := <-w.ready:
		return h, nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	if w.state == inLine {
		q.waiting.Remove(w.element)
	}
	late := w.state == handed
	w.state = abandoned
	q.mu.Unlock()
	if late {
		switch h := <-w.ready; {
		case h.err != nil:
		case h.conn == nil:
			q.freeSlot()
		case h.chained:
			defer q.freeSlot()
			h.conn.Close()
		default:
			q.giveBack(h.conn)
		}
	}
	return handover{}, &ConnError{Op: opWait, Err: ctx.Err()}
}

const opWait = "waiting for a connection"

// first takes the first waiter out of the line. The caller holds mu.
func (q *queue) first(next waitState) *waiter {
	e := q.waiting.Front()
	if e == nil {
		return nil
	}
	w := q.waiting.Remove(e).(*waiter)
	w.state = next
	return w
}

// hand gives w, which was claimed, h; false if nobody is there to take it.
func (q *queue) hand(w *waiter, h handover) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
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
	if q == nil || !c.offers.Has(smtp.ExtPipelining) || q.spent(c) {
		return
	}
	q.mu.Lock() // to the end: who gives up takes his envelope with him
	defer q.mu.Unlock()
	for w := q.first(claimed); w != nil; w = q.first(claimed) {
		if err := c.begin(&w.t); err != nil {
			w.state = handed
			w.ready <- handover{conn: c, err: err}
			continue
		}
		w.t.plan.together = false
		c.buf = c.appendGroup(&w.t, c.buf)
		c.behind = w
		return
	}
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

// giveBack lets the first who waits have c, or keeps it.
func (q *queue) giveBack(c *Conn) {
	if c.dead != nil {
		defer q.freeSlot()
		c.Close()
		return
	}
	if q.spent(c) {
		q.retire(c)
		return
	}
	c.idleSince = time.Now()
	q.mu.Lock()
	if w := q.first(handed); w != nil {
		w.ready <- handover{conn: c}
		q.mu.Unlock()
		return
	}
	if len(q.idle) < q.limits.idle {
		q.keep(c)
		q.mu.Unlock()
		return
	}
	q.mu.Unlock()
	q.retire(c)
}

// retire says QUIT on c while its slot is taken. Its caller, whose message is
// sent, does not wait for that; close does.
func (q *queue) retire(c *Conn) {
	q.mu.Lock()
	q.running++
	q.mu.Unlock()
	go func() {
		defer q.part()
		defer q.freeSlot()
		quitAll(c)
	}()
}

// keep puts c among the idle connections. The caller holds mu.
func (q *queue) keep(c *Conn) {
	if cap(c.buf) > 2*coalesce {
		c.buf = nil
	}
	q.idle = append(q.idle, c)
	switch {
	case q.reaper == nil:
		q.reaper = time.AfterFunc(q.limits.idleTimeout, q.reap)
	case len(q.idle) == 1:
		q.reaper.Reset(q.limits.idleTimeout)
	}
}

// spent reports whether c has carried enough.
func (q *queue) spent(c *Conn) bool {
	return q.limits.messages > 0 && c.messages >= q.limits.messages || time.Since(c.opened) >= q.limits.maxAge
}

// freeSlot lets the first who waits make a connection in the place of one that
// is gone.
func (q *queue) freeSlot() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w := q.first(handed); w != nil {
		w.ready <- handover{}
		return
	}
	q.open--
}

// reap closes what has been idle too long. The timer runs it.
func (q *queue) reap() {
	q.mu.Lock()
	now, limit := time.Now(), q.limits.idleTimeout
	n := 0
	for n < len(q.idle) && now.Sub(q.idle[n].idleSince) >= limit {
		n++
	}
	old := append([]*Conn(nil), q.idle[:n]...)
	q.idle = append(q.idle[:0], q.idle[n:]...)
	clear(q.idle[len(q.idle):cap(q.idle)])
	q.open -= n
	if len(q.idle) > 0 {
		q.reaper.Reset(limit - now.Sub(q.idle[0].idleSince))
	}
	q.running++
	q.mu.Unlock()
	quitAll(old...)
	q.part()
}

// closeIdle closes what is idle now.
func (q *queue) closeIdle() {
	q.mu.Lock()
	old := q.idle
	q.idle = nil
	q.open -= len(old)
	q.mu.Unlock()
	quitAll(old...)
}

// close refuses new calls, waits for the running ones and closes what is idle.
func (q *queue) close() error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return ErrClosed
	}
	q.closed = true
	var drained chan struct{}
	if q.running > 0 {
		drained = make(chan struct{})
		q.drained = drained
	}
	q.mu.Unlock()
	if drained != nil {
		<-drained
	}
	q.closeIdle()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.reaper != nil {
		q.reaper.Stop()
	}
	return nil
}

// quitAll says QUIT on connections that nobody uses and closes them, in the time
// that one may take.
func quitAll(conns ...*Conn) {
	for _, c := range conns {
		if c.inStep("QUIT") == nil {
			c.write("QUIT", append(c.buf[:0], "QUIT\r\n"...), c.cfg.Timeouts.Quit)
		}
	}
	for i, began := 0, time.Now(); i < len(conns); i++ {
		c := conns[i]
		if left := c.cfg.Timeouts.Quit - time.Since(began); c.dead == nil && left > 0 {
			c.expect("QUIT", smtp.QUIT, left)
		}
		c.finish()
	}
}
