package server_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails the run when a goroutine of ours is left behind; those of the
// testing package, which fuzzing leaves, do not count. It also fails when an
// event of the whole run, or a line of the log, shows a credential.
func TestMain(m *testing.M) {
	code := m.Run()
	for end := time.Now().Add(5 * time.Second); code == 0; runtime.Gosched() {
		left := ourGoroutines()
		if left == "" {
			break
		}
		if time.Now().After(end) {
			fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", left)
			os.Exit(1)
		}
	}
	everything.mu.Lock()
	defer everything.mu.Unlock()
	for line := range strings.Lines(everything.text.String()) {
		for _, secret := range secrets {
			if strings.Contains(line, secret) {
				fmt.Fprintf(os.Stderr, "a credential is shown: %s", line)
				os.Exit(1)
			}
		}
	}
	os.Exit(code)
}

func ourGoroutines() string {
	stacks := make([]byte, 1<<20)
	var left []string
	for stack := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(stack, "github.com/postrider/postrider/") && !strings.Contains(stack, ".TestMain(") {
			left = append(left, stack)
		}
	}
	return strings.Join(left, "\n\n")
}
