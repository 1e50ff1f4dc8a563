package sqlqueue_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/sqlqueue"
)

// The program imports a driver, such as modernc.org/sqlite, which is called
// "sqlite". Runnable examples are in internal/sqltest.
func ExampleOpen() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", "queue.db")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	store, err := sqlqueue.Open(ctx, db, sqlqueue.SQLite, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	runner := &queue.Runner{Store: store, Deliverer: &mx.Client{}}
	log.Fatal(runner.Run(ctx))
}

// An operator's program works beside the relay, and with a copy of its DSN.
func ExampleAttach() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", "queue.db")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	store, err := sqlqueue.Attach(ctx, db, sqlqueue.SQLite, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	n, err := store.Change(ctx, queue.Filter{Destination: "example.com"}, queue.Retry, time.Now())
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("%d are tried now", n)
}

func ExampleDialect() {
	fmt.Println(sqlqueue.SQLite, sqlqueue.PostgreSQL)
	// Output: SQLite PostgreSQL
}
