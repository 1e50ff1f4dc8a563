package dsn

import (
	"strings"

	"github.com/postrider/postrider/smtp"
)

// Action is what an MTA did about a recipient (RFC 3464 §2.3.3). The zero value is
// nothing that anybody has to hear of: there is none in a Report.
type Action uint8

// The actions.
const (
	Failed    Action = iota + 1 // not delivered, and given up
	Delayed                     // not delivered so far; delivery is tried again
	Delivered                   // delivered to the mailbox, or to a mailing list
	Relayed                     // passed on to where nobody tells of success: to a server without DSN (RFC 3461 §5.2.2)
	Expanded                    // delivered to an alias, and on to the several addresses behind it
)

var actionNames = [...]string{"", "failed", "delayed", "delivered", "relayed", "expanded"}

// String returns the action as the field writes it: "failed".
func (a Action) String() string {
	if int(a) < len(actionNames) {
		return actionNames[a]
	}
	return ""
}

// parseAction reads the value of the field by its first word, which some MTAs spell
// in their own way, "failure (550)".
func parseAction(s string) Action {
	s = strings.ToLower(s)
	for i, name := range actionNames[1:] {
		if strings.HasPrefix(s, name) {
			return Action(i + 1)
		}
	}
	if strings.HasPrefix(s, "fail") {
		return Failed
	}
	return 0
}

// class is the class of status codes that goes with the action.
func (a Action) class() int {
	switch a {
	case Failed:
		return 5
	case Delayed:
		return 4
	}
	return 2
}

// wanted reports whether the sender of a message wants to hear of the action, if he
// gave the recipient this NOTIFY and the message this BY. delays is what to do about
// delays if he said nothing.
func (a Action) wanted(notify smtp.Notify, by smtp.DeliverBy, delays bool) bool {
	if a == 0 || a.String() == "" || notify&smtp.NotifyNever != 0 {
		return false
	}
	given := notify != 0
	switch a {
	case Failed:
		return !given || notify&smtp.NotifyFailure != 0 // RFC 3461 §5.2.6
	case Delayed:
		return given && notify&smtp.NotifyDelay != 0 || // §5.2.5
			!given && (delays || by.Mode == smtp.DeliverNotify) // RFC 2852 §4.1.4
	case Relayed:
		return notify&smtp.NotifySuccess != 0 || by.Trace // RFC 3461 §5.2.2 b, RFC 2852 §4.1
	}
	return notify&smtp.NotifySuccess != 0 // RFC 3461 §5.2.3
}
