package sqlqueue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/postrider/postrider/mx/queue"
)

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

// dropPieces removes the pieces of a message, unless it is there. A transaction
// that would store it and whose connection was lost may still go on: then the
// first statement waits for its end, or keeps it from happening.
func (e *postgres) dropPieces(id queue.ID) {
	e.drops.Go(func() {
		err := e.do(context.Background(), func(ctx context.Context, c *pgConn) error {
			return inTx(ctx, c, func(x pgExecer) error {
				n, err := x.exec(ctx, `INSERT INTO queue_messages (id, arrived, size, kind, message)
					VALUES (?, 0, 0, 0, '') ON CONFLICT DO NOTHING`, int64(id))
				if err != nil || n == 0 {
					return err
				}
				if _, err := x.exec(ctx, execDeletePiece, int64(id)); err != nil {
					return err
				}
				_, err = x.exec(ctx, `DELETE FROM queue_messages WHERE id = ?`, int64(id))
				return err
			})
		})
		if err != nil { // they are swept when this process is gone
			e.log.Warn("sqlqueue: the pieces of a message stay behind", "message", id, "error", err)
		}
	})
}

func (e *postgres) insert(ctx context.Context, m *newMessage) error {
	var err error
	if m.pieces == 0 {
		err = e.inserts.wait(ctx, m)
	} else {
		err = e.doOnce(ctx, func(ctx context.Context, c *pgConn) error {
			return inTx(ctx, c, func(x pgExecer) error {
				return e.insertBatch(ctx, x, e.slot(c), []*newMessage{m})
			})
		})
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
	err := e.doOnce(context.Background(), func(ctx context.Context, c *pgConn) error {
		return e.insertBatch(ctx, pgExecer{c}, e.slot(c), messages)
	})
	if state := sqlState(err); len(messages) > 1 && len(state) == 5 && (state[:2] == "22" || state[:2] == "23" || state[:2] == "54") {
		return errAlone
	}
	return err
}

// insertBatch stores messages.
func (e *postgres) insertBatch(ctx context.Context, x pgExecer, slot int, messages []*newMessage) error {
	for _, m := range messages {
		if m.pieces > 0 {
			if err := e.claimPieces(ctx, x, m); err != nil {
				return err
			}
		}
	}
	var t totals
	columns := make(pgArrays, 12)
	args := make([]any, 0, len(columns)+6+6*len(messages))
	args = append(args, slot, nil, nil, nil, nil, nil)
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
	args[1], args[2], args[3], args[4], args[5] = t.messages, t.bytes, t.items, t.held, t.leased
	_, err := x.x.ExecContext(ctx, e.insertText(len(messages)), columns.args(args...)...)
	return err
}

// insertText returns the statement for so many messages.
func (e *postgres) insertText(messages int) string {
	if messages < len(e.inserting) {
		return e.inserting[messages]
	}
	return pgInsert(messages)
}

// pgInsert returns the statement for so many messages. The items are columns of
// arrays, the messages rows of arguments: contents are too large for arrays.
func pgInsert(messages int) string {
	row := []string{"bigint", "bigint", "bigint", "bigint", "bytea", "bytea"}
	arg := 6
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
	return `WITH t AS (` + pgTotals + `VALUES ($1::integer, $2::bigint, $3::bigint, $4::bigint, $5::bigint, $6::bigint)` + pgTotalsAdd + `),
		m AS (INSERT INTO queue_messages (id, arrived, size, kind, message, body) VALUES ` + strings.Join(rows, ", ") + `)
		INSERT INTO queue_items (message, n, destination, recipients, due, expires, warn, attempts, held, token, leased, alone)
		SELECT * FROM unnest` + parameters([]string{"bigint", "integer", "bytea", "bytea", "bigint", "bigint", "bigint",
		"integer", "smallint", "bigint", "bigint", "smallint"}, "[]")
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
	if n != m.pieces {
		return fmt.Errorf("%w: %d pieces of %d are there", errNode, n, m.pieces)
	}
	if len(m.prefix) == 0 {
		return nil
	}
	_, err = x.exec(ctx, `INSERT INTO queue_pieces (message, n, data) VALUES (?, 0, ?)`, m.id, m.prefix)
	return err
}
