package sqlqueue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"

	"github.com/postrider/postrider/mx/queue"
)

// A sqliteEngine has one connection that writes and some that read, for itself as
// long as it lives: so what a connection was told with PRAGMA holds.
type sqliteEngine struct {
	db      *sql.DB
	opts    *Options
	attach  bool
	path    string // of the database's file; "" if it has none
	file    os.FileInfo
	run     int64 // numbers the processes that have delivered
	writer  sqliteWriter
	readers sqliteReaders

	purging struct { // of the writer
		recorded int
		now      int64 // when the last was
	}
}

var sqliteWords = &words{greatest: "max", least: "min", joinMessage: "JOIN queue_messages m ON m.id = i.message"}

// errSuperseded says that somebody else has opened the queue. It is better to do
// nothing than to deliver everything twice.
var errSuperseded = errors.New("another process has opened the queue")

var (
	errOtherFile = errors.New("the database's file is another")
	errNoTotals  = errors.New("queue_totals has no row, or several")
)

func openSQLite(ctx context.Context, db *sql.DB, opts *Options, attach bool) (engine, *queue.IDs, error) {
	most := db.Stats().MaxOpenConnections
	if most == 1 || most == 2 {
		return nil, nil, fmt.Errorf("the database allows %d connections, and 3 are needed", most)
	}
	e := &sqliteEngine{db: db, opts: opts, attach: attach}
	c, err := e.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := e.prepare(ctx, c); err != nil {
		c.close()
		return nil, nil, err
	}
	if opts.FreeSpace == nil && e.path != "" {
		opts.FreeSpace = freeSpaceOf(e.path)
	}
	e.readers.start(db, most)
	e.writer.start(e, c)
	return e, &queue.IDs{Node: int(e.run)}, nil
}

// connect opens a connection that writes.
func (e *sqliteEngine) connect(ctx context.Context) (*sqliteConn, error) {
	patience := sqlitePatience
	if e.attach {
		patience = attachedPatience
	}
	return openSQLiteConn(ctx, e.db, sqliteWriting, patience)
}

func (e *sqliteEngine) words() *words { return sqliteWords }

// prepare brings the tables up to date and, if we are to deliver, takes over what
// an earlier process has left.
func (e *sqliteEngine) prepare(ctx context.Context, c *sqliteConn) error {
	begin := func(ctx context.Context) (schemaTx, error) { return c.beginSchema(ctx) }
	if err := migrate(ctx, begin, sqliteMigrations, e.attach); err != nil {
		return err
	}
	rows, err := c.query(ctx, `SELECT file FROM pragma_database_list WHERE name = 'main'`)
	if err := each(rows, err, func() error { return nil }, &e.path); err != nil {
		return err
	}
	if e.path != "" {
		if e.file, err = os.Stat(e.path); err != nil {
			return err
		}
	}
	for _, query := range sqliteQueries { // some table may be missing
		if _, err := c.statement(query); err != nil {
			return err
		}
	}
	if e.attach {
		return nil
	}
	if err := e.takeOver(ctx, c); err != nil {
		return err
	}
	if err := sweepSQLite(ctx, c); err != nil {
		return err
	}
	return e.purgeAll(ctx, c)
}

// takeOver makes every earlier lease void, and every earlier process stop: see
// count.
func (e *sqliteEngine) takeOver(ctx context.Context, c *sqliteConn) error {
	return c.transact(ctx, func() error {
		if _, err := c.exec(ctx, `UPDATE queue_totals SET run = run + 1`); err != nil {
			return err
		}
		t, err := readTotals(ctx, c)
		if err != nil {
			return err
		}
		e.run = t.run
		if t.leased == 0 {
			return nil
		}
		// The only statement that looks at every item.
		if _, err := c.exec(ctx, `UPDATE queue_items SET leased = 0 WHERE leased <> 0`); err != nil {
			return err
		}
		_, err = c.exec(ctx, `UPDATE queue_totals SET leased = 0`)
		return err
	})
}

// sweepSQLite removes the pieces of messages that were never committed, each
// message's in a transaction of its own.
func sweepSQLite(ctx context.Context, c *sqliteConn) error {
	var id int64
	var orphans []int64
	rows, err := c.query(ctx, `SELECT DISTINCT p.message FROM queue_pieces p
		WHERE NOT EXISTS (SELECT 1 FROM queue_messages m WHERE m.id = p.message)`)
	if err := each(rows, err, func() error { orphans = append(orphans, id); return nil }, &id); err != nil {
		return err
	}
	for _, id := range orphans {
		err := c.transact(ctx, func() error {
			_, err := c.exec(ctx, execDropPieces, id, id)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *sqliteEngine) reader(ctx context.Context) (querier, func(), error) {
	return e.readers.take(ctx)
}

func (e *sqliteEngine) close() error {
	e.writer.close()
	e.readers.close()
	return nil
}

// checkFile reports that the database's file is not there any more: SQLite writes
// to one that was removed as if nothing had happened. If it is another file, it
// returns true.
func (e *sqliteEngine) checkFile() (other bool, err error) {
	if e.path == "" {
		return false, nil
	}
	info, err := os.Stat(e.path)
	if err != nil {
		return false, err
	}
	if os.SameFile(info, e.file) {
		return false, nil
	}
	e.file = info
	return true, nil
}
