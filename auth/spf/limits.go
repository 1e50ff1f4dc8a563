package spf

import "time"

// The limits of RFC 7208 §4.6.4. Those that it does not leave to the receiver
// are no fields of Verifier: a policy must mean the same everywhere.
const (
	maxLookups = 10 // terms that cause lookups
	maxMX      = 10 // hosts of one mx
	maxPTR     = 10 // names of the client

	defaultTimeout        = 20 * time.Second
	namesShare            = 4 // what part of the time the client's names get
	defaultMaxVoidLookups = 2
)

const (
	defaultMaxRecord      = 8192
	defaultMaxExplanation = 400

	maxName  = 253 // octets of a domain name, without the final dot (§7.3)
	maxTerm  = 255 // octets of a term in a Result
	maxTrace = 500 // steps

	maxHello = 255 // octets of HELO's argument (RFC 5321 §4.5.3.1.2). What is longer is "unknown" in macros
	maxLocal = 255 // octets of a local-part, more than SMTP allows (RFC 5321 §4.5.3.1.1)
)
