package queue

import "fmt"

var statusWords = [...]string{Delivered: "delivered", Relayed: "relayed", Failed: "failed", Expired: "expired", Deleted: "deleted"}

// String returns the status as a word: "delivered".
func (s Status) String() string {
	if s == 0 || int(s) >= len(statusWords) {
		return fmt.Sprintf("Status(%d)", uint8(s))
	}
	return statusWords[s]
}

var actionWords = [...]string{Hold: "hold", Release: "release", Retry: "retry", Delete: "delete"}

// String returns the action as a word: "hold". ParseAction reads it.
func (a Action) String() string {
	if a == 0 || int(a) >= len(actionWords) {
		return fmt.Sprintf("Action(%d)", uint8(a))
	}
	return actionWords[a]
}

// ParseAction reads what String returns. Ok is false for any other word.
func ParseAction(s string) (a Action, ok bool) {
	for a := Hold; int(a) < len(actionWords); a++ {
		if actionWords[a] == s {
			return a, true
		}
	}
	return 0, false
}
