package client_test

import (
	"os"
	"testing"

	"github.com/postrider/postrider/internal/secrettest"
)

// TestMain also fails when a trace, a transcript or a log of the whole run shows
// a credential.
func TestMain(m *testing.M) {
	for _, user := range []string{"user", "alice"} {
		for _, password := range []string{"pass", "pencil", "secret", "guess"} {
			secrettest.Account(user, password)
		}
	}
	secrettest.Token("user", "t0k3n")
	secrettest.Scripts("testdata/*.txt")
	os.Exit(secrettest.Main(m))
}
