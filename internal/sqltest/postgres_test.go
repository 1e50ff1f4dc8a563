//go:build linux && interop

package sqltest

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/postrider/postrider/internal/pgtest"
	"github.com/postrider/postrider/mx/queue/sqlqueue"
)

func openPG(t testing.TB, dsn string, opts *sqlqueue.Options) *sqlqueue.Store {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s, err := sqlqueue.Open(context.Background(), db, sqlqueue.PostgreSQL, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// A life as in BenchmarkLife.
func BenchmarkPostgresLife(b *testing.B) {
	server := pgtest.Start(b)
	for _, writers := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			s := openPG(b, server.DSN(), nil)
			content := bytes.Repeat([]byte(strings.Repeat("0123456789", 6)+"\r\n"), 4096/62)
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
		})
	}
}
