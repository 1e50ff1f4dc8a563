package queue_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"sync"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

// mailbox stands for an mx.Client: it takes all mail, but not for bob.
var mailbox = queue.DelivererFunc(func(ctx context.Context, destination string, m *mx.Message) ([]mx.Result, error) {
	var results []mx.Result
	for _, to := range m.Envelope.Recipients {
		r := mx.Result{Recipient: to.To, Status: mx.Delivered, DSN: true, Reply: smtp.Reply{Code: 250, Text: "saved"}}
		if to.To.Local == "bob" {
			r.Status, r.Scope, r.Reply = mx.Failed, mx.ScopeRecipient, smtp.Reply{Code: 550, Text: "no such user"}
		}
		results = append(results, r)
	}
	return results, nil
})

// takeIn takes a message in, as a server's handler would do.
func takeIn(r *queue.Runner, from string, to ...string) error {
	ctx := context.Background()
	env, err := smtp.NewEnvelope(from, to...)
	if err != nil {
		return err
	}
	in, err := r.Begin(ctx, -1)
	if err != nil {
		return err // a server answers 452 if it is ErrFull
	}
	defer in.Abort()
	if _, err := io.WriteString(in, "Subject: hello\r\n\r\nhello\r\n"); err != nil {
		return err
	}
	return in.Commit(ctx, &queue.NewMessage{Envelope: env})
}

func ExampleRunner() {
	done := make(chan queue.Outcome)
	r := &queue.Runner{
		Store:         new(queue.Memory),
		Deliverer:     mailbox, // an *mx.Client, as a rule
		Notifications: &dsn.Composer{Hostname: "mx.example.org"},
		Trace: &queue.Trace{
			Settled: func(_ context.Context, _ *queue.Message, _ *queue.Item, outcomes []queue.Outcome) {
				for _, o := range outcomes {
					done <- o
				}
			},
		},
	}
	ran := make(chan error)
	go func() { ran <- r.Run(context.Background()) }()

	if err := takeIn(r, "carol@example.org", "bob@example.net"); err != nil {
		log.Fatal(err)
	}
	for range 2 { // bob's, and that of the notification to carol
		o := <-done
		fmt.Println(o.Recipient, o.Status, o.Reply)
	}
	if err := r.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-ran)
	// Output:
	// <bob@example.net> failed 550 no such user
	// <carol@example.org> delivered 250 saved
	// <nil>
}

func ExampleIncoming() {
	ctx := context.Background()
	r := &queue.Runner{Store: new(queue.Memory), Deliverer: mailbox}
	in, err := r.Begin(ctx, -1) // at MAIL, or at DATA after an Admit at MAIL
	if err != nil {
		log.Fatal(err)
	}
	defer in.Abort()
	if _, err := io.WriteString(in, "Subject: hello\r\n\r\nhello\r\n"); err != nil {
		log.Fatal(err)
	}
	env, err := smtp.NewEnvelope("carol@example.org", "dave@example.net", "erin@example.com", "frank@example.net")
	if err != nil {
		log.Fatal(err)
	}
	received := "Received: from mail.example.org by mx.example.com with ESMTP id " + in.ID().String() + "; …\r\n"
	if err := in.Commit(ctx, &queue.NewMessage{Envelope: env, Prefix: []byte(received)}); err != nil {
		log.Fatal(err)
	}
	for e, err := range r.Store.Scan(ctx, queue.Filter{}) { // nobody runs r
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Item.Destination, len(e.Item.Recipients))
	}
	// Output:
	// example.net 2
	// example.com 1
}

func ExampleNewMessage() {
	ctx := context.Background()
	r := &queue.Runner{Store: new(queue.Memory), Deliverer: mailbox}
	in, err := r.Begin(ctx, -1)
	if err != nil {
		log.Fatal(err)
	}
	env, err := smtp.NewEnvelope("carol@example.org", "dave@example.net")
	if err != nil {
		log.Fatal(err)
	}
	env.MailParams.Hold.For = 2 * time.Hour // HOLDFOR=7200
	m := &queue.NewMessage{Envelope: env, Lifetime: 24 * time.Hour, Data: "campaign 7"}
	if err := in.Commit(ctx, m); err != nil {
		log.Fatal(err)
	}
	for e := range r.Store.Scan(ctx, queue.Filter{}) {
		due, expires := e.Item.Due.Sub(e.Message.Arrived), e.Item.Expires.Sub(e.Message.Arrived)
		fmt.Println(due.Round(time.Second), expires.Round(time.Second), e.Message.Data)
	}
	// Output: 2h0m0s 26h0m0s campaign 7
}

