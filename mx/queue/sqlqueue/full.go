package sqlqueue

import "strings"

// fullTexts are words of drivers that say that there is no room, so that we need
// none of the drivers.
var fullTexts = []string{
	"database or disk is full", // SQLITE_FULL
	"no space left on device",  // ENOSPC
	"disk quota exceeded",      // EDQUOT
	"SQLSTATE 53100",           // disk_full of PostgreSQL, as pgx writes it
}

// isFull reports whether err says that there is no room.
func isFull(err error) bool {
	return containsAny(err.Error(), fullTexts)
}

func containsAny(s string, words []string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}
