package queue_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

func TestMemoryIsBounded(t *testing.T) {
	ctx := t.Context()
	m := &queue.Memory{MaxBytes: 10 << 10}
	for _, size := range []int64{10 << 10, math.MaxInt64} {
		if _, err := m.Begin(ctx, size); !errors.Is(err, queue.ErrFull) {
			t.Errorf("Begin(%d): %v", size, err)
		}
	}
	tx, err := m.Begin(ctx, 8<<10) // what is announced is kept
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Begin(ctx, 1<<10); !errors.Is(err, queue.ErrFull) {
		t.Errorf("Begin while another has announced so much: %v", err)
	}
	if _, err := tx.Write(make([]byte, 9<<10)); err != nil {
		t.Error(err)
	}
	if _, err := tx.Write([]byte{0}); !errors.Is(err, queue.ErrFull) {
		t.Errorf("Write: %v", err)
	}
	var reject *smtp.Error
	if _, err := tx.Write([]byte{0}); err == nil || errors.As(err, &reject) {
		t.Errorf("Write again: %v", err)
	}
	for range 100 { // given back
		tx, err := m.Begin(ctx, 9<<10)
		if err != nil {
			t.Fatal(err)
		}
		tx.Abort()
	}
	n := 0
	for put(m, "b.example") == nil {
		n++
	}
	if n != 9 { // 1 KB each, and their content
		t.Errorf("%d messages fit", n)
	}
	if err := put(&queue.Memory{MaxBytes: -1}, "b.example"); err != nil {
		t.Error(err)
	}
}

func TestMemoryPrefixCounts(t *testing.T) {
	m := &queue.Memory{MaxBytes: 10 << 10}
	tx, err := m.Begin(t.Context(), 8<<10)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Write(make([]byte, 8<<10)); err != nil {
		t.Fatal(err)
	}
	c := &queue.Commit{Prefix: make([]byte, 2<<10), Items: []queue.NewItem{newItem("b.example", recipient("bob@b.example"))}}
	if _, err := tx.Commit(t.Context(), c); !errors.Is(err, queue.ErrFull) {
		t.Errorf("Commit: %v", err)
	}
	if err := put(m, "b.example"); err != nil {
		t.Error(err)
	}
}

func TestMemoryOutcomesAreBounded(t *testing.T) {
	for limit, want := range map[int]int{0: 100, 7: 7, 1: 1, -1: 0} {
		m := &queue.Memory{MaxOutcomes: limit}
		var last []queue.ID
		for i := range 100 {
			put(m, "b.example")
			for e := range m.Scan(t.Context(), queue.Filter{}) {
				last = append(last, e.Message.ID)
			}
			if n, err := m.Change(t.Context(), queue.Filter{}, queue.Delete, now); n != 1 || err != nil {
				t.Fatal(i, n, err)
			}
		}
		var kept []queue.ID
		for o, err := range m.Outcomes(t.Context(), 0) {
			if err != nil {
				t.Fatal(err)
			}
			kept = append(kept, o.Message)
		}
		if !slices.Equal(kept, last[100-len(kept):]) || len(kept) < want || want < 100 && len(kept) > 2*want {
			t.Errorf("MaxOutcomes %d keeps %d", limit, len(kept))
		}
	}
}

// A reader of outcomes is not disturbed by what comes after.
func TestMemoryOutcomesWhileTheyCome(t *testing.T) {
	m := &queue.Memory{MaxOutcomes: 3}
	put(m, "b.example")
	m.Change(t.Context(), queue.Filter{}, queue.Delete, now)
	n := 0
	for range m.Outcomes(t.Context(), 0) {
		n++
		for range 10 {
			put(m, "b.example")
			m.Change(t.Context(), queue.Filter{}, queue.Delete, now)
		}
	}
	if n != 1 {
		t.Errorf("%d outcomes", n)
	}
}

// In a bubble Memory has the bubble's time and keeps nobody waiting.
func TestMemoryInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(queue.Memory)
		time.Sleep(time.Hour)
		tx, err := m.Begin(context.Background(), -1)
		if err != nil {
			t.Fatal(err)
		}
		if at := tx.ID().Time(); !at.Equal(time.Now().Truncate(time.Millisecond)) && at.After(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("the ID is of %v", at)
		}
		done := make(chan bool)
		go func() { done <- put(m, "b.example") == nil }()
		synctest.Wait()
		if !<-done {
			t.Error("not stored")
		}
	})
}

