package arc

import (
	"fmt"
	"net/netip"
	"strconv"

	"github.com/postrider/postrider/auth/authres"
)

// MaxSets is how many sets a message may have (RFC 8617 §5.2).
const MaxSets = 50

// A Result is what came of a chain.
type Result struct {
	// Verdict is None if there is no chain. Pass means that every seal is
	// genuine and the message is as the last one sealed it. Fail means that it
	// is not so, now or before, and will never be again. TempError is a failure
	// too, of which the reason is a key that could not be had: the RFC knows no
	// other time (§5.2.1), but who can have the message sent again may have
	// more luck then.
	Verdict authres.Verdict
	// Reason says why the verdict is not Pass. It holds nothing of the message.
	Reason string
	// Chain holds the sets in order, the oldest first. It is nil if they are
	// not well-formed and complete.
	Chain []Set
	// Instances is the highest number of a set, whether well-formed or not.
	Instances int
	// Closed is set if nobody may add a set: the chain was sealed as one that
	// failed (§5.1.2), there is no number left, or the header could not be read.
	Closed bool
	// OldestPass is the oldest set whose ARC-Message-Signature still fits the
	// message, if the verdict is Pass; 0 means that all of them do (§5.2).
	OldestPass int
}

// A Set is what one of those who forwarded the message added to it.
type Set struct {
	// AuthRes is what it found out about the message: the content of
	// ARC-Authentication-Results. Its zero value means that nobody can read it.
	AuthRes authres.Field
	// Status is what it said of the chain before it, cv=: None, Pass or Fail.
	Status authres.Verdict
	// Seal is the signature of all sets up to this one.
	Seal Signature
	// Message is the signature of the message.
	Message Signature
	// FromSigned tells that Message covers the From field, as it must (RFC 6376
	// §5.4). The test suite lets chains pass without; they say nothing about
	// the author that a message shows.
	FromSigned bool
}

// A Signature is one of the two signatures of a Set.
type Signature struct {
	Domain    string          // who signed, d=, in lower case and A-labels
	Selector  string          // which of its keys it used, s=, in the same form
	Algorithm string          // a=
	Verdict   authres.Verdict // Pass, Fail, PermError, TempError, or Neutral for a key too many. If empty, it was not evaluated
	Reason    string          // why the verdict is not Pass
}

// AuthRes returns the result as Authentication-Results tells it: none, pass or
// fail, no other word is known for a chain (RFC 8617 §4.4). The address of the
// client is put in if it is valid.
func (r Result) AuthRes(client netip.Addr) authres.Result {
	a := authres.Result{Method: "arc", Verdict: r.status(), Reason: r.Reason}
	if n := len(r.Chain); n > 0 {
		a.Comment = fmt.Sprintf("i=%d d=%s", n, r.Chain[n-1].Seal.Domain)
	}
	if r.Verdict == authres.Pass {
		a.Properties = append(a.Properties, authres.Property{Type: "header", Name: "oldest-pass", Value: strconv.Itoa(r.OldestPass)}) // §10.2
	}
	if client.IsValid() {
		a.Properties = append(a.Properties, authres.Property{Type: "smtp", Name: "remote-ip", Value: client.Unmap().WithZone("").String()})
	}
	return a
}

// status returns the Chain Validation Status (§4.4).
func (r Result) status() authres.Verdict {
	switch r.Verdict {
	case authres.None, authres.Pass:
		return r.Verdict
	}
	return authres.Fail // all failures are permanent: §5.2.1
}
