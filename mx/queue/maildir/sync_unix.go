//go:build !windows

package maildir

import "os"

func syncDir(dir *os.File) error { return dir.Sync() }
