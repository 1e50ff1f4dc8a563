package sqlqueue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/mx/queue"
)

// A Dialect is the kind of database.
type Dialect uint8

// The dialects.
const (
	// SQLite is SQLite 3.35 or later. Only one process may deliver from a database.
	// Open sees to the write-ahead log and to synchronous=FULL by itself, whatever
	// the data source name says.
	SQLite Dialect = iota + 1
	// PostgreSQL is PostgreSQL 12 or later. Any number of processes may deliver, on
	// machines whose clocks differ: times are kept by the server's, to the second. A
	// Store has at most 10 connections, and sees to it that they wait for the disk at
	// each commit: not through a pooler that lends a session for a transaction only,
	// which forgets. When the server is gone calls fail, at once or after 20 seconds if
	// it does not say so, and do not when it is back. See WakeChannel.
	PostgreSQL
)

// String returns the name of d.
func (d Dialect) String() string {
	switch d {
	case SQLite:
		return "SQLite"
	case PostgreSQL:
		return "PostgreSQL"
	}
	return fmt.Sprintf("Dialect(%d)", uint8(d))
}

// Options adjust a Store. The zero value is ready to use.
type Options struct {
	// InlineSize is up to which size, in octets, a content stands in one row with its
	// message, and in memory while it is received and delivered for the first time.
	// If zero, 64 KB. If negative, none does. At most 1 MB.
	InlineSize int
	// KeepOutcomes is how long outcomes are kept. If zero, none are recorded.
	KeepOutcomes time.Duration
	// FreeSpace says how many octets the disk has left, negative if that is not
	// known. If nil, the file system of an SQLite database is asked, where the
	// operating system lets us; of PostgreSQL it is not known.
	FreeSpace func() (int64, error)
	// CloseDB gives the database to the Store: Close closes it, and so does an Open
	// or Attach that fails. If false, it stays its owner's to close.
	CloseDB bool
	// Logger is for what an operator has to know. If nil, slog.Default().
	Logger *slog.Logger
}

// A Store is a queue.Store in a database. Use Open or Attach.
type Store struct {
	engine     engine
	opts       Options
	db         *sql.DB
	ids        interface{ Next(time.Time) queue.ID }
	dialect    Dialect
	attached   bool
	closed     atomic.Bool
	queryReady string
}

var _ queue.Store = (*Store)(nil)

// Open returns the Store in db, for the process that takes in and delivers. Tables
// are made, or brought up to date. With SQLite leases of earlier processes are
// void at once, and what a process has left behind that was ended in the middle of
// a message is removed.
//
// The Store uses connections of db until Close: with
// SQLite some of them all the time, so db must allow at least 3. If opts is nil,
// the zero value is used.
//
// The error says what is wrong with the database: that its tables are of a later
// version, or that it does not keep what it confirms.
func Open(ctx context.Context, db *sql.DB, d Dialect, opts *Options) (*Store, error) {
	return open(ctx, db, d, opts, false)
}

// Attach returns the Store in db for an operator's program that runs beside the one
// that delivers: Begin and Lease fail. Tables must be there and up to date.
func Attach(ctx context.Context, db *sql.DB, d Dialect, opts *Options) (*Store, error) {
	return open(ctx, db, d, opts, true)
}

func open(ctx context.Context, db *sql.DB, d Dialect, opts *Options, attach bool) (*Store, error) {
	s := &Store{attached: attach, db: db, dialect: d}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.InlineSize == 0 {
		s.opts.InlineSize = defaultInline
	}
	s.opts.InlineSize = max(0, min(s.opts.InlineSize, maxInline))
	if s.opts.Logger == nil {
		s.opts.Logger = slog.Default()
	}
	var err error
	switch d {
	case SQLite:
		s.engine, s.ids, err = openSQLite(ctx, db, &s.opts, attach)
	case PostgreSQL:
		s.engine, s.ids, err = openPostgres(ctx, db, &s.opts, attach)
	default:
		err = errors.New("no such dialect")
	}
	if err != nil {
		s.closeDB()
		return nil, fmt.Errorf("sqlqueue: open: %w", err)
	}
	s.queryReady = queryReady(s.engine.words())
	return s, nil
}

const (
	defaultInline = 64 << 10
	maxInline     = 1 << 20
	pieceSize     = 256 << 10 // of contents that do not stand inline
)

var (
	errAttached = errors.New("sqlqueue: attached to somebody else's queue")
	errNotOurs  = errors.New("sqlqueue: a transaction of another store")
)

// Dialect returns the kind of database that s is in.
func (s *Store) Dialect() Dialect { return s.dialect }

// Extend implements queue.Store.
func (s *Store) Extend(ctx context.Context, until time.Time, leases []queue.Lease) ([]queue.Lease, error) {
	if len(leases) == 0 {
		return nil, nil
	}
	lost, err := s.engine.extend(ctx, fromTime(until), leases)
	return lost, wrap("extend", err)
}

// Stats implements queue.Store.
func (s *Store) Stats(ctx context.Context) (queue.Stats, error) {
	st, err := s.engine.stats(ctx)
	if err != nil {
		return queue.Stats{}, wrap("stats", err)
	}
	st.Free = -1
	if s.opts.FreeSpace != nil {
		if st.Free, err = s.opts.FreeSpace(); err != nil {
			return queue.Stats{}, wrap("free space", err)
		}
	}
	return st, nil
}

// Close implements queue.Store. See Options.CloseDB.
func (s *Store) Close() error {
	s.closed.Store(true)
	err := s.engine.close()
	if e := s.closeDB(); err == nil {
		err = e
	}
	return wrap("close", err)
}

func (s *Store) closeDB() error {
	if !s.opts.CloseDB {
		return nil
	}
	return s.db.Close()
}

// wrap says who failed, once.
func wrap(what string, err error) error {
	for _, own := range []error{nil, queue.ErrFull, queue.ErrLost, queue.ErrNotFound, queue.ErrClosed, errAttached} {
		if err == own {
			return err
		}
	}
	if isFull(err) {
		return fmt.Errorf("sqlqueue: %s: %w: %w", what, queue.ErrFull, err)
	}
	return fmt.Errorf("sqlqueue: %s: %w", what, err)
}
