package queuetest

import (
	"slices"
	"sync"

	"github.com/postrider/postrider/mx/queue"
)

var leaseRules = []rule{
	{name: "Lease/DueLongestFirst", test: leaseOrder},
	{name: "Lease/OnlyWhatCanBeLeased", test: leaseOnly},
	{name: "Lease/NobodyElse", test: leaseNobodyElse},
	{name: "Lease/TakeOver", test: leaseTakeOver},
	{name: "Lease/OverButNotTaken", test: leaseOver},
	{name: "Lease/Late", test: leaseLate},
	{name: "Lease/ManyAtOnce", test: leaseManyAtOnce},
	{name: "Extend", test: extend},
	{name: "Extend/Lost", test: extendLost},
}

func leaseOrder(e *env) {
	e.put("x\r\n", item("a", 5, "five@a"), item("a", 1, "one@a"), item("b", 0, "other@b"))
	e.put("x\r\n", item("a", 3, "three@a"), item("a", -60, "minute@a"), item("a", 9, "nine@a"))
	if got := ids(e.lease("a", 2, 5, 60)); got != "minute/1 one/1" {
		e.Errorf("Lease of 2 gives %q", got)
	}
	if got := ids(e.lease("a", 10, 5, 60)); got != "three/0 five/0" {
		e.Errorf("Lease of the rest gives %q", got)
	}
	if got := ids(e.lease("a", 10, 65, 100)); got != "minute/1 one/1 three/0 five/0 nine/2" {
		e.Errorf("Lease of all, when leases are over, gives %q", got)
	}
}

func leaseOnly(e *env) {
	held := item("a", 0, "held@a")
	held.Held = true
	e.put("x\r\n", item("a", 10, "later@a"), held, leased(item("a", 0, "leased@a"), 60), item("b", 0, "other@b"), item("A", 0, "upper@a"), item("a", 0, "due@a"))
	for _, test := range []struct {
		destination string
		max, now    int
		want        string
	}{
		{"c", 10, 0, ""}, {"", 10, 0, ""}, {"a", 0, 0, ""}, {"a", 10, -1, ""}, {"A", 10, 0, "upper/4"}, {"a", 10, 0, "due/5"}, {"a", 10, 9, ""}, {"a", 10, 10, "later/0"},
		{"a", 10, 59, ""}, {"a", 10, 60, "leased/2"},
	} {
		got := e.lease(test.destination, test.max, test.now, 1000)
		e.want(ids(got) == test.want, "at %d s Lease of %q gives %q, want %q", test.now, test.destination, ids(got), test.want)
		for _, l := range got {
			e.want(l.Lease.Until.Equal(at(1000)) && l.Lease.Message == l.Item.Message && l.Lease.N == l.Item.N, "the lease is %+v", l.Lease)
		}
	}
}

func leaseNobodyElse(e *env) {
	e.put("x\r\n", item("a", 0))
	l := e.lease1("a", 0, 60)
	entry := e.scan1(queue.Filter{})
	e.want(entry.LeasedUntil.Equal(at(60)), "Scan says that the item is leased until %v", entry.LeasedUntil)
	e.counts(1, 3, 1, 0, 1)
	for _, now := range []int{0, 30, 59} {
		e.want(len(e.lease("a", 10, now, 100)) == 0 && len(e.ready(now)) == 0, "at %d s the item can be leased twice", now)
	}
	e.settled(left(l, 0))
	e.want(e.scan1(queue.Filter{}).LeasedUntil.IsZero(), "the lease is there after its settlement")
	e.counts(1, 3, 1, 0, 0)
	again := e.lease1("a", 0, 60)
	e.want(again.Lease.Token > l.Lease.Token, "token %d comes after %d", again.Lease.Token, l.Lease.Token)
	e.lost(l.Lease)
	e.settled(done(again))
	e.empty()
}

