package sqlqueue

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/postrider/postrider/mx/queue"
)

const (
	execMessage = `INSERT INTO queue_messages (id, arrived, size, kind, message, body) VALUES (?, ?, ?, ?, ?, ?)`
	execItem    = `INSERT INTO queue_items (message, n, destination, due, expires, warn, attempts, held, token, leased, recipients)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	execPiece      = `INSERT INTO queue_pieces (message, n, data) VALUES (?, ?, ?)`
	execDropPieces = `DELETE FROM queue_pieces WHERE message = ? AND NOT EXISTS (SELECT 1 FROM queue_messages m WHERE m.id = ?)`

	queryDone = `DELETE FROM queue_items WHERE message = ? AND n = ? AND token = ? AND leased <> 0 RETURNING held`
	queryGone = `DELETE FROM queue_messages WHERE id = ? AND NOT EXISTS (SELECT 1 FROM queue_items i WHERE i.message = queue_messages.id)
		RETURNING size, body IS NULL`
	execLeft   = `UPDATE queue_items SET recipients = ?, due = ?, warn = ?, attempts = ?, leased = 0 WHERE message = ? AND n = ? AND token = ? AND leased <> 0`
	execExtend = `UPDATE queue_items SET leased = ? WHERE message = ? AND n = ? AND token = ? AND leased <> 0`
	execLease  = `UPDATE queue_items SET leased = ?, token = token + 1 WHERE message = ? AND n = ?`

	selectLease = `SELECT ` + itemColumns + `, ` + messageColumns + ` FROM queue_items i JOIN queue_messages m ON m.id = i.message WHERE i.held = 0 `
	queryLease  = selectLease + `AND i.destination = ? AND max(i.due, i.leased) <= ? ORDER BY max(i.due, i.leased) LIMIT ?`
	queryLate   = selectLease + `AND min(i.expires, i.warn) <= ? AND i.leased <= ? ORDER BY min(i.expires, i.warn) LIMIT ?`

	purgeEvery = 100 // outcomes that were recorded
	purgeMost  = 2 * purgeEvery
	execPurge  = `DELETE FROM queue_outcomes WHERE seq IN (SELECT o.seq FROM
		(SELECT p.seq, p.time FROM queue_outcomes p ORDER BY p.seq LIMIT ?) o WHERE o.time < ?)`
)

// sqliteQueries are those that are the same all the time.
var sqliteQueries = []string{
	execMessage, execItem, execPiece, execDropPieces, execDeletePiece, execOutcome, execPurge,
	queryDone, queryGone, execLeft, execExtend, execLease, queryLease, queryLate, execCount,
}

func (e *sqliteEngine) putPiece(ctx context.Context, id queue.ID, n int, data []byte) error {
	return e.writer.do(ctx, &sqliteJob{bytes: len(data), grows: true, do: func(c *sqliteConn) (totals, error) {
		_, err := c.exec(ctx, execPiece, int64(id), n, data)
		return totals{}, err
	}})
}

// dropPieces does not wait. What it does not come to, the next Open does.
func (e *sqliteEngine) dropPieces(id queue.ID) {
	e.writer.add(&sqliteJob{do: func(c *sqliteConn) (totals, error) {
		_, err := c.exec(context.Background(), execDropPieces, int64(id), int64(id))
		return totals{}, err
	}})
}

func (e *sqliteEngine) insert(ctx context.Context, m *newMessage) error {
	return e.writer.do(ctx, &sqliteJob{bytes: m.octets(), grows: true, do: func(c *sqliteConn) (totals, error) {
		return insertSQLite(ctx, c, m)
	}})
}

func insertSQLite(ctx context.Context, c *sqliteConn, m *newMessage) (totals, error) {
	t := totals{messages: 1, bytes: m.size, items: int64(len(m.items))}
	var body any // NULL if there are pieces
	if m.pieces == 0 {
		body = m.inline
	}
	if _, err := c.exec(ctx, execMessage, m.id, m.arrived, m.size, m.kind, m.text, body); err != nil {
		return t, err
	}
	if m.pieces > 0 {
		if _, err := c.exec(ctx, execPiece, m.id, m.pieces, m.last); err != nil {
			return t, err
		}
		if len(m.prefix) > 0 {
			if _, err := c.exec(ctx, execPiece, m.id, 0, m.prefix); err != nil {
				return t, err
			}
		}
	}
	for i := range m.items {
		r := &m.items[i]
		if _, err := c.exec(ctx, execItem, r.message, r.n, r.destination, r.due, r.expires, r.warn, r.attempts, r.held, r.token, r.leased, r.recipients); err != nil {
			return t, err
		}
		if r.held {
			t.held++
		}
		if r.leased != 0 {
			t.leased++
		}
	}
	return t, nil
}

func (e *sqliteEngine) settle(ctx context.Context, settlements []*settlement) error {
	j := &sqliteJob{do: func(c *sqliteConn) (totals, error) {
		var sum totals
		for _, s := range settlements {
			t, err := e.settleOne(ctx, c, s)
			if err != nil {
				return sum, err
			}
			sum.add(&t)
		}
		return sum, nil
	}}
	for _, s := range settlements {
		for _, m := range s.spawn {
			j.bytes += m.octets()
			j.grows = true
		}
	}
	return e.writer.do(ctx, j)
}

// settleOne sets s.Err to ErrLost, or does all of it.
func (e *sqliteEngine) settleOne(ctx context.Context, c *sqliteConn, s *settlement) (totals, error) {
	s.Err = nil
	t := totals{leased: -1}
	id, n, token := int64(s.Lease.Message), s.Lease.N, s.Lease.Token
	had := false
	var err error
	if s.left == nil {
		var held bool
		rows, err := c.query(ctx, queryDone, id, n, token)
		err = each(rows, err, func() error { had = true; return nil }, &held)
		if err != nil {
			return t, err
		}
		t.items--
		if held {
			t.held--
		}
	} else {
		k, err := c.exec(ctx, execLeft, s.left, s.due, s.warn, s.Attempts, id, n, token)
		if err != nil {
			return t, err
		}
		had = k > 0
	}
	if !had {
		s.Err = queue.ErrLost
		return totals{}, nil
	}
	if s.left == nil {
		if err := removeSQLite(ctx, c, id, &t); err != nil {
			return t, err
		}
	}
	for i := range s.outcomes {
		o := &s.outcomes[i]
		if _, err := c.exec(ctx, execOutcome, o.message, o.time, o.destination, o.status, o.recipient); err != nil {
			return t, err
		}
		e.purging.recorded++
		e.purging.now = max(e.purging.now, o.time)
	}
	for _, m := range s.spawn {
		u, err := insertSQLite(ctx, c, m)
		if err != nil {
			return t, err
		}
		t.add(&u)
	}
	return t, err
}

// removeSQLite removes a message that has no item left.
func removeSQLite(ctx context.Context, c *sqliteConn, id int64, t *totals) error {
	var size int64
	var inPieces, gone bool
	rows, err := c.query(ctx, queryGone, id)
	if err := each(rows, err, func() error { gone = true; return nil }, &size, &inPieces); err != nil || !gone {
		return err
	}
	t.messages--
	t.bytes -= size
	if !inPieces {
		return nil
	}
	_, err = c.exec(ctx, execDeletePiece, id)
	return err
}

// purge removes outcomes that were kept long enough, twice as many as were
// recorded since it has last done so.
func (e *sqliteEngine) purge(c *sqliteConn) error {
	if e.purging.recorded < purgeEvery {
		return nil
	}
	e.purging.recorded = 0
	_, err := c.exec(context.Background(), execPurge, purgeMost, e.purging.now-int64(e.opts.KeepOutcomes))
	return err
}

func (e *sqliteEngine) lease(ctx context.Context, r leaseRequest) (leased []leasedRow, err error) {
	err = e.writer.do(ctx, &sqliteJob{do: func(c *sqliteConn) (t totals, err error) {
		leased, t, err = leaseSQLite(ctx, c, r)
		return t, err
	}})
	return leased, err
}

func leaseSQLite(ctx context.Context, c *sqliteConn, r leaseRequest) (leased []leasedRow, t totals, err error) {
	query, args := queryLease, []any{r.destination, r.now, r.max}
	if r.late {
		query, args = queryLate, []any{r.now, r.now, r.max}
	}
	var row leasedRow
	rows, err := c.query(ctx, query, args...)
	err = each(rows, err, func() error { leased = append(leased, row); row = leasedRow{}; return nil },
		append(row.item.fields(), row.message.fields()...)...)
	if err != nil {
		return nil, t, err
	}
	if !r.late { // where leases were over, the order was theirs
		slices.SortStableFunc(leased, func(a, b leasedRow) int { return cmp.Compare(a.item.due, b.item.due) })
	}
	for i := range leased {
		item := &leased[i].item
		if _, err := c.exec(ctx, execLease, r.until, item.message, item.n); err != nil {
			return nil, t, err
		}
		if item.leased == 0 {
			t.leased++
		}
		item.leased = r.until
		item.token++
	}
	return leased, t, nil
}

func (e *sqliteEngine) extend(ctx context.Context, until int64, leases []queue.Lease) (lost []queue.Lease, err error) {
	err = e.writer.do(ctx, &sqliteJob{do: func(c *sqliteConn) (totals, error) {
		lost = nil
		for _, l := range leases {
			n, err := c.exec(ctx, execExtend, until, int64(l.Message), l.N, l.Token)
			if err != nil {
				return totals{}, err
			}
			if n == 0 {
				lost = append(lost, l)
			}
		}
		return totals{}, nil
	}})
	return lost, err
}

// transact leaves the database alone for as long as it had it, if somebody else
// delivers from it: who waits for a lock looks only now and then whether it is free.
func (e *sqliteEngine) transact(ctx context.Context, do func(tx execer) (totals, error)) error {
	var took time.Duration
	err := e.writer.do(ctx, &sqliteJob{do: func(c *sqliteConn) (totals, error) {
		began := time.Now()
		t, err := do(c)
		took = time.Since(began)
		return t, err
	}})
	if err == nil && e.attach {
		select {
		case <-time.After(min(took, time.Second)):
		case <-ctx.Done(): // what was done is done
		}
	}
	return err
}

// purgeAll removes what was kept long enough when a process begins.
func (e *sqliteEngine) purgeAll(ctx context.Context, c *sqliteConn) error {
	const most = 1000
	before := fromTime(time.Now().Add(-e.opts.KeepOutcomes))
	for {
		var n int64
		err := c.transact(ctx, func() (err error) {
			n, err = c.exec(ctx, execPurge, most, before)
			return err
		})
		if err != nil || n < most {
			return err
		}
	}
}
