package middleware_test

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/server/middleware"
)

func TestMaxHops(t *testing.T) {
	const looping = "554 5.4.6 the message has been through too many hosts, there is a loop"
	for _, tt := range []struct {
		header string
		max    int
		reply  string
	}{
		{"X: y\n", 1, accepted},
		{"Received: a\nreceived : b\n", 2, looping},
		{"Received: a\nreceived : b\n", 3, accepted},
		{"Received: a\n\tReceived: folded\nReceived-SPF: x\nX-Received: y\nReceived\n", 2, accepted},
		{strings.Repeat("Received: a\n", 99), 0, accepted},
		{strings.Repeat("Received: a\n", 100), 0, looping},
	} {
		h := start(t, middleware.MaxHops(tt.max))
		message := "C: " + strings.ReplaceAll(tt.header, "\n", "\nC: ")
		h.play(t, "127.0.0.1", "C: MAIL FROM:<>\nS: 250 ...\nC: RCPT TO:<b@example.com>\nS: 250 ...\nC: DATA\nS: 354 ...",
			message+"\nC: Received: not in the header\nC: .\nS: "+tt.reply)
		if got := len(h.messages()); got != strings.Count(tt.reply, accepted) {
			t.Errorf("%q, %d: delivered %d", tt.header, tt.max, got)
		}
	}
}
