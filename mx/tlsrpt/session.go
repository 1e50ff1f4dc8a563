// Package tlsrpt tells domains how TLS went with their mail servers, and reads
// what others tell: SMTP TLS Reporting (RFC 8460).
//
// A sender makes a [Session] of every connection and adds it to a [Collector].
// Once a day that has a [Report] for each domain, which goes where the domain's
// [Record] says: as a [Mail], or by way of a [Poster]. [ParseReport] reads the
// reports of others.
package tlsrpt

import (
	"net/netip"
	"time"
)

// A Session is what came of one attempt to connect to a host, with one policy. If
// two policies apply to a connection, that is two Sessions.
type Session struct {
	Time   time.Time // If zero, now
	Policy Policy

	// Result is why the connection did not satisfy the policy. If empty, it did.
	Result ResultType

	SendingIP   netip.Addr // our end
	Host        string     // the host's name in the MX record
	Hello       string     // what the host calls itself in its greeting. May be empty
	ReceivingIP netip.Addr // the host's end

	// AdditionalInfo is a URI where there is more to know about a failure. May be
	// empty.
	AdditionalInfo string
	// Reason is an error as a code or a text, for people. It should be the same
	// for failures that are the same: they are counted together. May be empty.
	Reason string
}

// A Policy is what a connection had to satisfy (RFC 8460 §4.4).
type Policy struct {
	Type PolicyType // If empty, NoPolicyFound

	// Strings are the policy itself: the TLSA records as in RFC 6698 §2.3 ("3 1 1
	// 1f85..."), or the fields of an MTA-STS policy ("mode: enforce").
	Strings []string

	// Domain is the recipient domain in A-labels. It is asked for its Record, and
	// gets the report.
	Domain string

	// MXHosts are the patterns of an MTA-STS policy.
	MXHosts []string
}

// A PolicyType is a kind of policy.
type PolicyType string

// The types of policies.
const (
	TLSA          PolicyType = "tlsa"            // DANE (RFC 7672)
	STS           PolicyType = "sts"             // MTA-STS (RFC 8461)
	NoPolicyFound PolicyType = "no-policy-found" // neither
)

// A ResultType is a kind of failure (RFC 8460 §4.3). There may be others than
// these, from the registry that the RFC has made.
type ResultType string

// The kinds of failures.
const (
	StartTLSNotSupported    ResultType = "starttls-not-supported"    // §4.3.1
	CertificateHostMismatch ResultType = "certificate-host-mismatch" // §4.3.1
	CertificateExpired      ResultType = "certificate-expired"       // §4.3.1
	CertificateNotTrusted   ResultType = "certificate-not-trusted"   // §4.3.1: an unknown CA, a broken chain and the like. Should have a Reason
	ValidationFailure       ResultType = "validation-failure"        // §4.3.1: anything else. Should have a Reason

	TLSAInvalid   ResultType = "tlsa-invalid"   // §4.3.2.1: no record was valid, or none matches
	DNSSECInvalid ResultType = "dnssec-invalid" // §4.3.2.1: the resolver has no valid answer
	DANERequired  ResultType = "dane-required"  // §4.3.2.1: we want DANE, and there is none

	STSPolicyFetchError ResultType = "sts-policy-fetch-error" // §4.3.2.2
	STSPolicyInvalid    ResultType = "sts-policy-invalid"     // §4.3.2.2
	STSWebPKIInvalid    ResultType = "sts-webpki-invalid"     // §4.3.2.2
)

// known reports whether the type is one of those above.
func (r ResultType) known() bool {
	switch r {
	case StartTLSNotSupported, CertificateHostMismatch, CertificateExpired, CertificateNotTrusted, ValidationFailure,
		TLSAInvalid, DNSSECInvalid, DANERequired, STSPolicyFetchError, STSPolicyInvalid, STSWebPKIInvalid:
		return true
	}
	return false
}
