package mtasts

import "fmt"

// A Reason is why there is no live policy of a domain.
type Reason string

// The reasons. The last three are result types of RFC 8460 §4.3.2.2, which are
// reported to the domain.
const (
	NoRecord      Reason = "no-record"      // the DNS says that the domain has none
	RecordInvalid Reason = "record-invalid" // several records, or one that is malformed (RFC 8461 §3.1)
	DNSFailed     Reason = "dns-failed"     // whether there is a record is not known for now

	FetchFailed   Reason = "sts-policy-fetch-error" // no policy where one should be
	PolicyInvalid Reason = "sts-policy-invalid"     // what is there is none
	WebPKIInvalid Reason = "sts-webpki-invalid"     // the web server has no certificate for its name that is trusted
)

// Reported reports whether the reason is a result type of RFC 8460.
func (r Reason) Reported() bool {
	return r == FetchFailed || r == PolicyInvalid || r == WebPKIInvalid
}

// An Error says why there is no live policy of a domain.
type Error struct {
	Domain string
	Reason Reason
	Err    error // the cause. May be nil
}

// Error names the domain and the reason, with the cause if there is one.
func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("mtasts: %s: %s", e.Domain, e.Reason)
	}
	return fmt.Sprintf("mtasts: %s: %s: %v", e.Domain, e.Reason, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
