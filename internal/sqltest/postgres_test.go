//go:build linux && interop

package sqltest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/postrider/postrider/internal/pgtest"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/mx/queue/queuetest"
	"github.com/postrider/postrider/mx/queue/sqlqueue"
)

// A pgPlace is a schema of its own in a server.
type pgPlace struct {
	server *pgtest.Server
	dsn    string
	admin  *sql.DB // for the test itself
	// ballast is a file that takes room where there is little. "" if there is enough.
	ballast string
}

var schemas atomic.Int32

// newPlace makes a place. Settings, as "work_mem=64kB", are those of all sessions.
func newPlace(t testing.TB, server *pgtest.Server, settings ...string) *pgPlace {
	t.Helper()
	name := fmt.Sprintf("place%d", schemas.Add(1))
	u, err := url.Parse(server.DSN())
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", name)
	for i := 0; i < len(settings); i += 2 {
		q.Set(settings[i], settings[i+1])
	}
	u.RawQuery = q.Encode()
	p := &pgPlace{server: server, dsn: u.String()}
	p.admin, err = sql.Open("pgx", p.dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.admin.Close() })
	p.exec(t, "CREATE SCHEMA IF NOT EXISTS "+name)
	return p
}

func (p *pgPlace) exec(t testing.TB, query string, args ...any) {
	t.Helper()
	if _, err := p.admin.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// count returns the only value that a query finds.
func (p *pgPlace) count(t testing.TB, query string, args ...any) (n int64) {
	t.Helper()
	if err := p.admin.QueryRow(query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// A handle is a store with connections that can be lost.
type handle struct {
	*sqlqueue.Store
	db *sql.DB

	mu    sync.Mutex
	conns map[*pgWire]bool
	dead  error // what is said to who connects
	cut   bool  // a connection, see cutNext
	only  string
	// afterCut is called when a connection was cut.
	afterCut func()

	dialled atomic.Int32
}

var errNoServer = errors.New("there is no server any more")

// A stateError is an answer of a server.
type stateError string

func (e stateError) Error() string    { return "SQLSTATE " + string(e) }
func (e stateError) SQLState() string { return string(e) }

// open returns another handle, closed at the end of the test.
func (p *pgPlace) open(t testing.TB, opts *sqlqueue.Options) *handle {
	t.Helper()
	h, err := p.tryOpen(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(); h.db.Close() })
	return h
}

func (p *pgPlace) tryOpen(opts *sqlqueue.Options) (*handle, error) {
	h := &handle{conns: map[*pgWire]bool{}}
	cfg, err := pgx.ParseConfig(p.dsn)
	if err != nil {
		return nil, err
	}
	cfg.DialFunc = h.dial
	h.db = stdlib.OpenDB(*cfg)
	h.Store, err = sqlqueue.Open(context.Background(), h.db, sqlqueue.PostgreSQL, opts)
	if err != nil {
		h.db.Close()
	}
	return h, err
}

func (h *handle) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dialled.Add(1)
	if h.dead != nil {
		return nil, h.dead
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	w := &pgWire{Conn: c, h: h}
	h.conns[w] = true
	return w, nil
}

// refuse lets no connection be made, or if err is nil, lets it again.
func (h *handle) refuse(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dead = err
}

// crash ends the handle as the end of its process does.
func (h *handle) crash() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dead = errNoServer
	for c := range h.conns {
		c.Conn.Close()
	}
}

// cutNext cuts the connection behind the next request that begins with the words,
// when the server has begun to answer it.
func (h *handle) cutNext(words string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cut, h.only = true, words
}

// Requests.
const (
	execute = "B"                       // a statement that was prepared
	commit  = "Q\x00\x00\x00\x0bcommit" // a transaction
)

type pgWire struct {
	net.Conn
	h *handle
}

func (w *pgWire) Write(p []byte) (int, error) {
	h := w.h
	n, err := w.Conn.Write(p)
	h.mu.Lock()
	cut := h.cut && err == nil && bytes.HasPrefix(p, []byte(h.only))
	if cut {
		h.cut = false
	}
	h.mu.Unlock()
	if cut {
		w.Conn.Read(make([]byte, 1))
		w.Conn.Close()
		if h.afterCut != nil {
			h.afterCut()
		}
	}
	return n, err
}

func (w *pgWire) Close() error {
	w.h.mu.Lock()
	defer w.h.mu.Unlock()
	delete(w.h.conns, w)
	return w.Conn.Close()
}

func TestPostgres(t *testing.T) {
	server := pgtest.Start(t)
	options := &sqlqueue.Options{KeepOutcomes: 1000 * 24 * time.Hour}
	queuetest.Run(t, queuetest.Harness{
		New: func(t testing.TB) queuetest.Place {
			p := newPlace(t, server)
			return queuetest.Place{
				Open:  func(t testing.TB) queue.Store { return p.open(t, options) },
				Crash: func(s queue.Store) { s.(*handle).crash() },
			}
		},
		NewSmall: func(t testing.TB) queuetest.Place {
			p := smallPlace(t, server)
			return queuetest.Place{Open: func(t testing.TB) queue.Store {
				h := p.open(t, options)
				// To end a message takes no room, but to keep its outcomes does.
				p.exec(t, "ALTER TABLE queue_outcomes SET TABLESPACE pg_default")
				p.exec(t, "ALTER INDEX queue_outcomes_pkey SET TABLESPACE pg_default")
				p.exec(t, "ALTER INDEX queue_outcomes_message SET TABLESPACE pg_default")
				return vacuumed{h, t, p}
			}}
		},
		Shared:     true,
		InlineSize: 64 << 10,
	})
}
