//go:build linux && interop

package sqltest

import (
	"fmt"
	"testing"

	"github.com/postrider/postrider/internal/pgtest"
)

// Lives as in BenchmarkLife. The CPU time is ours; the server needs some too.
func BenchmarkPostgresLife(b *testing.B) {
	server := pgtest.Start(b)
	for _, writers := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			benchmarkLives(b, newPlace(b, server).open(b, nil), writers, 4096)
		})
	}
}

func BenchmarkPostgresLifeOutcomes(b *testing.B) {
	benchmarkLives(b, newPlace(b, pgtest.Start(b)).open(b, keepAll), 100, 4096)
}
