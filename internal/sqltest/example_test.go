package sqltest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/sqlqueue"
	"github.com/postrider/postrider/smtp"
)

// These show package sqlqueue, which has no driver to run with.

func Example_store() {
	dir, err := os.MkdirTemp("", "queue")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	db, err := sql.Open("sqlite", filepath.Join(dir, "queue.db"))
	if err != nil {
		panic(err)
	}
	defer db.Close()
	ctx := context.Background()
	store, err := sqlqueue.Open(ctx, db, sqlqueue.SQLite, nil)
	if err != nil {
		panic(err)
	}
	defer store.Close()

	tx, err := store.Begin(ctx, -1)
	if err != nil {
		panic(err)
	}
	defer tx.Abort()
	fmt.Fprint(tx, "Subject: Hello\r\n\r\nHow are you?\r\n")
	env, _ := smtp.NewEnvelope("alice@example.org", "bob@example.com")
	item := queue.Item{Destination: "example.com", Recipients: queue.Recipients{{Recipient: env.Recipients[0]}}, Due: time.Now()}
	env.Recipients = nil
	_, err = tx.Commit(ctx, &queue.Commit{
		Message: queue.Message{Envelope: env, Arrived: time.Now()},
		Items:   []queue.NewItem{{Item: item}},
	})
	if err != nil {
		panic(err)
	}

	for e, err := range store.Scan(ctx, queue.Filter{}) {
		if err != nil {
			panic(err)
		}
		fmt.Println(e.Message.Envelope.From, "->", e.Item.Destination, e.Message.Size, "octets")
	}
	// Output: <alice@example.org> -> example.com 32 octets
}

func Example_options() {
	dir, err := os.MkdirTemp("", "queue")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	db, err := sql.Open("sqlite", filepath.Join(dir, "queue.db"))
	if err != nil {
		panic(err)
	}
	defer db.Close()
	ctx := context.Background()
	store, err := sqlqueue.Open(ctx, db, sqlqueue.SQLite, &sqlqueue.Options{
		KeepOutcomes: 24 * time.Hour,
		FreeSpace:    func() (int64, error) { return 1 << 30, nil }, // what a quota has left
	})
	if err != nil {
		panic(err)
	}
	defer store.Close()
	stats, err := store.Stats(ctx)
	if err != nil {
		panic(err)
	}
	fmt.Println(stats.Messages, "messages,", stats.Free, "octets free")
	// Output: 0 messages, 1073741824 octets free
}
