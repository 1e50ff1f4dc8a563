package dkim

import (
	"time"

	"github.com/postrider/postrider/auth/authres"
)

// A Result is what came of one signature.
type Result struct {
	// Verdict is Pass when the domain vouches for the message: the signed part
	// is as it was signed. Fail means that it is not, or that the signature is
	// not the domain's. PermError means that signature or key cannot be used,
	// TempError that the key could not be had for now. Policy means that the
	// verifier does not take such signatures, Neutral that the signature was
	// not evaluated (RFC 8601 §2.7.1).
	Verdict authres.Verdict
	// Reason says why the verdict is not Pass: one of a few fixed texts.
	Reason string
	// Domain is who signed, d=, in lower case and A-labels. Empty if the
	// signature names none.
	Domain string
	// Selector is which of its keys the domain used, s=, in the same form.
	Selector string
	// Identity is on whose behalf the domain signed, i=, as it was received. It
	// need not be an address that exists. If the signature has none, "@" and
	// Domain.
	Identity string
	// Algorithm is a=. Empty if it is not known here.
	Algorithm string
	// KeyBits is the size of the key. 0 if there is none.
	KeyBits int
	// Testing is set if the domain says that it is only trying DKIM out (t=y of
	// its key): the message must not be treated worse than an unsigned one
	// (RFC 6376 §3.6.1).
	Testing bool
	// Signed and Expires are t= and x=. Zero if the signature has none.
	Signed, Expires time.Time
	// Signature is how the value of b= begins, enough of it to tell the
	// signatures of a message apart (RFC 6008).
	Signature string
}

// AuthRes returns the result as Authentication-Results tells it (RFC 8601
// §2.7.1).
func (r Result) AuthRes() authres.Result {
	a := authres.Result{Method: "dkim", Verdict: r.Verdict, Reason: r.Reason}
	if r.Testing {
		a.Comment = "test mode"
	}
	for _, p := range []authres.Property{
		{Type: "header", Name: "d", Value: r.Domain},
		{Type: "header", Name: "i", Value: r.Identity},
		{Type: "header", Name: "s", Value: r.Selector},
		{Type: "header", Name: "a", Value: r.Algorithm},
		{Type: "header", Name: "b", Value: r.Signature},
	} {
		if p.Value != "" {
			a.Properties = append(a.Properties, p)
		}
	}
	return a
}
