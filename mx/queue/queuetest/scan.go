package queuetest

import (
	"context"
	"slices"
	"sync"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

var scanRules = []rule{
	{name: "Scan/InOrder", test: scanInOrder},
	{name: "Scan/Stops", test: scanStops},
	{name: "Scan/WritesInBetween", test: scanWritesInBetween},
	{name: "Scan/WhileOthersWrite", test: scanWhileOthersWrite},
}

var outcomeRules = []rule{
	{name: "Outcomes/InOrder", test: outcomesInOrder},
	{name: "Outcomes/KeepAll", test: outcomesKeepAll},
	{name: "Stats/Oldest", test: statsOldest},
}

func scanInOrder(e *env) {
	txs := make([]queue.Tx, 50)
	for i := range txs {
		txs[i] = e.begin()
	}
	for _, tx := range slices.Backward(txs) { // the last comes first
		_, err := tx.Commit(e.ctx, commitOf(item("z", 5), item("a", 0), item("m", -5)))
		e.must(err)
	}
	list := e.scan(queue.Filter{})
	e.want(len(list) == 150, "Scan gives %d items", len(list))
	for i, entry := range list {
		e.want(entry.Item.Message == txs[i/3].ID() && entry.Message.ID == entry.Item.Message && entry.Item.N == i%3, "Scan gives item %d of message %v in place %d", entry.Item.N, entry.Item.Message, i)
	}
}

func scanStops(e *env) {
	for range 20 {
		e.put("x\r\n", item("a", 0))
	}
	n := 0
	for range e.s.Scan(e.ctx, queue.Filter{}) {
		if n++; n == 3 {
			break
		}
	}
	e.settled(done(e.lease1("a", 0, 10))) // nothing is locked
	seq := e.s.Scan(e.ctx, queue.Filter{})
	for range 2 { // a sequence can be gone through again
		n = 0
		for _, err := range seq {
			e.must(err)
			n++
		}
		e.want(n == 19, "Scan gives %d items", n)
	}
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	n = 0
	var last error
	for entry, err := range e.s.Scan(ctx, queue.Filter{}) {
		e.want(last == nil, "Scan goes on after an error")
		e.want((entry == nil) == (err != nil), "Scan gives %v, %v", entry, err)
		n, last = n+1, err
		cancel()
	}
	e.want(n == 19 && last == nil || last != nil, "Scan ends early, without an error")
}

// scanWritesInBetween: the one who scans writes, which must not wait for itself.
func scanWritesInBetween(e *env) {
	const n = 600
	for range n / 20 {
		e.put("x\r\n", slices.Repeat([]queue.NewItem{item("a", 0)}, 20)...)
	}
	seen := 0
	for entry, err := range e.s.Scan(e.ctx, queue.Filter{Destination: "a"}) {
		e.must(err)
		seen++
		if seen%50 != 0 {
			continue
		}
		e.put("x\r\n", item("b", 0))
		e.change(queue.Filter{Messages: []queue.ID{entry.Item.Message}, Destination: "a", Limit: 1}, queue.Hold, 0, 1)
		e.settled(left(e.lease1("a", 0, 10), 5))
	}
	e.want(seen == n, "Scan gives %d items of %d", seen, n)
}

// scanWhileOthersWrite: what nobody touches is seen exactly once.
func scanWhileOthersWrite(e *env) {
	const still = 300
	for i := range still {
		e.put("x\r\n", item("still", 0), item("moving", i))
	}
	o := e
	if e.h.Shared {
		o = e.other()
	}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for range 2 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				batch := []*queue.Settlement{}
				got, err := o.s.Lease(o.ctx, queue.LeaseRequest{Destination: "moving", Max: 3, Now: at(1e4), Until: at(2e4)})
				for j, l := range got {
					if batch = append(batch, left(l, i+j)); i%2 == 0 {
						batch[j] = done(l)
					}
				}
				if err == nil {
					err = o.s.Settle(o.ctx, batch)
				}
				if err == nil && i < 200 {
					var tx queue.Tx
					if tx, err = o.s.Begin(o.ctx, -1); err == nil {
						_, err = tx.Commit(o.ctx, commitOf(item("moving", 0)))
					}
				}
				if err != nil {
					o.Error(err)
					return
				}
			}
		})
	}
	for range 5 {
		seen := map[queue.ID]int{}
		for entry, err := range e.s.Scan(e.ctx, queue.Filter{}) {
			if err != nil {
				e.Error(err)
				break
			}
			if entry.Item.Destination == "still" {
				seen[entry.Item.Message]++
			}
		}
		twice := 0
		for _, n := range seen {
			if n > 1 {
				twice++
			}
		}
		e.want(len(seen) == still && twice == 0, "Scan gives %d of %d items that nobody touches, %d of them twice", len(seen), still, twice)
	}
	close(stop)
	writers.Wait()
}

