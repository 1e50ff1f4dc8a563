package queue

import (
	"context"
	"iter"
	"slices"
	"time"
)

// Ready returns destinations, as a Store does.
func (m *Memory) Ready(ctx context.Context, now time.Time, after string, max int) (destinations []string, next time.Time, err error) {
	d, err := m.lock(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer d.mu.Unlock()
	for s := range d.byName.from(func(s *memorySite) bool { return s.name > after }) {
		if len(destinations) >= max {
			break
		}
		if s.ready(now) {
			destinations = append(destinations, s.name)
		}
		if at := s.next(now); !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return destinations, next, nil
}

func (s *memorySite) ready(now time.Time) bool {
	if s.due.len > 0 && !s.due.first().Due.After(now) {
		return true
	}
	for range leaseOver(&s.leased, now, byDue) {
		return true
	}
	return false
}

// next returns when the first item is due, or its lease over, after now.
func (s *memorySite) next(now time.Time) (next time.Time) {
	for it := range s.due.from(func(it *memoryItem) bool { return it.Due.After(now) }) {
		next = it.Due
		break
	}
	for it := range s.leased.all() {
		at := it.until
		if at.Before(it.Due) {
			at = it.Due
		}
		if at.After(now) && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// leaseOver returns those whose lease is over and whose time has come.
func leaseOver(leased *ordered[*memoryItem], now time.Time, at func(*memoryItem) time.Time) iter.Seq[*memoryItem] {
	return func(yield func(*memoryItem) bool) {
		for it := range leased.all() {
			if it.until.After(now) {
				return
			}
			if !it.Held && !at(it).After(now) && !yield(it) {
				return
			}
		}
	}
}

// Lease leases items, as a Store does.
func (m *Memory) Lease(ctx context.Context, req LeaseRequest) ([]*Leased, error) {
	d, err := m.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	var leased []*Leased
	for _, it := range d.leasable(req) {
		item, err := it.item()
		if err != nil {
			return nil, err
		}
		d.unindex(it)
		it.leased, it.until = true, req.Until
		it.token++
		d.index(it)
		l := m.leasedOf(it)
		l.Item = item
		leased = append(leased, l)
	}
	return leased, nil
}

// leasable returns the items that are to be leased.
func (d *memoryData) leasable(req LeaseRequest) []*memoryItem {
	all, leases, at := &d.late, &d.leased, (*memoryItem).late
	if !req.Late {
		s := d.sites[req.Destination]
		if s == nil {
			return nil
		}
		all, leases, at = &s.due, &s.leased, byDue
	}
	var items []*memoryItem
	for it := range all.all() {
		if len(items) >= req.Max || at(it).After(req.Now) {
			break
		}
		items = append(items, it)
	}
	n := len(items)
	items = slices.AppendSeq(items, leaseOver(leases, req.Now, at))
	if len(items) > n {
		slices.SortFunc(items, all.cmp)
	}
	return items[:min(len(items), max(req.Max, 0))]
}

// leasedOf returns what a holder of the item's lease gets, without recipients. The
// caller has locked.
func (m *Memory) leasedOf(it *memoryItem) *Leased {
	return &Leased{
		Lease:   Lease{Message: it.Message, N: it.N, Token: it.token, Until: it.until},
		Message: it.message.Message,
		Item:    it.Item,
		Content: m.content(it.message),
	}
}

// Extend makes leases last, as a Store does.
func (m *Memory) Extend(ctx context.Context, until time.Time, leases []Lease) (lost []Lease, err error) {
	d, err := m.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	for _, l := range leases {
		it := d.holds(l)
		if it == nil {
			lost = append(lost, l)
			continue
		}
		d.unindex(it)
		it.until = until
		d.index(it)
	}
	return lost, nil
}

// holds returns the item if the lease is one.
func (d *memoryData) holds(l Lease) *memoryItem {
	msg := d.messages[l.Message]
	if msg == nil {
		return nil
	}
	for _, it := range msg.items {
		if it.N == l.N && it.leased && it.token == l.Token {
			return it
		}
	}
	return nil
}

// Settle ends leases, as a Store does.
func (m *Memory) Settle(ctx context.Context, settlements []*Settlement) error {
	left := make([][]byte, len(settlements))
	spawned := make([][]*memoryMessage, len(settlements))
	for i, s := range settlements {
		var err error
		if left[i], err = s.Left.MarshalText(); err != nil {
			return err
		}
		for _, spawn := range s.Spawn {
			msg, err := m.spawn(spawn)
			if err != nil {
				return err
			}
			spawned[i] = append(spawned[i], msg)
		}
	}
	d, err := m.lock(ctx)
	if err != nil {
		return err
	}
	defer d.mu.Unlock()
	for i, s := range settlements {
		it := d.holds(s.Lease)
		for _, spawn := range s.Spawn {
			spawn.Tx.(*memoryTx).finish()
		}
		if s.Err = ErrLost; it == nil {
			continue
		}
		s.Err = nil
		d.unindex(it)
		it.leased, it.recipients = false, left[i]
		it.Due, it.Warn, it.Attempts = s.Due, s.Warn, s.Attempts
		if len(s.Left) > 0 {
			d.index(it)
		} else {
			d.remove(it)
		}
		d.record(m, s.Done)
		for _, msg := range spawned[i] {
			d.add(msg)
		}
	}
	return nil
}

func (m *Memory) spawn(s Spawn) (*memoryMessage, error) {
	tx, ok := s.Tx.(*memoryTx)
	switch {
	case !ok || tx.m != m:
		return nil, errForeignTx
	case tx.over:
		return nil, errTxOver
	}
	msg, err := tx.message(s.Commit)
	if err != nil {
		return nil, err
	}
	for _, it := range msg.items {
		it.leased, it.token = false, 0 // nobody would hear of it
	}
	return msg, nil
}
