package sqlqueue

import (
	"context"
	"time"

	"github.com/postrider/postrider/mx/queue"
)

// The row of queue_totals is brought up to date once by each group, and by who is
// attached too: so nobody counts, and nobody is wrong.
const (
	totalColumns = `messages, bytes, items, held, leased, run`
	queryTotals  = `SELECT ` + totalColumns + ` FROM queue_totals`
	queryCount   = `UPDATE queue_totals SET messages = messages + ?, bytes = bytes + ?, items = items + ?, held = held + ?, leased = leased + ?
		WHERE run = ? OR ? RETURNING ` + totalColumns
	queryOldest = `SELECT m.arrived FROM queue_messages m ORDER BY m.id LIMIT 1`
)

func (t *totals) fields(run *int64) []any {
	return []any{&t.messages, &t.bytes, &t.items, &t.held, &t.leased, run}
}

// count adds to the totals, and returns them. It fails if somebody else has opened
// the queue since we have.
func (e *sqliteEngine) count(c *sqliteConn, sum *totals) (*totals, error) {
	all, run, found := new(totals), int64(0), false
	rows, err := c.query(context.Background(), queryCount, sum.messages, sum.bytes, sum.items, sum.held, sum.leased, e.run, e.attach)
	err = each(rows, err, func() error { found = true; return nil }, all.fields(&run)...)
	if err == nil && !found {
		err = errSuperseded
	}
	return all, err
}

// stats asks the database once in a while; who delivers knows the totals anyway.
func (e *sqliteEngine) stats(ctx context.Context) (queue.Stats, error) {
	e.seen.Lock()
	defer e.seen.Unlock()
	now, t := time.Now(), e.counted.Load()
	if t == nil || (t.messages == 0) != (e.seen.oldest == 0) || now.Sub(e.seen.at) >= statsAge {
		if err := e.look(ctx); err != nil {
			return queue.Stats{}, err
		}
		e.seen.at = now
		t = e.counted.Load()
	}
	return queue.Stats{
		Messages: t.messages,
		Bytes:    t.bytes,
		Items:    t.items,
		Held:     t.held,
		Leased:   t.leased,
		Oldest:   toTime(e.seen.oldest),
	}, nil
}

const statsAge = time.Second

func (e *sqliteEngine) look(ctx context.Context) error {
	c, done, err := e.readers.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	e.seen.oldest = 0
	rows, err := c.query(ctx, queryOldest)
	if err := each(rows, err, func() error { return nil }, &e.seen.oldest); err != nil {
		return err
	}
	before := e.counted.Load()
	all, run := new(totals), int64(0)
	rows, err = c.query(ctx, queryTotals)
	if err := each(rows, err, func() error { return nil }, all.fields(&run)...); err != nil {
		return err
	}
	e.counted.CompareAndSwap(before, all) // or a group was quicker
	return nil
}