// deep returns a store with n messages, of as many destinations.
func deep(t testing.TB, n, destinations int) *queue.Memory {
	m := new(queue.Memory)
	for i := range n {
		if err := put(m, fmt.Sprintf("d%d.example", i%destinations)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// With many items in it a message costs about what it costs with few.
func BenchmarkMemoryDeep(b *testing.B) {
	for _, test := range []struct{ n, destinations int }{{10, 1}, {10_000, 1}, {100_000, 1}, {100_000, 10_000}} {
		name := fmt.Sprintf("%d of %d", test.n, test.destinations)
		b.Run(name+"/life", func(b *testing.B) {
			m := deep(b, test.n, test.destinations)
			for b.Loop() {
				if err := put(m, "d0.example"); err != nil {
					b.Fatal(err)
				}
				l, err := m.Lease(context.Background(), queue.LeaseRequest{Destination: "d0.example", Max: 1, Now: now, Until: now.Add(time.Minute)})
				if err != nil {
					b.Fatal(err)
				}
				m.Settle(context.Background(), []*queue.Settlement{{Lease: l[0].Lease}})
			}
		})
		b.Run(name+"/retry", func(b *testing.B) {
			m := deep(b, test.n, test.destinations)
			due := now
			for b.Loop() {
				l, err := m.Lease(context.Background(), queue.LeaseRequest{Destination: "d0.example", Max: 1, Now: due, Until: due.Add(time.Minute)})
				if err != nil {
					b.Fatal(err)
				}
				due = due.Add(time.Second)
				m.Settle(context.Background(), []*queue.Settlement{{Lease: l[0].Lease, Left: l[0].Item.Recipients, Due: due}})
			}
		})
		b.Run(name+"/ready", func(b *testing.B) {
			m := deep(b, test.n, test.destinations)
			for b.Loop() {
				if names, _, err := m.Ready(context.Background(), now, "", 100); len(names) != min(test.destinations, 100) || err != nil {
					b.Fatal(len(names), err)
				}
			}
		})
	}
}

func TestIDText(t *testing.T) {
	for _, id := range []queue.ID{0, 1, 1 << 62, math.MaxInt64} {
		if got, err := queue.ParseID(id.String()); got != id || err != nil {
			t.Errorf("%d is %s, which reads %d, %v", id, id, got, err)
		}
	}
	for _, s := range []string{"", "0", "000000000000a", "80000000000000", "8000000000000", "C000000000000", "00000000000000", "000000000000\x00", "000000000000é"} {
		if id, err := queue.ParseID(s); err == nil {
			t.Errorf("%q reads %d", s, id)
		}
	}
	if n := testing.AllocsPerRun(10, func() { queue.ParseID("0000000000001") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestIDs(t *testing.T) {
	g := queue.IDs{Node: 511}
	last := queue.ID(-1)
	for i := range 20_000 { // more than a millisecond has room for
		id := g.Next(now.Add(-time.Duration(i%3) * time.Second))
		if id <= last {
			t.Fatalf("%d comes after %d", id, last)
		}
		last = id
	}
	if at := last.Time(); at.Before(now) || at.After(now.Add(10*time.Millisecond)) {
		t.Errorf("the last is of %v", at)
	}
	a, b := queue.IDs{Node: 1}, queue.IDs{Node: 2}
	if a.Next(now) == b.Next(now) {
		t.Error("two nodes give the same ID")
	}
	if before := g.Next(time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)); before <= last {
		t.Errorf("%d comes after %d", before, last)
	}
	var early queue.IDs
	if id := early.Next(time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)); id < 0 {
		t.Errorf("before the year 2020 there is %d", id)
	}
}

func TestErrFull(t *testing.T) {
	var reject *smtp.Error
	err := fmt.Errorf("begin: %w", queue.ErrFull)
	if !errors.As(err, &reject) || reject.Reply.Code != 452 || reject.Reply.EnhancedString() != "4.3.1" || !errors.Is(err, queue.ErrFull) {
		t.Errorf("%v holds %v", err, reject)
	}
	if strings.Contains(reject.Reply.Text, "queue:") {
		t.Error(reject.Reply.Text)
	}
	var other *smtp.SyntaxError
	if errors.As(err, &other) {
		t.Error("ErrFull is anything")
	}
}
