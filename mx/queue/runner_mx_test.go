package queue_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/postrider/postrider/mx/mxtest"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/server/smtptest"
	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

// With an mx.Client: what is delivered, what is refused for good and told to the sender,
// and what waits.
func TestWithClient(t *testing.T) {
	inet := mxtest.New(t)
	sender, good, dead := inet.Host("mx.example.org"), inet.Host("mx.example.net"), inet.Host("mx.dead.example")
	inet.Domain("example.org", mxtest.MX(10, sender))
	inet.Domain("example.net", mxtest.MX(10, good))
	inet.Domain("dead.example", mxtest.MX(10, dead))
	inet.Domain("null.example", mxtest.NullMX())
	good.Fault(smtptest.On("RCPT").For("nobody@example.net").Reply(550, "5.1.1", "no such user"))
	dead.SetLink(mxtest.Refused)

	outcomes := make(chan queue.Outcome, 10)
	waits := make(chan queue.Item, 10)
	store := new(queue.Memory)
	r := &queue.Runner{Store: store, Deliverer: inet.Client(), Notifications: &dsn.Composer{Hostname: "relay.example"},
		Trace: &queue.Trace{Settled: func(_ context.Context, _ *queue.Message, it *queue.Item, done []queue.Outcome) {
			for _, o := range done {
				outcomes <- o
			}
			if len(it.Recipients) > 0 {
				waits <- *it
			}
		}}}
	ran := make(chan error, 1)
	go func() { ran <- r.Run(context.Background()) }()
	in, err := r.Begin(t.Context(), -1)
	if err != nil {
		t.Fatal(err)
	}
	in.Write([]byte(sample))
	env, err := smtp.NewEnvelope("me@example.org", "you@example.net", "nobody@example.net", "x@null.example", "y@dead.example")
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Commit(t.Context(), &queue.NewMessage{Envelope: env, Prefix: []byte("Received: here\r\n")}); err != nil {
		t.Fatal(err)
	}
	late := time.After(20 * time.Second)
	got := map[string]string{}
	for range 5 {
		select {
		case o := <-outcomes:
			got[o.Recipient.Mailbox.String()] += o.Status.String() + " " + o.Reply.EnhancedString() + ","
		case <-late:
			t.Fatalf("only %v", got)
		}
	}
	want := map[string]string{"you@example.net": "relayed 2.0.0,", "nobody@example.net": "failed 5.1.1,", "x@null.example": "failed 5.1.10,",
		"me@example.org": "relayed 2.0.0,relayed 2.0.0,"}
	for to, what := range want {
		if got[to] != what {
			t.Errorf("%s: %s, want %s", to, got[to], what)
		}
	}
	select {
	case it := <-waits:
		if to := it.Recipients[0]; it.Destination != "dead.example" || it.Attempts != 1 || to.Reply.EnhancedString() != "4.4.1" || !to.Local || to.Host != "mx.dead.example" {
			t.Errorf("%+v", it)
		}
	case <-late:
		t.Fatal("nothing waits")
	}
	if err := r.Shutdown(t.Context()); err != nil || <-ran != nil {
		t.Error(err)
	}
	if m := good.Messages(); len(m) != 1 || !bytes.HasPrefix(m[0].Data, []byte("Received: here\r\nSubject: hello\r\n")) {
		t.Errorf("%v", m)
	}
	told := map[string]bool{}
	for _, m := range sender.Messages() {
		report, err := dsn.Parse(bytes.NewReader(m.Data))
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range report.Recipients {
			told[to.Final.Text+" "+to.Status.String()] = true
		}
	}
	if !told["nobody@example.net 5.1.1"] || !told["x@null.example 5.1.10"] || len(told) != 2 {
		t.Errorf("the sender was told %v", told)
	}
}
