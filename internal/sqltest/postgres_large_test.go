//go:build linux && interop

package sqltest

import (
	"slices"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/pgtest"
	"github.com/postrider/postrider/mx/queue/sqlqueue"
)

// largePlace has messages 1 to n beside one that has been stored, each to another
// destination and due an hour before now.
func largePlace(t *testing.T, n int, now time.Time) (*pgPlace, *handle) {
	t.Helper()
	p := newPlace(t, pgtest.Start(t))
	h := p.open(t, nil)
	put(t, h, []byte("x"), commitOf(time.Time{}, "a.example"))
	p.exec(t, `INSERT INTO queue_messages (id, arrived, size, kind, message)
		SELECT k, 0, 1, 0, m.message FROM queue_messages m, generate_series(1, $1) k`, n)
	p.exec(t, `INSERT INTO queue_items (message, n, destination, due, expires, warn, attempts, held, alone, token, leased, recipients)
		SELECT k, 0, convert_to('d' || lpad(k::text, 6, '0') || '.example', 'UTF8'), $2::bigint - k, i.expires, i.warn, 0, 0, 1, 0, 0, i.recipients
		FROM queue_items i, generate_series(1, $1) k`, n, now.Add(-time.Hour).UnixNano())
	return p, h
}

// Ready does not look at all destinations to tell a few, and tells all of them if it
// is asked for all.
func TestPostgresReadyLarge(t *testing.T) {
	const all = 20_000
	now := time.Now()
	_, h := largePlace(t, all, now)
	ready := func(now time.Time, max int) ([]string, time.Time, time.Duration) {
		began := time.Now()
		names, next, err := h.Ready(t.Context(), now, "b", max)
		if err != nil {
			t.Fatal(err)
		}
		return names, next, time.Since(began)
	}
	ready(now, 1) // prepares it
	few, _, fewTook := ready(now, 10)
	if len(few) != 10 || few[9] != "d000010.example" {
		t.Errorf("the first are %v", few)
	}
	many, _, manyTook := ready(now, 2*all)
	if len(many) != all || !slices.IsSorted(many) || many[all-1] != "d020000.example" {
		t.Errorf("%d are ready", len(many))
	}
	for range 5 { // whatever else the machine does
		_, _, took := ready(now, 10)
		fewTook = min(fewTook, took)
	}
	if fewTook > manyTook/5 {
		t.Errorf("ten take %v, all %v", fewTook, manyTook)
	}
	none, next, _ := ready(now.Add(-2*time.Hour), 10)
	if want := now.Add(-time.Hour - all); len(none) != 0 || !next.Equal(want) {
		t.Errorf("%v are ready, next is %v and not %v", none, next, want)
	}
}

// To sweep takes no longer for what is in the queue, and lets it be.
func TestPostgresSweepLarge(t *testing.T) {
	const all, orphans = 20_000, 2_000
	p, _ := largePlace(t, all, time.Now())
	p.exec(t, `INSERT INTO queue_pieces (message, n, data) SELECT k, n, '' FROM generate_series(1, $1) k, generate_series(1, 3) n`, all)
	p.exec(t, `INSERT INTO queue_pieces (message, n, data) SELECT k, n, '' FROM generate_series($1 + 1, $1 + $2) k, generate_series(1, 3) n`, all, orphans)
	p.exec(t, `INSERT INTO queue_pieces (message, n, data) SELECT -k, n, '' FROM generate_series(1, $1) k, generate_series(1, 3) n`, orphans)
	began := time.Now()
	h, err := p.tryOpen(&sqlqueue.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.db.Close()
	defer h.Close()
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it takes %v", took)
	}
	if n := p.pieces(t); n != 3*all {
		t.Errorf("%d pieces are left, want %d", n, 3*all)
	}
}
