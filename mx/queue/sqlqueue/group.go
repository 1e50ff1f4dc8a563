package sqlqueue

import (
	"context"
	"errors"
	"sync"
)

// errAlone says that things have failed because they were done together.
var errAlone = errors.New("one of many has failed")

// A group does things together that wait at the same time: whatever has come while
// others were underway goes next. Its goroutines end when nothing waits.
type group[T any] struct {
	workers int // at a time
	most    int // things at a time
	// do does things. Its error is that of all of them; if it is errAlone, each is
	// done alone.
	do func([]T) error

	mu      sync.Mutex
	waiting []waiter[T]
	running sync.WaitGroup
	workon  int
	closed  error
}

// A waiter is a thing to be done, and the call that waits for it.
type waiter[T any] struct {
	thing T
	call  *call
}

// A call waits for its things.
type call struct {
	ctx  context.Context
	left int // of its things; belongs to the group
	err  error
	done chan struct{}
}

// wait does the things, together with those of others, and returns when they are
// done or ctx ends. If ctx ends before they were begun, they will not be; later
// nobody can tell.
func (g *group[T]) wait(ctx context.Context, things ...T) error {
	if len(things) == 0 {
		return nil
	}
	c := &call{ctx: ctx, left: len(things), done: make(chan struct{})}
	g.mu.Lock()
	if g.closed != nil {
		g.mu.Unlock()
		return g.closed
	}
	for _, thing := range things {
		g.waiting = append(g.waiting, waiter[T]{thing, c})
	}
	if g.workon < g.workers {
		g.workon++
		g.running.Go(g.work)
	}
	g.mu.Unlock()
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *group[T]) work() {
	for {
		next := g.next()
		if next == nil {
			return
		}
		things := make([]T, len(next))
		for i := range next {
			things[i] = next[i].thing
		}
		err := g.do(things)
		if err != errAlone {
			g.ended(next, err)
			continue
		}
		for i := range next {
			g.ended(next[i:i+1], g.do(things[i:i+1]))
		}
	}
}

// next takes what is to be done next, or nil if this goroutine is to end.
func (g *group[T]) next() (next []waiter[T]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	taken := 0
	for ; taken < len(g.waiting) && len(next) < g.most; taken++ {
		w := g.waiting[taken]
		if err := w.call.ctx.Err(); err != nil {
			w.call.end(err)
			continue
		}
		next = append(next, w)
	}
	rest := copy(g.waiting, g.waiting[taken:])
	clear(g.waiting[rest:])
	g.waiting = g.waiting[:rest]
	if next == nil {
		g.workon--
	}
	return next
}

func (g *group[T]) ended(all []waiter[T], err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, w := range all {
		w.call.end(err)
	}
}

// end says what has become of one of the things.
func (c *call) end(err error) {
	if c.err == nil {
		c.err = err
	}
	if c.left--; c.left == 0 {
		close(c.done)
	}
}

// close lets nothing begin, and waits for what is underway.
func (g *group[T]) close(err error) {
	g.mu.Lock()
	if g.closed == nil {
		g.closed = err
	}
	g.mu.Unlock()
	g.running.Wait()
}
