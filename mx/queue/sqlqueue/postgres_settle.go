package sqlqueue

import (
	"context"

	"github.com/postrider/postrider/mx/queue"
)

func (e *postgres) settle(ctx context.Context, settlements []*settlement) error {
	err := e.settles.wait(ctx, settlements...)
	for _, s := range settlements {
		for _, m := range s.spawn {
			e.drops.tried(m, err)
		}
	}
	if err != nil {
		return err
	}
	for _, s := range settlements {
		s.Err = nil
		if s.lost {
			s.Err = queue.ErrLost
			continue
		}
		for _, m := range s.spawn {
			e.wakeFor(m)
		}
	}
	return nil
}

// settleAll settles most with one statement, which is a transaction: items that
// are gone, and were all that their messages had. The others go by a transaction
// of many statements.
func (e *postgres) settleAll(all []*settlement) error {
	for len(all) > 0 {
		var short, long, again []*settlement
		seen := make(map[itemKey]bool, len(all))
		for _, s := range all {
			switch k := s.key(); {
			case seen[k]: // to hear that the other has settled it
				again = append(again, s)
			case s.left == nil && len(s.spawn) == 0:
				seen[k] = true
				short = append(short, s)
			default:
				seen[k] = true
				long = append(long, s)
			}
		}
		if len(short) > 0 {
			var others []*settlement
			err := e.do(context.Background(), func(ctx context.Context, c *pgConn) (err error) {
				others, err = e.settleShort(ctx, c, short)
				return err
			})
			if err != nil {
				return err
			}
			long = append(long, others...)
		}
		if len(long) > 0 {
			err := e.do(context.Background(), func(ctx context.Context, c *pgConn) error {
				return inTx(ctx, c, func(x pgExecer) error { return e.settleLong(ctx, x, e.mark(c), long) })
			})
			if err != nil {
				return err
			}
		}
		all = again
	}
	return nil
}

type itemKey struct{ message, n int64 }

func (s *settlement) key() itemKey { return itemKey{int64(s.Lease.Message), int64(s.Lease.N)} }

// pgLeased locks the items whose leases, in arrays that are arguments, are still good,
// in the order of their keys.
//
// It joins by LATERAL with a subquery that nothing can be pulled out of, and who then
// changes the items says in a condition of their table alone of which messages they
// are. Both tell the planner which index to use. If it takes a table for empty, because
// it was when it was last analyzed, all ways to join it are the same to it, those that
// read all of it too.
func pgLeased(message, n, token string) string {
	return `(SELECT * FROM unnest(` + message + `::bigint[], ` + n + `::integer[], ` + token + `::bigint[]) AS l (message, n, token)
		ORDER BY l.message, l.n) l
	CROSS JOIN LATERAL (SELECT message, n, held, alone FROM queue_items
		WHERE message = l.message AND n = l.n AND token = l.token AND leased <> 0 FOR UPDATE) i`
}

var pgSettleShort = `WITH mine AS MATERIALIZED (SELECT i.message, i.n, i.alone FROM ` + pgLeased("$1", "$2", "$3") + `),
	items AS (DELETE FROM queue_items i USING mine a WHERE i.message = a.message AND i.n = a.n AND a.alone = 1
		AND i.message = ANY($1)
		RETURNING i.held),
	messages AS (DELETE FROM queue_messages m WHERE m.id = ANY(ARRAY(SELECT a.message FROM mine a WHERE a.alone = 1))
		RETURNING m.id, m.size, m.body IS NULL AS pieces),
	pieces AS (DELETE FROM queue_pieces p WHERE p.message = ANY(ARRAY(SELECT m.id FROM messages m WHERE m.pieces))),
	outcomes AS (INSERT INTO queue_outcomes (message, time, destination, status, recipient)
		SELECT o.message, o.time, o.destination, o.status, o.recipient
		FROM unnest($5::bigint[], $6::integer[], $7::bigint[], $8::bytea[], $9::integer[], $10::bytea[])
			AS o (message, n, time, destination, status, recipient)
		JOIN mine a ON a.message = o.message AND a.n = o.n AND a.alone = 1),
	totals AS (` + pgTotals + `SELECT $4::integer, -count(*), -coalesce(sum(size), 0)::bigint,
			-(SELECT count(*) FROM items), -(SELECT count(*) FROM items WHERE held = 1), -(SELECT count(*) FROM items)
		FROM messages HAVING count(*) > 0` + pgTotalsAdd + `)
	SELECT message, n, alone FROM mine`

// settleShort settles those that are alone, and returns those that are not.
func (e *postgres) settleShort(ctx context.Context, c *pgConn, all []*settlement) (others []*settlement, err error) {
	outcomes := make(pgArrays, 6)
	for _, s := range all {
		for i := range s.outcomes {
			o := &s.outcomes[i]
			outcomes[0].int(int64(s.Lease.Message))
			outcomes[1].int(int64(s.Lease.N))
			outcomes[2].int(o.time)
			outcomes[3].bytes([]byte(o.destination))
			outcomes[4].int(o.status)
			outcomes[5].bytes(o.recipient)
		}
	}
	var k itemKey
	var alone bool
	mine := make(map[itemKey]bool, len(all))
	rows, err := c.QueryContext(ctx, pgSettleShort, outcomes.args(append(leaseArrays(all).args(), e.slot(c))...)...)
	err = each(rows, err, func() error { mine[k] = alone; return nil }, &k.message, &k.n, &alone)
	for _, s := range all {
		alone, ok := mine[s.key()]
		s.lost = !ok
		if ok && !alone {
			others = append(others, s)
		}
	}
	return others, err
}

