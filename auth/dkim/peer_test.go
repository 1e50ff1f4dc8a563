package dkim_test

import (
	"strings"
	"testing"

	peer "github.com/emersion/go-msgauth/dkim"
)

// The peer sees no signature where there is none.
func TestPeer(t *testing.T) {
	found, err := peer.Verify(strings.NewReader("From: a@example.org\r\n\r\n"))
	if len(found) != 0 || err != nil {
		t.Error(found, err)
	}
}
