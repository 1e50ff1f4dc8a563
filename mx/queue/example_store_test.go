package queue_test

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

var now = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

// newItem is due now, and is given up in five days.
func newItem(destination string, recipients ...queue.Recipient) queue.NewItem {
	return queue.NewItem{Item: queue.Item{Destination: destination, Recipients: recipients, Due: now, Expires: now.Add(5 * 24 * time.Hour)}}
}

// put stores a message with an item for each destination.
func put(s queue.Store, destinations ...string) error {
	ctx := context.Background()
	tx, err := s.Begin(ctx, -1)
	if err != nil {
		return err
	}
	defer tx.Abort() // nothing after Commit
	if _, err := io.WriteString(tx, "Subject: hi\r\n\r\nHello\r\n"); err != nil {
		return err
	}
	c := &queue.Commit{Message: queue.Message{Arrived: now}}
	for _, d := range destinations {
		c.Items = append(c.Items, newItem(d, recipient("bob@"+d)))
	}
	_, err = tx.Commit(ctx, c)
	return err
}

// Store is what a Runner uses; this is what it does with a message.
func ExampleStore() {
	ctx := context.Background()
	var s queue.Store = new(queue.Memory)
	if err := put(s, "b.example", "c.example"); err != nil {
		fmt.Println(err)
		return
	}
	ready, _, err := s.Ready(ctx, now, "", 10)
	fmt.Println(ready, err)
	for _, destination := range ready {
		leased, err := s.Lease(ctx, queue.LeaseRequest{Destination: destination, Max: 1, Now: now, Until: now.Add(time.Minute)})
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, l := range leased { // deliver, and say what came of it
			r := l.Item.Recipients[0]
			done := queue.Outcome{Message: l.Message.ID, Destination: destination, Recipient: r.To, Status: queue.Relayed, Time: now}
			s.Settle(ctx, []*queue.Settlement{{Lease: l.Lease, Done: []queue.Outcome{done}}})
		}
	}
	for o, err := range s.Outcomes(ctx, 0) {
		fmt.Println(o.Recipient, o.Status, err)
	}
	// Output:
	// [b.example c.example] <nil>
	// <bob@b.example> relayed <nil>
	// <bob@c.example> relayed <nil>
}

func ExampleMemory() {
	m := &queue.Memory{MaxBytes: 1 << 20}
	if err := put(m, "b.example"); err != nil {
		fmt.Println(err)
		return
	}
	_, err := m.Begin(context.Background(), 2<<20)
	fmt.Println(err)
	after := m.Reopen() // as after a crash
	stats, err := after.Stats(context.Background())
	fmt.Println(stats.Messages, err)
	// Output:
	// queue: there is no room
	// 1 <nil>
}

func ExampleTx() {
	ctx := context.Background()
	s := new(queue.Memory)
	tx, err := s.Begin(ctx, -1)
	if err != nil {
		fmt.Println(err)
		return
	}
	io.WriteString(tx, "Subject: hi\r\n\r\nHello\r\n")
	_, _, err = s.Open(ctx, tx.ID())
	fmt.Println(err) // not before Commit
	tx.Abort()
	// Output: queue: no such message
}

