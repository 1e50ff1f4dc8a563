package mtasts

import "container/list"

// An lru holds values by domain, in the order in which they were used.
type lru[V any] struct {
	byDomain map[string]*list.Element
	order    list.List // of *pair[V]: the front was used the latest
}

type pair[V any] struct {
	domain string
	value  V
}

func (l *lru[V]) len() int { return len(l.byDomain) }

// get returns the value of a domain, which counts as a use, or nil.
func (l *lru[V]) get(domain string) *V {
	e := l.byDomain[domain]
	if e == nil {
		return nil
	}
	l.order.MoveToFront(e)
	return &e.Value.(*pair[V]).value
}

// peek is get, but no use.
func (l *lru[V]) peek(domain string) *V {
	e := l.byDomain[domain]
	if e == nil {
		return nil
	}
	return &e.Value.(*pair[V]).value
}

func (l *lru[V]) put(domain string, value V) {
	l.drop(domain)
	if l.byDomain == nil {
		l.byDomain = map[string]*list.Element{}
	}
	l.byDomain[domain] = l.order.PushFront(&pair[V]{domain, value})
}

func (l *lru[V]) drop(domain string) {
	if e := l.byDomain[domain]; e != nil {
		l.order.Remove(e)
		delete(l.byDomain, domain)
	}
}

// oldest returns the domain that was not used the longest.
func (l *lru[V]) oldest() string { return l.order.Back().Value.(*pair[V]).domain }

// oldestIf returns the domain that was not used the longest of those with values of
// which f holds, one of which there must be.
func (l *lru[V]) oldestIf(f func(value *V) bool) string {
	e := l.order.Back()
	for !f(&e.Value.(*pair[V]).value) {
		e = e.Prev()
	}
	return e.Value.(*pair[V]).domain
}

// all calls f with each value.
func (l *lru[V]) all(f func(domain string, value *V)) {
	for e := l.order.Front(); e != nil; e = e.Next() {
		p := e.Value.(*pair[V])
		f(p.domain, &p.value)
	}
}
