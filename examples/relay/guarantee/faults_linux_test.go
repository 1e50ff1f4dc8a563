package guarantee

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"
)

// The disk is full to the last octet.
func TestGuaranteeDiskFull(t *testing.T) {
	dir := smallDisk(t, 48<<20)
	ballast := filepath.Join(dir, "ballast")
	tr := trouble{dsn: filepath.Join(dir, "relay.db"), args: []string{"-min-free", "-1"},
		begin: func(t *testing.T) { fill(t, ballast, 0) },
		end:   func(t *testing.T) { remove(t, ballast) },
	}
	tr.endure(t)
}

// There is room, but not as much as is to be left.
func TestGuaranteeDiskNearlyFull(t *testing.T) {
	dir := smallDisk(t, 128<<20)
	ballast := filepath.Join(dir, "ballast")
	tr := trouble{dsn: filepath.Join(dir, "relay.db"),
		begin: func(t *testing.T) { fill(t, ballast, 40<<20) },
		end:   func(t *testing.T) { remove(t, ballast) },
	}
	tr.endure(t)
}

// The files cannot be written to, although they are open.
func TestGuaranteeReadOnly(t *testing.T) {
	dir := t.TempDir()
	db := filepath.Join(dir, "relay.db")
	if !heedsImmutable(t) {
		missing(t, "a file system on which open files can be made immutable")
	}
	each := func(t *testing.T, on bool) {
		files, _ := filepath.Glob(db + "*")
		for _, f := range files {
			if err := immutable(f, on); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Error(err)
			}
		}
	}
	t.Cleanup(func() { each(t, false) })
	tr := trouble{dsn: db,
		begin: func(t *testing.T) { each(t, true) },
		end:   func(t *testing.T) { each(t, false) },
	}
	tr.endure(t)
}

// smallDisk returns a directory on a file system of its own.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		missing(t, "the right to mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill writes a file until no more than so many octets are left.
func fill(t *testing.T, name string, left int64) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<20); len(block) > 0; {
		var fs syscall.Statfs_t
		if err := syscall.Statfs(filepath.Dir(name), &fs); err != nil {
			t.Fatal(err)
		}
		if int64(fs.Bavail)*fs.Bsize <= left {
			return
		}
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			block = block[:len(block)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func remove(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

// immutable sets or clears the attribute of a file or folder: where file systems
// heed it at each write, as ext4 does, it is as if they had become read-only.
func immutable(name string, on bool) error {
	const getFlags, setFlags, immutableFlag = 0x80086601, 0x40086602, 0x10
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var flags uint
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), getFlags, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return errno
	}
	flags &^= immutableFlag
	if on {
		flags |= immutableFlag
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), setFlags, uintptr(unsafe.Pointer(&flags))); errno != 0 {
		return errno
	}
	return nil
}

// heedsImmutable reports whether a file that is open cannot be written to while it
// is immutable.
func heedsImmutable(t *testing.T) bool {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "probe"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if immutable(f.Name(), true) != nil {
		return false
	}
	defer immutable(f.Name(), false)
	_, err = f.WriteString("x")
	return err != nil
}
