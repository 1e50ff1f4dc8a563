package client

import (
	"context"
	"time"

	"github.com/postrider/postrider/smtp"
)

// surplus takes out the longest idle connection if there are too many, of this
// queue or of all. The caller holds mu.
func (q *queue) surplus() *Conn {
	switch s := q.slots(); {
	case len(q.idle) > q.limits.idle:
		return s.unkeep(q.idle[0])
	case s.idle > s.maxIdle:
		return s.unkeep(s.oldest)
	}
	return nil
}

// watch sees to it that what stays idle is closed. A timer that runs already, for a
// connection that was idle before, is early enough. The caller holds mu.
func (q *queue) watch() {
	switch {
	case q.reaping || len(q.idle) == 0:
		return
	case q.reaper == nil:
		q.reaper = time.AfterFunc(q.limits.idleTimeout, q.reap)
	default:
		q.reaper.Reset(q.limits.idleTimeout)
	}
	q.reaping = true
}

// reap closes what has been idle too long. The timer runs it.
func (q *queue) reap() {
	s := q.slots()
	s.mu.Lock()
	if s.closed && s.running == 0 { // close waits for nobody any more, and closes them itself
		s.mu.Unlock()
		return
	}
	now, limit := time.Now(), q.limits.idleTimeout
	var old []*Conn
	for len(q.idle) > 0 && now.Sub(q.idle[0].idleSince) >= limit {
		old = append(old, s.unkeep(q.idle[0]))
	}
	if q.reaping = len(q.idle) > 0; q.reaping {
		q.reaper.Reset(limit - now.Sub(q.idle[0].idleSince))
	}
	q.arrive()
	s.mu.Unlock()
	defer q.part()
	closeAll(old)
}

// stop ends the timers. The caller holds mu.
func (q *queue) stop() {
	if q.reaper != nil {
		q.reaper.Stop()
		q.reaping = false
	}
	if q.pacing.timer != nil {
		q.pacing.timer.Stop()
	}
}

// retire says QUIT on c, which nobody uses. Its caller, whose message is sent,
// does not wait for that; close does.
func (q *queue) retire(c *Conn) {
	s := q.slots()
	s.mu.Lock()
	q.arrive()
	s.mu.Unlock()
	go func() {
		defer q.part()
		defer q.freeSlot()
		defer c.home.slotTaken(q)
		quitAll(c)
	}()
}

// clear says QUIT on old, in whose place q may make a connection.
func (q *queue) clear(ctx context.Context, old *Conn) {
	defer old.home.slotTaken(q)
	defer old.Close()
	old.Quit(ctx)
}

// closeIdle closes what is idle now.
func (s *slots) closeIdle() {
	s.mu.Lock()
	var old []*Conn
	for s.oldest != nil {
		old = append(old, s.unkeep(s.oldest))
	}
	s.mu.Unlock()
	closeAll(old)
}

// close refuses new calls, waits for the running ones and closes what is idle.
func (s *slots) close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return ErrClosed
	}
	s.closed = true
	var drained chan struct{}
	if s.running > 0 {
		drained = make(chan struct{})
		s.drained = drained
	}
	s.mu.Unlock()
	if drained != nil {
		<-drained
	}
	s.closeIdle()
	return nil
}

// closeAll closes connections that were idle. Their slots are then free.
func closeAll(conns []*Conn) {
	for _, c := range conns {
		defer c.home.freeSlot()
	}
	quitAll(conns...)
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
