package smtp

import "testing"

func TestCanonicalDomain(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "",
		"Example.ORG":           "example.org",
		"BÜCHER.example":        "xn--bcher-kva.example",
		"XN--bcher-kva.EXAMPLE": "xn--bcher-kva.example",
		"[192.0.2.1]":           "[192.0.2.1]",
		"[IPv6:2001:DB8:0::1]":  "[IPv6:2001:db8::1]",
		"[Neither]":             "[neither]",
		"a_Ü b":                 "a_ü b",
	} {
		if got := CanonicalDomain(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
