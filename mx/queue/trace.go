package queue

import (
	"context"
	"log/slog"
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

// LogTrace returns a Trace that logs to l: what was taken in, done or written to a
// sender at level Info, what has to wait, has failed or rests, and why, at level
// Warn, attempts at level Debug. mx.LogTrace has the details of attempts.
func LogTrace(l *slog.Logger) *Trace {
	return &Trace{
		Accepted: func(ctx context.Context, m *Message, items []NewItem) {
			recipients := 0
			for i := range items {
				recipients += len(items[i].Recipients)
			}
			l.LogAttrs(ctx, slog.LevelInfo, "queued", slog.Any("message", m),
				slog.Int("items", len(items)), slog.Int("recipients", recipients))
		},
		Attempted: func(ctx context.Context, a *Attempt) {
			l.LogAttrs(ctx, slog.LevelDebug, "attempt", slog.Any("attempt", a))
		},
		Settled: func(ctx context.Context, m *Message, item *Item, done []Outcome) {
			for i := range done {
				level := slog.LevelInfo
				if done[i].Status > Relayed {
					level = slog.LevelWarn
				}
				l.LogAttrs(ctx, level, done[i].Status.String(), slog.Any("outcome", &done[i]),
					slog.Duration("age", done[i].Time.Sub(m.Arrived)))
			}
			for i := range item.Recipients {
				to := &item.Recipients[i]
				l.LogAttrs(ctx, slog.LevelWarn, "deferred", slog.String("id", m.ID.String()), slog.String("to", to.To.String()),
					slog.String("host", to.Host), slog.String("reply", to.Reply.String()),
					slog.Int("attempts", item.Attempts), slog.Time("due", item.Due))
			}
		},
		Notified: func(ctx context.Context, about *Message, n *dsn.Notification) {
			for i := range n.Report.Recipients {
				to := &n.Report.Recipients[i]
				l.LogAttrs(ctx, slog.LevelInfo, "sender notified", slog.String("id", about.ID.String()),
					slog.String("action", to.Action.String()), slog.String("to", to.Final.Text))
			}
		},
		Site: func(ctx context.Context, destination string, until time.Time, err error) {
			if until.IsZero() {
				l.LogAttrs(ctx, slog.LevelInfo, "destination has recovered", slog.String("destination", destination))
				return
			}
			l.LogAttrs(ctx, slog.LevelWarn, "destination rests", slog.String("destination", destination),
				slog.Time("until", until), slog.Any("err", err))
		},
	}
}

// LogValue is the message in a log.
func (m *Message) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", m.ID.String()), slog.String("from", m.Envelope.From.String()), slog.Int64("size", m.Size))
}

// LogValue is the attempt in a log.
func (a *Attempt) LogValue() slog.Value {
	delivered := 0
	for i := range a.Results {
		if a.Results[i].Status >= mx.Delivered {
			delivered++
		}
	}
	return slog.GroupValue(slog.String("id", a.Leased.Message.ID.String()), slog.String("destination", a.Leased.Item.Destination),
		slog.Int("recipients", len(a.Results)), slog.Int("delivered", delivered), slog.Duration("took", a.Took))
}

// LogValue is the outcome in a log.
func (o *Outcome) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", o.Message.String()), slog.String("to", o.Recipient.String()),
		slog.String("destination", o.Destination), slog.String("host", o.Host), slog.String("reply", o.Reply.String()))
}
