package queuetest

import (
	"slices"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

var changeRules = []rule{
	{name: "Change/HoldAndRelease", test: holdAndRelease},
	{name: "Change/HoldLeased", test: holdLeased},
	{name: "Change/Retry", test: retry},
	{name: "Change/Delete", test: deleteItems},
	{name: "Change/DeleteLeased", test: deleteLeased},
	{name: "Filter", test: filters},
	{name: "Filter/Postmaster", test: filterPostmaster},
	{name: "Filter/Limit", test: filterLimit},
}

func holdAndRelease(e *env) {
	id := e.put("x\r\n", item("a", 5, "one@a"), item("b", 0, "two@b"))
	all := queue.Filter{Messages: []queue.ID{id}}
	e.change(queue.Filter{Destination: "a"}, queue.Hold, 3, 1)
	e.counts(1, 3, 2, 1, 0)
	e.want(slices.Equal(e.ready(10), []string{"b"}), "Ready gives %q", e.ready(10))
	e.want(len(e.lease("a", 10, 100, 200)) == 0, "a held item is leased")
	e.want(ids(e.late(10, 6*86400, 6*86400+1)) == "two/1", "a held item expires")
	e.want(e.scan(all)[0].Item.Held && !e.scan(all)[1].Item.Held, "Scan shows the wrong item as held")
	e = e.reopen()
	e.change(queue.Filter{Held: true}, queue.Release, 50, 1)
	entry := e.scan(all)[0]
	e.want(!entry.Item.Held && entry.Item.Due.Equal(at(5)), "the item that was released is %+v", entry.Item)
	e.want(len(e.lease("a", 10, 4, 200)) == 0, "the item is due earlier than it was")
	e.settled(done(e.lease1("a", 5, 10)))
	e.change(queue.Filter{Held: true}, queue.Release, 50, 0)
	e.change(queue.Filter{Messages: []queue.ID{id + 1}}, queue.Hold, 50, 0)
}

// holdLeased: the delivery that is underway goes on, the next does not begin.
func holdLeased(e *env) {
	e.put("x\r\n", item("a", 0, "one@a", "two@a"))
	l := e.lease1("a", 0, 10)
	e.change(queue.Filter{}, queue.Hold, 5, 1)
	e.counts(1, 3, 1, 1, 1)
	lost, err := e.s.Extend(e.ctx, at(20), []queue.Lease{l.Lease})
	e.must(err)
	e.want(len(lost) == 0, "Hold has taken the lease away")
	e.want(len(e.lease("a", 10, 30, 40)) == 0 && len(e.ready(30)) == 0 && len(e.late(10, 1e6, 1e7)) == 0, "a held item is taken over")
	s := left(l, 40)
	s.Left, s.Done = s.Left[:1], []queue.Outcome{outcome(l, l.Item.Recipients[1], queue.Relayed)}
	e.settled(s)
	e.counts(1, 3, 1, 1, 0)
	e.want(len(e.lease("a", 10, 100, 110)) == 0, "the item is held no longer")
	e.change(queue.Filter{}, queue.Release, 100, 1)
	l = e.lease1("a", 40, 50)
	e.change(queue.Filter{}, queue.Hold, 45, 1)
	e.settled(done(l))
	e.empty()
	e.want(len(e.outcomes(0)) == 2, "there are %d outcomes", len(e.outcomes(0)))
}

func retry(e *env) {
	e.put("x\r\n", item("a", 1000, "one@a"), item("b", 1000, "two@b"), item("c", 1000, "three@c"), leased(item("d", 1000, "four@d"), 50))
	e.change(queue.Filter{Destination: "a"}, queue.Retry, 20, 1)
	e.want(e.scan(queue.Filter{Destination: "a"})[0].Item.Due.Equal(at(20)), "the item is due at %v", e.scan(queue.Filter{Destination: "a"})[0].Item.Due)
	e.want(slices.Equal(e.ready(20), []string{"a"}), "Ready gives %q", e.ready(20))
	e.want(len(e.lease("a", 1, 19, 30)) == 0 && len(e.lease("a", 1, 20, 30)) == 1, "the item is not due now")
	e.change(queue.Filter{Destination: "c"}, queue.Hold, 20, 1)
	e.change(queue.Filter{Destination: "c"}, queue.Retry, 20, 1)
	e.want(len(e.lease("c", 1, 100, 200)) == 0, "an item that is held is tried")
	e.change(queue.Filter{Destination: "c"}, queue.Release, 30, 1)
	e.want(len(e.lease("c", 1, 20, 200)) == 1, "an item is not due when it was, after it was released")
	entry := e.scan(queue.Filter{Destination: "d"})[0]
	e.change(queue.Filter{Destination: "d"}, queue.Retry, 20, 1)
	e.want(len(e.lease("d", 1, 49, 100)) == 0, "Retry has taken a lease away")
	e.settled(&queue.Settlement{Lease: queue.Lease{Message: entry.Item.Message, N: entry.Item.N, Token: e.leaseOf(entry)}, Left: entry.Item.Recipients, Due: at(500)})
	e.want(len(e.lease("d", 1, 499, 600)) == 0, "what the settlement says of when it is due does not hold")
}

// leaseOf takes over the lease of the entry when it is over.
func (e *env) leaseOf(entry *queue.Entry) int64 {
	e.Helper()
	return e.lease1(entry.Item.Destination, 50, 100).Lease.Token
}

func deleteItems(e *env) {
	id := e.put(string(octets(300<<10)), item("a", 0, "one@a", "two@a"), item("b", 0, "three@b"))
	other := e.put("x\r\n", item("a", 0, "four@a"))
	e.change(queue.Filter{Destination: "b"}, queue.Hold, 0, 1)
	e.change(queue.Filter{Messages: []queue.ID{id}, Destination: "a"}, queue.Delete, 7, 1)
	e.counts(2, 3+300<<10, 2, 1, 0)
	want := []queue.Outcome{
		{Message: id, Destination: "a", Recipient: smtp.ForwardPath{Mailbox: mailbox("one@a")}, Status: queue.Deleted, Time: at(7)},
		{Message: id, Destination: "a", Recipient: smtp.ForwardPath{Mailbox: mailbox("two@a")}, Status: queue.Deleted, Time: at(7)},
	}
	got := e.outcomes(id)
	e.want(same(got, want), "the outcomes are\n%+v, want\n%+v", got, want)
	e.change(queue.Filter{Messages: []queue.ID{id}}, queue.Delete, 8, 1)
	e.gone(id)
	e.counts(1, 3, 1, 0, 0)
	e.want(len(e.outcomes(id)) == 3 && len(e.outcomes(other)) == 0, "there are %d and %d outcomes", len(e.outcomes(id)), len(e.outcomes(other)))
	e.change(queue.Filter{Messages: []queue.ID{id}}, queue.Delete, 8, 0)
	e.change(queue.Filter{}, queue.Delete, 9, 1)
	e.empty()
	e.want(len(e.ready(100)) == 0 && len(e.late(10, 1e6, 1e7)) == 0, "what was deleted can be leased")
	e.want(len(e.outcomes(0)) == 4, "there are %d outcomes", len(e.outcomes(0)))
}

func deleteLeased(e *env) {
	id := e.put("x\r\n", item("a", 0, "one@a", "two@a"), item("b", 0))
	l := e.lease1("a", 0, 10)
	e.change(queue.Filter{Destination: "a"}, queue.Delete, 5, 1)
	e.lost(l.Lease)
	s := done(l)
	s.Spawn = []queue.Spawn{e.spawns("x\r\n", item("n", 0))}
	e.settle(s)
	e.want(s.Err != nil, "a deleted item is settled")
	e.want(len(e.outcomes(id)) == 2 && e.outcomes(id)[0].Status == queue.Deleted, "the outcomes are %+v", e.outcomes(id))
	e.counts(1, 3, 1, 0, 0)
	l = e.lease1("b", 0, 10)
	e.change(queue.Filter{}, queue.Delete, 5, 1)
	e.lost(l.Lease)
	e.gone(id)
	e.empty()
}

func filters(e *env) {
	from := func(from smtp.ReversePath, arrived int, items ...queue.NewItem) queue.ID {
		c := commitOf(items...)
		c.Message.Arrived, c.Message.Envelope.From = at(arrived), from
		id, _ := e.commit(c, "x\r\n")
		return id
	}
	path := func(s string) smtp.ReversePath { return smtp.ReversePath{Mailbox: mailbox(s)} }
	held := item("b.example", 0, "six@b.example", "Seven@B.Example")
	held.Held = true
	first := from(path("ann@Example.ORG"), 10, item("a.example", 0, "one@a.example"), item("b.example", 0, "two@b.example", "three@b.example"))
	second := from(smtp.ReversePath{}, 20, item("a.example", 0, "four@a.example"))
	third := from(path(`"a b"@sub.example.org`), 30, item("a.example", 0, `"five x"@a.example`), held)
	for _, test := range []struct {
		f    queue.Filter
		want string
	}{
		{queue.Filter{}, "one/0 two/1 four/0 five x/0 six/1"},
		{queue.Filter{Messages: []queue.ID{third, first}}, "one/0 two/1 five x/0 six/1"},
		{queue.Filter{Messages: []queue.ID{third + 1000}}, ""},
		{queue.Filter{Destination: "a.example"}, "one/0 four/0 five x/0"},
		{queue.Filter{Destination: "A.example"}, ""},
		{queue.Filter{From: "ann@example.org"}, "one/0 two/1"},
		{queue.Filter{From: "Ann@example.org"}, ""},
		{queue.Filter{From: "@EXAMPLE.org"}, "one/0 two/1"},
		{queue.Filter{From: "@org"}, ""},
		{queue.Filter{From: "@sub.example.org"}, "five x/0 six/1"},
		{queue.Filter{From: `"a b"@sub.example.org`}, "five x/0 six/1"},
		{queue.Filter{From: "<>"}, "four/0"},
		{queue.Filter{From: "%"}, ""},
		{queue.Filter{From: "a__@example.org"}, ""},
		{queue.Filter{To: "two@b.example"}, "two/1"},
		{queue.Filter{To: "three@B.EXAMPLE"}, "two/1"},
		{queue.Filter{To: "seven@b.example"}, ""},
		{queue.Filter{To: "Seven@b.example"}, "six/1"},
		{queue.Filter{To: "@b.example"}, "two/1 six/1"},
		{queue.Filter{To: "@example"}, ""},
		{queue.Filter{To: "wo@b.example"}, ""},
		{queue.Filter{To: `"five x"@a.example`}, "five x/0"},
		{queue.Filter{To: "%@a.example"}, ""},
		{queue.Filter{Held: true}, "six/1"},
		{queue.Filter{Waiting: true}, "one/0 two/1 four/0 five x/0"},
		{queue.Filter{Held: true, Waiting: true}, ""},
		{queue.Filter{Before: at(10)}, ""},
		{queue.Filter{Before: at(21)}, "one/0 two/1 four/0"},
		{queue.Filter{Messages: []queue.ID{first, second}, Destination: "a.example", From: "<>", To: "@a.example", Waiting: true, Before: at(100), Limit: 5}, "four/0"},
		{queue.Filter{Messages: []queue.ID{first}, From: "<>"}, ""},
	} {
		e.want(entryNames(e.scan(test.f)) == test.want, "Scan of %+v gives %q, want %q", test.f, entryNames(e.scan(test.f)), test.want)
	}
	// Done is done: a recipient who is gone is not found.
	l := e.lease("b.example", 1, 0, 10)[0]
	e.settled(&queue.Settlement{Lease: l.Lease, Done: []queue.Outcome{outcome(l, l.Item.Recipients[0], queue.Relayed)}, Left: l.Item.Recipients[1:], Due: at(0)})
	e.want(entryNames(e.scan(queue.Filter{To: "two@b.example"})) == "", "a recipient who is done is found")
	e.want(entryNames(e.scan(queue.Filter{To: "three@b.example"})) == "three/1", "a recipient who is left is not found")
	e.change(queue.Filter{To: "@b.example", Waiting: true}, queue.Hold, 0, 1)
	e.change(queue.Filter{From: "<>"}, queue.Delete, 0, 1)
	e.want(entryNames(e.scan(queue.Filter{Waiting: true})) == "one/0 five x/0", "Change has changed others: %q", entryNames(e.scan(queue.Filter{Waiting: true})))
}

// filterPostmaster: who looks after the mail has the one name that is the same in any
// case (RFC 5321 §4.5.1), with a domain and without.
func filterPostmaster(e *env) {
	alone := item("localhost", 0)
	alone.Recipients[0].To.Mailbox = smtp.Mailbox{Local: "Postmaster"}
	e.put("x\r\n", alone, item("a.example", 0, "POSTMASTER@a.example"), item("b.example", 0, "Bob@b.example"))
	for to, want := range map[string]string{
		"postmaster":           "Postmaster/0",
		"POSTMASTER":           "Postmaster/0",
		"postmaster@A.example": "POSTMASTER/1",
		"postmaster@b.example": "",
		"bob@b.example":        "",
	} {
		got := entryNames(e.scan(queue.Filter{To: to}))
		e.want(got == want, "Scan for %s gives %q, want %q", to, got, want)
	}
	e.change(queue.Filter{To: "postMaster"}, queue.Delete, 0, 1)
	e.want(entryNames(e.scan(queue.Filter{})) == "POSTMASTER/1 Bob/2", "Change has deleted others: %q", entryNames(e.scan(queue.Filter{})))
}

func filterLimit(e *env) {
	for range 4 {
		e.put("x\r\n", item("a", 0, "one@a"), item("b", 0, "two@b"), item("a", 0, "three@a"))
	}
	for limit, want := range map[int]int{1: 1, 2: 2, 5: 5, 8: 8, 9: 8, 0: 8} {
		got := e.scan(queue.Filter{Destination: "a", Limit: limit})
		e.want(len(got) == want, "Scan with Limit %d gives %d", limit, len(got))
	}
	e.change(queue.Filter{Destination: "a", Limit: 3}, queue.Hold, 0, 3)
	got := entryNames(e.scan(queue.Filter{Held: true}))
	e.want(got == "one/0 three/2 one/0", "Change with a Limit has changed %q", got)
	e.change(queue.Filter{Destination: "a", Limit: 3}, queue.Delete, 0, 3)
	e.change(queue.Filter{Waiting: true, Destination: "a", Limit: 3}, queue.Delete, 0, 3)
	e.counts(4, 12, 6, 0, 0)
}
