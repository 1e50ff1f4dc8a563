package queuetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/postrider/postrider/mx/queue"
)

var contextRules = []rule{
	{name: "Context/Cancelled", test: contextCancelled},
	{name: "Context/CommitCancelled", test: commitCancelled},
	{name: "Close", test: closed},
	{name: "Close/OpenTransactions", test: closedWithTransactions},
	{name: "Close/WhileInUse", test: closedWhileInUse},
}

var crashRules = []rule{
	{name: "Crash/BeforeCommit", test: crashBeforeCommit},
	{name: "Crash/AfterCommit", test: crashAfterCommit},
	{name: "Crash/WithLeases", test: crashWithLeases},
	{name: "Crash/BeforeSettle", test: crashBeforeSettle},
	{name: "Crash/AgainAndAgain", test: crashAgain},
}

var fullRules = []rule{
	{name: "Full", test: full, when: func(h *Harness) bool { return h.NewSmall != nil }},
}

func contextCancelled(e *env) {
	id := e.put("x\r\n", item("a", 0), item("b", 0))
	l := e.lease1("a", 0, 10)
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	s := done(l)
	for what, call := range map[string]func() error{
		"Begin": func() error { _, err := e.s.Begin(ctx, 1); return err },
		"Ready": func() error { _, _, err := e.s.Ready(ctx, t0, "", 1); return err },
		"Lease": func() error {
			_, err := e.s.Lease(ctx, queue.LeaseRequest{Destination: "b", Max: 1, Now: t0, Until: at(10)})
			return err
		},
		"Extend": func() error { _, err := e.s.Extend(ctx, at(1e6), []queue.Lease{l.Lease}); return err },
		"Settle": func() error { return e.s.Settle(ctx, []*queue.Settlement{s}) },
		"Open":   func() error { _, _, err := e.s.Open(ctx, id); return err },
		"Change": func() error { _, err := e.s.Change(ctx, queue.Filter{}, queue.Delete, t0); return err },
		"Scan": func() (last error) {
			for _, err := range e.s.Scan(ctx, queue.Filter{}) {
				last = err
			}
			return last
		},
		"Outcome": func() (last error) {
			for _, err := range e.s.Outcomes(ctx, 0) {
				last = err
			}
			return last
		},
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			e.Errorf("%s when its context has ended: %v", what, err)
		}
	}
	e.want(len(e.scan(queue.Filter{})) == 2 && len(e.outcomes(0)) == 0, "something has happened")
	e.settled(s)
	e.settled(done(e.lease1("b", 0, 10)))
	e.empty()
}

// commitCancelled: the message is whole or not there.
func commitCancelled(e *env) {
	for i := range 20 {
		tx := e.begin()
		content := octets(i * 30_000)
		e.write(tx, string(content))
		ctx, cancel := context.WithCancel(e.ctx)
		if i%2 == 0 {
			cancel()
		} else {
			go cancel()
		}
		_, err := tx.Commit(ctx, commitOf(item("a", 0), item("b", 0)))
		cancel()
		tx.Abort()
		_, _, missing := e.s.Open(e.ctx, tx.ID())
		if err == nil {
			e.must(missing)
		}
		if missing != nil {
			e.gone(tx.ID())
			e.empty()
			continue
		}
		e.holds(tx.ID(), content)
		e.change(queue.Filter{}, queue.Delete, 0, 2)
		e.empty()
	}
}

func closed(e *env) {
	id := e.put("x\r\n", item("a", 0))
	_, c, err := e.s.Open(e.ctx, id)
	e.must(err)
	l := e.lease1("a", 0, 10)
	e.must(e.s.Close())
	for what, call := range map[string]func() error{
		"Begin": func() error { _, err := e.s.Begin(e.ctx, 1); return err },
		"Ready": func() error { _, _, err := e.s.Ready(e.ctx, t0, "", 1); return err },
		"Lease": func() error {
			_, err := e.s.Lease(e.ctx, queue.LeaseRequest{Destination: "a", Max: 1, Now: at(99), Until: at(100)})
			return err
		},
		"Settle": func() error { return e.s.Settle(e.ctx, []*queue.Settlement{done(l)}) },
		"Stats":  func() error { _, err := e.s.Stats(e.ctx); return err },
	} {
		if err := call(); !errors.Is(err, queue.ErrClosed) {
			e.Errorf("%s after Close: %v", what, err)
		}
	}
	if _, err := c.Open(); err == nil {
		e.Error("Content.Open succeeds after Close")
	}
	e.s.Close() // a second time does no harm
	o := e.other()
	o.want(len(o.scan(queue.Filter{})) == 1, "the message is gone with Close")
	if e.h.Shared {
		o.want(len(o.lease("a", 1, 9, 20)) == 0, "a lease ends with Close, though another might go on")
	}
	o.settled(done(o.lease1("a", 10, 20)))
	o.empty()
}