// leaseTakeOver: who has lost a lease can do no harm with it.
func leaseTakeOver(e *env) {
	e.put("x\r\n", item("a", 0, "bob@a", "eve@a"))
	token := int64(0)
	var old []*queue.Leased
	for i := range 5 {
		l := e.lease1("a", 10*i, 10*i+10)
		e.want(l.Lease.Token > token, "token %d comes after %d", l.Lease.Token, token)
		token = l.Lease.Token
		for _, l := range old {
			e.lost(l.Lease)
			s := done(l)
			s.Left, s.Done = l.Item.Recipients[:1], s.Done[1:]
			e.settle(s)
			e.want(s.Err != nil, "a lost lease settles")
		}
		old = append(old, l)
	}
	e.want(len(e.scan1(queue.Filter{}).Item.Recipients) == 2 && len(e.outcomes(0)) == 0, "a lost lease has changed something")
	e.settled(done(old[len(old)-1]))
	e.empty()
	for _, l := range old {
		e.lost(l.Lease)
	}
	e.want(len(e.outcomes(0)) == 2, "there are %d outcomes", len(e.outcomes(0)))
}

// leaseOver: a lease that is over is lost only when somebody takes it.
func leaseOver(e *env) {
	e.put("x\r\n", item("a", 0, "one@a"))
	e.put("x\r\n", item("a", 1, "two@a"))
	l := e.lease("a", 10, 1, 10)
	if len(l) != 2 {
		e.Fatal(ids(l))
	}
	lost, err := e.s.Extend(e.ctx, at(1000), []queue.Lease{l[0].Lease})
	e.must(err)
	e.want(len(lost) == 0, "a lease that was over is lost")
	if got := ids(e.lease("a", 10, 999, 1005)); got != "two/0" {
		e.Errorf("Lease gives %q", got)
	}
	e.settled(done(l[0]))
	e.lost(l[1].Lease)
	e.counts(1, 3, 1, 0, 1)
}

func leaseLate(e *env) {
	warn := func(it queue.NewItem, expires, warn int) queue.NewItem {
		it.Expires = at(expires)
		if warn != 0 {
			it.Warn = at(warn)
		}
		return it
	}
	held := warn(item("h", 0, "held@a"), 1, 1)
	held.Held = true
	e.put("x\r\n",
		warn(item("a", 1000, "expires30@a"), 30, 0), warn(item("b", 0, "warn20@a"), 500, 20), warn(item("c", 0, "expires10warn40@a"), 10, 40),
		held, leased(warn(item("a", 0, "leased@a"), 5, 0), 60), warn(item("a", 0, "late@a"), 400, 300))
	for _, test := range []struct {
		max, now int
		want     string
	}{
		{10, 9, ""}, {1, 30, "expires10warn40/2"}, {0, 30, ""}, {10, 19, ""}, {10, 59, "warn20/1 expires30/0"}, {10, 59, ""}, {10, 60, "leased/4"}, {10, 299, ""}, {10, 300, "late/5"},
	} {
		if got := ids(e.late(test.max, test.now, 5000)); got != test.want {
			e.Errorf("at %d s Lease of %d that are late gives %q, want %q", test.now, test.max, got, test.want)
		}
	}
	all := e.leaseAs(queue.LeaseRequest{Late: true, Destination: "a", Max: 10, Now: at(5000), Until: at(6000)})
	e.want(ids(all) == "leased/4 expires10warn40/2 warn20/1 expires30/0 late/5", "when leases are over Lease of what is late gives %q", ids(all))
	e.settled(&queue.Settlement{Lease: all[2].Lease, Left: all[2].Item.Recipients, Due: at(0), Attempts: 1}) // warned of
	e.want(len(e.late(10, 499, 600)) == 0, "an item is late before it expires, though the sender was warned")
	e.change(queue.Filter{Destination: "h"}, queue.Release, 0, 1)
	e.want(ids(e.late(10, 5500, 6000)) == "held/3 warn20/1", "an item that was released is not late")
}

