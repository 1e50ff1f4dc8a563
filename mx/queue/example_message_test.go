package queue_test

import (
	"fmt"
	"time"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

func ExampleID() {
	id, err := queue.ParseID("0dq4yb0000001")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(id, id.Time().UTC().Year())
	_, err = queue.ParseID("0DQ4YB0000001") // small letters are others
	fmt.Println(err)
	// Output:
	// 0dq4yb0000001 2026
	// queue: not the name of a message
}

func ExampleIDs() {
	ids := queue.IDs{Node: 3}
	now := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	first, second := ids.Next(now), ids.Next(now.Add(-time.Hour)) // a clock that is set back
	fmt.Println(second > first, first.Time().Equal(now))
	// Output: true true
}

func ExampleMessage() {
	env, err := smtp.NewEnvelope("ann@example.org")
	if err != nil {
		fmt.Println(err)
		return
	}
	env.MailParams = smtp.MailParams{Size: 4096, Body: smtp.Body8BitMIME}
	m := queue.Message{Envelope: env, Data: "batch 7"}
	text, err := m.MarshalText() // for a column of a database
	fmt.Print(string(text), err)
	// Output:
	// MAIL FROM:<ann@example.org> SIZE=4096 BODY=8BITMIME
	// data: batch 7
	// <nil>
}

func ExampleRecipients() {
	var r queue.Recipients
	err := r.UnmarshalText([]byte("RCPT TO:<bob@example.com> NOTIFY=FAILURE\nreply: 450 4.2.1 busy\nhost: mx.example.com\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r[0].To, r[0].RcptParams.Notify, r[0].Reply, r[0].Host)
	// Output: <bob@example.com> FAILURE 450 4.2.1 busy mx.example.com
}

// What a recipient's host has said last.
func ExampleRecipient() {
	r := recipient("bob@example.com")
	r.Last, r.Host = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC), "mx.example.com"
	r.Reply = smtp.Reply{Code: 450, Enhanced: smtp.Enh(2, 1), Text: "busy"}
	text, err := queue.Recipients{r}.MarshalText()
	fmt.Print(string(text), err)
	// Output:
	// RCPT TO:<bob@example.com>
	// last: 2026-03-01T10:00:00Z
	// reply-code: 450
	// reply-enhanced: x.2.1
	// reply-text: busy
	// host: mx.example.com
	// <nil>
}

func ExampleStatus() {
	fmt.Println(queue.Delivered, queue.Expired)
	// Output: delivered expired
}

func ExampleFilter() {
	f := queue.Filter{From: "@EXAMPLE.org", Waiting: true}
	m := &queue.Message{Envelope: smtp.Envelope{From: smtp.ReversePath{Mailbox: smtp.Mailbox{Local: "ann", Domain: "example.org"}}}}
	fmt.Println(f.Match(&queue.Entry{Message: m}), f.Match(&queue.Entry{Message: m, Item: queue.Item{Held: true}}))
	// Output: true false
}

func recipient(address string) queue.Recipient {
	m, err := smtp.ParseMailbox(address)
	if err != nil {
		panic(err)
	}
	return queue.Recipient{Recipient: smtp.Recipient{To: smtp.ForwardPath{Mailbox: m}}}
}
