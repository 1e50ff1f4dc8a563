package sqlqueue

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"
)

// OpenDSN is Open for the database that dsn names, with the driver that the program
// has registered for it: "pgx" or "postgres" if dsn begins with postgres:// or
// postgresql://, else "sqlite" or "sqlite3". The database belongs to the Store: see
// Options.CloseDB.
func OpenDSN(ctx context.Context, dsn string, opts *Options) (*Store, error) {
	return openDSN(ctx, dsn, opts, false)
}

// AttachDSN is Attach as OpenDSN is Open. It makes no SQLite file that is not there.
func AttachDSN(ctx context.Context, dsn string, opts *Options) (*Store, error) {
	return openDSN(ctx, dsn, opts, true)
}

// drivers are the names under which drivers register themselves, the best first.
var drivers = map[Dialect][]string{SQLite: {"sqlite", "sqlite3"}, PostgreSQL: {"pgx", "postgres"}}

func openDSN(ctx context.Context, dsn string, opts *Options, attach bool) (*Store, error) {
	d := SQLite
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		d = PostgreSQL
	}
	there := sql.Drivers()
	at := slices.IndexFunc(drivers[d], func(name string) bool { return slices.Contains(there, name) })
	if at < 0 {
		return nil, fmt.Errorf("sqlqueue: open: no driver for %v is imported", d)
	}
	if path := fileOf(dsn); attach && d == SQLite && path != "" {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("sqlqueue: there is no queue %s", path)
		}
	}
	db, err := sql.Open(drivers[d][at], dsn)
	if err != nil {
		return nil, fmt.Errorf("sqlqueue: open: %w", err)
	}
	var own Options
	if opts != nil {
		own = *opts
	}
	own.CloseDB = true
	return open(ctx, db, d, &own, attach)
}

// fileOf returns the file that the data source name of an SQLite database is of; "" if
// it is of none, or of one that only SQLite can tell.
func fileOf(dsn string) string {
	path, _, _ := strings.Cut(dsn, "?")
	if u, err := url.Parse(path); strings.HasPrefix(path, "file:") {
		if path = ""; err == nil {
			relative, _ := url.PathUnescape(u.Opaque)
			path = cmp.Or(u.Path, relative)
		}
	}
	if strings.HasPrefix(path, ":") || strings.Contains(dsn, "mode=memory") {
		return ""
	}
	return path
}
