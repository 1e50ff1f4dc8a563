package sqlqueue

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/postrider/postrider/mx/queue"
)

// keepHouse does what has to be done now and then.
func (e *postgres) keepHouse(ctx context.Context) {
	swept := time.Now()
	more := e.drops.more
	for {
		todo, sweep := []func(context.Context, *pgConn) error{e.drops.drop}, false
		timer := time.NewTimer(pgBeatEvery*4/5 + rand.N(pgBeatEvery*2/5))
		select {
		case <-more:
		case <-timer.C:
			todo = append(todo, e.clock.measure, e.node.beat, e.forgetOutcomes)
			if time.Since(swept) > pgSweepEvery {
				swept, sweep = time.Now(), true
			}
		case <-ctx.Done():
		}
		timer.Stop()
		more = e.drops.more
		var err error
		for i := 0; i < len(todo) && err == nil; i++ {
			err = e.do(ctx, todo[i])
		}
		if sweep && err == nil {
			err = e.sweep(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			e.log.Warn("sqlqueue: PostgreSQL", "error", err)
			more = nil // not before the next beat
		}
	}
}

// tellOthers notifies. It is no part of the transactions that there is something
// to tell about: those that notify are committed one after another.
func (e *postgres) tellOthers(ctx context.Context) {
	tick := time.NewTicker(pgWakeEvery)
	defer tick.Stop()
	for {
		select {
		case <-e.wakes:
			e.notify(ctx)
		case <-ctx.Done():
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// notify may fail: others look by themselves, if later.
func (e *postgres) notify(ctx context.Context) {
	e.do(ctx, func(ctx context.Context, c *pgConn) error {
		_, err := c.ExecContext(ctx, `SELECT pg_notify($1, '')`, WakeChannel)
		return err
	})
}

func (e *postgres) wake() {
	select {
	case e.wakes <- struct{}{}:
	default:
	}
}

// forgetOutcomes removes those that were kept long enough.
func (e *postgres) forgetOutcomes(ctx context.Context, c *pgConn) error {
	for e.keep > 0 {
		r, err := c.ExecContext(ctx, `DELETE FROM queue_outcomes WHERE seq IN (
			SELECT o.seq FROM (SELECT seq, time FROM queue_outcomes ORDER BY seq LIMIT $1) o WHERE o.time < $2)`,
			pgOutcomesAtom, fromTime(time.Now().Add(-e.keep)))
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n < pgOutcomesAtom {
			return err
		}
	}
	return nil
}

// pgDrops are messages that will not be, whose pieces are to be removed.
type pgDrops struct {
	more chan struct{} // has a value when there are new ones

	mu    sync.Mutex
	ids   []queue.ID
	doubt map[queue.ID]bool // those that may be stored
}

const pgMaxDrops = 1 << 16 // while the database is gone; what is more is swept when we are

func (e *postgres) dropPieces(id queue.ID) {
	d := &e.drops
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.ids) < pgMaxDrops {
		d.ids = append(d.ids, id)
	}
	select {
	case d.more <- struct{}{}:
	default:
	}
}

// tried notes how it has ended to store a message: if with an error, it may be
// stored all the same, unless it has said that there is no room.
func (d *pgDrops) tried(m *newMessage, err error) {
	if m.pieces < 2 { // none was put before
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch id := queue.ID(m.id); {
	case err == nil:
		delete(d.doubt, id)
	case len(d.doubt) < pgMaxDrops && !isFull(err):
		if d.doubt == nil {
			d.doubt = map[queue.ID]bool{}
		}
		d.doubt[id] = true
	}
}

func (d *pgDrops) drop(ctx context.Context, c *pgConn) error {
	for {
		d.mu.Lock()
		if len(d.ids) == 0 {
			d.mu.Unlock()
			return nil
		}
		id := d.ids[0]
		doubt := d.doubt[id]
		d.mu.Unlock()
		if err := pgDrop(ctx, c, id, doubt); err != nil {
			return err
		}
		d.mu.Lock()
		d.ids = d.ids[1:] // nobody else takes any away
		delete(d.doubt, id)
		d.mu.Unlock()
	}
}

// pgDrop removes the pieces of a message, unless it is there. If that is in doubt,
// a transaction that stores it may still go on without a connection: then the first
// statement waits for its end, or keeps it from happening. Else nothing is done that
// a full disk has no room for.
func pgDrop(ctx context.Context, c *pgConn, id queue.ID, doubt bool) error {
	return inTx(ctx, c, func(x pgExecer) error {
		if doubt {
			n, err := x.exec(ctx, `INSERT INTO queue_messages (id, arrived, size, kind, message)
				VALUES (?, 0, 0, 0, '') ON CONFLICT DO NOTHING`, int64(id))
			if err != nil || n == 0 {
				return err
			}
		}
		if !doubt {
			_, err := x.exec(ctx, execDropPieces, int64(id), int64(id))
			return err
		}
		if _, err := x.exec(ctx, execDeletePiece, int64(id)); err != nil {
			return err
		}
		_, err := x.exec(ctx, `DELETE FROM queue_messages WHERE id = ?`, int64(id))
		return err
	})
}
