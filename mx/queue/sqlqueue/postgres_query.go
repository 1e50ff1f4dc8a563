package sqlqueue

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// pgRunner is a connection or a transaction.
type pgRunner interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// pgExecer is the execer of what all dialects have in common.
type pgExecer struct{ x pgRunner }

func (x pgExecer) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return x.x.QueryContext(ctx, numbered(query), octets(args)...)
}

func (x pgExecer) exec(ctx context.Context, query string, args ...any) (int64, error) {
	r, err := x.x.ExecContext(ctx, numbered(query), octets(args)...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// numbered writes "$1" and so on for each "?".
func numbered(query string) string {
	if !strings.Contains(query, "?") {
		return query
	}
	var b strings.Builder
	b.Grow(len(query) + 16)
	for n := 1; ; n++ {
		before, after, found := strings.Cut(query, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(n))
		query = after
	}
}

// octets makes octets of texts: a text for a bytea column would be read as the
// notation for octets.
func octets(args []any) []any {
	for i, arg := range args {
		if s, ok := arg.(string); ok {
			args[i] = []byte(s)
		}
	}
	return args
}

// reader returns a connection that is replaced when it turns out to be broken.
func (e *postgres) reader(caller context.Context) (querier, func(), error) {
	ctx, cancel := context.WithTimeout(caller, pgQueryTime)
	c, err := e.pool.get(ctx)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	r := &pgReader{e: e, caller: caller, ctx: ctx, c: c}
	return r, func() {
		cancel()
		e.pool.used(c, r.err)
		e.pool.put(c)
	}, nil
}

type pgReader struct {
	e      *postgres
	caller context.Context
	ctx    context.Context // ends with the reader, and in time
	c      *pgConn
	err    error
}

func (r *pgReader) query(_ context.Context, query string, args ...any) (*sql.Rows, error) {
	query, args = numbered(query), octets(args)
	for try := 1; ; try++ {
		rows, err := r.c.QueryContext(r.ctx, query, args...)
		r.err = err
		if !isBroken(err) || try > 1 || r.ctx.Err() != nil {
			return rows, because(r.caller, err)
		}
		r.e.pool.used(r.c, err)
		if err := r.e.pool.ready(r.ctx, r.c); err != nil {
			return nil, because(r.caller, err)
		}
	}
}
