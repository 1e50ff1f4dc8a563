package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

func TestDispatch(t *testing.T) {
	dead := errors.New("dead")
	var asked []string
	d := queue.Dispatch(func(to smtp.ForwardPath) string { return to.Domain }, func(destination string) queue.Deliverer {
		return queue.DelivererFunc(func(_ context.Context, again string, m *mx.Message) ([]mx.Result, error) {
			asked = append(asked, fmt.Sprintf("%s %t %d", destination, again == destination, len(m.Envelope.Recipients)))
			results := make([]mx.Result, len(m.Envelope.Recipients))
			for i := range results {
				results[i] = mx.Result{Recipient: m.Envelope.Recipients[i].To, Status: mx.Delivered}
				if destination == "dead.example" {
					results[i].Status, results[i].Err = mx.Deferred, dead
				}
			}
			if destination == "dead.example" {
				return results, dead
			}
			return results, nil
		})
	})
	for _, tt := range []struct {
		to    []string
		asked []string
		err   error
	}{
		{[]string{"a@example.org", "b@example.org"}, []string{"example.org true 2"}, nil},
		{[]string{"a@dead.example"}, []string{"dead.example true 1"}, dead},
		{[]string{"a@dead.example", "a@example.org", "b@example.org", "b@dead.example"}, []string{"dead.example true 1", "example.org true 2", "dead.example true 1"}, nil},
	} {
		env, err := smtp.NewEnvelope("", tt.to...)
		if err != nil {
			t.Fatal(err)
		}
		asked = nil
		results, err := d.Deliver(t.Context(), "old", &mx.Message{Envelope: env})
		if err != tt.err || !slices.Equal(asked, tt.asked) {
			t.Errorf("%v: asked %q, %v", tt.to, asked, err)
		}
		for i, r := range results {
			if r.Recipient != env.Recipients[i].To {
				t.Errorf("%v: result %d is of %v", tt.to, i, r.Recipient)
			}
		}
		if len(results) != len(tt.to) || len(env.Recipients) != len(tt.to) {
			t.Errorf("%v: %d results", tt.to, len(results))
		}
	}
}
