package sqltest

import (
	"testing"
	"time"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/queuetest"
	"github.com/postrider/postrider/mx/queue/sqlqueue"
)

const years = 100 * 365 * 24 * time.Hour

func TestSQLite(t *testing.T) {
	place := func(pragmas string, opts *sqlqueue.Options) func(testing.TB) queuetest.Place {
		return func(t testing.TB) queuetest.Place {
			path := newFile(t)
			return queuetest.Place{Open: func(t testing.TB) queue.Store {
				return openStore(t, "file:"+path+pragmas, opts)
			}}
		}
	}
	for name, inline := range map[string]int{"Inline": 64 << 10, "Pieces": -1} { // one after another: memory is measured
		opts := &sqlqueue.Options{KeepOutcomes: years, InlineSize: inline}
		t.Run(name, func(t *testing.T) {
			queuetest.Run(t, queuetest.Harness{
				New:        place("", opts),
				NewSmall:   place("?_pragma=max_page_count(2000)", opts), // 8 MB
				InlineSize: max(inline, 0),
			})
		})
	}
}