// What is known only after the content has streamed by goes in front of it.
func ExampleCommit() {
	ctx := context.Background()
	s := new(queue.Memory)
	tx, err := s.Begin(ctx, -1)
	if err != nil {
		fmt.Println(err)
		return
	}
	io.WriteString(tx, "Subject: hi\r\n\r\nHello\r\n")
	_, err = tx.Commit(ctx, &queue.Commit{
		Message: queue.Message{Arrived: now},
		Prefix:  []byte("Received: from a.example\r\n"),
		Items:   []queue.NewItem{newItem("b.example", recipient("bob@b.example"))},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	m, content, err := s.Open(ctx, tx.ID())
	fmt.Println(m.Size, m.Kind.Has(smtp.Kind8Bit), err)
	r, _ := content.Open()
	defer r.Close()
	io.CopyN(printer{}, r, int64(len("Received: from a.example")))
	// Output:
	// 48 false <nil>
	// Received: from a.example
}

type printer struct{}

func (printer) Write(p []byte) (int, error) { return fmt.Print(string(p)) }

// An item may be leased to who commits it, before anybody else sees it.
func ExampleNewItem() {
	ctx := context.Background()
	s := new(queue.Memory)
	tx, err := s.Begin(ctx, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	item := newItem("b.example", recipient("bob@b.example"))
	item.LeaseUntil = now.Add(time.Minute)
	leased, err := tx.Commit(ctx, &queue.Commit{Message: queue.Message{Arrived: now}, Items: []queue.NewItem{item}})
	fmt.Println(len(leased), leased[0].Item.Destination, err)
	ready, next, err := s.Ready(ctx, now, "", 10)
	fmt.Println(ready, next.Sub(now), err)
	// Output:
	// 1 b.example <nil>
	// [] 1m0s <nil>
}

// Items that have to be given up, or whose senders have to be told that they are
// late, are leased whether they are due or not.
func ExampleLeaseRequest() {
	ctx := context.Background()
	s := new(queue.Memory)
	put(s, "b.example", "c.example")
	inAWeek := now.Add(7 * 24 * time.Hour)
	late, err := s.Lease(ctx, queue.LeaseRequest{Late: true, Max: 10, Now: inAWeek, Until: inAWeek.Add(time.Minute)})
	fmt.Println(len(late), err)
	// Output: 2 <nil>
}

// A lease that somebody else has taken over is lost.
func ExampleLease() {
	ctx := context.Background()
	s := new(queue.Memory)
	put(s, "b.example")
	lease := func(at time.Time) queue.Lease {
		l, err := s.Lease(ctx, queue.LeaseRequest{Destination: "b.example", Max: 1, Now: at, Until: at.Add(time.Minute)})
		if err != nil || len(l) == 0 {
			fmt.Println(len(l), err)
			return queue.Lease{}
		}
		return l[0].Lease
	}
	first := lease(now)
	second := lease(now.Add(time.Minute))
	lost, err := s.Extend(ctx, now.Add(time.Hour), []queue.Lease{first, second})
	fmt.Println(len(lost), lost[0].Token == first.Token, second.Token > first.Token, err)
	// Output: 1 true true <nil>
}

func ExampleLeased() {
	l, err := leaseOne()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(l.Item.Destination, l.Item.Recipients[0].To, l.Message.Size, l.Content.Reusable())
	// Output: b.example <bob@b.example> 22 true
}

// leaseOne leases the one item of a store.
func leaseOne() (*queue.Leased, error) {
	s := new(queue.Memory)
	put(s, "b.example")
	l, err := s.Lease(context.Background(), queue.LeaseRequest{Destination: "b.example", Max: 1, Now: now, Until: now.Add(time.Minute)})
	if err != nil {
		return nil, err
	}
	return l[0], nil
}

// One recipient was refused for good, the other is tried again.
func ExampleSettlement() {
	ctx := context.Background()
	s := new(queue.Memory)
	tx, err := s.Begin(ctx, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	item := newItem("b.example", recipient("bob@b.example"), recipient("eve@b.example"))
	item.LeaseUntil = now.Add(time.Minute)
	l, err := tx.Commit(ctx, &queue.Commit{Items: []queue.NewItem{item}})
	if err != nil {
		fmt.Println(err)
		return
	}
	settlement := &queue.Settlement{
		Lease:    l[0].Lease,
		Done:     []queue.Outcome{{Message: l[0].Message.ID, Destination: "b.example", Recipient: item.Recipients[0].To, Status: queue.Failed, Time: now}},
		Left:     item.Recipients[1:],
		Due:      now.Add(5 * time.Minute),
		Attempts: 1,
	}
	fmt.Println(s.Settle(ctx, []*queue.Settlement{settlement}), settlement.Err)
	for e := range s.Scan(ctx, queue.Filter{}) {
		fmt.Println(e.Item.Recipients[0].To, e.Item.Due.Sub(now), e.Item.Attempts)
	}
	fmt.Println(s.Settle(ctx, []*queue.Settlement{settlement}), settlement.Err) // again
	// Output:
	// <nil> <nil>
	// <eve@b.example> 5m0s 1
	// <nil> queue: the lease is lost
}

// A notification is there when what it tells of has happened, and only then.
func ExampleSpawn() {
	ctx := context.Background()
	s := new(queue.Memory)
	put(s, "b.example")
	l, err := s.Lease(ctx, queue.LeaseRequest{Destination: "b.example", Max: 1, Now: now, Until: now.Add(time.Minute)})
	if err != nil {
		fmt.Println(err)
		return
	}
	tx, err := s.Begin(ctx, -1)
	if err != nil {
		fmt.Println(err)
		return
	}
	io.WriteString(tx, "Subject: Undelivered mail\r\n\r\nSorry.\r\n")
	notification := &queue.Commit{Message: queue.Message{Arrived: now}, Items: []queue.NewItem{newItem("a.example", recipient("ann@a.example"))}}
	settlement := &queue.Settlement{Lease: l[0].Lease, Spawn: []queue.Spawn{{Tx: tx, Commit: notification}}}
	fmt.Println(s.Settle(ctx, []*queue.Settlement{settlement}), settlement.Err)
	for e := range s.Scan(ctx, queue.Filter{}) {
		fmt.Println(e.Item.Recipients[0].To, e.Message.ID == tx.ID())
	}
	// Output:
	// <nil> <nil>
	// <ann@a.example> true
}

func ExampleEntry() {
	ctx := context.Background()
	s := new(queue.Memory)
	put(s, "b.example", "c.example")
	s.Lease(ctx, queue.LeaseRequest{Destination: "c.example", Max: 1, Now: now, Until: now.Add(time.Minute)})
	for e, err := range s.Scan(ctx, queue.Filter{To: "@c.example"}) {
		fmt.Println(e.Item.N, e.Item.Destination, e.LeasedUntil.Sub(now), err)
	}
	// Output: 1 c.example 1m0s <nil>
}

func ExampleAction() {
	ctx := context.Background()
	s := new(queue.Memory)
	put(s, "b.example", "c.example")
	for _, do := range []queue.Action{queue.Hold, queue.Delete} {
		n, err := s.Change(ctx, queue.Filter{Destination: "b.example"}, do, now)
		fmt.Println(do, n, err)
	}
	// Output:
	// hold 1 <nil>
	// delete 1 <nil>
}

func ExampleOutcome() {
	ctx := context.Background()
	s := new(queue.Memory)
	put(s, "b.example")
	s.Change(ctx, queue.Filter{}, queue.Delete, now)
	for o, err := range s.Outcomes(ctx, 0) {
		fmt.Println(o.Recipient, o.Status, o.Time.Equal(now), err)
	}
	// Output: <bob@b.example> deleted true <nil>
}

func ExampleItem() {
	l, err := leaseOne()
	if err != nil {
		fmt.Println(err)
		return
	}
	item := l.Item
	fmt.Println(item.N, item.Destination, item.Due.Equal(now), item.Expires.Sub(now), item.Attempts, item.Held)
	// Output: 0 b.example true 120h0m0s 0 false
}

func ExampleStats() {
	ctx := context.Background()
	s := new(queue.Memory)
	put(s, "b.example", "c.example")
	stats, err := s.Stats(ctx)
	fmt.Println(stats.Messages, stats.Bytes, stats.Items, stats.Oldest.Equal(now), err)
	// Output: 1 22 2 true <nil>
}
