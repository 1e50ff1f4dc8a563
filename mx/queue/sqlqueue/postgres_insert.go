package sqlqueue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/postrider/postrider/mx/queue"
)

// errStored says that messages have been stored already, or given up.
var errStored = errors.New("the connection has been used by another process")

// A pgMark numbers what is done with a slot, upwards.
type pgMark struct {
	slot int
	n    int64
}

func (e *postgres) mark(c *pgConn) pgMark { return pgMark{e.slot(c), e.node.mark.Add(1)} }

// putPiece writes a piece in a transaction that nobody waits for: when that which
// stores the message is on the disk, so is all that was committed before, and it
// counts the pieces lest the server was restarted in between.
func (e *postgres) putPiece(ctx context.Context, id queue.ID, n int, data []byte) error {
	return e.do(ctx, func(ctx context.Context, c *pgConn) error {
		_, err := c.ExecContext(ctx, `WITH s AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
			INSERT INTO queue_pieces (message, n, data) SELECT $1, $2, $3 FROM s
			ON CONFLICT (message, n) DO NOTHING`, int64(id), n, data)
		return err
	})
}

func (e *postgres) insert(ctx context.Context, m *newMessage) error {
	err := ctx.Err()
	switch {
	case err != nil:
	case m.pieces == 0:
		err = e.inserts.wait(ctx, m)
	default: // what was begun is ended, so that it is known what has happened
		err = e.doOnce(context.WithoutCancel(ctx), func(ctx context.Context, c *pgConn, of pgMark) error {
			return inTx(ctx, c, func(x pgExecer) error { return e.insertBatch(ctx, x, of, []*newMessage{m}) })
		})
		e.drops.tried(m, err)
		if errors.Is(err, errNode) { // the next message does not meet with this
			e.do(ctx, e.node.beat)
		}
	}
	if err == nil {
		e.wakeFor(m)
	}
	return err
}

// wakeFor tells others of a message with items that are not leased.
func (e *postgres) wakeFor(m *newMessage) {
	for i := range m.items {
		if m.items[i].leased == 0 && !m.items[i].held {
			e.wake()
			return
		}
	}
}

// insertAll stores messages without pieces with one statement, which is a
// transaction. One that the server does not like must not harm the others.
func (e *postgres) insertAll(messages []*newMessage) error {
	err := e.doOnce(context.Background(), func(ctx context.Context, c *pgConn, of pgMark) error {
		return e.insertBatch(ctx, pgExecer{c}, of, messages)
	})
	if state := sqlState(err); len(messages) > 1 && len(state) == 5 && (state[:2] == "22" || state[:2] == "23" || state[:2] == "54") {
		return errAlone
	}
	return err
}

// insertBatch stores messages, or returns errStored.
func (e *postgres) insertBatch(ctx context.Context, x pgExecer, of pgMark, messages []*newMessage) error {
	var t totals
	columns := make(pgArrays, 12)
	args := make([]any, 7, 7+6*len(messages)+len(columns))
	for _, m := range messages {
		var body any // NULL if it stands in pieces
		if m.pieces == 0 {
			body = m.inline
		}
		args = append(args, m.id, m.arrived, m.size, m.kind, m.text, body)
		t.messages++
		t.bytes += m.size
		t.items += int64(len(m.items))
		for i := range m.items {
			r := &m.items[i]
			if r.held {
				t.held++
			}
			if r.leased != 0 {
				t.leased++
			}
			columns[0].int(r.message)
			columns[1].int(r.n)
			columns[2].bytes([]byte(r.destination))
			columns[3].bytes(r.recipients)
			columns[4].int(e.phrases.there(r.due))
			columns[5].int(e.phrases.there(r.expires))
			columns[6].int(e.phrases.there(r.warn))
			columns[7].int(r.attempts)
			columns[8].flag(r.held)
			columns[9].int(r.token)
			columns[10].int(e.phrases.there(r.leased))
			columns[11].flag(len(m.items) == 1)
		}
	}
	copy(args, []any{of.slot, of.n, t.messages, t.bytes, t.items, t.held, t.leased})
	r, err := x.x.ExecContext(ctx, e.insertText(len(messages)), columns.args(args...)...)
	if err != nil {
		return err
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, errStored)
	}
	for _, m := range messages {
		if m.pieces > 0 {
			if err := e.claimPieces(ctx, x, m); err != nil {
				return err
			}
		}
	}
	return nil
}

// insertText returns the statement for so many messages.
func (e *postgres) insertText(messages int) string {
	if messages < len(e.inserting) {
		return e.inserting[messages]
	}
	return pgInsert(messages)
}

// pgInsert returns the statement for so many messages. It does nothing if the slot
// has the mark already, or a later one, whatever became of the messages since: so
// it can be sent again when nobody knows whether it has happened. The items are columns of
// arrays, the messages rows of arguments: contents are too large for arrays.
func pgInsert(messages int) string {
	row := []string{"bigint", "bigint", "bigint", "bigint", "bytea", "bytea"}
	arg := 7
	parameters := func(kinds []string, suffix string) string {
		p := make([]string, len(kinds))
		for i, kind := range kinds {
			arg++
			p[i] = "$" + strconv.Itoa(arg) + "::" + kind + suffix
		}
		return "(" + strings.Join(p, ", ") + ")"
	}
	rows := make([]string, messages)
	for i := range rows {
		rows[i] = parameters(row, "")
	}
	return `WITH marked AS (
			INSERT INTO queue_totals AS t (slot, mark, messages, bytes, items, held, leased)
			VALUES ($1::integer, $2::bigint, $3::bigint, $4::bigint, $5::bigint, $6::bigint, $7::bigint)` + pgTotalsAdd + `,
			mark = excluded.mark WHERE t.mark < excluded.mark
			RETURNING slot
		), m AS (
			INSERT INTO queue_messages (id, arrived, size, kind, message, body)
			SELECT v.* FROM marked, (VALUES ` + strings.Join(rows, ", ") + `) AS v
		)
		INSERT INTO queue_items (message, n, destination, recipients, due, expires, warn, attempts, held, token, leased, alone)
		SELECT v.* FROM marked, unnest` + parameters([]string{"bigint", "integer", "bytea", "bytea", "bigint", "bigint", "bigint",
		"integer", "smallint", "bigint", "bigint", "smallint"}, "[]") + ` AS v`
}

// claimPieces makes sure that all pieces of a message are there, and that nobody
// removes them.
func (e *postgres) claimPieces(ctx context.Context, x pgExecer, m *newMessage) error {
	now := e.node.now.Load()
	if queue.ID(m.id) <= now.first {
		return errNode // of the one that we were
	}
	n := 0
	rows, err := x.query(ctx, `SELECT 1 FROM queue_nodes WHERE node = ? AND first = ? FOR KEY SHARE`, now.ids.Node, int64(now.first))
	if err := each(rows, err, func() error { return nil }, &n); err != nil {
		return err
	}
	if n == 0 {
		return errNode
	}
	rows, err = x.query(ctx, `SELECT count(*) FROM queue_pieces WHERE message = ? AND n > 0`, m.id)
	if err := each(rows, err, func() error { return nil }, &n); err != nil {
		return err
	}
	if n != m.pieces-1 {
		return fmt.Errorf("%w: %d pieces of %d are there", errNode, n, m.pieces-1)
	}
	const put = `INSERT INTO queue_pieces (message, n, data) VALUES (?, ?, ?)`
	if _, err := x.exec(ctx, put, m.id, m.pieces, m.last); err != nil || len(m.prefix) == 0 {
		return err
	}
	_, err = x.exec(ctx, put, m.id, 0, m.prefix)
	return err
}
