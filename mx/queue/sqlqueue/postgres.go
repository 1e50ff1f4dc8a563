package sqlqueue

import (
	"context"
	"database/sql"
	"log/slog"
	"sync"
	"time"

	"github.com/postrider/postrider/mx/queue"
)

// WakeChannel is the channel on which a Store in PostgreSQL notifies when there is
// something to deliver that nobody has leased yet, at most ten times a second and
// without a payload. A program that listens to it feeds Runner.Wake.
const WakeChannel = "queue_wake"

const (
	pgWakeEvery    = 100 * time.Millisecond
	pgBeatEvery    = 20 * time.Second // a node says that it lives
	pgSweepEvery   = 10 * time.Minute
	pgOutcomesAtom = 1000 // that are removed at a time

	pgInserters, pgSettlers = 3, 3 // connections that are used at a time
	pgInserted, pgSettled   = 32, 128
)

// postgres is the engine for PostgreSQL.
type postgres struct {
	pool    *pgPool
	keep    time.Duration // outcomes
	log     *slog.Logger
	node    *pgNode // nil if attached
	clock   pgClock
	phrases words

	inserting [pgInserted + 1]string // pgInsert, by the number of messages
	inserts   group[*newMessage]
	settles   group[*settlement]

	wakes  chan struct{} // has a value when there is something to tell
	drops  pgDrops
	loops  sync.WaitGroup
	stop   context.CancelFunc
	closed func() error
}

func openPostgres(ctx context.Context, db *sql.DB, opts *Options, attach bool) (_ engine, _ *pgNode, err error) {
	if err := pgCheck(ctx, db); err != nil {
		return nil, nil, err
	}
	if err := migrate(ctx, pgBeginSchema(db), pgMigrations, attach); err != nil {
		return nil, nil, err
	}
	e := &postgres{pool: newPGPool(db), keep: opts.KeepOutcomes, log: opts.Logger, wakes: make(chan struct{}, 1)}
	e.drops.more = make(chan struct{}, 1)
	defer func() {
		if err != nil {
			e.pool.close()
		}
	}()
	e.closed = sync.OnceValue(e.end)
	e.phrases = pgWords
	e.phrases.skew = e.clock.skew
	for n := range e.inserting {
		e.inserting[n] = pgInsert(n)
	}
	e.inserts = group[*newMessage]{workers: pgInserters, most: pgInserted, do: e.insertAll}
	e.settles = group[*settlement]{workers: pgSettlers, most: pgSettled, do: e.settleAll}
	if err := e.do(ctx, e.clock.measure); err != nil {
		return nil, nil, err
	}
	if attach {
		e.stop = func() {}
		return e, nil, nil
	}
	e.node = new(pgNode)
	if err := e.do(ctx, e.node.register); err != nil {
		return nil, nil, err
	}
	if err := e.sweep(ctx); err != nil {
		return nil, nil, err
	}
	background, stop := context.WithCancel(context.Background())
	e.stop = stop
	e.loops.Go(func() { e.keepHouse(background) })
	e.loops.Go(func() { e.tellOthers(background) })
	return e, e.node, nil
}

func (e *postgres) close() error { return e.closed() }

func (e *postgres) end() error {
	e.stop()
	e.loops.Wait()
	e.inserts.close(queue.ErrClosed)
	e.settles.close(queue.ErrClosed)
	var err error
	if e.node != nil {
		if len(e.wakes) > 0 {
			e.notify(context.Background())
		}
		e.do(context.Background(), e.drops.drop) // or who comes next sweeps them
		err = e.do(context.Background(), e.node.leave)
	}
	e.pool.close()
	return err
}

// stats adds up few rows. The oldest messages have the smallest IDs, but those of
// the same minutes may have arrived in another order than they began.
func (e *postgres) stats(ctx context.Context) (s queue.Stats, err error) {
	var oldest sql.NullInt64
	err = e.do(ctx, func(ctx context.Context, c *pgConn) error {
		return c.QueryRowContext(ctx, `SELECT coalesce(sum(messages), 0)::bigint, coalesce(sum(bytes), 0)::bigint,
				coalesce(sum(items), 0)::bigint, coalesce(sum(held), 0)::bigint, coalesce(sum(leased), 0)::bigint,
				(SELECT min(m.arrived) FROM (SELECT arrived FROM queue_messages ORDER BY id LIMIT 100) m)
			FROM queue_totals`).Scan(&s.Messages, &s.Bytes, &s.Items, &s.Held, &s.Leased, &oldest)
	})
	s.Oldest = toTime(oldest.Int64)
	return s, err
}

var pgWords = words{
	greatest: "greatest",
	least:    "least",
	lock:     ` FOR UPDATE OF i`,
	// OFFSET 0 keeps it as it is written: see pgLeased. The body is not in it: FOR UPDATE
	// makes a copy of all that is.
	joinMessage: `CROSS JOIN LATERAL (SELECT ` + messageColumns + ` FROM queue_messages m WHERE m.id = i.message OFFSET 0) m`,
	// Whoever takes the last item of a message away has to see what others, who have
	// taken the one before, have committed: what a statement sees was settled when it
	// began, and this one lasts until they have.
	lockMessage: `SELECT m.id FROM queue_messages m WHERE m.id = ? FOR UPDATE`,
}

func (e *postgres) words() *words { return &e.phrases }

// transact is a transaction for operators. Items are locked in the order of their
// keys and before their messages, as in all transactions, so none waits for the
// other in a circle.
func (e *postgres) transact(ctx context.Context, do func(tx execer) (totals, error)) error {
	err := e.do(ctx, func(ctx context.Context, c *pgConn) error {
		return inTx(ctx, c, func(x pgExecer) error {
			t, err := do(x)
			if err != nil {
				return err
			}
			return pgCount(ctx, x, e.slot(c), t)
		})
	})
	if err == nil {
		e.notify(ctx)
	}
	return err
}

// slot returns the row of queue_totals that is that of a connection.
func (e *postgres) slot(c *pgConn) int {
	if e.node == nil {
		return -1 - c.slot
	}
	return e.node.number()*pgConns + c.slot
}

// pgCount adds to the totals.
func pgCount(ctx context.Context, x pgExecer, slot int, t totals) error {
	if t == (totals{}) {
		return nil
	}
	_, err := x.x.ExecContext(ctx, pgTotals+`VALUES ($1, $2, $3, $4, $5, $6)`+pgTotalsAdd,
		slot, t.messages, t.bytes, t.items, t.held, t.leased)
	return err
}

// pgTotals and pgTotalsAdd stand around the row that is to be added.
const (
	pgTotals    = `INSERT INTO queue_totals AS t (slot, messages, bytes, items, held, leased) `
	pgTotalsAdd = ` ON CONFLICT (slot) DO UPDATE SET messages = t.messages + excluded.messages, bytes = t.bytes + excluded.bytes,
		items = t.items + excluded.items, held = t.held + excluded.held, leased = t.leased + excluded.leased`
)
