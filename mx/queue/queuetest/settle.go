package queuetest

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

var settleRules = []rule{
	{name: "Settle/Done", test: settleDone},
	{name: "Settle/Left", test: settleLeft},
	{name: "Settle/Lost", test: settleLost},
	{name: "Settle/OneLostOfMany", test: settleBatch},
	{name: "Settle/Again", test: settleAgain},
	{name: "Settle/Nothing", test: func(e *env) { e.settle() }},
}

func settleDone(e *env) {
	id := e.put("x\r\n", item("a", 0, "one@a", "two@a"), item("b", 0, "three@b"))
	e.settled(done(e.lease1("a", 0, 10)))
	e.counts(1, 3, 1, 0, 0)
	e.want(entryNames(e.scan(queue.Filter{})) == "three/1", "Scan gives %q", entryNames(e.scan(queue.Filter{})))
	e.want(!slices.Contains(e.ready(0), "a") && len(e.lease("a", 1, 100, 110)) == 0, "an item that is done can be leased")
	e.want(len(e.outcomes(id)) == 2, "there are %d outcomes", len(e.outcomes(id)))
	e.settled(done(e.lease1("b", 0, 10)))
	e.want(len(e.outcomes(id)) == 3, "there are %d outcomes", len(e.outcomes(id)))
	e.empty()
	e.gone(id)
	e.reopen().empty()
}

func settleLeft(e *env) {
	it := item("a", 0, "one@a", "two@a", "three@a")
	it.Warn = at(500)
	id := e.put("x\r\n", item("b", 0), it)
	l := e.lease1("a", 0, 10)
	s := &queue.Settlement{Lease: l.Lease, Done: []queue.Outcome{outcome(l, l.Item.Recipients[1], queue.Failed)}, Due: at(100), Warn: at(700), Attempts: 4}
	s.Left = queue.Recipients{l.Item.Recipients[0], l.Item.Recipients[2]}
	for i := range s.Left {
		s.Left[i].Last, s.Left[i].Host = at(5), "mx.a"
		s.Left[i].Reply, _ = smtp.ParseReply("450-4.2.1 a\r\n450 4.2.1 b")
	}
	s.Left[1].Local = true
	e.settled(s)
	want := l.Item
	want.Recipients, want.Due, want.Warn, want.Attempts = s.Left, at(100), at(700), 4
	e = e.reopen()
	got := e.scan(queue.Filter{Destination: "a"})
	e.want(len(got) == 1 && same(got[0].Item, want), "the item goes on as\n%+v, want\n%+v", got[0].Item, want)
	e.want(got[0].LeasedUntil.IsZero(), "the item is still leased")
	e.counts(1, 3, 2, 0, 0)
	outcomes := e.outcomes(id)
	e.want(len(outcomes) == 1 && outcomes[0].Recipient == s.Done[0].Recipient, "the outcomes are %+v", outcomes)
	e.want(len(e.lease("a", 1, 99, 200)) == 0, "the item is due too early")
	again := e.lease1("a", 100, 200)
	e.want(same(again.Item, want) && again.Lease.Token > l.Lease.Token, "it is leased as\n%+v, token %d", again.Item, again.Lease.Token)
	e.settled(&queue.Settlement{Lease: again.Lease, Left: again.Item.Recipients[:1], Due: at(300), Attempts: 5, Done: []queue.Outcome{outcome(again, again.Item.Recipients[1], queue.Expired)}})
	entry := e.scan(queue.Filter{Destination: "a"})[0]
	e.want(entry.Item.Warn.IsZero() && entry.Item.Attempts == 5 && len(entry.Item.Recipients) == 1 && entry.Item.Expires.Equal(t0.Add(5*day)), "it goes on as %+v", entry.Item)
}

// settleLost: nothing at all happens.
func settleLost(e *env) {
	id := e.put("x\r\n", item("a", 0, "one@a", "two@a"))
	old := e.lease1("a", 0, 10)
	now := e.lease1("a", 10, 20)
	before := e.scan1(queue.Filter{})
	for _, s := range []*queue.Settlement{done(old), left(old, 500), {Lease: queue.Lease{Message: id, N: 1, Token: 1}}, {Lease: queue.Lease{Message: id + 1, Token: 1}},
		{Lease: queue.Lease{Message: id, Token: now.Lease.Token + 1}}, {Lease: queue.Lease{Message: id}}} {
		e.settle(s)
		e.want(errors.Is(s.Err, queue.ErrLost), "Settle of %+v: %v", s.Lease, s.Err)
	}
	e.want(same(e.scan1(queue.Filter{}), before), "the item has changed")
	e.want(len(e.outcomes(0)) == 0, "there are outcomes")
	e.counts(1, 3, 1, 0, 1)
	e.settled(done(now))
}

