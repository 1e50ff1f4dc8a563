package queue

import (
	"context"
	"iter"
	"time"
)

// Scan returns items, as a Store does.
func (m *Memory) Scan(ctx context.Context, f Filter) iter.Seq2[*Entry, error] {
	return func(yield func(*Entry, error) bool) {
		var id ID
		for n, count := -1, 0; f.Limit == 0 || count < f.Limit; {
			e, err := m.scanNext(ctx, &f, id, n)
			if err != nil {
				yield(nil, err)
				return
			}
			if e == nil || !yield(e, nil) {
				return
			}
			id, n = e.Item.Message, e.Item.N
			count++
		}
	}
}

// scanNext returns the next item that matches after the item n of message id.
func (m *Memory) scanNext(ctx context.Context, f *Filter, id ID, n int) (*Entry, error) {
	d, err := m.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer d.mu.Unlock()
	for it := range d.from(id, n) {
		if e, err := it.entry(f); e != nil || err != nil {
			return e, err
		}
	}
	return nil, nil
}

// Change does what an operator wants, as a Store does.
func (m *Memory) Change(ctx context.Context, f Filter, do Action, now time.Time) (int, error) {
	d, err := m.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer d.mu.Unlock()
	var entries []*Entry
	var items []*memoryItem
	for it := range d.from(0, -1) {
		if f.Limit > 0 && len(items) == f.Limit {
			break
		}
		e, err := it.entry(&f)
		if err != nil {
			return 0, err
		}
		if e != nil {
			entries, items = append(entries, e), append(items, it)
		}
	}
	for i, it := range items {
		d.unindex(it)
		switch do {
		case Hold, Release:
			it.Held = do == Hold
		case Retry:
			if it.Due.After(now) {
				it.Due = now
			}
		case Delete:
			d.remove(it)
			d.record(m, deleted(entries[i].Item, now))
			continue
		}
		d.index(it)
	}
	return len(items), nil
}

// from returns the items behind the item n of message id, whether they match or
// not.
func (d *memoryData) from(id ID, n int) iter.Seq[*memoryItem] {
	return func(yield func(*memoryItem) bool) {
		for msg := range d.byID.from(func(m *memoryMessage) bool { return m.ID >= id }) {
			for _, it := range msg.items {
				if (it.Message > id || it.N > n) && !yield(it) {
					return
				}
			}
		}
	}
}

// entry returns the item if it matches, and nil if not.
func (it *memoryItem) entry(f *Filter) (*Entry, error) {
	e := &Entry{Message: it.message.Message, Item: it.Item}
	if !f.matchesAll(e) {
		return nil, nil
	}
	var err error
	if e.Item, err = it.item(); err != nil {
		return nil, err
	}
	if !f.matchesTo(e) {
		return nil, nil
	}
	if it.leased {
		e.LeasedUntil = it.until
	}
	return e, nil
}

func deleted(item Item, now time.Time) []Outcome {
	done := make([]Outcome, len(item.Recipients))
	for i := range done {
		done[i] = Outcome{Message: item.Message, Destination: item.Destination, Recipient: item.Recipients[i].To, Status: Deleted, Time: now}
	}
	return done
}