func closedWithTransactions(e *env) {
	small, large, spawned := e.begin(), e.begin(), e.begin()
	e.write(small, "x\r\n")
	e.write(large, strings.Repeat("x", 700<<10))
	e.write(spawned, "x\r\n")
	o := e.reopen()
	o.empty()
	for _, tx := range []queue.Tx{small, large, spawned} {
		if _, err := tx.Commit(e.ctx, commitOf(item("a", 0))); err == nil {
			e.Error("Commit succeeds after Close")
		}
		tx.Abort()
		o.gone(tx.ID())
	}
	o.empty()
}

// closedWhileInUse: Close comes in between, and what had succeeded has happened.
func closedWhileInUse(e *env) {
	const workers = 4
	var began, all sync.WaitGroup
	began.Add(workers)
	var mu sync.Mutex
	put, settled := map[queue.ID]bool{}, map[queue.ID]bool{}
	for w := range workers {
		all.Go(func() {
			for i := 0; ; i++ {
				if i == 5 {
					began.Done()
				}
				id, l := e.tryToLease(octets(i%3*200_000), fmt.Sprintf("site%d", w))
				if l == nil {
					return
				}
				s := done(l)
				err := e.s.Settle(e.ctx, []*queue.Settlement{s})
				mu.Lock()
				put[id], settled[id] = true, err == nil && s.Err == nil
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	began.Wait()
	o := e.reopen()
	all.Wait()
	waiting, outcomes := map[queue.ID]int{}, map[queue.ID]int{}
	for _, entry := range o.scan(queue.Filter{}) {
		waiting[entry.Message.ID]++
	}
	for _, outcome := range o.outcomes(0) {
		outcomes[outcome.Message]++
	}
	for id := range put {
		e.want(waiting[id]+outcomes[id] == 1, "message %v waits %d times and has %d outcomes", id, waiting[id], outcomes[id])
		e.want(!settled[id] || outcomes[id] == 1, "message %v was settled and has no outcome", id)
	}
	e.want(len(put) >= 5*workers, "%d messages were put", len(put))
}

// tryToLease commits a message and returns it leased, or nil if the store is closed.
func (e *env) tryToLease(content []byte, destination string) (queue.ID, *queue.Leased) {
	tx, err := e.s.Begin(e.ctx, -1)
	if err != nil {
		return 0, nil
	}
	defer tx.Abort()
	if _, err := tx.Write(content); err != nil {
		return 0, nil
	}
	l, err := tx.Commit(e.ctx, commitOf(leased(item(destination, 0), 60)))
	if err != nil {
		return 0, nil
	}
	return tx.ID(), l[0]
}

func crashBeforeCommit(e *env) {
	var txs []queue.Tx
	for _, size := range []int{0, 10, 100 << 10, 900 << 10, 2 << 20} {
		tx := e.begin()
		e.write(tx, strings.Repeat("x", size))
		txs = append(txs, tx)
	}
	o := e.crash()
	o.empty()
	o.want(len(o.ready(1e6)) == 0 && len(o.late(10, 1e6, 1e7)) == 0, "what was not committed can be leased")
	for _, tx := range txs {
		o.gone(tx.ID())
	}
	id := o.put("x\r\n", item("a", 0))
	for _, tx := range txs {
		o.want(tx.ID() != id, "the ID of what was not committed is used again")
	}
	o.counts(1, 3, 1, 0, 0)
}

func crashAfterCommit(e *env) {
	c := allOfIt(e)
	content := octets(700 << 10)
	id, _ := e.commit(c, string(content))
	o := e.crash()
	m, items := asStored(c, id, string(content))
	o.sameAsStored(m, items)
	o.holds(id, content)
	o.counts(1, 700<<10, 2, 1, 0)
}

// crashWithLeases: they are taken over when their time is over at the latest, and
// whoever had them has lost them then.
func crashWithLeases(e *env) {
	e.put("x\r\n", item("a", 0, "one@a"))
	_, committed := e.putLeased("x\r\n", leased(item("b", 0, "two@b"), 10))
	old := e.lease1("a", 0, 10)
	o := e.crash()
	if e.h.Shared {
		o.want(len(o.lease("a", 10, 9, 20)) == 0 && len(o.ready(9)) == 0, "a lease is gone with its process, though another might go on")
		o.counts(2, 6, 2, 0, 2)
	}
	for i, old := range []queue.Lease{old.Lease, committed[0].Lease} {
		l := o.lease1([]string{"a", "b"}[i], 10, 20)
		o.want(l.Lease.Token > old.Token, "token %d comes after %d", l.Lease.Token, old.Token)
		o.lost(old)
		o.settled(done(l))
	}
	o.empty()
}

func crashBeforeSettle(e *env) {
	e.put("x\r\n", item("a", 0))
	l := e.lease1("a", 0, 10)
	s := done(l)
	s.Spawn = []queue.Spawn{e.spawns(strings.Repeat("x", 400<<10), item("n", 0))}
	o := e.crash()
	o.want(len(o.outcomes(0)) == 0, "there is an outcome of what was not settled")
	o.gone(s.Spawn[0].Tx.ID())
	l = o.lease1("a", 10, 20)
	o.settled(done(l))
	o.empty()
	o = o.crash()
	o.empty()
	o.want(len(o.outcomes(0)) == 1, "there are %d outcomes", len(o.outcomes(0)))
}

func crashAgain(e *env) {
	for i := range 6 {
		e.write(e.begin(), strings.Repeat("x", 300<<10))
		e.put("x\r\n", item("a", 100*i), item("b", 0))
		e.settled(done(e.lease1("b", 100*i, 100*i+50)))
		e.lease1("a", 100*i, 100*i+50)
		e = e.crash()
		e.want(len(e.scan(queue.Filter{})) == i+1 && len(e.outcomes(0)) == i+1, "after %d crashes there are %d items and %d outcomes", i+1, len(e.scan(queue.Filter{})), len(e.outcomes(0)))
	}
	for range 6 {
		e.settled(done(e.lease1("a", 1000, 2000)))
	}
	e.empty()
}

// full: what there is no room for is refused, with a reply for the sender, and
// leaves nothing behind; what is there can be delivered; then there is room again.
func full(e *env) {
	e = newEnv(e.TB, e.h, e.h.NewSmall)
	piece := string(octets(64 << 10))
	most := 0
	for range 4 {
		e.want(!e.tryToPut(piece, 512), "the store takes 32 MB")
		e.empty()
		n := 0
		for n < 200 && e.tryToPut(piece, 4) {
			n++
		}
		e.want(n > 1 && n < 200, "the store takes %d messages of 256 KB", n)
		e.want(n >= most-1, "there was room for %d messages, and after they were delivered for %d", most, n)
		most = max(n, most)
		e.counts(int64(n), int64(n)*256<<10, int64(n), 0, 0)
		e.want(!e.tryToPut(piece, 512), "a store that is full takes 32 MB")
		e.want(len(e.scan(queue.Filter{})) == n, "Scan gives %d items of %d", len(e.scan(queue.Filter{})), n)
		for range n {
			e.settled(done(e.lease1("a", 0, 10)))
		}
		e.empty()
	}
	e.put("x\r\n", item("a", 0))
	e = e.reopen()
	e.counts(1, 3, 1, 0, 0)
	e.want(e.tryToPut(piece, 4), "there is no room though the store is empty")
}

// tryToPut reports whether there is room for a message of so many pieces.
func (e *env) tryToPut(piece string, pieces int) bool {
	e.Helper()
	tx, err := e.s.Begin(e.ctx, -1)
	for i := 0; i < pieces && err == nil; i++ {
		_, err = tx.Write([]byte(piece))
	}
	if err == nil {
		_, err = tx.Commit(e.ctx, commitOf(item("a", 0)))
	}
	if tx != nil {
		tx.Abort()
	}
	if err != nil {
		e.want(errors.Is(err, queue.ErrFull), "the store is full: %v", err)
		if tx != nil {
			e.gone(tx.ID())
		}
	}
	return err == nil
}
