package secrettest

import (
	"slices"
	"strings"
	"testing"
)

func TestShown(t *testing.T) {
	secrets := map[string]bool{"pass": true, "correct-horse": true, "c2VjcmV0": true}
	for text, want := range map[string]string{
		"":                                    "",
		"AUTH PLAIN ***":                      "",
		"it passes, password and bypass":      "",
		"one\nuser:pass!\nthree":              "user:pass!",
		"pass":                                "pass",
		"passes\nno pass":                     "no pass",
		"xcorrect-horsey":                     "xcorrect-horsey",
		"first\nAUTH PLAIN AGFsaWNc2VjcmV0==": "AUTH PLAIN AGFsaWNc2VjcmV0==",
	} {
		if got := strings.Join(shown(text, secrets), "|"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestResponses(t *testing.T) {
	const script = `
S: 250 AUTH PLAIN
C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
S: 535 no
C: AUTH LOGIN
S: 334 VXNlcm5hbWU6
# who
C: YWxpY2U=
S: 334 UGFzc3dvcmQ6
C: c2VjcmV0
S: 334 x
C: *
S: 501 cancelled
C: NOOP bm90aGluZw==
C: bm90aGluZw==
C: auth XOAUTH2 =
`
	got := responses(script)
	if want := []string{"\x00alice\x00secret", "alice", "secret"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
