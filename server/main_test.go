package server_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/leaktest"
)

// TestMain also fails when an event of the whole run, or a line of the log,
// shows a credential.
func TestMain(m *testing.M) {
	code := leaktest.Main(m)
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
