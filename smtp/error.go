package smtp

import "strconv"

// Scope says what a failure harms, so that the caller knows what may still be
// tried: another recipient, another message, a new session, another host.
type Scope uint8

// The scopes, from the narrowest to the widest. The zero value is unknown.
const (
	ScopeUnknown   Scope = iota
	ScopeRecipient       // this recipient only
	ScopeMessage         // this mail transaction; the session goes on
	ScopeSession         // this connection is of no more use
	ScopeHost            // this host will not do better on a new connection
)

// String returns the scope as a word: "recipient".
func (s Scope) String() string {
	switch s {
	case ScopeRecipient:
		return "recipient"
	case ScopeMessage:
		return "message"
	case ScopeSession:
		return "session"
	case ScopeHost:
		return "host"
	}
	return "unknown"
}

// Error is a negative reply as a Go error. The client returns it for what the
// server refused; a handler of the server returns one, bare or wrapped, to say
// which reply to give. It is found with errors.As.
type Error struct {
	Verb  Verb  // the command that was refused; "" when none was (greeting, end of data)
	Reply Reply // the negative reply
	Scope Scope // what the failure harms. If zero, unknown.
}

// Reject returns the error with which a handler refuses: code 400..599, an
// enhanced status code or the zero value, and a text that is shown to the
// peer, lines separated by "\n". Any other code becomes 554.
func Reject(code int, enh Enhanced, text string) *Error {
	if code < 400 || code > 599 {
		code = CodeFailed
	}
	return &Error{Reply: Reply{Code: code, Enhanced: enh, Text: text}}
}

// Error returns the verb and the reply: "smtp: RCPT: 550 5.1.1 no such user".
func (e *Error) Error() string {
	if e.Verb == "" {
		return "smtp: " + e.Reply.String()
	}
	return "smtp: " + string(e.Verb) + ": " + e.Reply.String()
}

// Temporary reports whether the same action may succeed later: the code, and
// nothing else, says so (RFC 5321 §4.2.1).
func (e *Error) Temporary() bool { return e.Reply.Temporary() }

// SyntaxError says where and why an argument of the peer did not parse, or a
// value of the caller cannot be sent.
type SyntaxError struct {
	Code     int      // 501; 555: parameter unknown or not offered; 550, 553: address not ASCII without SMTPUTF8; 0: a server's reply is at fault
	Enhanced Enhanced // 5.1.7, 5.1.3, 5.5.2, 5.5.4 or 5.6.7
	Offset   int      // octets of the argument before the fault; -1 if it is not in one place
	Reason   string   // plain ASCII, short, without anything the peer sent
}

// Error returns the position and the reason: "smtp: offset 7: domain label is empty".
func (e *SyntaxError) Error() string { return "smtp: " + e.text() }

// Reply returns the reply to give: the code, the enhanced status code and the
// reason with its position. Nothing that the peer sent is echoed.
func (e *SyntaxError) Reply() Reply {
	code := e.Code
	if code < 400 || code > 599 {
		code = CodeArgSyntax
	}
	text := e.Reason
	if e.Offset >= 0 {
		text += " (offset " + strconv.Itoa(e.Offset) + ")"
	}
	return Reply{Code: code, Enhanced: e.Enhanced, Text: text}
}

func (e *SyntaxError) text() string {
	if e.Offset < 0 {
		return e.Reason
	}
	return "offset " + strconv.Itoa(e.Offset) + ": " + e.Reason
}
