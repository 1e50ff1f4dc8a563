package queue

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/postrider/postrider/smtp"
)

// Errors of a Store.
var (
	// ErrFull says that there is no room. It holds an *smtp.Error, 452 4.3.1.
	ErrFull error = fullError{}
	// ErrLost says that a lease is no longer one.
	ErrLost = errors.New("queue: the lease is lost")
	// ErrNotFound says that there is no such message.
	ErrNotFound = errors.New("queue: no such message")
	// ErrUnreadable is in the error of a content that the store could not read just
	// now, lest the host that it was to be sent to gets the blame.
	ErrUnreadable = errors.New("queue: the content cannot be read")
	// ErrClosed says that the store is closed.
	ErrClosed = errors.New("queue: closed")
)

// A Store keeps messages, their items and what became of them. It is safe for
// concurrent use. All times in it are told by its callers, so that a test can
// make them up.
//
// An item can be leased at a time if it is not held, its Due is not after that
// time, and it has no lease, or one whose Until is not after it either.
//
// Who writes one runs queuetest.Run against it.
type Store interface {
	// Begin starts to store a message of so many octets; if size is negative, that
	// is not known. The error may be ErrFull.
	Begin(ctx context.Context, size int64) (Tx, error)

	// Ready returns destinations that have an item to lease at now, in the order of
	// their names and greater than after: max of them at the most. It costs by the
	// number of destinations and not by that of items. Next is when, after now,
	// the first item of any of the destinations that it has looked at, or of all if
	// these are fewer than max, is due; zero if none is.
	Ready(ctx context.Context, now time.Time, after string, max int) (destinations []string, next time.Time, err error)

	// Lease leases items until req.Until, those due longest first, and takes over
	// those whose lease is over. Nobody else gets them as long.
	Lease(ctx context.Context, req LeaseRequest) ([]*Leased, error)

	// Extend makes leases last until a later time, whether they are over or not, and
	// returns those that are lost.
	Extend(ctx context.Context, until time.Time, leases []Lease) (lost []Lease, err error)

	// Settle ends leases. Each settlement happens whole, with its Spawn, or not at
	// all, and is durable on return. Err of each is set: nil or ErrLost. The error
	// returned is for all: nobody can tell then which of them happened; to try
	// them again is safe, and settlements that have happened come back as ErrLost.
	Settle(ctx context.Context, settlements []*Settlement) error

	// Open returns the content of a message. Content.Open fails with ErrNotFound when
	// the message is gone. What else goes wrong in reading it holds ErrUnreadable.
	Open(ctx context.Context, id ID) (*Message, smtp.Content, error)

	// Scan returns the items that match, in the order of their messages, each as it
	// is when it is reached. It keeps nobody from writing. An error is the last
	// that it returns.
	Scan(ctx context.Context, f Filter) iter.Seq2[*Entry, error]

	// Change does to the items that match what the action says, and returns to how
	// many of them. Held, Release and Retry let leases be; Delete ends them.
	Change(ctx context.Context, f Filter, do Action, now time.Time) (int, error)

	// Outcomes returns the outcomes of a message's recipients, or of all messages if
	// id is zero, as far as the store keeps them, in the order in which they were
	// recorded.
	Outcomes(ctx context.Context, id ID) iter.Seq2[Outcome, error]

	// Stats counts what is in the store. It is cheap, and may be a second late.
	Stats(ctx context.Context) (Stats, error)

	// Close ends the use of the store. Transactions that are open are aborted. What
	// is leased stays so until its time is over, unless the store knows that nobody
	// else uses it.
	Close() error
}

// A Tx is a message on its way into a Store. What is written to it is its
// content, which nobody sees before Commit. It belongs to one goroutine.
type Tx interface {
	// Write stores octets of the content. Large contents go to the store while they
	// are written. The error may be ErrFull; the Tx is then of no more use.
	io.Writer
	// ID returns the ID that the message will have.
	ID() ID
	// Commit stores the message. It is durable when Commit returns nil. If it fails
	// because the context has ended, or the store is gone in the middle, the message
	// may be stored or not, and Abort lets it be.
	//
	// It returns the items that have a LeaseUntil, leased, in their order.
	Commit(ctx context.Context, c *Commit) ([]*Leased, error)
	// Abort forgets what was written. After Commit it does nothing.
	Abort()
}

// A Commit is what a message comes with besides its content.
type Commit struct {
	// Message is what is to be stored of the message. ID, Size and Kind are filled in
	// by the Tx.
	Message Message
	// Prefix goes in front of what was written: header fields that were known only
	// afterwards, each with its CRLF. At most 64 KB.
	Prefix []byte
	// Items are the items. Message and N of each are filled in.
	Items []NewItem
}

// A NewItem is an Item to be.
type NewItem struct {
	Item
	// LeaseUntil leases the item to who commits it. If zero, it is not leased. In a
	// Spawn it is not looked at.
	LeaseUntil time.Time
}

// A LeaseRequest says what to lease.
type LeaseRequest struct {
	// Destination has the items. With Late, it is not looked at.
	Destination string
	// Late asks for items of any destination whose Expires or Warn has come, due or
	// not, those that are latest first.
	Late bool
	// Max limits how many.
	Max int
	// Now is the time, and Until when the leases end.
	Now, Until time.Time
}

// A Settlement is what came of a lease.
type Settlement struct {
	Lease Lease
	// Done are the recipients that are taken out of the queue.
	Done []Outcome
	// Left are those that stay. If there are none, the item is gone.
	Left Recipients
	// Due, Warn and Attempts are the Item's from now on.
	Due, Warn time.Time
	Attempts  int
	// Spawn are messages to be committed in the same transaction: notifications.
	// They are aborted where Err is ErrLost. When Settle fails, they stay what they were:
	// who has made them tries again, or aborts them.
	Spawn []Spawn

	// Err is set by Settle: nil, or ErrLost if the lease was, and nothing has
	// happened.
	Err error
}

// A Spawn is a message that exists only if a settlement does. Its content was
// written to Tx, which is of the same Store.
type Spawn struct {
	Tx     Tx
	Commit *Commit
}

// An Entry is an item in a listing.
type Entry struct {
	Message *Message
	Item    Item
	// LeasedUntil is when the item's lease is over. If zero, nobody has one.
	LeasedUntil time.Time
}

// A Filter selects items. Each field that is not zero has to match.
type Filter struct {
	Messages    []ID
	Destination string
	// From and To are an address, without regard to the case of its domain, or to
	// that of postmaster (RFC 5321 §4.5.1), or a domain with an "@" in front. "<>"
	// is the null reverse-path. To matches an item if it does one of its recipients.
	From, To string
	// Held matches items that are held, Waiting those that are not.
	Held, Waiting bool
	// Before matches messages that have arrived before.
	Before time.Time
	// Limit stops after so many items. If zero, there is no limit.
	Limit int
}

// An Action is what an operator does to items.
type Action uint8

// The actions.
const (
	Hold    Action = iota + 1 // nobody leases them until they are released
	Release                   // they are due when they were before they were held
	Retry                     // they are due now
	Delete                    // they are gone, their recipients are Deleted, and nobody is told
)

// Stats count what is in a Store.
type Stats struct {
	Messages int64
	Bytes    int64 // of their contents
	Items    int64
	Held     int64     // items
	Leased   int64     // items under a lease
	Oldest   time.Time // when the oldest message arrived; zero if there is none
	Free     int64     // octets that the disk has left; negative if that is not known
}
