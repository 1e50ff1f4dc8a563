package sqlqueue

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"time"
)

// A pragma is what a connection is told. If check is not "", it is asked for
// afterwards what holds, and has to be one of the words.
type pragma struct {
	name, value string
	check       string
}

// Page and cache size were measured, see internal/sqltest.
var (
	sqliteWriting = []pragma{
		{"busy_timeout", "0", ""}, // whileBusy finds smaller gaps
		{"page_size", "4096", ""}, // counts when the file is made
		{"locking_mode", "NORMAL", "normal"},
		{"journal_mode", "WAL", "wal"},
		{"synchronous", "FULL", "2"},
		{"fullfsync", "ON", ""},            // on macOS, fsync alone does not reach the disk
		{"checkpoint_fullfsync", "ON", ""}, // likewise
		{"query_only", "OFF", "0"},
		{"foreign_keys", "OFF", ""}, // each statement says what it removes
		{"secure_delete", "OFF", ""},
		{"recursive_triggers", "OFF", ""},
		{"cache_size", "-16384", ""}, // KB
		{"temp_store", "MEMORY", ""},
		{"wal_autocheckpoint", "2000", ""},     // pages
		{"journal_size_limit", "67108864", ""}, // octets that the log keeps after it was large
		{"automatic_index", "OFF", ""},
	}
	sqliteReading = []pragma{
		{"busy_timeout", "5000", ""}, // milliseconds
		{"query_only", "ON", "1"},
		{"cache_size", "-2048", ""},
		{"temp_store", "MEMORY", ""},
		{"automatic_index", "OFF", ""},
	}
)

const (
	sqlitePatience   = 5 * time.Second
	attachedPatience = 30 * time.Second // who delivers comes first
)

// busyTexts are words of drivers that say that somebody else has a lock.
var busyTexts = []string{"database is locked", "SQLITE_BUSY"}

func isBusy(err error) bool { return containsAny(err.Error(), busyTexts) }

// A sqliteConn is a connection with the statements that were used on it. Contexts
// are for who waits: what runs is short, and a driver that watches a context
// starts a goroutine for each statement.
type sqliteConn struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt
	patience   time.Duration
	broken     bool // a statement has failed
}

// openSQLiteConn opens a connection that waits so long for locks.
func openSQLiteConn(ctx context.Context, db *sql.DB, pragmas []pragma, patience time.Duration) (*sqliteConn, error) {
	c := &sqliteConn{statements: map[string]*sql.Stmt{}, patience: patience}
	err := whileBusy(ctx, patience, func() (err error) {
		c.conn, err = db.Conn(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, p := range pragmas {
		if err := whileBusy(ctx, patience, func() error { return c.tell(ctx, p) }); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

// whileBusy tries again and again. SQLite waits for a lock itself if it is told so,
// but not for all of them, and looks only ten times a second whether it is free:
// between the groups of who writes all the time it is so for less than that.
func whileBusy(ctx context.Context, patience time.Duration, do func() error) error {
	const pause = time.Millisecond
	for end := time.Now().Add(patience); ; {
		err := do()
		if err == nil || !isBusy(err) || time.Now().After(end) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *sqliteConn) tell(ctx context.Context, p pragma) error {
	if _, err := c.conn.ExecContext(ctx, "PRAGMA "+p.name+" = "+p.value); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	if p.check == "" {
		return nil
	}
	var got string
	if err := c.conn.QueryRowContext(ctx, "PRAGMA "+p.name).Scan(&got); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	if !strings.EqualFold(got, p.check) {
		return fmt.Errorf("%s is %s and not %s", p.name, got, p.value)
	}
	return nil
}

func (c *sqliteConn) statement(query string) (*sql.Stmt, error) {
	if s := c.statements[query]; s != nil {
		return s, nil
	}
	s, err := c.conn.PrepareContext(context.Background(), query)
	if err == nil {
		c.statements[query] = s
	}
	return s, err
}

func (c *sqliteConn) query(_ context.Context, query string, args ...any) (*sql.Rows, error) {
	s, err := c.statement(query)
	if err != nil {
		c.broken = true
		return nil, err
	}
	rows, err := s.QueryContext(context.Background(), args...)
	c.broken = c.broken || err != nil
	return rows, err
}

func (c *sqliteConn) exec(_ context.Context, query string, args ...any) (int64, error) {
	s, err := c.statement(query)
	if err != nil {
		c.broken = true
		return 0, err
	}
	r, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		c.broken = true
		return 0, err
	}
	return r.RowsAffected()
}

func (c *sqliteConn) begin() error {
	return whileBusy(context.Background(), c.patience, func() error {
		_, err := c.exec(context.Background(), "BEGIN IMMEDIATE")
		return err
	})
}

// end commits if err is nil, rolls back otherwise or if that fails, and returns the
// first error.
func (c *sqliteConn) end(err error) error {
	if err == nil {
		_, err = c.exec(context.Background(), "COMMIT")
	}
	if err != nil {
		c.exec(context.Background(), "ROLLBACK") // fails if SQLite has done so by itself
	}
	return err
}

func (c *sqliteConn) transact(ctx context.Context, do func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.begin(); err != nil {
		return err
	}
	return c.end(do())
}

// close closes the connection. The pool does not get it back: who else uses that
// has not asked for our pragmas.
func (c *sqliteConn) close() {
	for _, s := range c.statements {
		s.Close()
	}
	c.conn.Raw(func(any) error { return driver.ErrBadConn })
	c.conn.Close()
}

// A sqliteSchemaTx is a transaction in which tables are changed.
type sqliteSchemaTx struct{ *sqliteConn }

func (c *sqliteConn) beginSchema(ctx context.Context) (schemaTx, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return sqliteSchemaTx{c}, c.begin()
}

func (tx sqliteSchemaTx) hasTables(ctx context.Context) (ok bool, err error) {
	rows, err := tx.query(ctx, `SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'queue_schema'`)
	err = each(rows, err, func() error { return nil }, &ok)
	return ok, err
}

func (tx sqliteSchemaTx) end(_ context.Context, err error) error { return tx.sqliteConn.end(err) }
