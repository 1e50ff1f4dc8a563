package maildir_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/maildir"
	"github.com/postrider/postrider/smtp"
)

func ExampleDir() {
	base, err := os.MkdirTemp("", "maildir-*")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(base)
	dir, err := maildir.Open(base)
	if err != nil {
		panic(err)
	}
	defer dir.Close()

	// A queue.Runner whose Deliverer is dir does this:
	env, err := smtp.NewEnvelope("me@example.com", "you@example.org")
	if err != nil {
		panic(err)
	}
	ctx := queue.WithLeased(context.Background(), &queue.Leased{Message: &queue.Message{ID: 1, Arrived: time.Unix(1700000000, 0)}})
	results, err := dir.Deliver(ctx, "local", &mx.Message{Envelope: env, Content: smtp.BytesContent([]byte("Subject: Hi\r\n\r\nHello.\r\n"))})
	if err != nil {
		panic(err)
	}
	fmt.Println(results[0].Reply)
	text, err := os.ReadFile(filepath.Join(base, "example.org/you/new/1700000000.0000000000001.postrider"))
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s", text)
	// Output:
	// 250 2.1.5 delivered to the mailbox
	// Return-Path: <me@example.com>
	// Delivered-To: you@example.org
	// Subject: Hi
	//
	// Hello.
}
