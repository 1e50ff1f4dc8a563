package queuecmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

// A show is a verb that prints a line for each recipient.
type show struct {
	columns []string
	rows    func(ctx context.Context, s queue.Store, w *what, row func(values ...any)) error
}

var shows = map[string]*show{
	"list":     {[]string{"id", "state", "due", "attempts", "size", "from", "to", "destination", "host", "reply"}, list},
	"outcomes": {[]string{"id", "status", "time", "to", "destination", "host", "reply"}, outcomes},
}

func list(ctx context.Context, s queue.Store, w *what, row func(values ...any)) error {
	for e, err := range s.Scan(ctx, w.Filter) {
		if err != nil {
			return err
		}
		for _, r := range e.Item.Recipients {
			row(e.Message.ID, state(e), e.Item.Due, e.Item.Attempts, e.Message.Size, e.Message.Envelope.From, r.To, e.Item.Destination, r.Host, r.Reply)
		}
	}
	return nil
}

func state(e *queue.Entry) string {
	switch {
	case e.Item.Held:
		return "held"
	case !e.LeasedUntil.IsZero():
		return "active"
	}
	return "waiting"
}

func outcomes(ctx context.Context, s queue.Store, w *what, row func(values ...any)) error {
	ids := w.Messages
	if len(ids) == 0 {
		ids = []queue.ID{0} // all
	}
	n := 0
	for _, id := range ids {
		for o, err := range s.Outcomes(ctx, id) {
			switch {
			case err != nil:
				return err
			case w.Destination != "" && o.Destination != w.Destination, !isTo(o.Recipient, w.To):
				continue
			case w.Limit > 0 && n == w.Limit:
				return nil
			}
			n++
			row(o.Message, o.Status, o.Time, o.Recipient, o.Destination, o.Host, o.Reply)
		}
	}
	return nil
}

// isTo matches as queue.Filter's To does.
func isTo(p smtp.ForwardPath, want string) bool {
	f := queue.Filter{To: want}
	return f.Match(&queue.Entry{Item: queue.Item{Recipients: queue.Recipients{{Recipient: smtp.Recipient{To: p}}}}})
}

// flushEvery is for how many lines the columns are as wide as each other: a queue may
// be longer than what is to be held in memory.
const flushEvery = 500

func (c *Command) show(ctx context.Context, store queue.Store, w *what, s *show) error {
	table := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	if !w.json {
		fmt.Fprintln(table, strings.ToUpper(strings.Join(s.columns, "\t")))
	}
	n := 0
	err := s.rows(ctx, store, w, func(values ...any) {
		if w.json {
			fmt.Fprintf(c.Stdout, "%s\n", object(s.columns, values))
			return
		}
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = oneLine(fmt.Sprint(text(v)))
		}
		fmt.Fprintln(table, strings.Join(texts, "\t"))
		if n++; n%flushEvery == 0 {
			table.Flush()
		}
	})
	table.Flush()
	return err
}

// object is a row as JSON, its members in the order of the columns.
func object(columns []string, values []any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // or no address would be readable
	for i, v := range values {
		separator := ","
		if i == 0 {
			separator = "{"
		}
		fmt.Fprintf(&b, "%s%q:", separator, columns[i])
		e.Encode(text(v))       // strings and numbers do not fail
		b.Truncate(b.Len() - 1) // the line end
	}
	return append(escaped(b.Bytes()), '}')
}

// escaped writes with escapes what a terminal would obey or not show, and JSON lets
// pass: controls above ASCII and what turns the direction of text.
func escaped(json []byte) []byte {
	out := make([]byte, 0, len(json)+1)
	for _, r := range string(json) {
		if unicode.IsGraphic(r) {
			out = utf8.AppendRune(out, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			out = fmt.Appendf(out, "\\u%04x", unit)
		}
	}
	return out
}

// text makes of a value what both forms show.
func text(v any) any {
	switch v := v.(type) {
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.UTC().Format(time.RFC3339)
	case smtp.Reply:
		if v.Code == 0 {
			return ""
		}
		return v.String()
	case fmt.Stringer:
		return v.String()
	}
	return v
}

// oneLine keeps a table a table and a terminal sane: what strangers have said may
// have lines, and addresses may have any character there is.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return ' '
		}
		return r
	}, s)
	if s = strings.Join(strings.Fields(s), " "); s == "" {
		return "-"
	}
	return s
}