func outcomesInOrder(e *env) {
	var want []string
	for i := range 30 {
		e.put("x\r\n", item("a", 30-i, "one@a", "two@a"), item("b", 0, "three@b"))
		if i%2 == 0 {
			l := e.lease1("b", 1000, 2000)
			e.settled(done(l))
			want = append(want, l.Item.Message.String()+" three")
		}
	}
	for _, l := range e.lease("a", 30, 1000, 2000) { // the last first
		e.settled(done(l))
		want = append(want, l.Item.Message.String()+" one", l.Item.Message.String()+" two")
	}
	check := func(e *env) {
		e.Helper()
		var got []string
		byMessage := map[queue.ID]int{}
		for _, o := range e.outcomes(0) {
			got = append(got, o.Message.String()+" "+o.Recipient.Local)
			byMessage[o.Message]++
		}
		e.want(slices.Equal(got, want), "the outcomes are\n%q, want\n%q", got, want)
		for id, n := range byMessage {
			e.want(len(e.outcomes(id)) == n, "message %v has %d outcomes, want %d", id, len(e.outcomes(id)), n)
		}
		e.want(len(e.outcomes(1)) == 0, "a message that never was has outcomes")
	}
	check(e)
	for range e.s.Outcomes(e.ctx, 0) {
		break
	}
	check(e.reopen())
}

func outcomesKeepAll(e *env) {
	id := e.put("x\r\n", item("a", 0, "one@a", `"t w\"o"@a`, "ü@bücher.example", "four@a", "five@a"))
	l := e.lease1("a", 0, 10)
	s := &queue.Settlement{Lease: l.Lease}
	raw, err := smtp.ParseReply("550-5.1.1 no such user\r\n550 5.1.1 \"here\" \xff")
	e.must(err)
	for i, status := range []queue.Status{queue.Delivered, queue.Relayed, queue.Failed, queue.Expired, queue.Deleted} {
		o := outcome(l, l.Item.Recipients[i], status)
		o.Time = at(i).Add(7e6)
		switch status {
		case queue.Failed:
			o.Reply = raw
		case queue.Expired:
			o.Reply, o.Host = smtp.Reply{Code: 554, Enhanced: smtp.Enh(4, 7), Text: "one\ntwo"}, ""
		case queue.Deleted:
			o.Reply, o.Host = smtp.Reply{}, ""
		}
		s.Done = append(s.Done, o)
	}
	e.settled(s)
	got := e.reopen().outcomes(id)
	e.want(len(got) == len(s.Done), "there are %d outcomes, want %d", len(got), len(s.Done))
	for i := range min(len(got), len(s.Done)) {
		e.want(same(got[i], s.Done[i]), "an outcome is\n%+v, want\n%+v", got[i], s.Done[i])
	}
}

func statsOldest(e *env) {
	for i, arrived := range []int{10, 30, 50, 70} {
		c := commitOf(item("a", []int{0, 3, 1, 2}[i]))
		c.Message.Arrived = at(arrived)
		e.commit(c, "x\r\n")
	}
	for i, oldest := range []int{10, 30, 30, 30} { // which comes last
		got := e.stats().Oldest
		e.want(got.Equal(at(oldest)), "after %d messages Oldest is %v, want %v", i, got, at(oldest))
		e.settled(done(e.lease1("a", 10, 20)))
	}
	e.want(e.stats().Oldest.IsZero(), "Oldest is %v", e.stats().Oldest)
}
