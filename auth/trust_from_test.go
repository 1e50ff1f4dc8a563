package auth

import (
	"testing"

	"github.com/postrider/postrider/auth/arc"
	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dmarc"
)

// A seal says nothing of the author if the message's signature does not cover
// From: anybody could have put another name in front of the same domain.
func TestTrustedSealerSignsFrom(t *testing.T) {
	v := &Verifier{TrustedSealers: []string{"list.example"}}
	for signed, want := range map[bool]string{true: "list.example", false: ""} {
		r := &Result{
			DMARC: dmarc.Result{Verdict: authres.Fail, Domain: "example.org"},
			ARC: arc.Result{Verdict: authres.Pass, Chain: []arc.Set{{
				Seal: arc.Signature{Domain: "list.example"}, FromSigned: signed,
				AuthRes: authres.Field{AuthServID: "x", Results: []authres.Result{{Method: "dmarc", Verdict: authres.Pass,
					Properties: []authres.Property{{Type: "header", Name: "from", Value: "example.org"}}}}},
			}}},
		}
		if got := v.trustedSealer(r); got != want {
			t.Errorf("From signed: %t: %q is trusted", signed, got)
		}
	}
}
