package sqlqueue

import (
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

func recipient(t *testing.T, to string) smtp.Recipient {
	t.Helper()
	env, err := smtp.NewEnvelope("", to)
	if err != nil {
		t.Fatal(err)
	}
	return env.Recipients[0]
}

func TestItemRow(t *testing.T) {
	at := time.Date(2026, 7, 1, 12, 30, 0, 123456789, time.UTC)
	who := queue.Recipient{
		Recipient: recipient(t, "someone@example.com"),
		Last:      at,
		Reply:     smtp.Reply{Code: 451, Enhanced: smtp.Enh(3, 0), Text: "later\nor never"},
		Host:      "mx.example.com",
	}
	full := queue.Item{
		Message: 7, N: 2, Destination: "example.com", Recipients: queue.Recipients{who},
		Due: at, Expires: at.Add(time.Hour), Warn: at.Add(time.Minute), Attempts: 3, Held: true,
	}
	for name, item := range map[string]queue.Item{
		"full":             full,
		"never late":       {Message: 7, N: 2, Recipients: queue.Recipients{who}, Due: at},
		"a person's clock": {Message: 7, N: 2, Recipients: queue.Recipients{who}, Due: time.Date(2026, 7, 1, 12, 30, 0, 1, time.FixedZone("", 3600)).UTC()},
	} {
		row, err := newItemRow(7, 2, &queue.NewItem{Item: item})
		if err != nil {
			t.Fatal(name, err)
		}
		got, err := row.item()
		if err != nil || !reflect.DeepEqual(got, item) {
			t.Errorf("%s:\n%+v, want\n%+v, %v", name, got, item, err)
		}
		if row.leased != 0 || row.token != 0 {
			t.Errorf("%s is leased: %+v", name, row)
		}
	}
	row, err := newItemRow(7, 2, &queue.NewItem{Item: full, LeaseUntil: at})
	if want := (queue.Lease{Message: 7, N: 2, Token: 1, Until: at}); err != nil || row.lease() != want {
		t.Errorf("%+v, want %+v, %v", row.lease(), want, err)
	}
}

// An item that is never late is late after all others.
func TestNever(t *testing.T) {
	row, err := newItemRow(1, 0, &queue.NewItem{})
	if err != nil || row.expires != never || row.warn != never || row.due != 0 {
		t.Errorf("%+v, %v", row, err)
	}
	if !toTime(never).IsZero() || !toTime(0).IsZero() || orNever(5) != 5 {
		t.Error("never is a time")
	}
}

func TestOutcomeRow(t *testing.T) {
	o := queue.Outcome{
		Message:     9,
		Destination: "example.com",
		Recipient:   recipient(t, "someone@example.com").To,
		Status:      queue.Failed,
		Reply:       smtp.Reply{Code: 550, Enhanced: smtp.Enh(1, 1), Text: "no\nsuch user"},
		Host:        "mx.example.com",
		Time:        time.Date(2026, 7, 1, 12, 30, 0, 5, time.UTC),
	}
	row, err := newOutcomeRow(&o)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := row.outcome(); err != nil || !reflect.DeepEqual(got, o) {
		t.Errorf("%+v, want %+v, %v", got, o, err)
	}
}

// What is in the database may be anything.
func TestBrokenRows(t *testing.T) {
	if _, err := (&itemRow{recipients: []byte("no recipient")}).item(); err == nil {
		t.Error("an item of nothing")
	}
	if _, err := (&messageRow{text: []byte("no message")}).message(); err == nil {
		t.Error("a message of nothing")
	}
	if _, err := (&outcomeRow{recipient: []byte("nobody")}).outcome(); err == nil {
		t.Error("an outcome of nothing")
	}
}

// What drivers say when there is no room becomes 452, everything else does not.
func TestWrap(t *testing.T) {
	for text, full := range map[string]bool{
		"database or disk is full (13)":                                                     true,
		"write /var/queue.db-wal: no space left on device":                                  true,
		`ERROR: could not extend file "base/1/2": No space left on device (SQLSTATE 53100)`: true,
		"disk I/O error (10)":                                                               false,
		"attempt to write a readonly database (8)":                                          false,
		"database is locked (5) (SQLITE_BUSY)":                                              false,
		"connection refused":                                                                false,
		"ERROR: out of memory (SQLSTATE 53200)":                                             false,
	} {
		cause := errors.New(text)
		err := wrap("commit", fmt.Errorf("driver: %w", cause))
		var reply *smtp.Error
		if errors.Is(err, queue.ErrFull) != full || errors.As(err, &reply) != full || !errors.Is(err, cause) {
			t.Errorf("%v", err)
		}
		if full && (reply.Reply.Code != 452 || strings.Contains(reply.Reply.Text, text)) {
			t.Errorf("%v is answered %v", err, reply)
		}
	}
	for _, err := range []error{nil, queue.ErrFull, queue.ErrLost, queue.ErrNotFound, queue.ErrClosed} {
		if got := wrap("commit", err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	db := sql.OpenDB(fakeConnector{1})
	defer db.Close()
	for _, d := range []Dialect{0, 3} {
		if _, err := Open(t.Context(), db, d, nil); err == nil {
			t.Errorf("there is a %v", d)
		}
	}
	// A database that says 1 to everything is none of SQLite's.
	if _, err := Open(t.Context(), db, SQLite, nil); err == nil {
		t.Error("opened")
	}
	if n := db.Stats().InUse; n != 0 {
		t.Errorf("%d connections are left behind", n)
	}
}
