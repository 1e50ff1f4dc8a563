package queue

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

// A NewMessage is what comes with a message that is taken in.
type NewMessage struct {
	// Envelope is as it came. HOLDFOR= and HOLDUNTIL= make the message wait, BY= limits
	// its Lifetime or sets the time of the warning (RFC 4865, RFC 2852). Both count from
	// Begin. A message is not late while it is held.
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
	tx    Tx
	r     *Runner
	began time.Time
	place place
	wrote int64
}

var (
	errNoRecipients = errors.New("queue: the message has no recipients")
	errTooLong      = errors.New("queue: the message's Prefix or Data is too long")
)

// Begin takes in a message. Size is what the sender says that it has; negative if
// he does not say. The error may be ErrFull, in the place of which a server
// answers 452 by itself: it is for MAIL. Abort ends it, or a Commit that returns nil.
func (r *Runner) Begin(ctx context.Context, size int64) (*Incoming, error) {
	in := &Incoming{r: r, began: time.Now()}
	err := r.admission.enter(ctx, r, &in.place, size)
	if err != nil {
		return nil, err
	}
	if in.tx, err = r.Store.Begin(ctx, size); err != nil {
		r.admission.leave(&in.place)
		return nil, err
	}
	return in, nil
}

// Admit reports whether Begin would find room for a message: for MAIL, when the
// content is not yet to come. Size is as for Begin.
func (r *Runner) Admit(ctx context.Context, size int64) error {
	var p place
	err := r.admission.enter(ctx, r, &p, size)
	r.admission.leave(&p)
	return err
}

// ID returns the ID that the message will have, for its Received field and the
// reply.
func (in *Incoming) ID() ID { return in.tx.ID() }

// Write adds to the content. The error may be ErrFull.
func (in *Incoming) Write(p []byte) (int, error) {
	if in.wrote += int64(len(p)); in.wrote > in.place.size {
		if err := in.r.admission.grow(&in.place, in.wrote, in.r); err != nil {
			return 0, err
		}
	}
	return in.tx.Write(p)
}

// Abort forgets the message. After Commit it does nothing.
func (in *Incoming) Abort() {
	in.r.admission.leave(&in.place)
	in.tx.Abort()
}

// Commit puts the message into the queue. When it returns nil the message is
// durable, and may be underway already.
func (in *Incoming) Commit(ctx context.Context, m *NewMessage) error {
	r := in.r
	switch {
	case len(m.Envelope.Recipients) == 0:
		return errNoRecipients
	case len(m.Prefix) > 64<<10, len(m.Data) > 4<<10:
		return errTooLong
	}
	now := time.Now()
	c := r.commit(m, in.began, now)
	promised := r.lease(c, now)
	leased, err := in.tx.Commit(ctx, c)
	if err != nil {
		r.breakPromises(promised)
		return err
	}
	r.admission.stay(&in.place, in.wrote+int64(len(m.Prefix)))
	if t := r.Trace; t != nil && t.Accepted != nil {
		t.Accepted(ctx, &c.Message, c.Items)
	}
	s := r.scheduler()
	now = time.Now()
	s.mu.Lock()
	for _, at := range promised {
		s.promise(at, -1)
	}
	ended := s.phase == phaseOver
	if !ended {
		r.committed(c, leased, now)
	}
	s.mu.Unlock()
	if ended && len(leased) > 0 {
		r.release(ctx, leased)
	}
	return nil
}

// release ends leases that nobody is left to use. If that fails they end by themselves.
func (r *Runner) release(ctx context.Context, leased []*Leased) {
	settlements := make([]*Settlement, len(leased))
	for i, l := range leased {
		settlements[i] = unmoved(l)
	}
	r.Store.Settle(ctx, settlements)
}

// commit sorts the recipients of a message by their destinations, and plans when they
// are tried.
func (r *Runner) commit(m *NewMessage, began, now time.Time) *Commit {
	c := &Commit{Prefix: m.Prefix, Message: Message{Envelope: m.Envelope, Arrived: now,
		ReceivedFrom: m.ReceivedFrom, TLSOptional: m.TLSOptional, Data: m.Data}}
	c.Message.Envelope.Recipients = nil
	if by := &c.Message.Envelope.MailParams.By; by.Mode != 0 {
		by.Within -= now.Sub(began) // from now on it counts from Arrived
	}
	t := r.times(m, began)
	if t.due.Before(now) {
		t.due = now
	}
	places := map[string]int(nil)
	for i := range m.Envelope.Recipients {
		to := Recipient{Recipient: m.Envelope.Recipients[i]}
		name := r.destination(to.To)
		at, known := 0, i > 0 && c.Items[0].Destination == name
		if !known && i > 0 {
			if places == nil {
				places = map[string]int{c.Items[0].Destination: 0}
			}
			at, known = places[name]
		}
		if !known {
			at = len(c.Items)
			if places != nil {
				places[name] = at
			}
			c.Items = append(c.Items, NewItem{Item: Item{Destination: name, Due: t.due, Expires: t.expires, Warn: t.warn, Held: m.Held}})
		}
		c.Items[at].Recipients = append(c.Items[at].Recipients, to)
	}
	for i := range c.Items {
		if it := &c.Items[i]; !it.Warn.IsZero() && !r.wantsWarning(&c.Message.Envelope, it.Recipients) {
			it.Warn = time.Time{}
		}
	}
	return c
}

func (r *Runner) destination(to smtp.ForwardPath) string {
	if r.Destination != nil {
		if name := r.Destination(to); name != "" {
			return name
		}
	}
	return domainOf(to)
}

// domainOf is the Destination of a Runner that has none.
func domainOf(to smtp.ForwardPath) string {
	if to.Domain == "" {
		return "localhost"
	}
	if m, err := (smtp.Mailbox{Domain: to.Domain}).ToASCII(); err == nil {
		return strings.ToLower(m.Domain)
	}
	return strings.ToLower(to.Domain)
}

// lease asks for leases of the items that can be begun soon, and returns their
// destinations, which keep a place for each.
func (r *Runner) lease(c *Commit, now time.Time) (promised []*site) {
	s := r.scheduler()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.works() {
		return nil
	}
	for i := range c.Items {
		it := &c.Items[i]
		if it.Held || it.Due.After(now) {
			continue
		}
		at := s.known(it.Destination, now)
		if at == nil || at.more || s.room(at, now) < 1 || s.maxLeases(at.class) < 1 { // what came before goes first
			continue
		}
		s.promise(at, 1)
		promised = append(promised, at)
		it.LeaseUntil = now.Add(r.leaseTime())
	}
	return promised
}

func (r *Runner) breakPromises(promised []*site) {
	if len(promised) == 0 {
		return
	}
	s := &r.s
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, at := range promised {
		s.promise(at, -1)
		s.lineUp(at, now)
	}
	r.proceed(now)
}

// committed notes what there is to do about a message that is in the store, of which
// these items are leased. Mu is held.
func (r *Runner) committed(c *Commit, leased []*Leased, now time.Time) {
	s := &r.s
	for _, l := range leased {
		r.enter(s.sites[l.Item.Destination], []*Leased{l}, now)
	}
	if s.phase != phaseActive {
		return
	}
	for i := range c.Items {
		it := &c.Items[i]
		if it.Held {
			continue
		}
		s.noteLate(earlier(it.Expires, it.Warn))
		switch {
		case it.Due.After(now):
			s.noteDue(it.Due)
		case it.LeaseUntil.IsZero():
			if !r.ready(it.Destination, now) {
				s.wake()
			}
		}
	}
	r.proceed(now)
}
