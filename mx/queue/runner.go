package queue

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

// A Deliverer takes a message to the recipients of one destination. *mx.Client is
// one. It returns a Result for each recipient, in the envelope's order, whatever
// the error, which only repeats them. LeasedFrom(ctx) tells what it is delivering.
type Deliverer interface {
	Deliver(ctx context.Context, destination string, m *mx.Message) ([]mx.Result, error)
}

// A DelivererFunc is a function as a Deliverer.
type DelivererFunc func(ctx context.Context, destination string, m *mx.Message) ([]mx.Result, error)

// Deliver calls f.
func (f DelivererFunc) Deliver(ctx context.Context, destination string, m *mx.Message) ([]mx.Result, error) {
	return f(ctx, destination, m)
}

// A Runner takes messages into a Store and delivers what is in it. Store and
// Deliverer must be given. Its fields must not change after its first use, and
// it must not be copied. It is safe for concurrent use.
//
// Several Runners, in processes of their own, may share a Store that allows it.
type Runner struct {
	Store     Store
	Deliverer Deliverer

	// Destination says where a recipient's mail goes: recipients of a message with
	// the same destination share an Item. If nil, the domain in A-labels and lower
	// case.
	Destination func(to smtp.ForwardPath) string

	// Notifications writes what senders are told. If nil, a zero dsn.Composer.
	Notifications *dsn.Composer

	// Retry is the time to the next attempt after the first; each later one is
	// twice as long, up to MaxRetry, give or take a fifth. If zero, 5 minutes and 4
	// hours (RFC 5321 §4.5.4.1).
	Retry, MaxRetry time.Duration
	// Lifetime is how long delivery is tried. If zero, 5 days (RFC 5321 §4.5.4.1).
	Lifetime time.Duration
	// WarnAfter is when the sender hears that his message is late. If zero, 4 hours.
	// If negative, he does not.
	WarnAfter time.Duration

	// MaxDeliveries limits those that happen at a time. If zero, 500.
	MaxDeliveries int
	// SiteDeliveries is how many happen at a time to a destination that nothing is
	// known of, and MaxSiteDeliveries to one that takes them well. If zero, 5 and 20.
	SiteDeliveries, MaxSiteDeliveries int

	// MaxMessages and MaxBytes limit what the store holds, and MinFree what the disk
	// has to have left, in octets. Beyond, Begin fails with ErrFull. If zero, there
	// is no limit, but MinFree is 64 MB; if negative, none.
	MaxMessages, MaxBytes, MinFree int64

	// LeaseTime is how long an item stays leased to a Runner that nothing is heard
	// of. If zero, a minute. Running deliveries extend their leases.
	LeaseTime time.Duration
	// Poll is the time between looks into the store when nothing else calls for
	// one, give or take a fifth. If zero, 10 seconds.
	Poll time.Duration
	// Wake makes the Runner look into the store now: another process has put
	// something there. If nil, Poll has to do.
	Wake <-chan struct{}

	// Trace sees what happens. If nil, nobody does.
	Trace *Trace
	// Logger is for what an operator has to know: that the store fails, that a
	// notification could not be written. If nil, slog.Default().
	Logger *slog.Logger
}

// Trace is a set of hooks that see what happens to messages. Any may be nil. They
// are called at the same time for different messages and must not block.
type Trace struct {
	// Accepted is called when a message was committed, notifications included.
	Accepted func(ctx context.Context, m *Message, items []NewItem)
	// Attempted is called after each delivery, before its outcome is recorded.
	Attempted func(ctx context.Context, a *Attempt)
	// Settled is called when it is recorded: with those who are done, and the item
	// as it goes on.
	Settled func(ctx context.Context, m *Message, item *Item, done []Outcome)
	// Notified is called when a notification to a sender was committed.
	Notified func(ctx context.Context, about *Message, n *dsn.Notification)
	// Site is called when a destination is given a rest, or has recovered from one
	// (until is zero).
	Site func(ctx context.Context, destination string, until time.Time, err error)
}

// An Attempt is a delivery that was tried. It must not be changed.
type Attempt struct {
	Leased  *Leased
	Results []mx.Result
	Began   time.Time
	Took    time.Duration
}

// A NewMessage is what comes with a message that is taken in.
type NewMessage struct {
	// Envelope is as it came. HOLDFOR= and HOLDUNTIL= make the message wait, BY= limits
	// its Lifetime (RFC 4865, RFC 2852).
	Envelope smtp.Envelope
	// Prefix goes in front of the content: header fields that were known only after
	// it had streamed by, each with its CRLF. At most 64 KB.
	Prefix []byte
	// ReceivedFrom, TLSOptional and Data are those of Message.
	ReceivedFrom dsn.Typed
	TLSOptional  bool
	Data         string
	// Due is when delivery is first tried. If zero, at once.
	Due time.Time
	// Lifetime is that of the Runner if zero.
	Lifetime time.Duration
	// Held keeps the message until an operator releases it.
	Held bool
}

// An Incoming is a message on its way into the queue: its content is written to
// it. It belongs to one goroutine.
type Incoming struct {
	tx Tx
	r  *Runner
}

// Begin takes in a message. Size is what the sender says that it has; negative if
// he does not say. The error may be ErrFull, in the place of which a server
// answers 452 by itself: it is for MAIL. Abort or Commit ends it.
func (r *Runner) Begin(ctx context.Context, size int64) (*Incoming, error) {
	return nil, errors.ErrUnsupported
}

// Admit reports whether Begin would find room for a message: for MAIL, when the
// content is not yet to come. Size is as for Begin.
func (r *Runner) Admit(ctx context.Context, size int64) error { return errors.ErrUnsupported }

// ID returns the ID that the message will have, for its Received field and the
// reply.
func (in *Incoming) ID() ID { return in.tx.ID() }

// Write adds to the content.
func (in *Incoming) Write(p []byte) (int, error) { return in.tx.Write(p) }

// Commit puts the message into the queue. When it returns nil the message is
// durable, and may be underway already.
func (in *Incoming) Commit(ctx context.Context, m *NewMessage) error { return errors.ErrUnsupported }

// Abort forgets the message. After Commit it does nothing.
func (in *Incoming) Abort() { in.tx.Abort() }

// Run delivers until ctx ends or Shutdown is called: the error is then ctx's, or
// nil. Deliveries that are underway when ctx ends are cut short.
func (r *Runner) Run(ctx context.Context) error { return errors.ErrUnsupported }

// Shutdown lets no delivery begin, waits for those that run and for what came of
// them to be recorded, and makes Run return. When ctx ends first, they are cut
// short, and the error is ctx's. Messages are still taken in.
func (r *Runner) Shutdown(ctx context.Context) error { return errors.ErrUnsupported }
