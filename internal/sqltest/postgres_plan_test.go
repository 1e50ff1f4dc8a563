//go:build linux && interop

package sqltest

import (
	"testing"
	"time"

	"github.com/postrider/postrider/internal/pgtest"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/sqlqueue"
)

// Whatever the planner has last seen of the tables, an empty one or one that is full,
// nothing that is done for a few items reads many.
func TestPostgresPlans(t *testing.T) {
	const all, items = 2000, 100
	server := pgtest.Start(t, "autovacuum=off")
	for _, seen := range []string{"", "ANALYZE", "VACUUM", "VACUUM ANALYZE"} {
		t.Run("empty "+seen, func(t *testing.T) {
			now := time.Now()
			p := newPlace(t, server)
			h := p.open(t, nil)
			put(t, h, []byte("x"), commitOf(now.Add(time.Minute), "a.example"))
			p.exec(t, `CREATE TABLE an_item AS SELECT * FROM queue_items`)
			p.exec(t, `CREATE TABLE a_message AS SELECT * FROM queue_messages`)
			if n, err := h.Change(t.Context(), queue.Filter{}, queue.Delete, now); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			if seen != "" {
				for _, table := range []string{"items", "messages", "pieces", "outcomes", "totals"} {
					p.exec(t, seen+" queue_"+table)
				}
			}
			p.exec(t, `INSERT INTO queue_messages SELECT k, arrived, size, kind, message, body FROM a_message, generate_series(1, $1) k`, all)
			p.exec(t, `INSERT INTO queue_items SELECT k, $2::bigint + k, expires, warn, 0, 0, 0, 0, 0, 1,
				convert_to('d' || k % $3 || '.example', 'UTF8'), recipients FROM an_item, generate_series(1, $1) k`,
				all, now.Add(-time.Hour).UnixNano(), all/items)
			h.Close()
			h.db.Close()
			for what, do := range map[string]func(h *handle) int{
				"Ready": func(h *handle) int {
					names, _, err := h.Ready(t.Context(), now, "", 10)
					if err != nil {
						t.Fatal(err)
					}
					return len(names)
				},
				"Lease":  func(h *handle) int { return len(leaseSome(t, h, now, false)) },
				"late":   func(h *handle) int { return len(leaseSome(t, h, now.Add(30*24*time.Hour), true)) },
				"Extend": func(h *handle) int { return 10 - len(extended(t, h, leaseSome(t, h, now, false))) },
				"Settle": func(h *handle) int {
					leased := leaseSome(t, h, now, false)
					var sets []*queue.Settlement
					for i, l := range leased {
						sets = append(sets, settled(l))
						if i%2 == 0 {
							sets[i].Left, sets[i].Due = l.Item.Recipients, now.Add(time.Hour)
						}
					}
					if err := h.Settle(t.Context(), sets); err != nil {
						t.Fatal(err)
					}
					return len(leased)
				},
				"Change": func(h *handle) int {
					n, err := h.Change(t.Context(), queue.Filter{Destination: "d1.example", Limit: 10}, queue.Delete, now)
					if err != nil {
						t.Fatal(err)
					}
					return n
				},
			} {
				before := p.rowsRead(t)
				h, err := p.tryOpen(&sqlqueue.Options{KeepOutcomes: time.Hour})
				if err != nil {
					t.Fatal(err)
				}
				n := do(h)
				h.Close() // connections that end tell what they have done
				h.db.Close()
				most := int64(600)
				if what == "Change" { // goes through all by their keys
					most += all
				}
				read := p.rowsRead(t) - before
				if n != 10 || read > most {
					t.Errorf("%s: %d items, and %d rows were read", what, n, read)
				}
			}
		})
	}
}

// Who holds, releases or deletes messages does not read their contents.
func TestPostgresChangeReadsNoContent(t *testing.T) {
	const messages, size = 20, 100_000
	p := newPlace(t, pgtest.Start(t))
	h := p.open(t, &sqlqueue.Options{InlineSize: 2 * size})
	for range messages {
		put(t, h, make([]byte, size), commitOf(time.Now(), "a.example"))
	}
	h.Close()
	h.db.Close()
	blocks := func() int64 {
		p.ended(t)
		return p.count(t, `SELECT coalesce(sum(toast_blks_read + toast_blks_hit), 0) FROM pg_statio_user_tables WHERE schemaname = current_schema()`)
	}
	before := blocks()
	if before == 0 {
		t.Error("contents do not stand beside their rows")
	}
	h = p.open(t, nil)
	for _, do := range []queue.Action{queue.Hold, queue.Release} {
		if n, err := h.Change(t.Context(), queue.Filter{}, do, time.Now()); n != messages || err != nil {
			t.Errorf("%v: %d, %v", do, n, err)
		}
	}
	h.Close()
	h.db.Close()
	if read := blocks() - before; read > messages {
		t.Errorf("%d blocks of contents were read", read)
	}
}

func leaseSome(t *testing.T, h *handle, now time.Time, late bool) []*queue.Leased {
	t.Helper()
	leased, err := h.Lease(t.Context(), queue.LeaseRequest{Destination: "d1.example", Late: late, Max: 10, Now: now, Until: now.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	return leased
}

func extended(t *testing.T, h *handle, leased []*queue.Leased) []queue.Lease {
	t.Helper()
	var leases []queue.Lease
	for _, l := range leased {
		leases = append(leases, l.Lease)
	}
	lost, err := h.Extend(t.Context(), time.Now().Add(time.Hour), leases)
	if err != nil {
		t.Fatal(err)
	}
	return lost
}

// rowsRead is how many rows and entries of indexes were read in the place so far.
func (p *pgPlace) rowsRead(t *testing.T) int64 {
	t.Helper()
	p.ended(t)
	return p.count(t, `SELECT (SELECT coalesce(sum(idx_tup_read), 0) FROM pg_stat_user_indexes WHERE schemaname = current_schema()) +
		(SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_user_tables WHERE schemaname = current_schema())`)
}

// ended waits until the connections of the store have ended, and their processes, which
// tell then what they have read.
func (p *pgPlace) ended(t *testing.T) {
	t.Helper()
	p.admin.SetMaxOpenConns(1)
	eventually(t, "the connections of the store have ended, and their processes", func() bool {
		return p.count(t, `SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`) == 0
	})
}
