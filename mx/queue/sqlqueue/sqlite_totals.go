package sqlqueue

import (
	"context"

	"github.com/postrider/postrider/mx/queue"
)

// The row of queue_totals is brought up to date once by each group, and by who is
// attached too: so Stats need not count.
const (
	execCount = `UPDATE queue_totals SET messages = messages + ?, bytes = bytes + ?, items = items + ?, held = held + ?, leased = leased + ?
		WHERE run = ? OR ?`
	// The oldest is among those that were begun first, or hardly older than they are.
	queryTotals = `SELECT t.messages, t.bytes, t.items, t.held, t.leased, t.run,
		(SELECT coalesce(min(o.arrived), 0) FROM (SELECT m.arrived FROM queue_messages m ORDER BY m.id LIMIT 100) o)
		FROM queue_totals t`
)

// sqliteTotals are what is in the store.
type sqliteTotals struct {
	totals
	run    int64
	oldest int64
}

func readTotals(ctx context.Context, q querier) (t sqliteTotals, err error) {
	rows, err := q.query(ctx, queryTotals)
	found := 0
	err = each(rows, err, func() error { found++; return nil },
		&t.messages, &t.bytes, &t.items, &t.held, &t.leased, &t.run, &t.oldest)
	if err == nil && found != 1 {
		err = errNoTotals
	}
	return t, err
}

// count adds to the totals. It fails if somebody else has opened the queue since we
// have.
func (e *sqliteEngine) count(c *sqliteConn, sum *totals) error {
	n, err := c.exec(context.Background(), execCount, sum.messages, sum.bytes, sum.items, sum.held, sum.leased, e.run, e.attach)
	if err == nil && n != 1 {
		err = errSuperseded
	}
	return err
}

func (e *sqliteEngine) stats(ctx context.Context) (queue.Stats, error) {
	q, done, err := e.readers.take(ctx)
	if err != nil {
		return queue.Stats{}, err
	}
	defer done()
	t, err := readTotals(ctx, q)
	return queue.Stats{
		Messages: t.messages,
		Bytes:    t.bytes,
		Items:    t.items,
		Held:     t.held,
		Leased:   t.leased,
		Oldest:   toTime(t.oldest),
	}, err
}
