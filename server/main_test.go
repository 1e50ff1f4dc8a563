package server_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails the run when a goroutine is left behind, and when any event of
// the whole run, or any line of the log, shows a credential.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	code := m.Run()
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			fmt.Fprintf(os.Stderr, "goroutines left behind:\n%s\n", stacks[:runtime.Stack(stacks, true)])
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
