package sqlqueue

import (
	"cmp"
	"context"
	"slices"

	"github.com/postrider/postrider/mx/queue"
)

// pgTake returns the statement that leases the items that a condition picks, first
// come first served. It waits for nobody: what another has locked is leased
// already, or about to go.
func pgTake(where, order string) string {
	return `WITH p AS MATERIALIZED (
			SELECT i.message, i.n, i.leased FROM queue_items i
			WHERE i.held = 0 AND ` + where + `
			ORDER BY ` + order + ` LIMIT $1 FOR UPDATE SKIP LOCKED
		), i AS (
			UPDATE queue_items u SET token = u.token + 1, leased = $2 FROM p WHERE u.message = p.message AND u.n = p.n
			AND u.message = ANY(ARRAY(SELECT p.message FROM p)) -- see pgLeased
			RETURNING u.*
		), t AS (
			` + pgTotals + `SELECT $3::integer, 0, 0, 0, 0, count(*) FROM p WHERE p.leased = 0 HAVING count(*) > 0` + pgTotalsAdd + `
		)
		SELECT ` + itemColumns + `, ` + messageColumns + ` FROM i ` + pgWords.joinMessage
}

var (
	pgTakeDue  = pgTake(`i.destination = $5 AND greatest(i.due, i.leased) <= $4`, `greatest(i.due, i.leased)`)
	pgTakeLate = pgTake(`least(i.expires, i.warn) <= $4 AND i.leased <= $4`, `least(i.expires, i.warn)`)
)

func (e *postgres) lease(ctx context.Context, r leaseRequest) (taken []leasedRow, err error) {
	query, args := pgTakeLate, []any{r.max, e.phrases.there(r.until), 0, e.phrases.there(r.now)}
	if !r.late {
		query, args = pgTakeDue, append(args, []byte(r.destination))
	}
	err = e.do(ctx, func(ctx context.Context, c *pgConn) error {
		args[2] = e.slot(c)
		taken = taken[:0]
		var row leasedRow
		rows, err := c.QueryContext(ctx, query, args...)
		return each(rows, err, func() error {
			row.item.here(&e.phrases)
			taken = append(taken, row)
			row = leasedRow{}
			return nil
		}, append(row.item.fields(), row.message.fields()...)...)
	})
	slices.SortFunc(taken, func(a, b leasedRow) int {
		if r.late {
			return cmp.Compare(min(a.item.expires, a.item.warn), min(b.item.expires, b.item.warn))
		}
		return cmp.Compare(a.item.due, b.item.due)
	})
	return taken, err
}

// extend needs no flush: a lease that ends earlier than it was thought to is
// fenced like any other.
func (e *postgres) extend(ctx context.Context, until int64, leases []queue.Lease) ([]queue.Lease, error) {
	columns := make(pgArrays, 3)
	for _, l := range leases {
		columns[0].int(int64(l.Message))
		columns[1].int(int64(l.N))
		columns[2].int(l.Token)
	}
	var kept map[queue.Lease]bool
	err := e.do(ctx, func(ctx context.Context, c *pgConn) error {
		kept = make(map[queue.Lease]bool, len(leases))
		var l queue.Lease
		rows, err := c.QueryContext(ctx, pgExtend, columns.args(e.phrases.there(until))...)
		return each(rows, err, func() error { kept[l] = true; return nil }, &l.Message, &l.N, &l.Token)
	})
	if err != nil {
		return nil, err
	}
	var lost []queue.Lease
	for _, l := range leases {
		if !kept[queue.Lease{Message: l.Message, N: l.N, Token: l.Token}] {
			lost = append(lost, l)
		}
	}
	return lost, nil
}

var pgExtend = `WITH s AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
	p AS MATERIALIZED (
		SELECT i.message, i.n FROM s, ` + pgLeased("$2", "$3", "$4") + `
	)
	UPDATE queue_items u SET leased = $1 FROM p WHERE u.message = p.message AND u.n = p.n AND u.message = ANY($2)
	RETURNING u.message, u.n, u.token`