func leaseManyAtOnce(e *env) {
	const items, workers = 300, 8
	for range items / 10 {
		e.put("x\r\n", slices.Repeat([]queue.NewItem{item("a", 0)}, 10)...)
	}
	handles := []*env{e, e}
	if e.h.Shared {
		handles[1] = e.other()
	}
	var mu sync.Mutex
	had := map[queue.Lease]int{}
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			o := handles[w%2]
			for empty := 0; empty < 3; {
				got, err := o.s.Lease(o.ctx, queue.LeaseRequest{Destination: "a", Late: w == 0, Max: 1 + w, Now: t0.Add(6 * day), Until: t0.Add(7 * day)})
				if err != nil {
					o.Error(err)
					return
				}
				if len(got) == 0 {
					empty++ // another may be about to give some back
				}
				mu.Lock()
				for _, l := range got {
					it := queue.Lease{Message: l.Lease.Message, N: l.Lease.N}
					if had[it]++; had[it] > 1 {
						empty = 3
					}
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	twice := 0
	for _, n := range had {
		if n > 1 {
			twice++
		}
	}
	e.want(twice == 0, "%d items were leased more than once", twice)
	e.want(len(had) == items, "%d items of %d were leased", len(had), items)
}

func extend(e *env) {
	e.put("x\r\n", item("a", 0, "one@a"), item("a", 1, "two@a"))
	l := e.lease("a", 10, 1, 10)
	lost, err := e.s.Extend(e.ctx, at(100), []queue.Lease{l[0].Lease})
	e.must(err)
	e.want(len(lost) == 0, "Extend says that %v is lost", lost)
	list := e.scan(queue.Filter{})
	e.want(list[0].LeasedUntil.Equal(at(100)) && list[1].LeasedUntil.Equal(at(10)), "the leases last until %v and %v", list[0].LeasedUntil, list[1].LeasedUntil)
	e.want(ids(e.lease("a", 10, 99, 200)) == "two/1", "an extended lease does not last")
	e.want(ids(e.lease("a", 10, 100, 200)) == "one/0", "an extended lease lasts too long")
	lost, err = e.s.Extend(e.ctx, at(100), nil)
	e.must(err)
	e.want(len(lost) == 0, "Extend of nothing: %v", lost)
}

// extendLost: exactly those that are lost are returned.
func extendLost(e *env) {
	id := e.put("x\r\n", item("good", 0), item("taken", 0), item("settled", 0), item("deleted", 0), item("retried", 0), item("good", 1))
	var leases []queue.Lease
	byName := map[string]*queue.Leased{}
	for _, name := range []string{"taken", "good", "settled", "deleted", "retried", "good"} {
		l := e.lease1(name, 1, 10)
		leases, byName[name] = append(leases, l.Lease), l
	}
	e.lease1("taken", 10, 20)
	e.settled(done(byName["settled"]), left(byName["retried"], 0))
	e.change(queue.Filter{Destination: "deleted"}, queue.Delete, 0, 1)
	leases = append(leases, queue.Lease{Message: id, N: 77, Token: 1}, queue.Lease{Message: id + 1, N: 0, Token: 1}, queue.Lease{Message: id, N: 0, Token: leases[1].Token + 1})
	lost, err := e.s.Extend(e.ctx, at(1000), leases)
	e.must(err)
	var want []queue.Lease
	for i, l := range leases {
		if i != 1 && i != 5 {
			want = append(want, l)
		}
	}
	for _, l := range want {
		e.want(slices.ContainsFunc(lost, func(o queue.Lease) bool { return o.Message == l.Message && o.N == l.N && o.Token == l.Token }), "Extend does not say that %+v is lost", l)
	}
	e.want(len(lost) == len(want), "Extend says that %d leases are lost, want %d", len(lost), len(want))
	e.want(len(e.lease("good", 10, 999, 2000)) == 0, "those that are not lost were not extended")
}
