package server_test

import (
	"os"
	"testing"

	"github.com/postrider/postrider/internal/secrettest"
)

// TestMain also fails when an event of the whole run, or a line of a log, shows
// a credential.
func TestMain(m *testing.M) {
	secrettest.Secret(secrets...)
	secrettest.Scripts("testdata/*/*.txt")
	os.Exit(secrettest.Main(m))
}
