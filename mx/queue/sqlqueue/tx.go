package sqlqueue

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

// maxPrefix is what queue.Commit allows.
const maxPrefix = 64 << 10

var (
	errTxOver     = errors.New("sqlqueue: the transaction is over")
	errPrefixLong = errors.New("sqlqueue: the prefix is longer than 64 KB")
	errNoItems    = errors.New("sqlqueue: a message without items, or an item without recipients")
)

// A tx is a message on its way in. Its content is in buf as long as it fits there,
// else buf is the piece that is being filled.
type tx struct {
	s      *Store
	id     queue.ID
	buf    []byte
	pieces int // that were put
	size   int64
	kind   smtp.Examiner
	err    error
	over   bool
}

// Begin implements queue.Store.
func (s *Store) Begin(ctx context.Context, size int64) (queue.Tx, error) {
	if s.attached {
		return nil, errAttached
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.closed.Load() {
		return nil, queue.ErrClosed
	}
	t := &tx{s: s, id: s.ids.Next(time.Now())}
	if size > 0 && size <= int64(s.opts.InlineSize) {
		t.buf = make([]byte, 0, size)
	}
	return t, nil
}

func (t *tx) ID() queue.ID { return t.id }

func (t *tx) Write(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	if t.over {
		return 0, errTxOver
	}
	t.kind.Write(p)
	written := len(p)
	t.size += int64(written)
	if t.size <= int64(t.s.opts.InlineSize) {
		t.buf = append(t.buf, p...)
		return written, nil
	}
	for len(p) > 0 { // what comes last stays in buf
		if cap(t.buf) < pieceSize {
			t.buf = slices.Grow(t.buf, pieceSize-len(t.buf))
		}
		n := max(0, min(len(p), pieceSize-len(t.buf)))
		t.buf = append(t.buf, p[:n]...)
		if p = p[n:]; len(p) > 0 {
			if t.err = t.flush(); t.err != nil {
				return 0, t.err
			}
		}
	}
	return written, nil
}

// flush puts buf as a piece.
func (t *tx) flush() error {
	t.pieces++
	err := t.s.engine.putPiece(context.Background(), t.id, t.pieces, t.buf)
	t.buf = t.buf[:0]
	return wrap("write", err)
}

func (t *tx) Commit(ctx context.Context, c *queue.Commit) ([]*queue.Leased, error) {
	m, msg, err := t.prepare(c)
	if err != nil {
		return nil, err
	}
	if err := t.s.engine.insert(ctx, m); err != nil {
		t.err = wrap("commit", err)
		return nil, t.err
	}
	t.over = true
	return t.leased(m, msg, c), nil
}

// prepare makes rows of the message.
func (t *tx) prepare(c *queue.Commit) (*newMessage, *queue.Message, error) {
	if t.err != nil {
		return nil, nil, t.err
	}
	if t.over {
		return nil, nil, errTxOver
	}
	if len(c.Prefix) > maxPrefix {
		return nil, nil, errPrefixLong
	}
	if len(c.Items) == 0 {
		return nil, nil, errNoItems
	}
	msg := new(queue.Message)
	*msg = c.Message
	msg.ID, msg.Size = t.id, t.size+int64(len(c.Prefix))
	msg.Kind = t.kindWith(c.Prefix)
	c.Message.ID, c.Message.Size, c.Message.Kind = msg.ID, msg.Size, msg.Kind
	text, err := msg.AppendText(nil)
	if err != nil {
		return nil, nil, wrap("commit", err)
	}
	m := &newMessage{messageRow: messageRow{int64(t.id), fromTime(msg.Arrived), msg.Size, int64(msg.Kind), text}}
	m.items = make([]itemRow, len(c.Items))
	for i := range c.Items {
		if len(c.Items[i].Recipients) == 0 {
			return nil, nil, errNoItems
		}
		if m.items[i], err = newItemRow(t.id, i, &c.Items[i]); err != nil {
			return nil, nil, wrap("commit", err)
		}
	}
	if t.size <= int64(t.s.opts.InlineSize) {
		m.inline = make([]byte, 0, msg.Size)
		m.inline = append(append(m.inline, c.Prefix...), t.buf...)
		return m, msg, nil
	}
	m.pieces, m.last, m.prefix = t.pieces+1, t.buf, c.Prefix
	return m, msg, nil
}

// kindWith returns the Kind of prefix and content. Each begins at the start of a
// line of the header section, so each can be looked at alone.
func (t *tx) kindWith(prefix []byte) smtp.Kind {
	var e smtp.Examiner
	e.Write(prefix)
	return e.Kind() | t.kind.Kind()
}

// leased returns the items that the committer has leased.
func (t *tx) leased(m *newMessage, msg *queue.Message, c *queue.Commit) []*queue.Leased {
	var leased []*queue.Leased
	var content smtp.Content
	for i := range m.items {
		r := &m.items[i]
		if r.leased == 0 {
			continue
		}
		if content.Open == nil {
			content = t.s.content(msg, m.inline)
		}
		item := c.Items[i].Item
		item.Message, item.N = t.id, i
		leased = append(leased, &queue.Leased{Lease: r.lease(), Message: msg, Item: item, Content: content})
	}
	return leased
}

func (t *tx) Abort() {
	if t.over {
		return
	}
	t.over = true
	t.buf = nil
	if t.pieces > 0 {
		t.s.engine.dropPieces(t.id)
	}
}
