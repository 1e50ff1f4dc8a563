package mx

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/postrider/postrider/smtp"
)

// Trace is a set of hooks that see what happens to messages on their way. Any may
// be nil. Hooks are called in order for one delivery and at the same time for
// different ones, with the context of the delivery; they must not block.
type Trace struct {
	// Routed is called when it is known where the mail of a domain goes, or why
	// that is not known.
	Routed func(ctx context.Context, domain string, route *Route, err error)
	// Attempted is called at the end of each attempt: at an address, or at a host
	// that comes to none.
	Attempted func(ctx context.Context, a *Attempt)
}

// An Attempt is what was tried at one address of one host, or why none of the
// host's was.
type Attempt struct {
	Route  *Route
	Host   Host
	Addr   string // network address; "" if there was none to try
	Policy Policy // what TLS had to prove

	Connection uint64               // counts connections; 0 if none was made
	Reused     bool                 // the connection had carried a message before
	Plaintext  error                // why TLS was given up at this address: what STARTTLS came to in the attempt before. Nil if it was not
	TLS        *tls.ConnectionState // nil without TLS
	Greeting   smtp.Reply           // zero if there was none
	Results    []Result             // of the recipients that were tried, as far as this attempt goes
	Err        error                // why nothing was delivered; nil if something was
	Next       bool                 // another attempt follows, if there are addresses left

	Began time.Time
	Took  time.Duration
}
