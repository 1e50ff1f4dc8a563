package middleware_test

import (
	"os"
	"testing"

	"github.com/postrider/postrider/internal/secrettest"
)

// TestMain also fails when an event or a log of the whole run shows a
// credential.
func TestMain(m *testing.M) {
	secrettest.Account(user, password)
	os.Exit(secrettest.Main(m))
}
