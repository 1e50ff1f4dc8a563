package server

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A scope is the context of a session or a mail transaction. Most handlers
// never wait on one, so its channel, its tie to the parent and its timer are
// made when somebody asks for Done or Err: a message costs no allocation for
// them. A handler call that outlasts limit ends the scope, and with it the
// connection: an ended context cannot be given to the calls that follow.
type scope struct {
	parent context.Context
	limit  time.Duration // how long one handler call may take; not positive: without bound

	entered bool        // calling has been set, as the connection's goroutine knows
	calling atomic.Bool // a handler has been called, see pass
	asked   atomic.Bool // watch exists: until then enter and leave need no lock
	late    atomic.Bool // a call outlasted limit

	mu    sync.Mutex
	err   error
	watch *watch // nil until somebody asks for Done or Err
}

// A watch is what a scope needs once somebody waits on it.
type watch struct {
	done  chan struct{}
	untie func() bool // from the parent
	timer *time.Timer
}

func (s *scope) Deadline() (time.Time, bool) { return s.parent.Deadline() }

func (s *scope) Value(key any) any { return s.parent.Value(key) }

func (s *scope) Err() error {
	s.Done() // a handler that polls has a time limit too
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	return s.parent.Err()
}

func (s *scope) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watch != nil {
		return s.watch.done
	}
	s.watch = &watch{done: make(chan struct{})}
	if s.err != nil {
		close(s.watch.done)
		return s.watch.done
	}
	s.watch.untie = context.AfterFunc(s.parent, func() { s.end(s.parent.Err()) })
	s.asked.Store(true) // before calling is read: see leave
	s.startTimer()
	return s.watch.done
}

// enter marks the beginning of a handler call.
func (s *scope) enter() {
	if !s.entered {
		s.entered = true
		s.calling.Store(true)
	}
	if s.asked.Load() {
		s.mu.Lock()
		s.stopTimer() // that of a Done after pass
		s.startTimer()
		s.mu.Unlock()
	}
}

// leave marks its end. A Done at the same time either sees calling false, or
// has set asked early enough for its timer to be stopped here.
func (s *scope) leave() {
	if s.entered {
		s.entered = false
		s.calling.Store(false)
	}
	s.pass()
}

// pass is leave for a call that another may follow at once. Calling stays set, so
// leave has to come before the connection waits for anything. A pair of atomic
// stores for each recipient would cost more than to find its command's row.
func (s *scope) pass() {
	if s.asked.Load() {
		s.mu.Lock()
		s.stopTimer()
		s.mu.Unlock()
	}
}

// startTimer and stopTimer are called with mu held.
func (s *scope) startTimer() {
	if s.watch == nil || s.err != nil || s.limit <= 0 || !s.calling.Load() || s.watch.timer != nil {
		return
	}
	s.watch.timer = time.AfterFunc(s.limit, func() {
		s.late.Store(true)
		s.end(context.DeadlineExceeded)
	})
}

func (s *scope) stopTimer() {
	if w := s.watch; w != nil && w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

// end ends the scope for good.
func (s *scope) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err = err
	s.stopTimer()
	if s.watch != nil {
		close(s.watch.done)
		s.watch.untie()
	}
}
