package sqlqueue

import (
	"context"
	"errors"
	"time"

	"github.com/postrider/postrider/mx/queue"
)

var errNoAction = errors.New("no such action")

const (
	execHold        = `UPDATE queue_items SET held = ? WHERE message = ? AND n = ?`
	execRetry       = `UPDATE queue_items SET due = ? WHERE message = ? AND n = ? AND due > ?`
	execDeleteItem  = `DELETE FROM queue_items WHERE message = ? AND n = ?`
	execDeleteLast  = `DELETE FROM queue_messages WHERE id = ? AND NOT EXISTS (SELECT 1 FROM queue_items i WHERE i.message = ?)`
	execDeletePiece = `DELETE FROM queue_pieces WHERE message = ?`
	execOutcome     = `INSERT INTO queue_outcomes (message, time, destination, status, recipient) VALUES (?, ?, ?, ?, ?)`
)

// Change implements queue.Store. It goes page by page, each in a transaction of its
// own, so that nobody has to wait for long.
func (s *Store) Change(ctx context.Context, f queue.Filter, do queue.Action, now time.Time) (int, error) {
	changed := 0
	for from := range s.ranges(&f) {
		for more := true; more; {
			left := pageSize
			if f.Limit > 0 {
				left = f.Limit - changed
			}
			if left <= 0 {
				return changed, nil
			}
			c := change{s: s, f: &f, do: do, now: now}
			err := s.engine.transact(ctx, func(tx execer) (totals, error) {
				c.from, c.left, c.changed, c.more, c.totals = from, left, 0, false, totals{}
				err := c.page(ctx, tx)
				return c.totals, err
			})
			if err != nil {
				return changed, wrap("change", err)
			}
			changed += c.changed
			from, more = c.from, c.more
		}
	}
	return changed, nil
}

// A change is a page of items that are changed.
type change struct {
	s   *Store
	f   *queue.Filter
	do  queue.Action
	now time.Time

	from    span
	left    int // how many may be changed
	changed int
	more    bool
	totals  totals
}

func (c *change) page(ctx context.Context, tx execer) (err error) {
	w := c.s.engine.words()
	c.more, err = eachEntry(ctx, tx, w, c.f, &c.from, w.lock, func(r *entryRow, e *queue.Entry) error {
		if c.left == 0 {
			return nil
		}
		c.left--
		c.changed++
		return c.item(ctx, tx, r, e)
	})
	return err
}

func (c *change) item(ctx context.Context, tx execer, r *entryRow, e *queue.Entry) error {
	var err error
	id, n := r.item.message, r.item.n
	switch c.do {
	case queue.Hold:
		if !r.item.held {
			c.totals.held++
			_, err = tx.exec(ctx, execHold, 1, id, n)
		}
	case queue.Release:
		if r.item.held {
			c.totals.held--
			_, err = tx.exec(ctx, execHold, 0, id, n)
		}
	case queue.Retry:
		now := c.s.engine.words().there(fromTime(c.now))
		_, err = tx.exec(ctx, execRetry, now, id, n, now)
	case queue.Delete:
		err = c.delete(ctx, tx, r, e)
	default:
		err = errNoAction
	}
	return err
}

// delete removes an item, and with the last its message.
func (c *change) delete(ctx context.Context, tx execer, r *entryRow, e *queue.Entry) error {
	if c.s.opts.KeepOutcomes > 0 {
		for _, who := range e.Item.Recipients {
			o, err := newOutcomeRow(&queue.Outcome{
				Message:     e.Item.Message,
				Destination: e.Item.Destination,
				Recipient:   who.To,
				Status:      queue.Deleted,
				Time:        c.now,
			})
			if err != nil {
				return err
			}
			if _, err := tx.exec(ctx, execOutcome, o.message, o.time, o.destination, o.status, o.recipient); err != nil {
				return err
			}
		}
	}
	if _, err := tx.exec(ctx, execDeleteItem, r.item.message, r.item.n); err != nil {
		return err
	}
	c.totals.items--
	if r.item.held {
		c.totals.held--
	}
	if r.item.leased != 0 {
		c.totals.leased--
	}
	if lock := c.s.engine.words().lockMessage; lock != "" {
		if _, err := tx.exec(ctx, lock, r.message.id); err != nil {
			return err
		}
	}
	n, err := tx.exec(ctx, execDeleteLast, r.message.id, r.message.id)
	if err != nil || n == 0 {
		return err
	}
	c.totals.messages--
	c.totals.bytes -= r.message.size
	_, err = tx.exec(ctx, execDeletePiece, r.message.id)
	return err
}
