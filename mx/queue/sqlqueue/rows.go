package sqlqueue

import (
	"database/sql"
	"math"
	"time"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

// Times are nanoseconds since 1970. A time that is not set stands for never where
// it says when something is to happen (expires, warn), else it is 0.
const never = math.MaxInt64

func fromTime(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func toTime(n int64) time.Time {
	if n == 0 || n == never {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

func orNever(n int64) int64 {
	if n == 0 {
		return never
	}
	return n
}

// An itemRow is a row of queue_items.
type itemRow struct {
	message     int64
	n           int64
	destination string
	recipients  []byte
	due         int64
	expires     int64 // or never
	warn        int64 // or never
	attempts    int64
	held        bool
	token       int64 // of the last lease
	leased      int64 // when it is over; 0 if there is none
}

// itemColumns are the columns of an itemRow, of the table i.
const itemColumns = `i.message, i.n, i.destination, i.recipients, i.due, i.expires, i.warn, i.attempts, i.held, i.token, i.leased`

// fields returns what to scan itemColumns into.
func (r *itemRow) fields() []any {
	return []any{&r.message, &r.n, &r.destination, &r.recipients, &r.due, &r.expires, &r.warn, &r.attempts, &r.held, &r.token, &r.leased}
}

// here makes the times those that are told.
func (r *itemRow) here(w *words) {
	r.due, r.expires, r.warn, r.leased = w.here(r.due), w.here(r.expires), w.here(r.warn), w.here(r.leased)
}

func (r *itemRow) item() (queue.Item, error) {
	item := queue.Item{
		Message:     queue.ID(r.message),
		N:           int(r.n),
		Destination: r.destination,
		Due:         toTime(r.due),
		Expires:     toTime(r.expires),
		Warn:        toTime(r.warn),
		Attempts:    int(r.attempts),
		Held:        r.held,
	}
	return item, item.Recipients.UnmarshalText(r.recipients)
}

// newItemRow returns the row of an item of the message id.
func newItemRow(id queue.ID, n int, item *queue.NewItem) (itemRow, error) {
	text, err := item.Recipients.AppendText(nil)
	r := itemRow{
		message:     int64(id),
		n:           int64(n),
		destination: item.Destination,
		recipients:  text,
		due:         fromTime(item.Due),
		expires:     orNever(fromTime(item.Expires)),
		warn:        orNever(fromTime(item.Warn)),
		attempts:    int64(item.Attempts),
		held:        item.Held,
		leased:      fromTime(item.LeaseUntil),
	}
	if r.leased != 0 {
		r.token = 1
	}
	return r, err
}

// A messageRow is a row of queue_messages without the content.
type messageRow struct {
	id      int64
	arrived int64
	size    int64
	kind    int64
	text    []byte // Message
}

// messageColumns are the columns of a messageRow, of the table m.
const messageColumns = `m.id, m.arrived, m.size, m.kind, m.message`

func (r *messageRow) fields() []any { return []any{&r.id, &r.arrived, &r.size, &r.kind, &r.text} }

func (r *messageRow) message() (*queue.Message, error) {
	m := new(queue.Message)
	if err := m.UnmarshalText(r.text); err != nil {
		return nil, err
	}
	m.ID, m.Arrived, m.Size, m.Kind = queue.ID(r.id), toTime(r.arrived), r.size, smtp.Kind(r.kind)
	return m, nil
}

// A leasedRow is an item that was just leased, with its message.
type leasedRow struct {
	item    itemRow
	message messageRow
}

// An outcomeRow is a row of queue_outcomes.
type outcomeRow struct {
	message     int64
	time        int64
	destination string
	status      int64
	recipient   []byte // Recipients of one
}

const outcomeColumns = `o.seq, o.message, o.time, o.destination, o.status, o.recipient`

func (r *outcomeRow) fields(seq *int64) []any {
	return []any{seq, &r.message, &r.time, &r.destination, &r.status, &r.recipient}
}

func newOutcomeRow(o *queue.Outcome) (outcomeRow, error) {
	who := queue.Recipients{{Last: o.Time, Reply: o.Reply, Host: o.Host}}
	who[0].To = o.Recipient
	text, err := who.AppendText(nil)
	return outcomeRow{int64(o.Message), fromTime(o.Time), o.Destination, int64(o.Status), text}, err
}

func (r *outcomeRow) outcome() (queue.Outcome, error) {
	var who queue.Recipients
	o := queue.Outcome{
		Message:     queue.ID(r.message),
		Destination: r.destination,
		Status:      queue.Status(r.status),
		Time:        toTime(r.time),
	}
	err := who.UnmarshalText(r.recipient)
	if len(who) == 1 {
		o.Recipient, o.Reply, o.Host = who[0].To, who[0].Reply, who[0].Host
	}
	return o, err
}

// each calls do for each row of the result of a query, and closes it.
func each(rows *sql.Rows, err error, do func() error, fields ...any) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(fields...); err != nil {
			return err
		}
		if err := do(); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (r *itemRow) lease() queue.Lease {
	return queue.Lease{Message: queue.ID(r.message), N: int(r.n), Token: r.token, Until: toTime(r.leased)}
}
