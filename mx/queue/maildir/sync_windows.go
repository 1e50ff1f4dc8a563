package maildir

import "os"

// syncDir: Windows cannot sync folders, and its file systems keep names in order.
func syncDir(*os.File) error { return nil }
