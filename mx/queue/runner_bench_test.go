package queue_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

// BenchmarkRunner is the whole life of a message of 4 KB between a Memory store and a
// Deliverer that does nothing: what is left is the cost of this package.
func BenchmarkRunner(b *testing.B) {
	for _, run := range []struct {
		name    string
		senders int
		took    time.Duration
	}{{"1", 1, 0}, {"50", 50, 0}, {"50-slow", 50, 2 * time.Millisecond}} {
		b.Run(run.name, func(b *testing.B) { benchmarkRunner(b, run.senders, run.took) })
	}
}

func benchmarkRunner(b *testing.B, senders int, took time.Duration) {
	var delivered, leases atomic.Int64
	done := make(chan struct{})
	r := &queue.Runner{
		Store: &countingStore{Store: &queue.Memory{MaxBytes: -1, MaxOutcomes: -1}, leases: &leases},
		Deliverer: queue.DelivererFunc(func(_ context.Context, _ string, m *mx.Message) ([]mx.Result, error) {
			if took > 0 {
				time.Sleep(took)
			}
			if delivered.Add(1) == int64(b.N) {
				close(done)
			}
			return []mx.Result{{Status: mx.Delivered, DSN: true, Reply: smtp.Reply{Code: 250}}}, nil
		}),
	}
	ran := make(chan error, 1)
	go func() { ran <- r.Run(context.Background()) }()
	content := make([]byte, 4096)
	for i := range content {
		content[i] = 'a'
	}
	env, _ := smtp.NewEnvelope("a@example.org", "b@example.net")
	b.ReportAllocs()
	b.ResetTimer()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				in, err := r.Begin(context.Background(), 4096)
				if err != nil {
					b.Error(err)
					return
				}
				in.Write(content)
				if err := in.Commit(context.Background(), &queue.NewMessage{Envelope: env}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	<-done
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(leases.Load())/float64(b.N), "leases/msg")
	r.Shutdown(context.Background())
	if err := <-ran; err != nil {
		b.Fatal(err)
	}
	runtime.KeepAlive(r)
}

type countingStore struct {
	queue.Store
	leases *atomic.Int64
}

func (s *countingStore) Lease(ctx context.Context, req queue.LeaseRequest) ([]*queue.Leased, error) {
	s.leases.Add(1)
	return s.Store.Lease(ctx, req)
}