func settleBatch(e *env) {
	const n = 30
	for i := range n {
		e.put("x\r\n", item("a", i, "bob@a"))
	}
	l := e.lease("a", n, n, n+1)
	taken := e.lease("a", 3, n+1, n+10) // 0, 1 and 2
	e.change(queue.Filter{Messages: []queue.ID{l[10].Item.Message}}, queue.Delete, 0, 1)
	deleted := len(e.outcomes(0))
	var batch []*queue.Settlement
	for i, l := range l {
		if batch = append(batch, done(l)); i%2 == 1 {
			batch[i] = left(l, 1000)
		}
		batch[i].Err = errors.New("from before")
	}
	twice := done(l[20])
	batch = append(batch, twice)
	slices.Reverse(batch)
	slices.Reverse(batch[5:])
	e.settle(batch...)
	lost := 0
	for _, s := range batch {
		switch i := slices.IndexFunc(l, func(l *queue.Leased) bool { return l.Lease == s.Lease }); {
		case i == 20:
			if s.Err != nil {
				lost++
			}
		case i < 3 || i == 10:
			e.want(errors.Is(s.Err, queue.ErrLost), "settlement %d, lost: %v", i, s.Err)
		default:
			e.want(s.Err == nil, "settlement %d: %v", i, s.Err)
		}
	}
	e.want(lost == 1, "of two settlements of a lease %d are lost", lost)
	got := len(e.outcomes(0)) - deleted
	e.want(got == n/2-3, "there are %d outcomes, want %d", got, n/2-3) // 0, 2 and 10 are lost
	e.counts(n/2+2, 3*(n/2+2), n/2+2, 0, 3)
	for _, l := range taken {
		e.settled(done(l))
	}
}

// settleAgain: to try it again is safe.
func settleAgain(e *env) {
	id := e.put("x\r\n", item("a", 0), item("b", 0))
	a, b := done(e.lease1("a", 0, 10)), left(e.lease1("b", 0, 10), 0)
	e.settled(a, b)
	for range 3 {
		a.Err, b.Err = nil, nil
		e.settle(a, b)
		e.want(errors.Is(a.Err, queue.ErrLost) && errors.Is(b.Err, queue.ErrLost), "settled again: %v, %v", a.Err, b.Err)
	}
	e.want(len(e.outcomes(id)) == 1, "there are %d outcomes", len(e.outcomes(id)))
	e.want(e.scan1(queue.Filter{}).Item.Attempts == 1, "the item is %+v", e.scan1(queue.Filter{}).Item)
}

var spawnRules = []rule{
	{name: "Spawn/WithItsSettlement", test: spawn},
	{name: "Spawn/Large", test: spawnLarge},
	{name: "Spawn/Lost", test: spawnLost},
	{name: "Spawn/OneLostOfMany", test: spawnBatch},
}

// spawns returns a message that is not committed yet.
func (e *env) spawns(content string, items ...queue.NewItem) queue.Spawn {
	e.Helper()
	tx := e.begin()
	e.write(tx, content)
	return queue.Spawn{Tx: tx, Commit: commitOf(items...)}
}

