package queuetest_test

import (
	"os"
	"testing"

	"github.com/postrider/postrider/internal/leaktest"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/queuetest"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Main(m)) }

func place(maxBytes int64) func(t testing.TB) queuetest.Place {
	return func(testing.TB) queuetest.Place {
		m := &queue.Memory{MaxBytes: maxBytes}
		return queuetest.Place{Open: func(testing.TB) queue.Store { return m.Reopen() }}
	}
}

func harness() queuetest.Harness {
	return queuetest.Harness{New: place(0), NewSmall: place(4 << 20), Shared: true, InMemory: true, InlineSize: 1000}
}

func TestMemory(t *testing.T) { queuetest.Run(t, harness()) }

func BenchmarkMemory(b *testing.B) { queuetest.Benchmark(b, harness()) }
