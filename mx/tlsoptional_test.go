package mx

import "testing"

func TestTLSOptional(t *testing.T) {
	for header, want := range map[string]bool{
		"":                                  false,
		"\r\n":                              false,
		"TLS-Required: No\r\n\r\n":          true,
		"a: b\r\ntls-required:no \r\n\r\n":  true,
		"TLS-Required : NO":                 true,
		"TLS-Required: Yes\r\n\r\n":         false,
		"Subject: TLS-Required: No\r\n\r\n": false,
		" TLS-Required: No\r\n":             false, // goes on with the field before
		"TLS-Required\r\n":                  false,
	} {
		if got := TLSOptional([]byte(header)); got != want {
			t.Errorf("%q: %t, want %t", header, got, want)
		}
	}
}
