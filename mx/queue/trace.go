package queue

import (
	"context"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/smtp/dsn"
)

// Trace is a set of hooks that see what happens to messages. Any may be nil. They
// are called at the same time for different messages and must not block.
type Trace struct {
	// Accepted is called when a message was committed, notifications included.
	Accepted func(ctx context.Context, m *Message, items []NewItem)
	// Attempted is called after each delivery, before its outcome is recorded.
	Attempted func(ctx context.Context, a *Attempt)
	// Settled is called when it is recorded: with those who are done, and the item
	// as it goes on, without Recipients if it is gone.
	Settled func(ctx context.Context, m *Message, item *Item, done []Outcome)
	// Notified is called when a notification to a sender was committed.
	Notified func(ctx context.Context, about *Message, n *dsn.Notification)
	// Site is called when a destination is given a rest, or has recovered from one
	// (until is zero).
	Site func(ctx context.Context, destination string, until time.Time, err error)
}

// An Attempt is a delivery that was tried. It must not be changed.
type Attempt struct {
	Leased  *Leased
	Results []mx.Result
	Began   time.Time
	Took    time.Duration
}
