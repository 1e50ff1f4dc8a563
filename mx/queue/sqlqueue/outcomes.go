package sqlqueue

import (
	"context"
	"iter"

	"github.com/postrider/postrider/mx/queue"
)

const (
	queryOutcomes   = `SELECT ` + outcomeColumns + ` FROM queue_outcomes o WHERE o.seq > ? ORDER BY o.seq LIMIT ?`
	queryOutcomesOf = `SELECT ` + outcomeColumns + ` FROM queue_outcomes o WHERE o.message = ? AND o.seq > ? ORDER BY o.seq LIMIT ?`
)

// Outcomes implements queue.Store.
func (s *Store) Outcomes(ctx context.Context, id queue.ID) iter.Seq2[queue.Outcome, error] {
	return func(yield func(queue.Outcome, error) bool) {
		for last, more := int64(0), true; more; {
			page, err := s.outcomes(ctx, id, &last)
			if err != nil {
				yield(queue.Outcome{}, wrap("outcomes", err))
				return
			}
			for _, o := range page {
				if !yield(o, nil) {
					return
				}
			}
			more = len(page) == pageSize
		}
	}
}

// outcomes returns the next page. No connection is held when it returns.
func (s *Store) outcomes(ctx context.Context, id queue.ID, last *int64) (page []queue.Outcome, err error) {
	q, done, err := s.engine.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	query, args := queryOutcomes, []any{*last, pageSize}
	if id != 0 {
		query, args = queryOutcomesOf, []any{int64(id), *last, pageSize}
	}
	var r outcomeRow
	rows, err := q.query(ctx, query, args...)
	err = each(rows, err, func() error {
		o, err := r.outcome()
		page = append(page, o)
		r = outcomeRow{}
		return err
	}, r.fields(last)...)
	return page, err
}
