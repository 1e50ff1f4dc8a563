//go:build interop

package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// vmail is the account that owns mailboxes in every root (see run).
const vmail = 60003

// root is a directory tree with the programs of one group of packages, for
// this test alone. Programs run with it as their root directory, and paths
// given to its methods are relative to it.
type root struct{ dir string }

// newRoot copies the unpacked root of that name, as hard links: whoever writes
// there makes new files, so the next copy starts clean.
func newRoot(t *testing.T, name string) *root {
	t.Helper()
	base := os.Getenv("POSTRIDER_INTEROP_ROOT")
	switch {
	case base == "":
		missing(t, "POSTRIDER_INTEROP_ROOT is not set: start internal/interop/run")
	case os.Getuid() != 0:
		missing(t, "not root: chroot is refused")
	}
	unpacked := filepath.Join(base, name)
	if _, err := os.Stat(filepath.Join(unpacked, ".version")); err != nil {
		missing(t, err.Error())
	}
	tmp, err := os.MkdirTemp(base, "run-") // a hard link does not leave its file system
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(tmp); err != nil {
			t.Error(err)
		}
	})
	r := &root{dir: filepath.Join(tmp, name)}
	if out, err := exec.Command("cp", "-al", unpacked, r.dir).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	return r
}

func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func (r *root) path(name string) string { return filepath.Join(r.dir, name) }

// write puts a file in place of whatever has that name. A link to the unpacked
// root is cut first, lest its file change too.
func (r *root) write(t *testing.T, name string, data []byte, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(r.path(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	os.Remove(r.path(name))
	if err := os.WriteFile(r.path(name), data, mode); err != nil {
		t.Fatal(err)
	}
}

// chown gives a file to the account uid.
func (r *root) chown(t *testing.T, name string, uid int) {
	t.Helper()
	if err := os.Chown(r.path(name), uid, uid); err != nil {
		t.Fatal(err)
	}
}

// mkdir makes directories that belong to the account uid, with the group of
// the same number.
func (r *root) mkdir(t *testing.T, uid int, mode os.FileMode, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.MkdirAll(r.path(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(r.path(name), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(r.path(name), uid, uid); err != nil {
			t.Fatal(err)
		}
	}
}
