package mx

import (
	"crypto/tls"

	"github.com/postrider/postrider/smtp"
)

// A Result says what became of a message for one recipient.
type Result struct {
	Recipient smtp.ForwardPath // as it stands in the envelope
	Status    Status
	Scope     Scope // what a failure harms. Zero for a recipient that has the message
	// Unknown says that the whole message was written and the reply never came: it
	// may have been delivered (RFC 5321 §4.5.3.2.6, RFC 1047). The Status is
	// Deferred.
	Unknown bool
	// Reply decided: the server's, or, if Local is set, one in its place that says
	// what went wrong here or on the way, with a code and an enhanced status code
	// that a report to the sender can give.
	Reply smtp.Reply
	Local bool
	// Err is what went wrong. Nil for a recipient that has the message.
	Err error

	Host string // the name of the host that decided, or was tried last; "" if none was
	Addr string // its network address; "" if none was tried
	// TLS is that of the connection; nil without, and if none was ready for MAIL.
	TLS *tls.ConnectionState
	// Policy is what TLS had to prove. It is zero if no host was tried.
	Policy Policy
	// DSN says that the server has taken over to send the notifications that the
	// recipient's NOTIFY asks for (RFC 3461 §5.2.1). Without, who asked for one of
	// success is owed it: "delivered" or "relayed" as the Status has it.
	DSN bool
}

// Status is what became of a message for a recipient.
type Status uint8

// The statuses.
const (
	Deferred  Status = iota // not delivered, as far as is known; may be later
	Failed                  // not delivered, and will not be
	Delivered               // the next server has taken the message; over LMTP it is in the mailbox
	Relayed                 // the next server has taken it and offers no DSN, or no DELIVERBY where that was asked for: nothing more will be heard
)

// String returns the status as a word: "deferred".
func (s Status) String() string {
	switch s {
	case Deferred:
		return "deferred"
	case Failed:
		return "failed"
	case Delivered:
		return "delivered"
	case Relayed:
		return "relayed"
	}
	return "unknown"
}

// Scope says what a failure harms: what else would fail as well.
type Scope uint8

// The scopes. The zero value is for no failure.
const (
	ScopeNone      Scope = iota
	ScopeRecipient       // this recipient of the message
	ScopeMessage         // this message, to whomever it goes on this way
	ScopeHost            // what goes to this host
	ScopeSite            // what goes to this domain
	ScopePolicy          // what must be protected like this message and goes to this domain
	ScopeLocal           // what is sent from here: the fault is on our side
)

// String returns the scope as a word: "recipient".
func (s Scope) String() string {
	switch s {
	case ScopeNone:
		return "none"
	case ScopeRecipient:
		return "recipient"
	case ScopeMessage:
		return "message"
	case ScopeHost:
		return "host"
	case ScopeSite:
		return "site"
	case ScopePolicy:
		return "policy"
	case ScopeLocal:
		return "local"
	}
	return "unknown"
}
