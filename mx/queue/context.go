package queue

import "context"

type leasedKey struct{}

// LeasedFrom returns what a Runner is delivering, for a Deliverer that has to know
// more than the mx.Message tells: which message it is, so that one that comes
// again is known. It is nil if ctx does not come from a Runner.
func LeasedFrom(ctx context.Context) *Leased {
	l, _ := ctx.Value(leasedKey{}).(*Leased)
	return l
}

// WithLeased returns a context in which LeasedFrom returns l. A Runner calls its
// Deliverer with one; so may a test of a Deliverer.
func WithLeased(ctx context.Context, l *Leased) context.Context {
	return context.WithValue(ctx, leasedKey{}, l)
}
