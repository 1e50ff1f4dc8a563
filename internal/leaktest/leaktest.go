// Package leaktest lets a package's TestMain fail when its tests have left a
// goroutine behind.
package leaktest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Main runs the tests and returns the exit code. Goroutines have half a minute to
// end, for machines that are slow or busy. Only those that run code of this module count: fuzzing leaves one of
// the testing package's.
func Main(m *testing.M) (code int) {
	code = m.Run()
	for end := time.Now().Add(30 * time.Second); code == 0; runtime.Gosched() {
		left := ours()
		if left == "" {
			break
		}
		if time.Now().After(end) {
			fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", left)
			return 1
		}
	}
	return code
}

func ours() string {
	buf := make([]byte, 1<<20)
	var left []string
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "github.com/postrider/postrider/") && !strings.Contains(stack, ".TestMain(") {
			left = append(left, stack)
		}
	}
	return strings.Join(left, "\n\n")
}
