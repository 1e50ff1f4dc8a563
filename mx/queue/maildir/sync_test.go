package maildir

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
	"github.com/postrider/postrider/smtp"
)

// Whoever was ended, at any sync, before the folders of a mailbox were on disk: the
// next delivery syncs them before it says that it has delivered.
func TestFoldersAreSynced(t *testing.T) {
	env, err := smtp.NewEnvelope("me@example.com", "a@example.org")
	if err != nil {
		t.Fatal(err)
	}
	m := &mx.Message{Envelope: env, Content: smtp.BytesContent([]byte("x"))}
	ctx := queue.WithLeased(context.Background(), &queue.Leased{Message: &queue.Message{ID: 1}})
	for ended := range 4 {
		base := t.TempDir()
		d, err := Open(base)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		var synced []string
		n := 0
		d.syncDir = func(f *os.File) error {
			if n++; n > ended {
				return errors.New("ended")
			}
			return nil
		}
		if _, err := d.Deliver(ctx, "", m); err == nil {
			t.Errorf("%d: delivered", ended)
		}
		onDisk := n > 3 // all but the folder that the message is in
		d.syncDir = func(f *os.File) error {
			name, err := filepath.Rel(base, f.Name())
			synced = append(synced, filepath.ToSlash(name))
			return err
		}
		if _, err := d.Deliver(ctx, "", m); err != nil {
			t.Errorf("%d: %v", ended, err)
		}
		want := []string{"example.org/a", "example.org", ".", "example.org/a/new"}
		if onDisk {
			want = want[3:]
		}
		if !slices.Equal(synced, want) {
			t.Errorf("ended at sync %d; then synced %q, want %q", ended, synced, want)
		}
	}
}

// A mailbox that lacks a folder, because whoever made it was ended or somebody has
// removed it, gets it back.
func TestMissingFolders(t *testing.T) {
	env, err := smtp.NewEnvelope("me@example.com", "a@example.org")
	if err != nil {
		t.Fatal(err)
	}
	m := &mx.Message{Envelope: env, Content: smtp.BytesContent([]byte("x"))}
	ctx := queue.WithLeased(context.Background(), &queue.Leased{Message: &queue.Message{ID: 1}})
	base := t.TempDir()
	d, err := Open(base)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, missing := range []string{"", "tmp", "new", "cur"} {
		if err := os.RemoveAll(filepath.Join(base, "example.org", "a", missing)); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Deliver(ctx, "", m); err != nil {
			t.Errorf("without %q: %v", missing, err)
		}
		for _, sub := range []string{"tmp", "new", "cur"} {
			if _, err := os.Stat(filepath.Join(base, "example.org", "a", sub)); err != nil {
				t.Errorf("without %q: %v", missing, err)
			}
		}
	}
}
