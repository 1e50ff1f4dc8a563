package middleware

import (
	"context"
	"fmt"
	"hash/maphash"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// GreylistOptions say how long unknown clients have to wait.
type GreylistOptions struct {
	// Delay is how long after the first attempt another one passes. If zero, 5
	// minutes.
	Delay time.Duration
	// Window is how long after the first attempt another one still counts as a
	// retry; later, it is a first attempt again. If zero, 24 hours; twice Delay
	// at least, or nobody would pass.
	Window time.Duration
	// Lifetime is how long one that has passed is remembered after its latest
	// message. If zero, 35 days: newsletters come once a month.
	Lifetime time.Duration
	// IPv4Bits and IPv6Bits are how much of the client's address belongs to
	// the triplet: sites retry from another address of the same network. If
	// zero, 24 and 64.
	IPv4Bits, IPv6Bits int
	// EveryTriplet makes each new triplet wait. If false, an IPv4 address or
	// IPv6 /64 from which one has passed is known to retry, and no other has
	// to wait there (RFC 6647 §5).
	EveryTriplet bool
	// Exempt says who need not wait. It is asked after the exemptions that are
	// always made, see Greylist. If nil, nobody else.
	Exempt func(ctx context.Context, c *server.Conn, from smtp.ReversePath, to smtp.ForwardPath) (bool, error)
	// Store remembers. Servers that stand for the same domain should share
	// one. If nil, MemoryGreylist(0).
	Store GreylistStore
}

// Greylist returns middleware that puts unknown clients off with 451 4.7.1
// until they try again (RFC 6647). Whether a client is known is a matter of the
// triplet of its network, the reverse-path and the recipient.
//
// With the null reverse-path the 451 comes in place of the reply to the
// message, so that those who only verify an address are not put off.
//
// Clients that have authenticated, or have shown a certificate that the server
// has verified, do not wait, nor do those on a unix socket or on loopback.
//
// Put it behind Recipients, lest the memory fill with recipients there are not,
// and senders wait in vain.
func Greylist(o GreylistOptions) func(server.Handler) server.Handler {
	for _, d := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{{&o.Delay, 5 * time.Minute}, {&o.Window, 24 * time.Hour}, {&o.Lifetime, 35 * 24 * time.Hour}} {
		if *d.value <= 0 {
			*d.value = d.otherwise
		}
	}
	o.Window = max(o.Window, 2*o.Delay)
	if o.IPv4Bits <= 0 {
		o.IPv4Bits = 24
	}
	if o.IPv6Bits <= 0 {
		o.IPv6Bits = 64
	}
	o.IPv4Bits, o.IPv6Bits = min(o.IPv4Bits, 32), min(o.IPv6Bits, 128)
	if o.Store == nil {
		o.Store = MemoryGreylist(0)
	}
	return wrap(func(w wrapped) server.Session { return &greylisted{wrapped: w, o: &o} })
}

var greylistedReply = smtp.Reject(451, smtp.Enh(7, 1), "greylisted, please try again later")

type greylisted struct {
	wrapped
	o        *GreylistOptions
	from     smtp.ReversePath
	deferred bool // a recipient of a message without sender has to wait
}

func (s *greylisted) Mail(ctx context.Context, from smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error) {
	s.from, s.deferred = from, false
	return s.Session.Mail(ctx, from, p)
}

func (s *greylisted) Rcpt(ctx context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
	passes, err := s.passes(ctx, to)
	switch {
	case err != nil:
		return smtp.Reply{}, fmt.Errorf("middleware: greylist: %w", err)
	case !passes && !s.from.IsNull():
		return smtp.Reply{}, greylistedReply
	}
	r, err := s.Session.Rcpt(ctx, to, p)
	s.deferred = s.deferred || err == nil && !passes
	return r, err
}

func (s *greylisted) Data(ctx context.Context, b *server.Body) (smtp.Reply, error) {
	if s.deferred {
		return smtp.Reply{}, greylistedReply
	}
	return s.Session.Data(ctx, b)
}

func (s *greylisted) exempt(ctx context.Context, to smtp.ForwardPath) (bool, error) {
	ip, state := s.conn.RemoteIP(), s.conn.TLS()
	switch {
	case s.conn.Identity() != "", !ip.IsValid(), ip.IsLoopback():
		return true, nil
	case state != nil && len(state.VerifiedChains) > 0:
		return true, nil
	case s.o.Exempt == nil:
		return false, nil
	}
	return s.o.Exempt(ctx, s.conn, s.from, to)
}

// passes reports whether the recipient may be accepted, and remembers the
// attempt.
func (s *greylisted) passes(ctx context.Context, to smtp.ForwardPath) (bool, error) {
	if ok, err := s.exempt(ctx, to); ok || err != nil {
		return ok, err
	}
	now := time.Now()
	client := Triplet{Network: network(s.conn, 32, 64)}
	if !s.o.EveryTriplet {
		if known, err := s.known(ctx, client, now); known || err != nil {
			return known, err
		}
	}
	triplet := Triplet{
		Network: network(s.conn, s.o.IPv4Bits, s.o.IPv6Bits),
		From:    strings.ToLower(s.from.String()),
		To:      strings.ToLower(to.String()),
	}
	r, err := s.o.Store.Get(ctx, triplet)
	if err != nil {
		return false, err
	}
	switch {
	case r.First.IsZero() || !now.Before(r.Expires):
		r = GreylistRecord{First: now, Expires: now.Add(s.o.Window)}
		return false, s.o.Store.Put(ctx, triplet, r)
	case r.Passed:
		return true, s.renew(ctx, triplet, r, now)
	case now.Before(r.First.Add(s.o.Delay)):
		return false, nil
	}
	r.Passed, r.Expires = true, now.Add(s.o.Lifetime)
	if err := s.o.Store.Put(ctx, triplet, r); err != nil {
		return false, err
	}
	if !s.o.EveryTriplet {
		return true, s.o.Store.Put(ctx, client, r)
	}
	return true, nil
}

// known reports whether there is a record that has passed.
func (s *greylisted) known(ctx context.Context, t Triplet, now time.Time) (bool, error) {
	r, err := s.o.Store.Get(ctx, t)
	if err != nil || !r.Passed || !now.Before(r.Expires) {
		return false, err
	}
	return true, s.renew(ctx, t, r, now)
}

// renew prolongs a record, but does not write for each message.
func (s *greylisted) renew(ctx context.Context, t Triplet, r GreylistRecord, now time.Time) error {
	if r.Expires.Sub(now) > s.o.Lifetime-s.o.Lifetime/32 {
		return nil
	}
	r.Expires = now.Add(s.o.Lifetime)
	return s.o.Store.Put(ctx, t, r)
}

// Triplet is what greylisting knows a client by. It is comparable.
type Triplet struct {
	// Network is the client's, of as many bits as GreylistOptions says.
	Network netip.Prefix
	// From and To are the paths in lower case, with angle brackets. In the
	// record of a client for whom no triplet has to wait both are empty, and
	// Network is its IPv4 address or IPv6 /64.
	From, To string
}

// String returns the triplet as one line: "192.0.2.0/24 <a@example.org>
// <b@example.com>".
func (t Triplet) String() string {
	if t.From == "" && t.To == "" {
		return t.Network.String()
	}
	return t.Network.String() + " " + t.From + " " + t.To
}

// GreylistRecord is what is remembered of a Triplet. The zero value is for one
// that has never been seen.
type GreylistRecord struct {
	// First is when it was first tried.
	First time.Time
	// Passed is set when it has been tried again in time.
	Passed bool
	// Expires is when it may be forgotten.
	Expires time.Time
}

// A GreylistStore remembers triplets. Its methods are called by many
// connections at once, within the time that Limits.HandlerTimeout gives. An
// error puts the client off with 451 4.3.0.
//
// A record need not be found before it expires: to forget one makes a client
// wait once more. Nor must a Get and a Put be one step.
type GreylistStore interface {
	// Get returns the record of t, the zero value if there is none.
	Get(ctx context.Context, t Triplet) (GreylistRecord, error)
	// Put stores the record of t in place of the one before.
	Put(ctx context.Context, t Triplet, r GreylistRecord) error
}

// MemoryGreylist returns a GreylistStore in memory that holds as many records,
// each in less than 256 octets. Beyond, those are forgotten that expire the
// soonest, of triplets that have not passed, and first those of the network
// that the new one is of: whoever tries triplets without end drives out its
// own. If limit is zero, 100,000.
func MemoryGreylist(limit int) GreylistStore {
	records := newTable(limit, 100_000, func(r memoryRecord) time.Time { return r.Expires })
	records.yields = memoryRecord.yields
	return &memoryGreylist{records, maphash.MakeSeed()}
}

type memoryGreylist struct {
	records *table[memoryRecord]
	seed    maphash.Seed
}

type memoryRecord struct {
	GreylistRecord
	site uint32 // a hash of the network, which need not be in the key any more
}

// yields puts what has not passed, and is of the same site as what is coming,
// in front of everything else.
func (r memoryRecord) yields(coming memoryRecord) time.Time {
	if !r.Passed && r.site == coming.site {
		return r.Expires.AddDate(-100, 0, 0)
	}
	return r.Expires
}

func (m *memoryGreylist) Get(_ context.Context, t Triplet) (GreylistRecord, error) {
	return m.records.get(t.String(), time.Now()).GreylistRecord, nil
}

func (m *memoryGreylist) Put(_ context.Context, t Triplet, r GreylistRecord) error {
	site := t.Network
	if site.Bits() > 48 && site.Addr().Is6() { // one customer has many /64
		site, _ = site.Addr().Prefix(48)
	}
	m.records.put(t.String(), time.Now(), memoryRecord{r, uint32(maphash.Comparable(m.seed, site))})
	return nil
}
