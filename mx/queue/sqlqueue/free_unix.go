//go:build linux || darwin || freebsd

package sqlqueue

import (
	"path/filepath"
	"syscall"
)

// freeSpaceOf returns a function that says how much room the file system of a file
// has for us.
func freeSpaceOf(path string) func() (int64, error) {
	dir := filepath.Dir(path)
	return func() (int64, error) {
		var st syscall.Statfs_t
		if err := syscall.Statfs(dir, &st); err != nil {
			return -1, err
		}
		return int64(st.Bavail) * int64(st.Bsize), nil
	}
}
