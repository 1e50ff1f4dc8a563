package queuecmd_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/queuecmd"
	"github.com/postrider/postrider/smtp"
)

func ExampleCommand() {
	ctx := context.Background()
	store := new(queue.Memory)
	tx, err := store.Begin(ctx, -1)
	if err != nil {
		panic(err)
	}
	fmt.Fprint(tx, "Subject: Hi\r\n\r\nHello.\r\n")
	env, err := smtp.NewEnvelope("me@example.com", "you@example.org")
	if err != nil {
		panic(err)
	}
	item := queue.Item{Destination: "example.org", Due: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)}
	for _, to := range env.Recipients {
		item.Recipients = append(item.Recipients, queue.Recipient{Recipient: to})
	}
	env.Recipients = nil
	if _, err := tx.Commit(ctx, &queue.Commit{Message: queue.Message{Envelope: env}, Items: []queue.NewItem{{Item: item}}}); err != nil {
		panic(err)
	}

	// In a program it is sqlqueue.AttachDSN that opens the store, and os.Args[1:] that
	// say what to do.
	c := queuecmd.Command{Stdout: os.Stdout, Open: func(context.Context, string) (queue.Store, error) { return store, nil }}
	fmt.Println(c.Run(ctx, []string{"hold", "-to", "@example.org"}))
	// Output:
	// hold 1
	// 0
}
