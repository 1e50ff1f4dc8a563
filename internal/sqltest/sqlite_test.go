package sqltest

import (
	"context"
	"database/sql"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/sqlqueue"
	"github.com/postrider/postrider/smtp"
	_ "modernc.org/sqlite"
)

func openDB(path string) (*sql.DB, error) { return sql.Open("sqlite", path) }

// openFile opens a database, closed at the end of the test.
func openFile(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := openDB(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func newFile(t testing.TB) string { return filepath.Join(t.TempDir(), "queue.db") }

// openStore opens the queue in a file, closed at the end of the test.
func openStore(t testing.TB, path string, opts *sqlqueue.Options) *sqlqueue.Store {
	t.Helper()
	s, err := sqlqueue.Open(context.Background(), openFile(t, path), sqlqueue.SQLite, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// commitOf returns what a message comes with that has an item for each domain.
func commitOf(lease time.Time, domains ...string) *queue.Commit {
	now := time.Now()
	env, err := smtp.NewEnvelope("sender@example.org")
	if err != nil {
		panic(err)
	}
	c := &queue.Commit{Message: queue.Message{Envelope: env, Arrived: now}}
	for _, domain := range domains {
		to, err := smtp.NewEnvelope("", "someone@"+domain)
		if err != nil {
			panic(err)
		}
		c.Items = append(c.Items, queue.NewItem{LeaseUntil: lease, Item: queue.Item{
			Destination: domain,
			Recipients:  queue.Recipients{{Recipient: to.Recipients[0]}},
			Due:         now,
			Expires:     now.Add(5 * 24 * time.Hour),
			Warn:        now.Add(4 * time.Hour),
		}})
	}
	return c
}

func put(t testing.TB, s queue.Store, content []byte, c *queue.Commit) []*queue.Leased {
	t.Helper()
	ctx := context.Background()
	tx, err := s.Begin(ctx, int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Abort()
	if _, err := tx.Write(content); err != nil {
		t.Fatal(err)
	}
	leased, err := tx.Commit(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	return leased
}

func readAll(t testing.TB, c smtp.Content) []byte {
	t.Helper()
	r, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func settled(l *queue.Leased) *queue.Settlement {
	s := &queue.Settlement{Lease: l.Lease}
	for _, r := range l.Item.Recipients {
		s.Done = append(s.Done, queue.Outcome{
			Message:     l.Message.ID,
			Destination: l.Item.Destination,
			Recipient:   r.To,
			Status:      queue.Relayed,
			Time:        time.Now(),
		})
	}
	return s
}
