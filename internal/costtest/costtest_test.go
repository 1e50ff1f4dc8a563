package costtest

import (
	"testing"
	"testing/synctest"
	"time"
)

// A failing is a test whose failures are counted.
type failing struct {
	testing.TB
	errors int
}

func (f *failing) Helper()               {}
func (f *failing) Errorf(string, ...any) { f.errors++ }

// In a bubble nothing takes time but sleep.
func TestAtMost(t *testing.T) {
	for name, tt := range map[string]struct{ slow, errors, times int }{
		"nothing":       {0, 0, 1},
		"held up":       {1, 0, 2},
		"held up twice": {2, 0, 3},
		"slow":          {9, 1, 3},
	} {
		synctest.Test(t, func(t *testing.T) {
			f, times := failing{TB: t}, 0
			AtMost(&f, 100, name, func() {
				if times++; times <= tt.slow {
					time.Sleep(time.Millisecond)
				}
			})
			if f.errors != tt.errors || times != tt.times {
				t.Errorf("%s: %d errors after %d times", name, f.errors, times)
			}
		})
	}
}
