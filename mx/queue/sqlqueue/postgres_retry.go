package sqlqueue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	pgTries     = 8                // of a transaction that is given up for others
	pgCertainty = 10 * time.Second // to find out whether what was sent has happened
)

// do calls what with a connection, and calls it again with another if the
// connection was broken, or the transaction given up. It is for what may be done
// twice.
func (e *postgres) do(caller context.Context, what func(ctx context.Context, c *pgConn) error) error {
	ctx, cancel := context.WithTimeout(caller, pgQueryTime)
	defer cancel()
	for try, lost := 1, 0; ; try++ {
		sent, err := e.try(ctx, what)
		switch {
		case err == nil:
			return nil
		case isConflict(err) && try < pgTries:
		case sent && isBroken(err) && lost == 0 && ctx.Err() == nil: // it may have been so for long
			lost++
		default:
			return because(caller, err)
		}
		if !pause(ctx, try) {
			return because(caller, err)
		}
	}
}

// because returns the error of a context that has ended, which shows as something
// else now and then.
func because(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil && err != nil && !errors.Is(err, ended) {
		return fmt.Errorf("%w: %v", ended, err)
	}
	return err
}

// doOnce is do for what carries the mark that it is given, and returns errStored
// when the mark is there already. It keeps the connection's slot until it ends.
// When the connection is lost it goes on until it is known what has happened, or
// too much time has passed.
func (e *postgres) doOnce(ctx context.Context, what func(ctx context.Context, c *pgConn, of pgMark) error) error {
	ctx, cancel := context.WithTimeout(ctx, pgQueryTime)
	defer cancel()
	c, err := e.pool.get(ctx)
	if err != nil {
		return err
	}
	defer e.pool.put(c)
	of := e.mark(c)
	var lost error // not nil if it may have happened
	var end time.Time
	for try := 1; ; try++ {
		if err = e.pool.ready(ctx, c); err == nil {
			err = what(ctx, c, of)
			e.pool.used(c, err)
		}
		switch {
		case err == nil || lost != nil && errors.Is(err, errStored):
			return nil
		case isConflict(err) && try < pgTries:
		case isBroken(err) || lost != nil && errors.As(err, new(connectError)):
			if lost == nil {
				lost, end = err, time.Now().Add(pgCertainty)
			}
		default:
			return err
		}
		if lost != nil && time.Now().After(end) || !pause(ctx, try) {
			if lost != nil {
				return uncertainError{lost}
			}
			return err
		}
	}
}

// try reports whether there was a connection, with which something may have
// happened.
func (e *postgres) try(ctx context.Context, what func(ctx context.Context, c *pgConn) error) (sent bool, err error) {
	c, err := e.pool.get(ctx)
	if err != nil {
		return false, err
	}
	defer e.pool.put(c)
	err = what(ctx, c)
	e.pool.used(c, err)
	return true, err
}

// pause waits, longer each time, and reports whether ctx lasts.
func pause(ctx context.Context, try int) bool {
	if try == 1 {
		return ctx.Err() == nil
	}
	longest := min(500*time.Millisecond, time.Millisecond<<min(try, 10))
	timer := time.NewTimer(longest/2 + rand.N(longest/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// inTx calls what in a transaction and commits it.
func inTx(ctx context.Context, c *pgConn, what func(x pgExecer) error) error {
	tx, err := c.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := what(pgExecer{tx}); err != nil {
		if end := tx.Rollback(); end != nil && !errors.Is(end, sql.ErrTxDone) {
			c.drop()
		}
		return err
	}
	return tx.Commit()
}
