package sqltest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/sqlqueue"
)

func execAll(t testing.TB, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func ask(t testing.TB, db *sql.DB, query string) (answer string) {
	t.Helper()
	if err := db.QueryRow(query).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

// What version 1 has stored is read by every later one. The file is never changed.
func TestSQLiteVersion1(t *testing.T) {
	script, err := os.ReadFile("testdata/sqlite-1.sql")
	if err != nil {
		t.Fatal(err)
	}
	path := newFile(t)
	execAll(t, openFile(t, path), string(script))
	s := openStore(t, path, &sqlqueue.Options{KeepOutcomes: 100 * 365 * 24 * time.Hour})
	var got []string
	for e, err := range s.Scan(t.Context(), queue.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		_, content, err := s.Open(t.Context(), e.Message.ID)
		if err != nil {
			t.Fatal(err)
		}
		text := readAll(t, content)
		got = append(got, fmt.Sprintln(e.Message.ID, e.Message.Envelope.From, e.Item.N, e.Item.Destination, e.Item.Recipients[0].To,
			e.Item.Attempts, e.Item.Held, e.LeasedUntil.IsZero(), len(text), e.Message.Size))
	}
	for o, err := range s.Outcomes(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintln(o.Message, o.Destination, o.Recipient, o.Status, o.Reply.Code, o.Host))
	}
	want, err := os.ReadFile("testdata/sqlite-1.txt")
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(got, ""); text != string(want) {
		t.Errorf("the tables of version 1 hold:\n%swant:\n%s", text, want)
	}
	stats, err := s.Stats(t.Context())
	if err != nil || stats.Messages != 2 || stats.Items != 3 || stats.Held != 1 || stats.Leased != 0 {
		t.Errorf("%+v, %v", stats, err)
	}
	checkTables(t, path)
}

func TestSQLiteRefused(t *testing.T) {
	for name, test := range map[string]struct {
		statements []string
		want       string
	}{
		"tables of a later version": {[]string{`UPDATE queue_schema SET version = 99`}, "version 99 and this program knows"},
		"no version":                {[]string{`DELETE FROM queue_schema`}, "one row with a version"},
		"two versions":              {[]string{`INSERT INTO queue_schema VALUES (1)`}, "one row with a version"},
		"a table is missing":        {[]string{`DROP TABLE queue_items`}, "no such table"},
		"no totals":                 {[]string{`DELETE FROM queue_totals`}, "no row"},
		"other columns":             {[]string{`DROP TABLE queue_pieces`, `CREATE TABLE queue_pieces (a, b)`}, "no column"},
	} {
		t.Run(name, func(t *testing.T) {
			path := newFile(t)
			openStore(t, path, nil).Close()
			db := openFile(t, path)
			execAll(t, db, test.statements...)
			s, err := sqlqueue.Open(t.Context(), db, sqlqueue.SQLite, nil)
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestSQLiteNotAQueue(t *testing.T) {
	path := newFile(t)
	if err := os.WriteFile(path, []byte(strings.Repeat("This is not a database. ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		dsn, want string
		conns     int
	}{
		"a text":              {dsn: path, want: "not a database"},
		"a folder":            {dsn: t.TempDir(), want: "unable to open"},
		"memory":              {dsn: ":memory:", want: "journal_mode is memory"},
		"read only":           {dsn: "file:" + readable(t) + "?mode=ro", want: "readonly"},
		"too few connections": {dsn: newFile(t), want: "3 are needed", conns: 2},
	} {
		t.Run(name, func(t *testing.T) {
			db := openFile(t, test.dsn)
			db.SetMaxOpenConns(test.conns)
			s, err := sqlqueue.Open(t.Context(), db, sqlqueue.SQLite, nil)
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if n := db.Stats().InUse; n != 0 {
				t.Errorf("%d connections are left behind", n)
			}
		})
	}
}

// readable returns the name of a database without tables.
func readable(t *testing.T) string {
	path := newFile(t)
	execAll(t, openFile(t, path), `PRAGMA journal_mode = WAL`, `CREATE TABLE other (a)`)
	return path
}

// Whatever the data source name says, the log is used.
func TestSQLiteDataSourceName(t *testing.T) {
	path := newFile(t)
	dsn := "file:" + path + "?_pragma=journal_mode(DELETE)&_pragma=synchronous(OFF)&_pragma=locking_mode(EXCLUSIVE)&_pragma=query_only(1)&_txlock=exclusive"
	s, err := sqlqueue.Open(t.Context(), openFile(t, dsn), sqlqueue.SQLite, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	put(t, s, []byte("Subject: 1\r\n\r\n"), commitOf(time.Time{}, "example.net"))
	if mode := ask(t, openFile(t, path), `PRAGMA journal_mode`); mode != "wal" {
		t.Errorf("the journal mode is %s", mode)
	}
}

// A connection given back would be somebody else's with our pragmas.
func TestSQLiteGivesBackNoConnection(t *testing.T) {
	db := openFile(t, newFile(t))
	s, err := sqlqueue.Open(t.Context(), db, sqlqueue.SQLite, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Ready(t.Context(), time.Now(), "", 1); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if st := db.Stats(); st.OpenConnections != 0 {
		t.Errorf("%+v", st)
	}
}

// Many open an empty file at the same time: one of them makes the tables, the last
// one has the queue.
func TestSQLiteConcurrentOpens(t *testing.T) {
	path := newFile(t)
	var wait sync.WaitGroup
	stores := make([]*sqlqueue.Store, 8)
	for i := range stores {
		db := openFile(t, path)
		wait.Go(func() {
			s, err := sqlqueue.Open(context.Background(), db, sqlqueue.SQLite, nil)
			if err != nil {
				t.Error(err)
				return
			}
			stores[i] = s
		})
	}
	wait.Wait()
	able := 0
	for _, s := range stores {
		if s == nil {
			continue
		}
		tx, err := s.Begin(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = tx.Commit(t.Context(), commitOf(time.Time{}, "example.net"))
		switch {
		case err == nil:
			able++
		case !strings.Contains(err.Error(), "another process has opened the queue"):
			t.Error(err)
		}
		s.Close()
	}
	if able != 1 {
		t.Errorf("%d of them can write", able)
	}
	if n := ask(t, openFile(t, path), `SELECT count(*) FROM queue_messages`); n != "1" {
		t.Errorf("%s messages", n)
	}
}

// checkTables counts what Stats does not.
func checkTables(t testing.TB, path string) {
	t.Helper()
	db := openFile(t, path)
	for _, query := range []string{
		`SELECT count(*) FROM queue_totals, (SELECT
			(SELECT count(*) FROM queue_messages) AS m, (SELECT coalesce(sum(size), 0) FROM queue_messages) AS b,
			(SELECT count(*) FROM queue_items) AS i, (SELECT count(*) FROM queue_items WHERE held <> 0) AS h,
			(SELECT count(*) FROM queue_items WHERE leased <> 0) AS l)
			WHERE (messages, bytes, items, held, leased) <> (m, b, i, h, l)`,
		`SELECT count(*) FROM queue_messages WHERE NOT EXISTS (SELECT 1 FROM queue_items i WHERE i.message = id)`,
		`SELECT count(*) FROM queue_items WHERE message NOT IN (SELECT id FROM queue_messages)`,
		`SELECT count(*) FROM queue_messages WHERE size <> coalesce(length(body), 0) +
			(SELECT coalesce(sum(length(data)), 0) FROM queue_pieces p WHERE p.message = id)`,
	} {
		if n := ask(t, db, query); n != "0" {
			t.Errorf("%s: %s", query, n)
		}
	}
	if ok := ask(t, db, `PRAGMA integrity_check`); ok != "ok" {
		t.Error(ok)
	}
}
