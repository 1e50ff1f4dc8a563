package sqlqueue

import (
	"context"
	"time"

	"github.com/postrider/postrider/mx/queue"
)

// queryReady returns destinations with the time at which their first item can be
// leased, and their first later than now. It goes from one destination to the
// next by the index, not over their items.
func queryReady(w *words) string {
	at := w.greatest + `(i.due, i.leased)`
	return `WITH RECURSIVE d (name) AS (
		SELECT (SELECT i.destination FROM queue_items i WHERE i.held = 0 AND i.destination > ? ORDER BY i.destination LIMIT 1)
		UNION ALL
		SELECT (SELECT i.destination FROM queue_items i WHERE i.held = 0 AND i.destination > d.name ORDER BY i.destination LIMIT 1)
		FROM d WHERE d.name IS NOT NULL
	)
	SELECT d.name,
		(SELECT ` + at + ` FROM queue_items i WHERE i.held = 0 AND i.destination = d.name ORDER BY ` + at + ` LIMIT 1),
		(SELECT ` + at + ` FROM queue_items i WHERE i.held = 0 AND i.destination = d.name AND ` + at + ` > ? ORDER BY ` + at + ` LIMIT 1)
	FROM d WHERE d.name IS NOT NULL LIMIT ?`
}

// Ready implements queue.Store.
func (s *Store) Ready(ctx context.Context, now time.Time, after string, max int) ([]string, time.Time, error) {
	q, done, err := s.engine.reader(ctx)
	if err != nil {
		return nil, time.Time{}, wrap("ready", err)
	}
	defer done()
	w := s.engine.words()
	at := w.there(fromTime(now))
	var names []string
	var next int64
	for more := true; more && len(names) < max; {
		found := 0
		var first int64
		var later *int64
		rows, err := q.query(ctx, s.queryReady, after, at, max) // what is behind these may not be needed
		err = each(rows, err, func() error {
			found++
			if first <= at && len(names) < max {
				names = append(names, after)
			}
			if later != nil && (next == 0 || *later < next) {
				next = *later
			}
			return nil
		}, &after, &first, &later)
		if err != nil {
			return nil, time.Time{}, wrap("ready", err)
		}
		more = found == max
	}
	return names, toTime(w.here(next)), nil
}

// Lease implements queue.Store.
func (s *Store) Lease(ctx context.Context, req queue.LeaseRequest) ([]*queue.Leased, error) {
	if s.attached {
		return nil, errAttached
	}
	if req.Max <= 0 {
		return nil, nil
	}
	rows, err := s.engine.lease(ctx, leaseRequest{req.Destination, req.Late, req.Max, fromTime(req.Now), fromTime(req.Until)})
	if err != nil {
		return nil, wrap("lease", err)
	}
	leased := make([]*queue.Leased, 0, len(rows))
	messages := map[int64]*queue.Message{}
	for i := range rows {
		r := &rows[i]
		m := messages[r.message.id]
		if m == nil {
			if m, err = r.message.message(); err != nil {
				return nil, wrap("lease", err)
			}
			messages[r.message.id] = m
		}
		item, err := r.item.item()
		if err != nil {
			return nil, wrap("lease", err)
		}
		leased = append(leased, &queue.Leased{Lease: r.item.lease(), Message: m, Item: item, Content: s.content(m, nil)})
	}
	return leased, nil
}

// Settle implements queue.Store.
func (s *Store) Settle(ctx context.Context, settlements []*queue.Settlement) error {
	rows := make([]*settlement, len(settlements))
	for i, t := range settlements {
		var err error
		if rows[i], err = s.settlement(t); err != nil {
			return err
		}
	}
	err := s.engine.settle(ctx, rows)
	for _, r := range rows {
		for _, sp := range r.Spawn {
			if t := sp.Tx.(*tx); err == nil && r.Err == nil {
				t.over = true
			} else if err == nil {
				t.Abort()
			}
		}
	}
	return wrap("settle", err)
}

// settlement makes rows of what is to be stored.
func (s *Store) settlement(t *queue.Settlement) (*settlement, error) {
	r := &settlement{Settlement: t, due: fromTime(t.Due), warn: orNever(fromTime(t.Warn))}
	var err error
	if len(t.Left) > 0 {
		if r.left, err = t.Left.AppendText(nil); err != nil {
			return nil, wrap("settle", err)
		}
	}
	if s.opts.KeepOutcomes > 0 {
		r.outcomes = make([]outcomeRow, len(t.Done))
		for i := range t.Done {
			if r.outcomes[i], err = newOutcomeRow(&t.Done[i]); err != nil {
				return nil, wrap("settle", err)
			}
		}
	}
	for _, sp := range t.Spawn {
		in, ok := sp.Tx.(*tx)
		if !ok || in.s != s {
			return nil, errNotOurs
		}
		m, _, err := in.prepare(sp.Commit)
		if err != nil {
			return nil, err
		}
		for i := range m.items { // nobody would hear of their leases
			m.items[i].leased, m.items[i].token = 0, 0
		}
		r.spawn = append(r.spawn, m)
	}
	return r, nil
}
