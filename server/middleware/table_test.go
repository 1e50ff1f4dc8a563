package middleware

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// A table never holds more than it may, and a flood of new keys does not drive
// out those who have used much.
func TestTableIsBounded(t *testing.T) {
	r := &rateLimiter{messages: newRate(10, 0, time.Hour), used: newTable(1000, 0, usage.ends)}
	of := func(u *usage) *time.Time { return &u.messages }
	spent := func() bool { return !r.allow("spent", r.messages, of) }
	for range 10 {
		if spent() {
			t.Fatal("spent too early")
		}
	}
	for i := range 50_000 {
		if !r.allow(fmt.Sprint(i), r.messages, of) {
			t.Fatal("a new key is refused")
		}
	}
	if n := len(r.used.entries); n > 1000 || n < 900 {
		t.Errorf("%d entries of 1000", n)
	}
	if !spent() {
		t.Error("forgotten")
	}
}

// What has ended makes room, whether the table is full or not.
func TestTableForgets(t *testing.T) {
	now := time.Now()
	tab := newTable(1000, 0, func(end time.Time) time.Time { return end })
	for i := range 1000 {
		tab.put(fmt.Sprint("old", i), now, now.Add(time.Minute))
	}
	later := now.Add(time.Minute)
	if !tab.get("old1", later).IsZero() {
		t.Error("an ended entry is given out")
	}
	for i := range 2000 {
		tab.put(fmt.Sprint("new", i%500), later, later.Add(time.Minute))
	}
	for i := range 500 {
		if tab.get(fmt.Sprint("new", i), later).IsZero() {
			t.Fatalf("new%d is gone, among %d entries", i, len(tab.entries))
		}
	}
	if len(tab.entries) > 600 {
		t.Errorf("%d entries, of which 500 live", len(tab.entries))
	}
}

func TestTableKeysAreShort(t *testing.T) {
	tab := newTable(0, 10, func(end time.Time) time.Time { return end })
	now := time.Now()
	long := strings.Repeat("x", 1<<16)
	tab.put(long, now, now.Add(time.Minute))
	tab.put(long+"y", now, now.Add(time.Hour))
	for key := range tab.at {
		if len(key) > 64 {
			t.Errorf("a key of %d octets", len(key))
		}
	}
	if got := tab.get(long, now); got != now.Add(time.Minute) {
		t.Errorf("%v", got)
	}
}

func TestTableIsConcurrent(t *testing.T) {
	r := &rateLimiter{messages: newRate(500, 0, time.Hour), used: newTable(10, 0, usage.ends)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	allowed := 0
	for range 10 {
		wg.Go(func() {
			for range 100 {
				if r.allow("k", r.messages, func(u *usage) *time.Time { return &u.messages }) {
					mu.Lock()
					allowed++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if allowed < 500 || allowed > 501 {
		t.Errorf("%d were allowed", allowed)
	}
}

// The long s of Unicode folds to s.
func TestPostmaster(t *testing.T) {
	for local, want := range map[string]bool{"postmaster": true, "PostMaster": true, "po\u017ftmaster": false, "postmasters": false, "": false} {
		if isPostmaster(local) != want {
			t.Errorf("%q: %t", local, !want)
		}
	}
}
