package sqlqueue

import (
	"context"
	"database/sql"

	"github.com/postrider/postrider/mx/queue"
)

// An engine is a dialect at work: how writes are grouped and committed, and how
// leases are taken. What rows look like, what is read and with which queries is
// the same for all, in the files that no dialect gives its name.
//
// Queries are written with "?" for their arguments.
type engine interface {
	// reader returns what to read with, and a function that gives it back.
	reader(ctx context.Context) (querier, func(), error)
	// words returns how the dialect says what others say otherwise.
	words() *words

	// putPiece makes a piece of a content durable, or at least keeps it until insert
	// makes it so. Nobody sees it before. n counts from 1.
	putPiece(ctx context.Context, id queue.ID, n int, data []byte) error
	// dropPieces removes, at some time, the pieces of a message that is not to be.
	dropPieces(id queue.ID)
	// insert stores a message with its items, durably.
	insert(ctx context.Context, m *newMessage) error

	// lease is Lease, sorted.
	lease(ctx context.Context, r leaseRequest) ([]leasedRow, error)
	extend(ctx context.Context, until int64, leases []queue.Lease) (lost []queue.Lease, err error)
	// settle sets Err of each.
	settle(ctx context.Context, settlements []*settlement) error

	// transact runs do in a transaction of its own, or together with others. It may
	// be run again if something else has failed.
	transact(ctx context.Context, do func(tx execer) (totals, error)) error
	// stats returns all but Free.
	stats(ctx context.Context) (queue.Stats, error)
	close() error
}

type querier interface {
	// query is called with the same few texts again and again.
	query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

type execer interface {
	querier
	// exec returns how many rows were touched.
	exec(ctx context.Context, query string, args ...any) (int64, error)
}

// words are those in which dialects differ.
type words struct {
	greatest, least string // of several values
	joinMessage     string // behind an item i, for its message m
	lock            string // at the end of a SELECT of items that are to be changed
	lockMessage     string // asked before the last item of a message is looked for; "" for nothing
	// skew returns what to add to a time that is stored; nil for nothing.
	skew func() int64
}

// there returns a time as it is stored, here as it is told.
func (w *words) there(t int64) int64 { return w.shifted(t, 1) }
func (w *words) here(t int64) int64  { return w.shifted(t, -1) }

func (w *words) shifted(t, way int64) int64 {
	if w.skew == nil || t == 0 || t == never {
		return t
	}
	return t + way*w.skew()
}

// A newMessage is a message to be stored.
type newMessage struct {
	messageRow
	pieces int    // of the content, if it does not stand inline: all but the last were put
	last   []byte // piece
	prefix []byte // in front of the pieces
	inline []byte // all of the content, if there are no pieces. Not nil.
	items  []itemRow
}

// octets returns how many come with it.
func (m *newMessage) octets() int { return len(m.inline) + len(m.last) + len(m.prefix) }

// A leaseRequest is a queue.LeaseRequest.
type leaseRequest struct {
	destination string
	late        bool
	max         int
	now, until  int64
}

// A settlement is a queue.Settlement.
type settlement struct {
	*queue.Settlement
	left     []byte // Recipients; nil if none
	due      int64
	warn     int64
	spawn    []*newMessage
	outcomes []outcomeRow // if they are to be kept
	lost     bool         // for the engine
}

// totals are what a transaction adds to what is in the store.
type totals struct {
	messages, bytes, items, held, leased int64
}

func (t *totals) add(u *totals) {
	t.messages += u.messages
	t.bytes += u.bytes
	t.items += u.items
	t.held += u.held
	t.leased += u.leased
}
