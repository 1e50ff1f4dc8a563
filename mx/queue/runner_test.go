package queue_test

import (
	"context"
	"testing"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

func TestSmoke(t *testing.T) {
	store := &queue.Memory{}
	got := make(chan string, 10)
	r := &queue.Runner{Store: store, Deliverer: queue.DelivererFunc(func(ctx context.Context, d string, m *mx.Message) ([]mx.Result, error) {
		res := make([]mx.Result, len(m.Envelope.Recipients))
		for i := range res {
			res[i] = mx.Result{Status: mx.Delivered, DSN: true, Reply: smtp.Reply{Code: 250}}
		}
		got <- d
		return res, nil
	})}
	done := make(chan error, 1)
	go func() { done <- r.Run(context.Background()) }()
	for range 3 {
		in, err := r.Begin(t.Context(), -1)
		if err != nil {
			t.Fatal(err)
		}
		in.Write([]byte("A: b\r\n\r\nc\r\n"))
		env, _ := smtp.NewEnvelope("a@example.org", "b@Example.net", "c@example.net", "d@example.com")
		if err := in.Commit(t.Context(), &queue.NewMessage{Envelope: env}); err != nil {
			t.Fatal(err)
		}
	}
	for range 6 {
		select {
		case <-got:
		case <-time.After(5 * time.Second):
			t.Fatal("late")
		}
	}
	if err := r.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if s, _ := store.Stats(t.Context()); s.Items != 0 {
		t.Errorf("%+v", s)
	}
}
