package sqlqueue

import (
	"context"
	"errors"
	"slices"
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
// done. Those that were not begun when ctx ends are not done.
func (g *group[T]) wait(ctx context.Context, things ...T) error {
	if err := ctx.Err(); err != nil || len(things) == 0 {
		return err
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
	case <-ctx.Done():
		g.forget(c)
		<-c.done
	}
	return c.err
}

// forget ends what waits of a call.
func (g *group[T]) forget(c *call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = slices.DeleteFunc(g.waiting, func(w waiter[T]) bool {
		if w.call != c {
			return false
		}
		c.end(c.ctx.Err())
		return true
	})
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
func (g *group[T]) next() []waiter[T] {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), g.most)
	if n == 0 {
		g.workon--
		return nil
	}
	next := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
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
