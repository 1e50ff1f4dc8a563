//go:build unix

package guarantee

import (
	"cmp"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
)

// A trouble is something that the relay stands on and that is taken away for a
// while.
type trouble struct {
	dsn   string
	args  []string
	begin func(t *testing.T)
	end   func(t *testing.T)
	// vague says that a commit may have happened although its reply was lost: what
	// the relay then declines may be delivered.
	vague bool
	// declines is how many recipients are declined at least. If zero, 50.
	declines int
}

// endure checks that mail is refused for now during a trouble, that nothing is
// half accepted, and that it flows again, in the same process, when it is over.
func (tr *trouble) endure(t *testing.T) {
	l := newLedger()
	l.vague = tr.vague
	s := startSink(t, l)
	s.calm.Store(true)
	k := keep(t, "relay", append([]string{"-smarthost", s.addr, "-db", tr.dsn, "-retry", "50ms"}, tr.args...)...)
	k.start()
	load := startLoad(t, l, 4, k.dial)
	flows := func(what string) {
		was, were := l.counts()
		l.await(t, what, func() bool { a, d := l.counts(); return a > was+100 && d > were+100 })
	}
	flows("mail flows")
	for range scaled(1, 5) {
		tr.begin(t)
		declined := l.declined()
		l.await(t, "mail is declined", func() bool { return l.declined() >= declined+cmp.Or(tr.declines, 50) })
		tr.end(t)
		flows("mail flows again")
	}
	load.finish()
	quiet(t, tr.dsn)
	k.stop()
	for how := range l.declines {
		if code, _, _ := strings.Cut(how, " "); code != "451" && code != "452" {
			t.Errorf("declined with %q, want 451 or 452", how)
		}
	}
	t.Logf("%v; %v", l.audit(t, outcomes(t, tr.dsn), !tr.vague), l.declines)
}

// Somebody else writes to the database and does not come to an end.
func TestGuaranteeLocked(t *testing.T) {
	if !*full {
		t.Skip("SQLite waits for a lock for seconds")
	}
	db := filepath.Join(t.TempDir(), "relay.db")
	var release func()
	tr := trouble{dsn: db, declines: 5, // each takes seconds
		begin: func(t *testing.T) { release = lock(t, db) },
		end:   func(t *testing.T) { release() },
	}
	tr.endure(t)
}

// lock begins to write to an SQLite database.
func lock(t *testing.T, name string) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(name)+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := db.Exec("ROLLBACK"); err != nil {
			t.Error(err)
		}
		db.Close()
	}
}
