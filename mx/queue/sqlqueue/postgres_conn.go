package sqlqueue

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/postrider/postrider/mx/queue"
)

const (
	pgConns     = 10               // that a Store uses at the most
	pgQueryTime = 20 * time.Second // for a statement to return; what hangs longer has failed
	pgIdleTime  = time.Minute      // a connection that was idle longer is asked whether it lives
)

// pgSession is said to each connection. What is committed is durable whatever the
// settings of the server, the database or the role are; who asks for more by them
// gets it. A hung server or a client that is gone holds nobody up for long. Plans
// go by the indexes, each of which was made for its query: what the planner knows
// of a table that is empty now and full in a minute would not lead it there.
const pgSession = `SELECT
	set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')
		THEN 'on' ELSE current_setting('synchronous_commit') END, false),
	set_config('default_transaction_isolation', 'read committed', false),
	set_config('statement_timeout', '15s', false),
	set_config('lock_timeout', '10s', false),
	set_config('idle_in_transaction_session_timeout', '30s', false),
	set_config('enable_seqscan', 'off', false),
	set_config('enable_bitmapscan', 'off', false),
	set_config('enable_hashjoin', 'off', false),
	set_config('enable_mergejoin', 'off', false),
	set_config('plan_cache_mode', 'force_generic_plan', false),
	set_config('jit', 'off', false)`

// A pgConn is one of the connections that a pgPool may have, whether it is there
// or not.
type pgConn struct {
	*sql.Conn     // nil if it is not there
	slot      int // numbers them
	used      time.Time
	round     int // of the pool, in which it was made
}

// A pgPool has so many connections and no more, each of which has heard
// pgSession.
type pgPool struct {
	db *sql.DB

	mu    sync.Mutex
	idle  []*pgConn // the last is that which was used last
	round int       // those of earlier rounds are believed to be broken
	ended bool
	// free has a value for each of idle.
	free chan struct{}
	all  int
}

func newPGPool(db *sql.DB) *pgPool {
	n := pgConns
	if limit := db.Stats().MaxOpenConnections; limit > 0 {
		n = min(n, limit)
	}
	p := &pgPool{db: db, free: make(chan struct{}, n), all: n}
	for slot := range n {
		p.idle = append(p.idle, &pgConn{slot: slot})
		p.free <- struct{}{}
	}
	return p
}

// get returns a connection; put gives it back.
func (p *pgPool) get(ctx context.Context) (*pgConn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-p.free:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p.mu.Lock()
	c := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	ended := p.ended
	p.mu.Unlock()
	err := error(queue.ErrClosed)
	if !ended {
		err = p.ready(ctx, c)
	}
	if err != nil {
		p.put(c)
		return nil, err
	}
	return c, nil
}

// ready makes sure of c as far as that is cheap.
func (p *pgPool) ready(ctx context.Context, c *pgConn) error {
	p.mu.Lock()
	round := p.round
	p.mu.Unlock()
	if c.Conn != nil && (c.round != round || time.Since(c.used) > pgIdleTime && c.PingContext(ctx) != nil) {
		c.drop()
	}
	if c.Conn != nil {
		return nil
	}
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return connectError{err}
	}
	c.Conn, c.round = conn, round
	if _, err := conn.ExecContext(ctx, pgSession); err != nil {
		c.drop()
		return connectError{err}
	}
	return nil
}

// used looks at the error of what was done with a connection. One that is broken is
// closed, and with it all that are as old: a server that is gone has left none. A
// caller who does not wait breaks only his own.
func (p *pgPool) used(c *pgConn, err error) {
	c.used = time.Now()
	if c.Conn == nil || !isBroken(err) {
		return
	}
	c.drop()
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.round == p.round && !errors.Is(err, context.Canceled) {
		p.round++
	}
}

func (p *pgPool) put(c *pgConn) {
	p.mu.Lock()
	p.idle = append(p.idle, c)
	p.mu.Unlock()
	p.free <- struct{}{}
}

// close waits for all connections to be given back, and closes them.
func (p *pgPool) close() {
	p.mu.Lock()
	ended := p.ended
	p.ended = true
	p.mu.Unlock()
	if ended {
		return
	}
	for range p.all {
		<-p.free
	}
	for _, c := range p.idle {
		c.drop()
	}
	for range p.all { // whoever gets one hears that it is over
		p.free <- struct{}{}
	}
}

// drop closes the connection for good: nobody else is to get it with our settings.
func (c *pgConn) drop() {
	if c.Conn != nil {
		c.Conn.Raw(func(any) error { return driver.ErrBadConn })
		c.Conn.Close()
		c.Conn = nil
	}
}

// A connectError says that there is no connection, so that nothing has happened.
type connectError struct{ error }

func (e connectError) Error() string { return "no connection: " + e.error.Error() }
func (e connectError) Unwrap() error { return e.error }

// An uncertainError says that it is not known whether something has happened.
type uncertainError struct{ error }

func (e uncertainError) Error() string {
	return fmt.Sprintf("the connection was lost in the middle, and the message may be stored: %v", e.error)
}
func (e uncertainError) Unwrap() error { return e.error }

// sqlState returns the code with which PostgreSQL has answered: "" if it has not.
// All drivers that are in use have the method.
func sqlState(err error) string {
	if s := (interface{ SQLState() string })(nil); errors.As(err, &s) {
		return s.SQLState()
	}
	return ""
}

// isBroken reports whether err is that of a connection, which is of no more use.
func isBroken(err error) bool {
	if err == nil || errors.Is(err, errNode) || errors.Is(err, errStored) {
		return false
	}
	switch state := sqlState(err); {
	case state == "":
		return true
	case state[:min(2, len(state))] == "08": // connection_exception
		return true
	default:
		return state == "57P01" || state == "57P02" || state == "57P03" || state == "25P03"
	}
}

// isConflict reports whether a transaction was given up for the sake of another.
func isConflict(err error) bool {
	state := sqlState(err)
	return state == "40001" || state == "40P01"
}