// Whatever can take a message somewhere is a Deliverer: here, the local domain goes to
// mailboxes and the rest to the world.
func ExampleDeliverer() {
	var world queue.Deliverer = queue.DelivererFunc(func(_ context.Context, destination string, m *mx.Message) ([]mx.Result, error) {
		fmt.Println("to the world:", destination)
		return []mx.Result{{Status: mx.Relayed, Reply: smtp.Reply{Code: 250}}}, nil
	})
	byDomain := queue.DelivererFunc(func(ctx context.Context, destination string, m *mx.Message) ([]mx.Result, error) {
		if destination == "example.org" {
			return mailbox.Deliver(ctx, destination, m)
		}
		return world.Deliver(ctx, destination, m)
	})
	for _, to := range []string{"dave@example.org", "erin@example.com"} {
		env, err := smtp.NewEnvelope("carol@example.org", to)
		if err != nil {
			log.Fatal(err)
		}
		m := &mx.Message{Envelope: env, Content: smtp.BytesContent([]byte("Subject: hello\r\n\r\n"))}
		results, err := byDomain.Deliver(context.Background(), env.Recipients[0].To.Domain, m)
		fmt.Println(results[0].Status, err)
	}
	// Output:
	// delivered <nil>
	// to the world: example.com
	// relayed <nil>
}

func ExampleDelivererFunc() {
	d := queue.DelivererFunc(func(ctx context.Context, destination string, m *mx.Message) ([]mx.Result, error) {
		results := make([]mx.Result, len(m.Envelope.Recipients))
		for i, to := range m.Envelope.Recipients {
			results[i] = mx.Result{Recipient: to.To, Status: mx.Deferred, Scope: mx.ScopeRecipient,
				Reply: smtp.Reply{Code: 452, Enhanced: smtp.Enh(2, 2), Text: "the mailbox is full"}}
		}
		return results, nil
	})
	env, err := smtp.NewEnvelope("carol@example.org", "dave@example.net")
	if err != nil {
		log.Fatal(err)
	}
	results, err := d.Deliver(context.Background(), "example.net", &mx.Message{Envelope: env})
	fmt.Println(results[0].Status, results[0].Reply, err)
	// Output: deferred 452 4.2.2 the mailbox is full <nil>
}

func ExampleActivity() {
	r := &queue.Runner{Store: new(queue.Memory), Deliverer: mailbox}
	a := r.Activity()
	fmt.Println(a.Deliveries, "underway,", a.Resting, "destinations at rest")
	// Output: 0 underway, 0 destinations at rest
}

func ExampleTrace() {
	var mu sync.Mutex
	counts := map[string]int{}
	count := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		counts[what]++
	}
	all := make(chan struct{})
	r := &queue.Runner{Store: new(queue.Memory), Deliverer: mailbox, Trace: &queue.Trace{
		Accepted: func(_ context.Context, m *queue.Message, _ []queue.NewItem) { count("accepted") },
		Settled: func(_ context.Context, m *queue.Message, _ *queue.Item, done []queue.Outcome) {
			for _, o := range done {
				count(o.Status.String())
			}
			if m.Envelope.From.IsNull() { // the notification has arrived
				close(all)
			}
		},
		Notified: func(_ context.Context, _ *queue.Message, n *dsn.Notification) {
			count("told: " + n.Report.Recipients[0].Action.String())
		},
	}}
	if err := takeIn(r, "carol@example.org", "bob@example.net", "dave@example.net"); err != nil {
		log.Fatal(err)
	}
	ran := make(chan error)
	go func() { ran <- r.Run(context.Background()) }()
	<-all
	if err := r.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	<-ran
	mu.Lock()
	defer mu.Unlock()
	fmt.Println(counts)
	// Output: map[accepted:2 delivered:2 failed:1 told: failed:1]
}

func ExampleAttempt() {
	attempts := make(chan *queue.Attempt, 1)
	r := &queue.Runner{Store: new(queue.Memory), Deliverer: mailbox, Trace: &queue.Trace{
		Attempted: func(_ context.Context, a *queue.Attempt) { attempts <- a },
	}}
	ran := make(chan error)
	go func() { ran <- r.Run(context.Background()) }()
	if err := takeIn(r, "", "dave@example.net"); err != nil {
		log.Fatal(err)
	}
	a := <-attempts
	fmt.Println(a.Leased.Item.Destination, a.Results[0].Status, a.Took < time.Minute)
	if err := r.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	<-ran
	// Output: example.net delivered true
}
