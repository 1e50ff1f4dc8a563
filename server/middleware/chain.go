package middleware

import (
	"context"
	"slices"

	"github.com/postrider/postrider/server"
)

// Chain puts middleware around a Handler. The first one given is the outermost:
// it is asked first.
func Chain(h server.Handler, around ...func(server.Handler) server.Handler) server.Handler {
	for _, m := range slices.Backward(around) {
		h = m(h)
	}
	return h
}

// wrap makes middleware that puts a session around each session.
func wrap(around func(wrapped) server.Session) func(server.Handler) server.Handler {
	return func(next server.Handler) server.Handler {
		return server.HandlerFunc(func(ctx context.Context, c *server.Conn) (server.Session, error) {
			s, err := next.NewSession(ctx, c)
			if err != nil || s == nil {
				return s, err
			}
			return around(wrapped{s, c}), nil
		})
	}
}

// wrapped passes everything on.
type wrapped struct {
	server.Session
	conn *server.Conn
}

// Unwrap keeps what is optional on the inner session reachable.
func (w wrapped) Unwrap() server.Session { return w.Session }
