package sqlqueue

import (
	"context"
	"iter"

	"github.com/postrider/postrider/mx/queue"
)

const pageSize = 200 // rows that are read, or changed, at a time

// A place is where a listing goes on: behind an item.
type place struct{ message, n int64 }

// An entryRow is an item with its message.
type entryRow struct {
	item    itemRow
	message messageRow
}

// Scan implements queue.Store.
func (s *Store) Scan(ctx context.Context, f queue.Filter) iter.Seq2[*queue.Entry, error] {
	return func(yield func(*queue.Entry, error) bool) {
		left := f.Limit
		for from := range s.ranges(&f) {
			for more := true; more; {
				var page []*queue.Entry
				var err error
				page, more, err = s.page(ctx, &f, &from)
				if err != nil {
					yield(nil, wrap("scan", err))
					return
				}
				for _, e := range page {
					if !yield(e, nil) {
						return
					}
					if left--; left == 0 {
						return
					}
				}
			}
		}
	}
}

// page returns the entries of the next page that match. No connection is held when
// it returns.
func (s *Store) page(ctx context.Context, f *queue.Filter, from *span) (page []*queue.Entry, more bool, err error) {
	q, done, err := s.engine.reader(ctx)
	if err != nil {
		return nil, false, err
	}
	defer done()
	more, err = eachEntry(ctx, q, s.engine.words(), f, from, "", func(r *entryRow, e *queue.Entry) error {
		page = append(page, e)
		return nil
	})
	return page, more, err
}

// eachEntry calls do for the entries of the next page that match, and moves from
// behind it.
func eachEntry(ctx context.Context, q querier, w *words, f *queue.Filter, from *span, lock string, do func(*entryRow, *queue.Entry) error) (more bool, err error) {
	query, args := pageQuery(w, f, from, lock)
	rows, err := q.query(ctx, query, args...)
	var found []entryRow
	var r entryRow
	err = each(rows, err, func() error { found = append(found, r); r = entryRow{}; return nil },
		append(r.item.fields(), r.message.fields()...)...)
	if err != nil {
		return false, err
	}
	for i := range found {
		r := &found[i]
		from.after = place{r.item.message, r.item.n}
		r.item.here(w)
		e, err := r.entry()
		if err != nil {
			return false, err
		}
		if !f.Match(e) {
			continue
		}
		if err := do(r, e); err != nil {
			return false, err
		}
	}
	return len(found) == pageSize, nil
}

func (r *entryRow) entry() (*queue.Entry, error) {
	m, err := r.message.message()
	if err != nil {
		return nil, err
	}
	item, err := r.item.item()
	return &queue.Entry{Message: m, Item: item, LeasedUntil: toTime(r.item.leased)}, err
}
