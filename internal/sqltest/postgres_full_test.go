//go:build linux && interop

package sqltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/pgtest"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

// smallPlace is a place with room for a few megabytes.
func smallPlace(t testing.TB, server *pgtest.Server) *pgPlace {
	t.Helper()
	outside, inside := server.Dir()
	name := fmt.Sprintf("small%d", schemas.Add(1))
	dir := filepath.Join(outside, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	options := fmt.Sprintf("size=12m,mode=700,uid=%d,gid=%d", server.User(), server.User())
	if err := syscall.Mount("none", dir, "tmpfs", 0, options); err != nil {
		t.Skip("a small file system: ", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	if _, err := server.Query(fmt.Sprintf("CREATE TABLESPACE %s LOCATION '%s'", name, filepath.Join(inside, name))); err != nil {
		t.Fatal(err)
	}
	p := newPlace(t, server, "default_tablespace", name)
	p.ballast = filepath.Join(dir, "ballast")
	p.fill(t)
	return p
}

func (p *pgPlace) fill(t testing.TB) {
	if err := os.WriteFile(p.ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
}

// makeRoom is what an operator does, and then the autovacuum, which frees the room
// that messages have had. It needs some itself.
func (p *pgPlace) makeRoom(t testing.TB) {
	os.Remove(p.ballast)
	eventually(t, "pieces that are dropped are gone", func() bool {
		return p.count(t, `SELECT count(*) FROM queue_pieces p
			WHERE NOT EXISTS (SELECT 1 FROM queue_messages m WHERE m.id = p.message)`) == 0
	})
	p.exec(t, "VACUUM queue_pieces, queue_messages, queue_items")
	p.fill(t)
}

// A vacuumed handle has room made for each message.
type vacuumed struct {
	*handle
	t testing.TB
	p *pgPlace
}

func (v vacuumed) Begin(ctx context.Context, size int64) (queue.Tx, error) {
	v.p.makeRoom(v.t)
	return v.handle.Begin(ctx, size)
}

// A full disk is the sender's to hear of, and passes.
func TestPostgresDiskFull(t *testing.T) {
	p := smallPlace(t, pgtest.Start(t))
	h := p.open(t, nil)
	var ids []queue.ID
	var err error
	content := bytes.Repeat([]byte("0123456789"), 6000)
	for n := 0; err == nil && n < 1000; n++ {
		var tx queue.Tx
		if tx, err = h.Begin(t.Context(), -1); err != nil {
			break
		}
		if _, err = tx.Write(content); err == nil {
			_, err = tx.Commit(t.Context(), commitOf(time.Time{}, "a.example"))
		}
		if err == nil {
			ids = append(ids, tx.ID())
		}
		tx.Abort()
	}
	var reply *smtp.Error
	if !errors.Is(err, queue.ErrFull) || !errors.As(err, &reply) || reply.Reply.Code != 452 {
		t.Fatalf("after %d messages: %v", len(ids), err)
	}
	if len(ids) < 20 {
		t.Errorf("%d messages", len(ids))
	}
	for _, id := range ids {
		_, c, err := h.Open(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(readAll(t, c), content) {
			t.Error("another content")
		}
	}
	if n, err := h.Change(t.Context(), queue.Filter{}, queue.Delete, time.Now()); n != len(ids) || err != nil {
		t.Errorf("Change: %d, %v", n, err)
	}
	tx, err := vacuumed{h, t, p}.Begin(t.Context(), -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(tx, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(t.Context(), commitOf(time.Time{}, "a.example")); err != nil {
		t.Error(err)
	}
}
