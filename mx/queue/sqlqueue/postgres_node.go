package sqlqueue

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/mx/queue"
)

// errNode says that others took this process for gone and may have removed the
// pieces that it has put.
var errNode = errors.New("taken for gone by others that share the queue")

// A pgNode is this process among those that share the queue. It has a number that
// no other has, for its IDs, and its pieces stand without a message as long as it
// lives.
type pgNode struct {
	now  atomic.Pointer[pgIdentity]
	mark atomic.Int64 // see pgMark
}

type pgIdentity struct {
	ids   queue.IDs
	first queue.ID // below all of ids
}

// Next returns the next ID.
func (n *pgNode) Next(now time.Time) queue.ID { return n.now.Load().ids.Next(now) }

func (n *pgNode) number() int { return n.now.Load().ids.Node }

// pgForget takes those for gone who have not been heard of for long. A message
// with pieces is stored only by who is not, so that nothing is removed of it.
const pgForget = `DELETE FROM queue_nodes WHERE seen < clock_timestamp() - interval '10 minutes'`

// register gets a number: that which was not used for longest, as far as it is
// free.
func (n *pgNode) register(ctx context.Context, c *pgConn) error {
	if _, err := c.ExecContext(ctx, pgForget); err != nil {
		return err
	}
	var mark int64
	if err := c.QueryRowContext(ctx, `SELECT coalesce(max(mark), 0) FROM queue_totals`).Scan(&mark); err != nil {
		return err
	}
	for last := n.mark.Load(); last < mark && !n.mark.CompareAndSwap(last, mark); last = n.mark.Load() {
	}
	for range 512 {
		next := new(pgIdentity)
		if err := c.QueryRowContext(ctx, `SELECT nextval('queue_node')`).Scan(&next.ids.Node); err != nil {
			return err
		}
		next.first = next.ids.Next(time.Now())
		r, err := c.ExecContext(ctx, `INSERT INTO queue_nodes (node, first, seen) VALUES ($1, $2, clock_timestamp())
			ON CONFLICT DO NOTHING`, next.ids.Node, int64(next.first))
		if err != nil {
			return err
		}
		if inserted, err := r.RowsAffected(); err != nil || inserted == 1 {
			n.now.Store(next)
			return err
		}
	}
	return errors.New("512 processes share the queue")
}

// beat says that this process lives.
func (n *pgNode) beat(ctx context.Context, c *pgConn) error {
	now := n.now.Load()
	r, err := c.ExecContext(ctx, `UPDATE queue_nodes SET seen = clock_timestamp() WHERE node = $1 AND first = $2`,
		now.ids.Node, int64(now.first))
	if err != nil {
		return err
	}
	if found, err := r.RowsAffected(); err != nil || found == 1 {
		return err
	}
	return n.register(ctx, c)
}

func (n *pgNode) leave(ctx context.Context, c *pgConn) error {
	now := n.now.Load()
	_, err := c.ExecContext(ctx, `DELETE FROM queue_nodes WHERE node = $1 AND first = $2`, now.ids.Node, int64(now.first))
	return err
}

// pgOrphans looks at messages that have pieces, from one to the next by the index,
// and says whether they will not be: there is no message, and its node is gone.
const (
	pgOrphans = `WITH RECURSIVE p (message) AS (
			(SELECT q.message FROM queue_pieces q WHERE q.message > $1 ORDER BY q.message LIMIT 1)
			UNION ALL
			SELECT (SELECT q.message FROM queue_pieces q WHERE q.message > p.message ORDER BY q.message LIMIT 1)
			FROM p WHERE p.message IS NOT NULL
		)
		SELECT p.message, NOT EXISTS (SELECT 1 FROM queue_messages m WHERE m.id = p.message)
			AND NOT EXISTS (SELECT 1 FROM queue_nodes n WHERE n.node = (p.message >> 12) & 511 AND n.first <= p.message)
		FROM p WHERE p.message IS NOT NULL LIMIT $2`
	pgOrphansPart = 1000
)

// sweep removes the pieces of messages that will not be. Who is not among the nodes
// when it is looked does not become it again for a message begun before.
func (e *postgres) sweep(ctx context.Context) error {
	err := e.do(ctx, func(ctx context.Context, c *pgConn) error {
		_, err := c.ExecContext(ctx, pgForget) // before anything is looked at
		return err
	})
	last, looked := int64(math.MinInt64), pgOrphansPart
	for err == nil && looked == pgOrphansPart {
		var orphans []int64
		after := last
		err = e.do(ctx, func(ctx context.Context, c *pgConn) error {
			orphans, looked = nil, 0
			var is bool
			rows, err := c.QueryContext(ctx, pgOrphans, after, pgOrphansPart)
			return each(rows, err, func() error {
				looked++
				if is {
					orphans = append(orphans, last)
				}
				return nil
			}, &last, &is)
		})
		for some := range slices.Chunk(orphans, 16) {
			if err != nil {
				break
			}
			ids := make(pgArrays, 1)
			for _, id := range some {
				ids[0].int(id)
			}
			err = e.do(ctx, func(ctx context.Context, c *pgConn) error {
				_, err := c.ExecContext(ctx, `DELETE FROM queue_pieces WHERE message = ANY($1::bigint[])`, ids.args()...)
				return err
			})
		}
	}
	return err
}

// A pgClock knows how the clock of the server differs from ours. All who share a
// queue go by the server's: a time is stored as it was there, and comes back as it
// is here. What is less than a second is no difference, lest times change as they
// come back.
type pgClock struct{ ahead atomic.Int64 }

func (k *pgClock) skew() int64 { return k.ahead.Load() }

func (k *pgClock) measure(ctx context.Context, c *pgConn) error {
	var there int64
	before := time.Now()
	err := c.QueryRowContext(ctx, `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint * 1000`).Scan(&there)
	if err != nil {
		return err
	}
	took := time.Since(before)
	k.set(time.Duration(there-before.Add(took/2).UnixNano()), took)
	return nil
}

// set takes a measurement that took so long.
func (k *pgClock) set(ahead, took time.Duration) {
	change := ahead - time.Duration(k.ahead.Load())
	if change.Abs() < time.Second+took/2 {
		return
	}
	k.ahead.Store(int64(ahead.Round(time.Second)))
}
