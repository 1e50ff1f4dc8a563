package sqlqueue

import (
	"context"
	"database/sql"
	"fmt"
)

// pgMigrations make the tables. Times are nanoseconds, see rows.go.
//
// What is text elsewhere is bytea: it has any octets, and its order is that of
// octets. Messages of a few kilobytes stand in their page, larger ones beside it,
// none is compressed: it would cost more than it saves.
var pgMigrations = []migration{
	{
		`CREATE TABLE queue_schema (version INTEGER NOT NULL)`,
		`INSERT INTO queue_schema (version) VALUES (0)`,
		`CREATE TABLE queue_messages (
			id BIGINT PRIMARY KEY,
			arrived BIGINT NOT NULL,
			size BIGINT NOT NULL,
			kind BIGINT NOT NULL,
			message BYTEA NOT NULL,
			body BYTEA
		) WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0)`,
		`ALTER TABLE queue_messages ALTER COLUMN body SET STORAGE EXTERNAL`,
		// n is 0 for the prefix.
		`CREATE TABLE queue_pieces (
			message BIGINT NOT NULL,
			n INTEGER NOT NULL,
			data BYTEA NOT NULL,
			PRIMARY KEY (message, n)
		) WITH (autovacuum_vacuum_scale_factor = 0.05)`,
		`ALTER TABLE queue_pieces ALTER COLUMN data SET STORAGE EXTERNAL`,
		// alone is 1 if the message never had another item.
		`CREATE TABLE queue_items (
			message BIGINT NOT NULL,
			due BIGINT NOT NULL,
			expires BIGINT NOT NULL,
			warn BIGINT NOT NULL,
			token BIGINT NOT NULL,
			leased BIGINT NOT NULL,
			n INTEGER NOT NULL,
			attempts INTEGER NOT NULL,
			held SMALLINT NOT NULL,
			alone SMALLINT NOT NULL,
			destination BYTEA NOT NULL,
			recipients BYTEA NOT NULL,
			PRIMARY KEY (message, n)
		) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0)`,
		// An item under a lease is ready when that is over.
		`CREATE INDEX queue_items_ready ON queue_items (destination, greatest(due, leased)) WHERE held = 0`,
		`CREATE INDEX queue_items_late ON queue_items (least(expires, warn)) WHERE held = 0`,
		`CREATE TABLE queue_outcomes (
			seq BIGSERIAL PRIMARY KEY,
			message BIGINT NOT NULL,
			time BIGINT NOT NULL,
			status INTEGER NOT NULL,
			destination BYTEA NOT NULL,
			recipient BYTEA NOT NULL
		)`,
		`CREATE INDEX queue_outcomes_message ON queue_outcomes (message, seq)`,
		// Each connection counts in a row of its own, so that none waits for another:
		// Stats are the sums. mark tells what was done last with the connection.
		`CREATE TABLE queue_totals (
			slot INTEGER PRIMARY KEY,
			mark BIGINT NOT NULL DEFAULT 0,
			messages BIGINT NOT NULL,
			bytes BIGINT NOT NULL,
			items BIGINT NOT NULL,
			held BIGINT NOT NULL,
			leased BIGINT NOT NULL
		) WITH (fillfactor = 20)`,
		// The processes that take in and deliver. first is below all IDs that a process
		// makes, seen when it was heard of last by the clock of the server.
		`CREATE TABLE queue_nodes (
			node INTEGER PRIMARY KEY,
			first BIGINT NOT NULL,
			seen TIMESTAMPTZ NOT NULL
		)`,
		`CREATE SEQUENCE queue_node MINVALUE 0 MAXVALUE 511 CYCLE`,
	},
}

// pgSchemaTx is a schemaTx.
type pgSchemaTx struct {
	pgExecer
	conn *sql.Conn
	tx   *sql.Tx
}

// pgBeginSchema waits for others who change tables. It has a connection without
// the limits of pgSession, for large tables take their time.
func pgBeginSchema(db *sql.DB) func(ctx context.Context) (schemaTx, error) {
	return func(ctx context.Context) (schemaTx, error) {
		conn, err := db.Conn(ctx)
		if err != nil {
			return nil, err
		}
		s := &pgSchemaTx{conn: conn}
		if s.tx, err = conn.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted}); err != nil {
			conn.Close()
			return nil, err
		}
		s.pgExecer = pgExecer{s.tx}
		if _, err := s.exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('postrider queue'), hashtext(current_schema()))`); err != nil {
			return nil, s.end(ctx, err)
		}
		return s, nil
	}
}

func (s *pgSchemaTx) hasTables(ctx context.Context) (ok bool, err error) {
	rows, err := s.query(ctx, `SELECT to_regclass('queue_schema') IS NOT NULL`)
	err = each(rows, err, func() error { return nil }, &ok)
	return ok, err
}

func (s *pgSchemaTx) end(ctx context.Context, err error) error {
	defer s.conn.Close()
	if err != nil {
		s.tx.Rollback()
		return err
	}
	return s.tx.Commit()
}

// pgCheck says what is wrong with a server that is to keep mail.
func pgCheck(ctx context.Context, db *sql.DB) error {
	var version int
	var fsync string
	var standby bool
	row := db.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::integer, current_setting('fsync'), pg_is_in_recovery()`)
	if err := row.Scan(&version, &fsync, &standby); err != nil {
		return err
	}
	switch {
	case version < 120000:
		return fmt.Errorf("PostgreSQL is of version %d, and has to be of 12 at least", version/10000)
	case fsync != "on":
		return fmt.Errorf("the server has fsync=%s: it does not keep what it confirms", fsync)
	case standby:
		return fmt.Errorf("the server is a standby")
	}
	return nil
}
