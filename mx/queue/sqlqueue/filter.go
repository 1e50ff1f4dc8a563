package sqlqueue

import (
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/postrider/postrider/mx/queue"
)

// A span is a part of the items that is gone through by their key.
type span struct {
	after place
	last  int64 // message
}

// ranges returns what to go through: each message that is asked for, or all.
func (s *Store) ranges(f *queue.Filter) iter.Seq[span] {
	return func(yield func(span) bool) {
		if len(f.Messages) == 0 {
			yield(span{place{math.MinInt64, 0}, math.MaxInt64})
			return
		}
		ids := slices.Clone(f.Messages)
		slices.Sort(ids)
		for _, id := range slices.Compact(ids) {
			if !yield(span{place{int64(id), -1}, int64(id)}) {
				return
			}
		}
	}
}

// pageQuery returns the query for the next page of a span. What it does not look
// at, Filter.Match does. It goes by the key whatever else would help: otherwise each
// page would have to be sorted.
func pageQuery(w *words, f *queue.Filter, from *span, lock string) (string, []any) {
	var b strings.Builder
	b.WriteString(`SELECT ` + itemColumns + `, ` + messageColumns + `
		FROM queue_items i ` + w.joinMessage + `
		WHERE (i.message, i.n) > (?, ?) AND i.message <= ?`)
	args := []any{from.after.message, from.after.n, from.last}
	if f.Destination != "" {
		b.WriteString(` AND i.destination || '' = ?`)
		args = append(args, f.Destination)
	}
	if f.Held {
		b.WriteString(` AND i.held <> 0`)
	}
	if f.Waiting {
		b.WriteString(` AND i.held <> 1`)
	}
	if !f.Before.IsZero() {
		b.WriteString(` AND m.arrived < ?`)
		args = append(args, fromTime(f.Before))
	}
	b.WriteString(` ORDER BY i.message, i.n LIMIT ?`)
	b.WriteString(lock)
	return b.String(), append(args, pageSize)
}
