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
//
// The Scope of a Result that is Deferred decides who has to wait: with ScopeHost,
// ScopeSite, ScopePolicy or ScopeLocal the destination as a whole, and else the
// recipient.
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
//
// A destination is tried by few deliveries at first. Each that finds it well
// makes room for more, each that fails on the way to it or at its hosts for less.
// When as many have failed as there was room for, it gets a rest: a minute, and
// twice that each time, up to half an hour. Its items are not touched meanwhile.
// Then one delivery finds out whether it has recovered. A part of MaxDeliveries is
// for destinations that are known to be well, so that these need not wait for
// those that do not answer. A Runner that begins with a full Store knows nothing
// and so begins slowly, with the few deliveries to each destination; what it finds
// due at once is tried again at different times.
type Runner struct {
	Store     Store
	Deliverer Deliverer

	// Destination says where a recipient's mail goes: recipients of a message with
	// the same destination share an Item. If nil, or if it says "", the domain in
	// A-labels and lower case, and "localhost" for <postmaster>, who has none: a
	// Deliverer has to know where that is (RFC 5321 §4.5.1).
	Destination func(to smtp.ForwardPath) string

	// Notifications writes what senders are told. If nil, a dsn.Composer that has
	// only NotifyDelay set.
	Notifications *dsn.Composer

	// Retry is the time to the next attempt after the first; each later one is
	// twice as long, up to MaxRetry, give or take a fifth. If zero, 5 minutes and 4
	// hours (RFC 5321 §4.5.4.1).
	Retry, MaxRetry time.Duration
	// Lifetime is how long delivery is tried. If zero, 5 days (RFC 5321 §4.5.4.1). What
	// has waited for an attempt past its time, since nobody ran, gets that one.
	Lifetime time.Duration
	// WarnAfter is when the sender hears that his message is late, if he wants to:
	// see dsn.Composer.NotifyDelay. If zero, 4 hours. If negative, he does not, unless
	// BY= asks for it.
	WarnAfter time.Duration

	// MaxDeliveries limits those that happen at a time. If zero, 500.
	MaxDeliveries int
	// SiteDeliveries is how many happen at a time to a destination that nothing is
	// known of, and MaxSiteDeliveries to one that takes them well. If zero, 5 and 20.
	// With those that the store has not recorded yet they are four times as many at the
	// most: these are what a crash doubles. Not counted is what the store refuses to
	// record, or to take a notification about.
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

	admission admission
	s         scheduler
}

// Activity is what a Runner is doing.
type Activity struct {
	Deliveries   int // that are underway
	Waiting      int // items that are leased and wait for their turn
	Settling     int // deliveries whose outcome is not yet recorded
	Destinations int // that something is known of
	Resting      int // destinations that are left alone for a while
}

// Errors of Run.
var (
	errNoStore = errors.New("queue: the Runner has no Store or no Deliverer")
	errRunning = errors.New("queue: the Runner runs, or has run")
)

// Run delivers until ctx ends or Shutdown is called: the error is then ctx's, or
// nil. Deliveries that are underway when ctx ends are cut short. Run waits for them,
// and for half a minute at the most that the store takes what came of them. A Runner
// runs once.
func (r *Runner) Run(ctx context.Context) error {
	if r.Store == nil || r.Deliverer == nil {
		return errNoStore
	}
	m := dsn.Message{Envelope: smtp.Envelope{From: smtp.ReversePath{Mailbox: smtp.Mailbox{Local: "a", Domain: "localhost"}}}}
	if _, err := r.composer().Compose(&m, dsn.Recipient{Action: dsn.Failed, Final: dsn.Typed{Type: "rfc822", Text: "b"}}); err != nil {
		return err // better now than when somebody has to hear of something
	}
	return r.run(ctx)
}

// Shutdown lets no delivery begin, waits for those that run and for what came of
// them to be recorded, and makes Run return. When ctx ends first, they are cut
// short, and the error is ctx's. Messages are still taken in.
func (r *Runner) Shutdown(ctx context.Context) error {
	s := r.scheduler()
	s.mu.Lock()
	r.stop()
	s.mu.Unlock()
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		s.cancel()
		return ctx.Err()
	}
}

// Activity returns what the Runner is doing now.
func (r *Runner) Activity() Activity {
	s := r.scheduler()
	s.mu.Lock()
	defer s.mu.Unlock()
	a := Activity{Deliveries: s.running, Waiting: s.waiting, Settling: s.settling, Destinations: len(s.sites)}
	now := time.Now()
	for _, site := range s.sites {
		if site.rests(now) {
			a.Resting++
		}
	}
	return a
}

// TryNow makes the items that match due now, as Retry does, and lets the
// destinations that rest be tried at once: that of the filter, or, if it names none, all.
// A Runner that shares its Store learns of the items with its next look into it, but a
// rest that it has given to a destination takes its time. It returns the number of items.
func (r *Runner) TryNow(ctx context.Context, f Filter) (int, error) {
	n, err := r.Store.Change(ctx, f, Retry, time.Now())
	if err != nil {
		return n, err
	}
	s := r.scheduler()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for name, at := range s.sites {
		if at.rests(now) && (f.Destination == "" || f.Destination == name) {
			at.restEnds, at.more = now, true
		}
	}
	s.nextRest, s.rescan = now, true
	s.wake()
	return n, nil
}

func (r *Runner) logger() *slog.Logger {
	if r.Logger != nil {
		return r.Logger
	}
	return slog.Default()
}

// orDefault reads a limit: zero means def.
func orDefault[T int | int64 | time.Duration](n, def T) T {
	if n == 0 {
		return def
	}
	return n
}
