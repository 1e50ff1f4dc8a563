package sqlqueue

import (
	"context"
	"fmt"
)

// A migration brings the tables from one version to the next. What was released
// is not changed again.
type migration []string

// A schemaTx is a transaction in which tables are changed, and while it lasts
// nobody else's. It begins when it is made.
type schemaTx interface {
	execer
	// hasTables reports whether there is a queue_schema.
	hasTables(ctx context.Context) (bool, error)
	// end commits, or rolls back if err is not nil, and returns the first error.
	end(ctx context.Context, err error) error
}

// migrate brings the tables up to date, each version in a transaction of its own.
// If only is true it changes nothing, and they have to be.
func migrate(ctx context.Context, begin func(context.Context) (schemaTx, error), all []migration, only bool) error {
	for {
		tx, err := begin(ctx)
		if err != nil {
			return err
		}
		version, err := schemaVersion(ctx, tx)
		switch {
		case err != nil:
		case version > len(all):
			err = fmt.Errorf("the tables are of version %d and this program knows %d: it is too old", version, len(all))
		case version < len(all) && only:
			err = fmt.Errorf("the tables are of version %d and not %d: start the program that delivers first", version, len(all))
		case version < len(all):
			err = all[version].apply(ctx, tx, version+1)
		}
		if err := tx.end(ctx, err); err != nil || version == len(all) {
			return err
		}
	}
}

// schemaVersion returns 0 if there are no tables. It does not just ask and see: a
// query that fails is the end of a transaction of PostgreSQL.
func schemaVersion(ctx context.Context, tx schemaTx) (version int, err error) {
	ok, err := tx.hasTables(ctx)
	if err != nil || !ok {
		return 0, err
	}
	rows, err := tx.query(ctx, `SELECT version FROM queue_schema`)
	found := 0
	err = each(rows, err, func() error { found++; return nil }, &version)
	if err == nil && (found != 1 || version < 1) {
		err = fmt.Errorf("queue_schema does not have one row with a version")
	}
	return version, err
}

func (m migration) apply(ctx context.Context, tx execer, version int) error {
	for _, statement := range m {
		if _, err := tx.exec(ctx, statement); err != nil {
			return fmt.Errorf("to version %d of the tables: %w", version, err)
		}
	}
	_, err := tx.exec(ctx, `UPDATE queue_schema SET version = ?`, version)
	return err
}
