package queuetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/mx/queue"
)

var readyRules = []rule{
	{name: "Ready/InOrder", test: readyInOrder},
	{name: "Ready/WhatCanBeLeased", test: readyLeasable},
	{name: "Ready/Next", test: readyNext},
	{name: "Ready/Milliseconds", test: readyMilliseconds},
	{name: "Ready/CostsByDestinations", test: readyCost},
}

// readyInOrder: names are sorted by their octets, as strings are compared.
func readyInOrder(e *env) {
	names := []string{"a", "A", "B", "b.example", "b-example", "b", "ab", "ä", "z", "日本", "[192.0.2.1]", "0", "~", "_", "aa", "a b", "a.b", "xn--bcher-kva.example"}
	for i := range 40 {
		names = append(names, fmt.Sprintf("many%d.example", i))
	}
	for _, name := range names {
		e.put("x\r\n", item(name, 0), item(name, 0), item(name, -5))
	}
	slices.Sort(names)
	if got := e.ready(0); !slices.Equal(got, names) {
		e.Fatalf("Ready gives\n%q, want\n%q", got, names)
	}
	for _, max := range []int{1, 7, len(names), len(names) + 1} {
		var got []string
		for after := ""; ; after = got[len(got)-1] {
			page, _, err := e.s.Ready(e.ctx, t0, after, max)
			e.must(err)
			if len(page) == 0 {
				break
			}
			e.want(len(page) <= max, "Ready gives %d destinations, more than %d", len(page), max)
			if got = append(got, page...); len(got) > len(names) {
				break
			}
		}
		e.want(slices.Equal(got, names), "Ready gives, %d at a time,\n%q, want\n%q", max, got, names)
	}
	page, _, err := e.s.Ready(e.ctx, t0, "a0", 1) // which is not there
	e.must(err)
	e.want(slices.Equal(page, []string{"aa"}), "Ready after a0 gives %q", page)
}

func readyLeasable(e *env) {
	held := item("held", 0)
	held.Held = true
	id := e.put("x\r\n", item("due", 0), item("later", 1), held, leased(item("leased", 0), 60), leased(item("leasedlater", 100), 60), item("both", 0), item("both", 500))
	check := func(now int, want ...string) {
		e.Helper()
		got := e.ready(now)
		e.want(slices.Equal(got, want), "at %d s Ready gives %q, want %q", now, got, want)
		for _, name := range got { // and it can be leased
			_, next, err := e.s.Ready(e.ctx, at(now), name, 1)
			e.must(err)
			e.want(next.IsZero() || next.After(at(now)), "next is %v at %v", next, at(now))
		}
	}
	check(-1)
	check(0, "both", "due")
	check(1, "both", "due", "later")
	check(59, "both", "due", "later")
	check(60, "both", "due", "later", "leased")
	check(100, "both", "due", "later", "leased", "leasedlater")
	e.lease1("both", 0, 70)
	check(0, "due")
	check(69, "due", "later", "leased")
	check(70, "both", "due", "later", "leased")
	e.change(queue.Filter{Destination: "due"}, queue.Hold, 0, 1)
	check(0)
	e.change(queue.Filter{Messages: []queue.ID{id}}, queue.Release, 0, 7)
	check(0, "due", "held")
}

func readyNext(e *env) {
	next := func(now int, after string, max int, want int) {
		e.Helper()
		_, next, err := e.s.Ready(e.ctx, at(now), after, max)
		e.must(err)
		if want == 0 {
			e.want(next.IsZero(), "at %d s, after %q, next is %v, want none", now, after, next)
		} else {
			e.want(next.Equal(at(want)), "at %d s, after %q, next is %v, want %v", now, after, next, at(want))
		}
	}
	next(0, "", 10, 0)
	e.put("x\r\n", item("a", 30), item("b", 20), item("b", 10), item("b", 40))
	next(0, "", 10, 10)
	next(9, "", 10, 10)
	next(10, "", 10, 20)
	next(0, "a", 10, 10)
	next(0, "b", 10, 0)
	next(15, "", 10, 20)
	next(20, "", 10, 30)
	next(30, "", 10, 40)
	next(40, "", 10, 0)
	held := item("a", 5)
	held.Held = true
	e.put("x\r\n", held)
	next(0, "", 10, 10)
}

// readyMilliseconds: a store may keep times to the millisecond, but no less.
func readyMilliseconds(e *env) {
	ms := func(n int) time.Time { return t0.Add(time.Duration(n) * time.Millisecond) }
	soon, once := item("a", 0), item("b", 0)
	soon.Due, once.Due = ms(3), time.Time{}
	e.put("x\r\n", soon, once)
	for now, want := range map[int]bool{0: false, 2: false, 3: true, 4: true} {
		names, _, err := e.s.Ready(e.ctx, ms(now), "", 10)
		e.must(err)
		e.want(slices.Contains(names, "a") == want, "at %d ms Ready gives %q", now, names)
		e.want(slices.Contains(names, "b"), "an item that is due at the zero time is not ready")
	}
	_, next, err := e.s.Ready(e.ctx, t0, "", 10)
	e.must(err)
	e.want(next.Equal(ms(3)), "next is %v, want %v", next, ms(3))
	l := e.leaseAs(queue.LeaseRequest{Destination: "a", Max: 1, Now: ms(3), Until: ms(5)})
	e.want(len(l) == 1 && l[0].Lease.Until.Equal(ms(5)), "Lease gives %v", l)
	for now, want := range []int{4: 0, 5: 1} {
		if now >= 4 {
			got := e.leaseAs(queue.LeaseRequest{Destination: "a", Max: 1, Now: ms(now), Until: ms(100)})
			e.want(len(got) == want, "at %d ms Lease gives %d items", now, len(got))
		}
	}
}

// readyCost: with many items of one destination it costs about as much as with
// few. A store that looks at each takes a thousand times as long. The best of 20
// is what counts, so that a busy machine does not.
func readyCost(e *env) {
	ready := func() time.Duration {
		best := time.Hour
		for range 20 {
			began := time.Now()
			e.ready(0)
			best = min(best, time.Since(began))
		}
		return best
	}
	fill := func(n int) {
		items := slices.Repeat([]queue.NewItem{item("many", -1)}, n)
		for part := range slices.Chunk(items, 1000) {
			e.put("x\r\n", part...)
		}
	}
	e.put("x\r\n", item("one", 0))
	fill(10)
	few := ready()
	fill(20_000)
	if many := ready(); many > 10*few+500*time.Microsecond {
		e.Errorf("Ready takes %v with 20,000 items of a destination, %v with 10", many, few)
	}
	began := time.Now()
	for range 50 {
		for _, l := range e.lease("many", 1, 0, 1) {
			e.settled(done(l))
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		e.Errorf("50 items of 20,000 took %v", took)
	}
}