var pgMine = `SELECT i.message, i.n, i.held, i.alone FROM ` + pgLeased("$1", "$2", "$3")

// settleLong settles whatever there may be.
func (e *postgres) settleLong(ctx context.Context, x pgExecer, of pgMark, all []*settlement) error {
	mine := make(map[itemKey]bool, len(all)) // held
	var k itemKey
	var held, alone bool
	rows, err := x.x.QueryContext(ctx, pgMine, leaseArrays(all).args()...)
	if err := each(rows, err, func() error { mine[k] = held; return nil }, &k.message, &k.n, &held, &alone); err != nil {
		return err
	}
	var t totals
	gone, left, ids := make(pgArrays, 2), make(pgArrays, 6), make(pgArrays, 1)
	outcomes := make(pgArrays, 5)
	var spawn []*newMessage
	for _, s := range all {
		k := s.key()
		held, ok := mine[k]
		s.lost = !ok
		if s.lost {
			continue
		}
		t.leased--
		if s.left == nil {
			t.items--
			if held {
				t.held--
			}
			gone[0].int(k.message)
			gone[1].int(k.n)
			ids[0].int(k.message)
		} else {
			left[0].int(k.message)
			left[1].int(k.n)
			left[2].bytes(s.left)
			left[3].int(e.phrases.there(s.due))
			left[4].int(e.phrases.there(s.warn))
			left[5].int(int64(s.Attempts))
		}
		for i := range s.outcomes {
			outcomes.outcome(&s.outcomes[i])
		}
		spawn = append(spawn, s.spawn...)
	}
	for _, step := range []struct {
		columns pgArrays
		query   string
	}{
		{gone, `DELETE FROM queue_items i USING unnest($1::bigint[], $2::integer[]) AS l (message, n)
			WHERE i.message = l.message AND i.n = l.n AND i.message = ANY($1)`},
		{left, `UPDATE queue_items i SET leased = 0, recipients = l.recipients, due = l.due, warn = l.warn, attempts = l.attempts
			FROM unnest($1::bigint[], $2::integer[], $3::bytea[], $4::bigint[], $5::bigint[], $6::integer[])
				AS l (message, n, recipients, due, warn, attempts)
			WHERE i.message = l.message AND i.n = l.n AND i.message = ANY($1)`},
		{outcomes, `INSERT INTO queue_outcomes (message, time, destination, status, recipient)
			SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::integer[], $5::bytea[])`},
	} {
		if len(step.columns[0].b) == 0 {
			continue
		}
		if _, err := x.x.ExecContext(ctx, step.query, step.columns.args()...); err != nil {
			return err
		}
	}
	if len(ids[0].b) > 0 {
		if err := e.deleteMessages(ctx, x, ids, &t); err != nil {
			return err
		}
	}
	if err := pgCount(ctx, x, of.slot, t); err != nil || len(spawn) == 0 {
		return err
	}
	return e.insertBatch(ctx, x, of, spawn)
}

// deleteMessages removes messages that have no item left. They are locked first,
// and looked at by a later statement: see pgWords.
func (e *postgres) deleteMessages(ctx context.Context, x pgExecer, ids pgArrays, t *totals) error {
	args := ids.args()
	if _, err := x.x.ExecContext(ctx, `SELECT id FROM queue_messages WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE`, args...); err != nil {
		return err
	}
	var n, bytes int64
	rows, err := x.x.QueryContext(ctx, `WITH messages AS (
			DELETE FROM queue_messages m WHERE m.id = ANY($1::bigint[])
			AND NOT EXISTS (SELECT 1 FROM queue_items i WHERE i.message = m.id OFFSET 0)
			RETURNING m.id, m.size, m.body IS NULL AS pieces
		), pieces AS (DELETE FROM queue_pieces p WHERE p.message = ANY(ARRAY(SELECT m.id FROM messages m WHERE m.pieces)))
		SELECT count(*), coalesce(sum(size), 0)::bigint FROM messages`, args...)
	err = each(rows, err, func() error { return nil }, &n, &bytes)
	t.messages -= n
	t.bytes -= bytes
	return err
}

// leaseArrays returns the arguments of pgLeased.
func leaseArrays(all []*settlement) pgArrays {
	columns := make(pgArrays, 3)
	for _, s := range all {
		columns[0].int(int64(s.Lease.Message))
		columns[1].int(int64(s.Lease.N))
		columns[2].int(s.Lease.Token)
	}
	return columns
}

func (a pgArrays) outcome(o *outcomeRow) {
	a[0].int(o.message)
	a[1].int(o.time)
	a[2].bytes([]byte(o.destination))
	a[3].int(o.status)
	a[4].bytes(o.recipient)
}
