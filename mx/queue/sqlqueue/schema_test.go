package sqlqueue

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// fakeTables are a database that knows a version, and which statements were run.
type fakeTables struct {
	version int
	ran     []string

	began, committed int
	pending          []string // of the transaction
}

func (f *fakeTables) begin(context.Context) (schemaTx, error) {
	f.began++
	f.pending = nil
	return &fakeSchemaTx{f, sql.OpenDB(fakeConnector{f.version})}, nil
}

type fakeSchemaTx struct {
	f  *fakeTables
	db *sql.DB
}

func (tx *fakeSchemaTx) hasTables(context.Context) (bool, error) { return tx.f.version > 0, nil }

func (tx *fakeSchemaTx) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return tx.db.QueryContext(ctx, query, args...)
}

func (tx *fakeSchemaTx) exec(_ context.Context, query string, args ...any) (int64, error) {
	if query == "fails" {
		return 0, errors.New("no such statement")
	}
	tx.f.pending = append(tx.f.pending, query)
	return 1, nil
}

func (tx *fakeSchemaTx) end(_ context.Context, err error) error {
	defer tx.db.Close()
	if err == nil && len(tx.f.pending) > 0 {
		tx.f.committed++
		tx.f.version++
		tx.f.ran = append(tx.f.ran, tx.f.pending[:len(tx.f.pending)-1]...) // the last one sets the version
	}
	return err
}

// A fakeConnector answers each query with one number.
type fakeConnector struct{ n int }

func (c fakeConnector) Connect(context.Context) (driver.Conn, error) { return c, nil }
func (c fakeConnector) Driver() driver.Driver                        { return nil }
func (c fakeConnector) Prepare(string) (driver.Stmt, error)          { return c, nil }
func (c fakeConnector) Begin() (driver.Tx, error)                    { return nil, driver.ErrSkip }
func (c fakeConnector) Close() error                                 { return nil }
func (c fakeConnector) NumInput() int                                { return -1 }
func (c fakeConnector) Exec([]driver.Value) (driver.Result, error)   { return nil, driver.ErrSkip }
func (c fakeConnector) Query([]driver.Value) (driver.Rows, error)    { return &fakeRows{n: c.n}, nil }

type fakeRows struct {
	n    int
	over bool
}

func (r *fakeRows) Columns() []string { return []string{"version"} }
func (r *fakeRows) Close() error      { return nil }
func (r *fakeRows) Next(dest []driver.Value) error {
	if r.over {
		return io.EOF
	}
	dest[0], r.over = int64(r.n), true
	return nil
}

func TestMigrate(t *testing.T) {
	all := []migration{{"a", "b"}, {"c"}, {"d", "e"}}
	for name, test := range map[string]struct {
		version int
		only    bool
		all     []migration
		ran     string
		after   int
		want    string // of the error
	}{
		"nothing there":              {0, false, all, "a b c d e", 3, ""},
		"version 1":                  {1, false, all, "c d e", 3, ""},
		"up to date":                 {3, false, all, "", 3, ""},
		"later":                      {4, false, all, "", 4, "version 4 and this program knows 3"},
		"nothing there, to attach":   {0, true, all, "", 0, "start the program"},
		"version 1, to attach":       {1, true, all, "", 1, "start the program"},
		"up to date, to attach":      {3, true, all, "", 3, ""},
		"later, to attach":           {4, true, all, "", 4, "too old"},
		"the second step fails":      {0, false, []migration{{"a"}, {"b", "fails"}, {"c"}}, "a", 1, "to version 2 of the tables: no such statement"},
		"and fails when tried again": {1, false, []migration{{"a"}, {"b", "fails"}, {"c"}}, "", 1, "to version 2"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeTables{version: test.version}
			err := migrate(t.Context(), f.begin, test.all, test.only)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v, want %q", err, test.want)
			}
			if got := strings.Join(f.ran, " "); got != test.ran || f.version != test.after {
				t.Errorf("ran %q and is version %d, want %q and %d", got, f.version, test.ran, test.after)
			}
			if f.committed != f.version-test.version {
				t.Errorf("%d transactions for %d versions", f.committed, f.version-test.version)
			}
		})
	}
}

// Each dialect's tables know the version from the first on, and all dialects have
// the same tables.
func TestMigrations(t *testing.T) {
	tables := func(all []migration) (names []string) {
		for _, m := range all {
			for _, statement := range m {
				if _, after, ok := strings.Cut(statement, "CREATE TABLE "); ok {
					name, _, _ := strings.Cut(after, " ")
					names = append(names, name)
				}
			}
		}
		slices.Sort(names)
		return names
	}
	for _, want := range []string{"queue_schema", "queue_messages", "queue_items", "queue_pieces", "queue_outcomes"} {
		for name, all := range map[string][]migration{"SQLite": sqliteMigrations, "PostgreSQL": pgMigrations} {
			if !slices.Contains(tables(all), want) {
				t.Errorf("%s has no %s", name, want)
			}
		}
	}
}
