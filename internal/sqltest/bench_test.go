package sqltest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/sqlqueue"
)

// A life of a message: it is committed with a lease, read, and settled.
func BenchmarkLife(b *testing.B) {
	for _, writers := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) { benchmarkLife(b, writers, 4096, nil) })
	}
}

func BenchmarkLifeOutcomes(b *testing.B) {
	benchmarkLife(b, 100, 4096, &sqlqueue.Options{KeepOutcomes: time.Second})
}

func benchmarkLife(b *testing.B, writers, size int, opts *sqlqueue.Options) {
	benchmarkLives(b, openStore(b, newFile(b), opts), writers, size)
}

func benchmarkLives(b *testing.B, s queue.Store, writers, size int) {
	content := bytes.Repeat([]byte("0123456789012345678901234567890123456789012345678901234567890\r\n"), size/63)
	b.ResetTimer()
	before := cpuTime()
	var next atomic.Int64
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			c := commitOf(time.Time{}, "example.net")
			for next.Add(1) <= int64(b.N) {
				if err := live(s, content, c); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lives/s")
	b.ReportMetric(float64(cpuTime()-before)/1e3/float64(b.N), "cpu-µs/op")
}

func live(s queue.Store, content []byte, c *queue.Commit) error {
	ctx := context.Background()
	tx, err := s.Begin(ctx, int64(len(content)))
	if err != nil {
		return err
	}
	if _, err := tx.Write(content); err != nil {
		return err
	}
	now := time.Now()
	c.Message.Arrived, c.Items[0].LeaseUntil = now, now.Add(time.Minute)
	leased, err := tx.Commit(ctx, c)
	if err != nil {
		return err
	}
	r, err := leased[0].Content.Open()
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	r.Close()
	set := settled(leased[0])
	if err := s.Settle(ctx, []*queue.Settlement{set}); err != nil {
		return err
	}
	return set.Err
}
