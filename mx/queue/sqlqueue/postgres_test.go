package sqlqueue

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestNumbered(t *testing.T) {
	for query, want := range map[string]string{
		"SELECT 1":         "SELECT 1",
		"a = ? AND b = ?":  "a = $1 AND b = $2",
		"?, ?, ?, ?, ?":    "$1, $2, $3, $4, $5",
		"? || '' = ? -- x": "$1 || '' = $2 -- x",
	} {
		if got := numbered(query); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestPGArray(t *testing.T) {
	a := make(pgArrays, 4)
	for _, v := range []string{"a,{}\"\\", "", "\x00\xff"} {
		a[0].bytes([]byte(v))
		a[1].int(int64(-len(v)))
		a[2].flag(v == "")
	}
	want := []any{"first", `{"\\x612c7b7d225c","\\x","\\x00ff"}`, "{-6,0,-2}", "{0,1,0}", "{}"}
	if got := a.args("first"); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Times go by the server's clock as soon as the difference is one.
func TestPGClock(t *testing.T) {
	var k pgClock
	w := &words{skew: k.skew}
	for _, m := range []struct{ ahead, took, want time.Duration }{
		{900 * time.Millisecond, 0, 0},
		{-900 * time.Millisecond, 0, 0},
		{2 * time.Second, 3 * time.Second, 0}, // nobody knows
		{time.Hour + 300*time.Millisecond, time.Millisecond, time.Hour},
		{time.Hour + 900*time.Millisecond, time.Millisecond, time.Hour}, // times come back as they were
		{-time.Minute, time.Millisecond, -time.Minute},
		{0, 0, 0},
	} {
		k.set(m.ahead, m.took)
		if got := time.Duration(k.skew()); got != m.want {
			t.Errorf("ahead by %v: %v, want %v", m.ahead, got, m.want)
		}
		if there := w.there(12345); there != 12345+int64(m.want) || w.here(there) != 12345 {
			t.Errorf("12345 is there %d and here %d", there, w.here(there))
		}
	}
	k.set(time.Hour, 0)
	for _, none := range []int64{0, never} {
		if w.there(none) != none || w.here(none) != none {
			t.Errorf("%d is shifted", none)
		}
	}
}

type stateError string

func (e stateError) Error() string    { return "state " + string(e) }
func (e stateError) SQLState() string { return string(e) }

func TestSQLState(t *testing.T) {
	for _, test := range []struct {
		err              error
		broken, conflict bool
	}{
		{nil, false, false},
		{errors.New("EOF"), true, false},
		{stateError("57P01"), true, false},
		{stateError("08006"), true, false},
		{stateError("53300"), false, false},
		{stateError("23505"), false, false},
		{stateError("40P01"), false, true},
		{fmt.Errorf("x: %w", stateError("40001")), false, true},
		{errStored, false, false},
		{fmt.Errorf("x: %w", errNode), false, false},
		{connectError{sql.ErrConnDone}, true, false},
	} {
		if isBroken(test.err) != test.broken || isConflict(test.err) != test.conflict {
			t.Errorf("%v: broken %v, conflict %v", test.err, isBroken(test.err), isConflict(test.err))
		}
	}
}

// What waits while something is done goes together next, and each call hears of its
// own.
func TestGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var batches [][]int
		failed := errors.New("failed")
		g := &group[int]{workers: 1, most: 4, do: func(things []int) error {
			mu.Lock()
			batches = append(batches, slices.Clone(things))
			mu.Unlock()
			time.Sleep(time.Second)
			switch {
			case !slices.Contains(things, 13):
				return nil
			case len(things) > 1:
				return errAlone
			}
			return failed
		}}
		go g.wait(t.Context(), 1)
		synctest.Wait()
		results := make([]error, 14)
		var all sync.WaitGroup
		for n := 2; n < 14; n++ {
			all.Go(func() { results[n] = g.wait(t.Context(), n) })
			synctest.Wait()
		}
		ctx, cancel := context.WithCancel(t.Context())
		cut := make(chan error, 1)
		go func() { cut <- g.wait(ctx, 99) }()
		synctest.Wait()
		cancel() // it has not begun
		if err := <-cut; err != context.Canceled {
			t.Errorf("cancelled: %v", err)
		}
		all.Wait()
		for n, err := range results {
			if want := map[int]error{13: failed}[n]; err != want {
				t.Errorf("%d: %v, want %v", n, err, want)
			}
		}
		want := [][]int{{1}, {2, 3, 4, 5}, {6, 7, 8, 9}, {10, 11, 12, 13}, {10}, {11}, {12}, {13}}
		if !slices.EqualFunc(batches, want, slices.Equal) {
			t.Errorf("%v, want %v", batches, want)
		}
	})
}

// What has begun when a call's context ends is ended, and the call says how.
func TestGroupEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &group[int]{workers: 2, most: 1, do: func([]int) error { time.Sleep(time.Second); return nil }}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.wait(ctx, 1) }()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("it has happened: %v", err)
		}
		go func() { done <- g.wait(t.Context(), 2) }()
		synctest.Wait()
		closed := errors.New("closed")
		g.close(closed)
		if err := <-done; err != nil {
			t.Errorf("close cuts off: %v", err)
		}
		if err := g.wait(t.Context(), 3); err != closed {
			t.Errorf("behind close: %v", err)
		}
	})
}
