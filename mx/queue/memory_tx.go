package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/smtp"
)

const maxPrefix = 64 << 10

var (
	errPrefixLong   = errors.New("queue: the prefix is longer than 64 KB")
	errNoItems      = errors.New("queue: a message without items, or an item without recipients")
	errTxOver       = errors.New("queue: the transaction is over")
	errForeignTx    = errors.New("queue: a transaction of another store")
	memoryFirstSize = int64(1 << 20) // of a buffer, whatever the sender says
)

// memoryTx has what is written in a buffer of its own, which is all that there is
// of a message before Commit.
type memoryTx struct {
	m        *Memory
	id       ID
	content  []byte
	reserved int64
	over     bool
}

// Begin starts to store a message, as a Store does.
func (m *Memory) Begin(ctx context.Context, size int64) (Tx, error) {
	d, err := m.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	size = max(size, 0)
	if size > size+memoryMessageCost || !m.room(size+memoryMessageCost) {
		return nil, ErrFull
	}
	tx := &memoryTx{m: m, id: d.ids.Next(time.Now()), reserved: size + memoryMessageCost}
	tx.content = make([]byte, 0, min(size, memoryFirstSize))
	m.reserved += tx.reserved
	return tx, nil
}

func (tx *memoryTx) ID() ID { return tx.id }

func (tx *memoryTx) Write(p []byte) (int, error) {
	if tx.over {
		return 0, errTxOver
	}
	if err := tx.reserve(len(p)); err != nil {
		tx.Abort()
		return 0, err
	}
	tx.content = append(tx.content, p...)
	return len(p), nil
}

// reserve makes sure of room for n octets more.
func (tx *memoryTx) reserve(n int) error {
	more := int64(len(tx.content)) + int64(n) + memoryMessageCost - tx.reserved
	if more <= 0 {
		return nil
	}
	d, err := tx.m.lock(context.Background())
	if err != nil {
		return err
	}
	defer d.mu.Unlock()
	if !tx.m.room(more) {
		return ErrFull
	}
	tx.reserved += more
	tx.m.reserved += more
	return nil
}

func (tx *memoryTx) Commit(ctx context.Context, c *Commit) ([]*Leased, error) {
	if tx.over {
		return nil, errTxOver
	}
	defer tx.Abort()
	msg, err := tx.message(c)
	if err != nil {
		return nil, err
	}
	if err := tx.reserve(len(c.Prefix)); err != nil {
		return nil, err
	}
	d, err := tx.m.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	tx.finish()
	d.add(msg)
	var leased []*Leased
	for i, it := range msg.items {
		if it.leased {
			l := tx.m.leasedOf(it)
			l.Item.Recipients = slices.Clone(c.Items[i].Recipients)
			leased = append(leased, l)
		}
	}
	return leased, nil
}

func (tx *memoryTx) Abort() {
	if tx.over {
		return
	}
	d := tx.m.store()
	d.mu.Lock()
	defer d.mu.Unlock()
	tx.finish()
}

// finish gives back what is reserved. The caller has locked.
func (tx *memoryTx) finish() {
	tx.m.reserved -= tx.reserved
	tx.reserved, tx.content, tx.over = 0, nil, true
}

// message returns what is to be added.
func (tx *memoryTx) message(c *Commit) (*memoryMessage, error) {
	switch {
	case len(c.Prefix) > maxPrefix:
		return nil, errPrefixLong
	case len(c.Items) == 0:
		return nil, errNoItems
	}
	msg := &memoryMessage{Message: new(Message), content: slices.Concat(c.Prefix, tx.content)}
	text, err := c.Message.AppendText(nil)
	if err != nil {
		return nil, err
	}
	if err := msg.UnmarshalText(text); err != nil { // a copy
		return nil, fmt.Errorf("queue: message: %w", err)
	}
	var e smtp.Examiner
	e.Write(msg.content)
	msg.ID, msg.Arrived, msg.Size, msg.Kind = tx.id, c.Message.Arrived, int64(len(msg.content)), e.Kind()
	c.Message.ID, c.Message.Size, c.Message.Kind = msg.ID, msg.Size, msg.Kind
	for i := range c.Items {
		n := &c.Items[i]
		it := &memoryItem{Item: n.Item, message: msg}
		if it.recipients, err = n.Recipients.MarshalText(); err != nil {
			return nil, err
		}
		if len(n.Recipients) == 0 {
			return nil, errNoItems
		}
		it.Message, it.N, it.Recipients = tx.id, i, nil
		if !n.LeaseUntil.IsZero() {
			it.leased, it.token, it.until = true, 1, n.LeaseUntil
		}
		msg.items = append(msg.items, it)
	}
	return msg, nil
}
