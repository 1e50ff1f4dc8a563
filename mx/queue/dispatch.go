package queue

import (
	"context"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/smtp"
)

// Dispatch returns a Deliverer that takes each recipient's mail to a Deliverer of
// its own. Of is asked for the destination anew, and neighbours with the same one
// share a copy: items outlive the configuration under which their messages came, and
// what was for a smarthost yesterday may be for the world today. Of is best the
// Runner's Destination, and must not be nil.
func Dispatch(of func(to smtp.ForwardPath) string, by func(destination string) Deliverer) Deliverer {
	return DelivererFunc(func(ctx context.Context, _ string, m *mx.Message) ([]mx.Result, error) {
		var results []mx.Result
		var failed error
		for left := m.Envelope.Recipients; len(left) > 0; {
			destination, n := of(left[0].To), 1
			for n < len(left) && of(left[n].To) == destination {
				n++
			}
			part := *m
			part.Envelope.Recipients, left = left[:n:n], left[n:]
			got, err := by(destination).Deliver(ctx, destination, &part)
			if results == nil && len(left) == 0 {
				return got, err // as a rule there is one
			}
			results = append(results, got...)
			if failed == nil {
				failed = err
			}
		}
		for i := range results {
			if results[i].Status >= mx.Delivered {
				return results, nil
			}
		}
		return results, failed
	})
}
