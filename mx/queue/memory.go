package queue

import (
	"cmp"
	"context"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/smtp"
)

// Memory is a Store that keeps everything in memory, and loses it with the
// process: it is for tests, of applications too, and for mail that may be lost.
// The zero value is empty and ready to use. It must not be copied, and its fields
// must not change after its first use.
type Memory struct {
	// MaxBytes limits what there is in messages: each counts its content, and 1 KB.
	// What would be beyond fails with ErrFull. If zero, 256 MB; if negative, nothing
	// is limited.
	MaxBytes int64
	// MaxOutcomes is how many outcomes are kept, the last ones. If zero, 100,000; if
	// negative, none.
	MaxOutcomes int

	once     sync.Once
	data     *memoryData
	closed   bool  // guarded by data.mu, as reserved is
	reserved int64 // by transactions
}

const (
	memoryMaxBytes    = 256 << 20
	memoryMaxOutcomes = 100_000
	memoryMessageCost = 1 << 10 // what a message counts beside its content
)

// memoryData is what handles share.
type memoryData struct {
	ids IDs

	mu       sync.Mutex
	messages map[ID]*memoryMessage
	byID     ordered[*memoryMessage]
	sites    map[string]*memorySite
	byName   ordered[*memorySite]
	late     ordered[*memoryItem] // those that are in due of a site, by when they are late
	leased   ordered[*memoryItem] // by when the lease is over
	outcomes []Outcome
	bytes    int64
	items    int64
	held     int64
}

type memoryMessage struct {
	*Message
	content []byte
	items   []*memoryItem // in the order of their numbers
}

// A memoryItem has its recipients as text: nobody can change them from outside,
// and what another store would not take this one does not take either.
type memoryItem struct {
	Item       // without its Recipients
	message    *memoryMessage
	site       *memorySite
	recipients []byte
	token      int64
	leased     bool
	until      time.Time // of the lease
}

// A memorySite has the items of a destination that are not held.
type memorySite struct {
	name   string
	due    ordered[*memoryItem] // those not leased, by when they are due
	leased ordered[*memoryItem] // by when the lease is over
}

// Reopen returns another handle on what m holds: as a process finds it that was
// started after the one with m has crashed, or that shares it with m. What is
// leased stays so until its time is over; transactions of m are nothing to the new
// handle.
func (m *Memory) Reopen() *Memory {
	again := &Memory{MaxBytes: m.MaxBytes, MaxOutcomes: m.MaxOutcomes}
	again.once.Do(func() { again.data = m.store() })
	return again
}

// Open returns the content of a message, as a Store does.
func (m *Memory) Open(ctx context.Context, id ID) (*Message, smtp.Content, error) {
	d, err := m.lock(ctx)
	if err != nil {
		return nil, smtp.Content{}, err
	}
	defer d.mu.Unlock()
	msg := d.messages[id]
	if msg == nil {
		return nil, smtp.Content{}, ErrNotFound
	}
	return msg.Message, m.content(msg), nil
}

// Stats counts what is in the store.
func (m *Memory) Stats(ctx context.Context) (Stats, error) {
	d, err := m.lock(ctx)
	if err != nil {
		return Stats{}, err
	}
	defer d.mu.Unlock()
	s := Stats{
		Messages: int64(len(d.messages)),
		Bytes:    d.bytes,
		Items:    d.items,
		Held:     d.held,
		Leased:   int64(d.leased.len),
		Free:     -1,
	}
	if d.byID.len > 0 {
		s.Oldest = d.byID.first().Arrived
	}
	return s, nil
}

// Outcomes returns the outcomes that are kept, as a Store does.
func (m *Memory) Outcomes(ctx context.Context, id ID) iter.Seq2[Outcome, error] {
	return func(yield func(Outcome, error) bool) {
		d, err := m.lock(ctx)
		if err != nil {
			yield(Outcome{}, err)
			return
		}
		outcomes := d.outcomes[:len(d.outcomes):len(d.outcomes)] // only ever appended to
		d.mu.Unlock()
		for _, o := range outcomes {
			if (id == 0 || o.Message == id) && !yield(o, nil) {
				return
			}
		}
	}
}

// Close ends the use of this handle; others go on.
func (m *Memory) Close() error {
	d := m.store()
	d.mu.Lock()
	defer d.mu.Unlock()
	m.closed = true
	return nil
}

func (m *Memory) store() *memoryData {
	m.once.Do(func() {
		m.data = &memoryData{
			messages: map[ID]*memoryMessage{},
			sites:    map[string]*memorySite{},
			byID:     ordered[*memoryMessage]{cmp: func(a, b *memoryMessage) int { return cmp.Compare(a.ID, b.ID) }},
			byName:   ordered[*memorySite]{cmp: func(a, b *memorySite) int { return strings.Compare(a.name, b.name) }},
			late:     ordered[*memoryItem]{cmp: byTime((*memoryItem).late)},
			leased:   ordered[*memoryItem]{cmp: byTime((*memoryItem).leaseEnd)},
		}
	})
	return m.data
}

