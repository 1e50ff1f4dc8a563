package auth

import (
	"context"
	"sync"
)

// A pending value is being found out in the background.
type pending[T any] struct {
	done  chan struct{}
	value T
}

// start runs f in a goroutine that belongs to running.
func start[T any](ctx context.Context, running *sync.WaitGroup, f func(context.Context) T) *pending[T] {
	p := &pending[T]{done: make(chan struct{})}
	running.Go(func() {
		defer close(p.done)
		p.value = f(ctx)
	})
	return p
}

// wait returns the value, or the context's error.
func (p *pending[T]) wait(ctx context.Context) (value T, err error) {
	select {
	case <-p.done:
		return p.value, nil
	default:
	}
	select {
	case <-p.done:
		return p.value, nil
	case <-ctx.Done():
		return value, context.Cause(ctx)
	}
}