func spawn(e *env) {
	id := e.put("x\r\n", item("a", 0, "one@a", "two@a"))
	l := e.lease1("a", 0, 10)
	s := &queue.Settlement{Lease: l.Lease, Done: []queue.Outcome{outcome(l, l.Item.Recipients[0], queue.Failed)}, Left: l.Item.Recipients[1:], Due: at(50), Attempts: 1}
	s.Spawn = []queue.Spawn{e.spawns("bounce\r\n", item("n", 0, "ann@n"), leased(item("m", 5, "eve@m"), 99)), e.spawns("late\r\n", item("o", 0, "ann@o"))}
	s.Spawn[0].Commit.Prefix = []byte("X: y\r\n")
	s.Spawn[0].Commit.Message.Envelope.From = smtp.ReversePath{}
	e.counts(1, 3, 1, 0, 1)
	e.settled(s)
	e.counts(3, 3+14+6, 4, 0, 0)
	first, second := s.Spawn[0].Tx.ID(), s.Spawn[1].Tx.ID()
	for _, spawn := range s.Spawn {
		spawn.Tx.Abort() // which does nothing
	}
	e = e.reopen()
	m, items := asStored(s.Spawn[0].Commit, first, "bounce\r\n")
	e.sameAsStored(m, items)
	m, items = asStored(s.Spawn[1].Commit, second, "late\r\n")
	e.sameAsStored(m, items)
	_, c, err := e.s.Open(e.ctx, first)
	e.must(err)
	e.want(e.content(c) == "X: y\r\nbounce\r\n", "the content is %q", e.content(c))
	e.want(e.scan1(queue.Filter{Messages: []queue.ID{id}}).Item.Recipients[0].To.Local == "two", "the item is another")
	e.want(slices.Equal(e.ready(5), []string{"m", "n", "o"}), "Ready gives %q", e.ready(5))
	for _, name := range []string{"a", "m", "n", "o"} {
		e.settled(done(e.lease1(name, 100, 200)))
	}
	e.empty()
	e.want(len(e.outcomes(0)) == 5, "there are %d outcomes", len(e.outcomes(0)))
}

func spawnLarge(e *env) {
	for _, size := range []int{0, e.h.InlineSize, e.h.InlineSize + 1, 3 << 20} {
		e.put("x\r\n", item("a", 0))
		s := done(e.lease1("a", 0, 10))
		content := octets(size)
		s.Spawn = []queue.Spawn{e.spawns(string(content), item("n", 0))}
		e.gone(s.Spawn[0].Tx.ID())
		e.settled(s)
		e.holds(s.Spawn[0].Tx.ID(), content)
	}
}

func spawnLost(e *env) {
	for _, size := range []int{10, 600 << 10} {
		e.put("x\r\n", item("a", 0))
		old := e.lease1("a", 0, 10)
		now := e.lease1("a", 10, 20)
		s := done(old)
		s.Spawn = []queue.Spawn{e.spawns(strings.Repeat("x", size), item("n", 0)), e.spawns("y\r\n", item("n", 0))}
		e.settle(s)
		e.want(errors.Is(s.Err, queue.ErrLost), "the settlement: %v", s.Err)
		e.counts(1, 3, 1, 0, 1)
		e.want(len(e.ready(0)) == 0 && len(e.late(10, 1e6, 2e6)) == 1, "a message was spawned by what has not happened")
		for _, spawn := range s.Spawn {
			e.gone(spawn.Tx.ID())
			if _, err := spawn.Tx.Commit(e.ctx, spawn.Commit); err == nil {
				e.Error("Commit of what was spawned succeeds after its settlement was lost")
			}
			spawn.Tx.Abort()
		}
		e.lost(now.Lease) // Late has taken it
		e.change(queue.Filter{}, queue.Delete, 0, 1)
		e.empty()
	}
}

func spawnBatch(e *env) {
	const n = 10
	for i := range n {
		e.put("x\r\n", item("a", i))
	}
	l := e.lease("a", n, n, n+1)
	e.lease("a", 3, n+1, n+10)
	var batch []*queue.Settlement
	for _, l := range l {
		s := done(l)
		s.Spawn = []queue.Spawn{e.spawns("bounce\r\n", item("n", 0)), e.spawns(strings.Repeat("x", 300<<10), item("n", 0))}
		batch = append(batch, s)
	}
	e.settle(batch...)
	for i, s := range batch {
		e.want((s.Err != nil) == (i < 3), "settlement %d: %v", i, s.Err)
		for _, spawn := range s.Spawn {
			_, _, err := e.s.Open(e.ctx, spawn.Tx.ID())
			e.want((err != nil) == (i < 3), "what settlement %d spawns: %v", i, err)
		}
	}
	e.counts(3+2*7, 3*3+7*(8+300<<10), 3+2*7, 0, 3)
	began := time.Now()
	e.want(len(e.lease("n", 100, 100, 200)) == 14 && time.Since(began) < time.Minute, "not all can be leased")
}