// lock returns the data, locked, if there is no error.
func (m *Memory) lock(ctx context.Context) (*memoryData, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d := m.store()
	d.mu.Lock()
	if m.closed {
		d.mu.Unlock()
		return nil, ErrClosed
	}
	return d, nil
}

// room reports whether n octets more may be there. The caller has locked.
func (m *Memory) room(n int64) bool {
	limit := cmp.Or(m.MaxBytes, memoryMaxBytes)
	d := m.data
	return limit < 0 || n <= limit-d.bytes-int64(len(d.messages))*memoryMessageCost-m.reserved
}

func (m *Memory) content(msg *memoryMessage) smtp.Content {
	c := smtp.BytesContent(msg.content)
	open := c.Open
	c.Kind = msg.Kind
	c.Open = func() (r io.ReadCloser, err error) {
		d, err := m.lock(context.Background())
		if err != nil {
			return nil, err
		}
		defer d.mu.Unlock()
		if d.messages[msg.ID] == nil {
			return nil, ErrNotFound
		}
		return open()
	}
	return c
}

// index puts the item where it is looked for; unindex takes it away, before what
// is looked at changes.
func (d *memoryData) index(it *memoryItem) {
	if it.Held {
		d.held++
	}
	if it.leased {
		d.leased.add(it)
	}
	if it.Held {
		return
	}
	if it.site = d.sites[it.Destination]; it.site == nil {
		it.site = &memorySite{
			name:   it.Destination,
			due:    ordered[*memoryItem]{cmp: byTime(byDue)},
			leased: ordered[*memoryItem]{cmp: d.leased.cmp},
		}
		d.sites[it.Destination] = it.site
		d.byName.add(it.site)
	}
	if it.leased {
		it.site.leased.add(it)
		return
	}
	it.site.due.add(it)
	d.late.add(it)
}

func (d *memoryData) unindex(it *memoryItem) {
	if it.Held {
		d.held--
	}
	if it.leased {
		d.leased.remove(it)
	}
	if it.Held {
		return
	}
	if it.leased {
		it.site.leased.remove(it)
	} else {
		it.site.due.remove(it)
		d.late.remove(it)
	}
	if it.site.due.len == 0 && it.site.leased.len == 0 {
		delete(d.sites, it.site.name)
		d.byName.remove(it.site)
	}
}

// add puts in a message whose items are not indexed yet.
func (d *memoryData) add(msg *memoryMessage) {
	d.messages[msg.ID] = msg
	d.byID.add(msg)
	d.bytes += msg.Size
	d.items += int64(len(msg.items))
	for _, it := range msg.items {
		d.index(it)
	}
}

// remove takes out an item that is not indexed any more, and its message with the
// last.
func (d *memoryData) remove(it *memoryItem) {
	msg := it.message
	msg.items = slices.DeleteFunc(msg.items, func(other *memoryItem) bool { return other == it })
	d.items--
	if len(msg.items) == 0 {
		delete(d.messages, msg.ID)
		d.byID.remove(msg)
		d.bytes -= msg.Size
	}
}

func (d *memoryData) record(m *Memory, done []Outcome) {
	limit := cmp.Or(m.MaxOutcomes, memoryMaxOutcomes)
	if limit < 0 {
		return
	}
	d.outcomes = append(d.outcomes, done...)
	if len(d.outcomes) > 2*limit { // copied, for those who read
		d.outcomes = slices.Clone(d.outcomes[len(d.outcomes)-limit:])
	}
}

// item returns a copy for the outside.
func (it *memoryItem) item() (Item, error) {
	item := it.Item
	return item, item.Recipients.UnmarshalText(it.recipients)
}

// late is when the item is given up or the sender told that it is late.
func (it *memoryItem) late() time.Time {
	if !it.Warn.IsZero() && it.Warn.Before(it.Expires) {
		return it.Warn
	}
	return it.Expires
}

func byDue(it *memoryItem) time.Time { return it.Due }

func (it *memoryItem) leaseEnd() time.Time { return it.until }

func byTime(at func(*memoryItem) time.Time) func(a, b *memoryItem) int {
	return func(a, b *memoryItem) int {
		if c := at(a).Compare(at(b)); c != 0 {
			return c
		}
		if c := cmp.Compare(a.Message, b.Message); c != 0 {
			return c
		}
		return cmp.Compare(a.N, b.N)
	}
}

var _ Store = (*Memory)(nil)
