// Package intercept lets the test server answer a command in the server's
// place: it is how scripted faults reach commands that no handler sees.
package intercept

import "context"

// Action is what to do instead of running a command.
type Action struct {
	// Reply is sent as it stands, if it is not empty.
	Reply []byte
	// Drop closes the connection after Reply.
	Drop bool
}

// Func is asked before each command, and with a nil line before the greeting.
// It may block until ctx ends. With ok false the command takes its usual
// course.
type Func func(ctx context.Context, verb string, line []byte) (a Action, ok bool)

type (
	key       struct{}
	hiddenKey struct{}
	openedKey struct{}
)

// With returns a context for server.Server.ConnContext that carries f.
func With(ctx context.Context, f Func) context.Context { return context.WithValue(ctx, key{}, f) }

// From returns the Func in ctx, or nil.
func From(ctx context.Context) Func {
	f, _ := ctx.Value(key{}).(Func)
	return f
}

// WithHidden returns a context for server.Server.ConnContext: EHLO does not
// offer the keywords that f reports.
func WithHidden(ctx context.Context, f func(keyword string) bool) context.Context {
	return context.WithValue(ctx, hiddenKey{}, f)
}

// Hidden returns the function in ctx, or nil.
func Hidden(ctx context.Context) func(keyword string) bool {
	f, _ := ctx.Value(hiddenKey{}).(func(string) bool)
	return f
}

// WithOpened returns a context for server.Server.ConnContext: f gets the
// *server.Conn that the context is for before anything is observed of it. Its
// address would not do to tell connections apart: a proxy may give any.
func WithOpened(ctx context.Context, f func(conn any)) context.Context {
	return context.WithValue(ctx, openedKey{}, f)
}

// Opened returns the function in ctx, or nil.
func Opened(ctx context.Context) func(conn any) {
	f, _ := ctx.Value(openedKey{}).(func(any))
	return f
}
