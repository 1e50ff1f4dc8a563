package queue

import (
	"context"
	"log/slog"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/smtp/dsn"
)

// LogTrace returns a Trace that logs to l, each line with the ID of its message: at
// level Info what came in, who has got it and what senders were told; at level Warn
// who has not got it, and why, and destinations that are given a rest.
func LogTrace(l *slog.Logger) *Trace {
	return &Trace{
		Accepted: func(ctx context.Context, m *Message, items []NewItem) {
			if !l.Enabled(ctx, slog.LevelInfo) {
				return
			}
			n := 0
			for i := range items {
				n += len(items[i].Recipients)
			}
			l.LogAttrs(ctx, slog.LevelInfo, "queued", idAttr(m.ID), slog.String("from", m.Envelope.From.String()),
				slog.Int64("size", m.Size), slog.Int("recipients", n))
		},
		Attempted: func(ctx context.Context, a *Attempt) {
			for i := range a.Results {
				r, level := &a.Results[i], slog.LevelInfo
				if r.Status < mx.Delivered {
					level = slog.LevelWarn
				}
				if l.Enabled(ctx, level) {
					l.LogAttrs(ctx, level, r.Status.String(), idAttr(a.Leased.Message.ID),
						slog.Duration("took", a.Took), slog.Any("result", r))
				}
			}
		},
		Settled: func(ctx context.Context, m *Message, _ *Item, done []Outcome) {
			for i := range done {
				if o := &done[i]; o.Status == Expired {
					l.LogAttrs(ctx, slog.LevelWarn, "expired", idAttr(m.ID), slog.String("to", o.Recipient.String()),
						slog.String("host", o.Host), slog.String("reply", o.Reply.String()))
				}
			}
		},
		Notified: func(ctx context.Context, about *Message, n *dsn.Notification) {
			for i := range n.Report.Recipients {
				r := &n.Report.Recipients[i]
				l.LogAttrs(ctx, slog.LevelInfo, "notified", idAttr(about.ID), slog.String("sender", about.Envelope.From.String()),
					slog.String("about", r.Final.Text), slog.String("action", r.Action.String()))
			}
		},
		Site: func(ctx context.Context, destination string, until time.Time, err error) {
			if until.IsZero() {
				l.LogAttrs(ctx, slog.LevelInfo, "recovered", slog.String("destination", destination))
				return
			}
			l.LogAttrs(ctx, slog.LevelWarn, "resting", slog.String("destination", destination),
				slog.Time("until", until), slog.Any("err", err))
		},
	}
}

func idAttr(id ID) slog.Attr { return slog.String("id", id.String()) }
