package guarantee

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/sqlqueue"
)

const quietTime = 90 * time.Second // for a queue to become empty

// attach opens the queue beside the relay, as an operator's program does.
func attach(t *testing.T, dsn string) (store *sqlqueue.Store, done func()) {
	t.Helper()
	driver, dialect := dialectOf(dsn)
	if dialect == sqlqueue.SQLite {
		dsn = "file:" + filepath.ToSlash(dsn) + "?_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	store, err = sqlqueue.Attach(t.Context(), db, dialect, &sqlqueue.Options{KeepOutcomes: time.Hour})
	if err != nil {
		db.Close()
		t.Fatal(err)
	}
	return store, func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
		db.Close()
	}
}

func dialectOf(dsn string) (driver string, d sqlqueue.Dialect) {
	if strings.HasPrefix(dsn, "postgres:") {
		return "pgx", sqlqueue.PostgreSQL
	}
	return "sqlite", sqlqueue.SQLite
}

// quiet waits until nothing is in the queue.
func quiet(t *testing.T, dsn string) {
	t.Helper()
	store, done := attach(t, dsn)
	defer done()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(quietTime)
	for left := -1; left != 0; {
		select {
		case <-tick.C:
		case <-late:
			stats, err := store.Stats(t.Context())
			t.Errorf("not empty after %v: %+v, %v", quietTime, stats, err)
			for e, err := range store.Scan(t.Context(), queue.Filter{Limit: 20}) {
				if err != nil {
					t.Fatal(err)
				}
				t.Errorf("%v %s: %d attempts, due %v, leased until %v: %v", e.Message.ID, e.Item.Destination, e.Item.Attempts, e.Item.Due, e.LeasedUntil, e.Item.Recipients)
			}
			t.FailNow()
		}
		left = 0
		for _, err := range store.Scan(t.Context(), queue.Filter{Limit: 1}) {
			if err != nil {
				t.Fatal(err)
			}
			left++
		}
	}
}

// outcomes returns all that were recorded, and checks that nothing else is left.
func outcomes(t *testing.T, dsn string) (all []queue.Outcome) {
	t.Helper()
	store, done := attach(t, dsn)
	defer done()
	for o, err := range store.Outcomes(context.Background(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	stats, err := store.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if stats.Messages != 0 || stats.Bytes != 0 || stats.Items != 0 || stats.Leased != 0 {
		t.Errorf("the queue is empty and counts %+v", stats)
	}
	return all
}
