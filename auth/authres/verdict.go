// Package authres reads and writes the field that tells what was found out
// about a message: Authentication-Results (RFC 8601).
package authres

// A Verdict is the outcome of a method, in the words that RFC 8601 §2.7
// registers. The zero value means that the method was not tried. Which of the
// words a method uses, and what each means there, its own package says.
type Verdict string

// The verdicts.
const (
	None      Verdict = "none"      // nothing to evaluate: no policy, no signature
	Pass      Verdict = "pass"      // what is claimed was verified
	Fail      Verdict = "fail"      // what is claimed is not so
	SoftFail  Verdict = "softfail"  // SPF: probably not so
	Neutral   Verdict = "neutral"   // nothing can be said
	Policy    Verdict = "policy"    // verified, but the local policy does not take it
	TempError Verdict = "temperror" // could not be evaluated now; another time may help
	PermError Verdict = "permerror" // cannot be evaluated: something published or sent is malformed
)
