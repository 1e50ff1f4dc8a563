package dsn

import (
	"strings"

	"github.com/postrider/postrider/smtp"
)

// Status is an enhanced status code with its class: "5.1.1" (RFC 3464 §2.3.4, RFC
// 3463). The zero value is none. Values are comparable with ==.
type Status struct {
	Class int           // 2: success, 4: temporary failure, 5: permanent failure
	Code  smtp.Enhanced // the other two numbers
}

// String returns the status as the field writes it, "5.1.1", and "" for none.
func (s Status) String() string {
	return smtp.Reply{Code: s.Class * 100, Enhanced: s.Code}.EnhancedString()
}

// IsZero reports whether there is no status.
func (s Status) IsZero() bool { return s == Status{} }

// StatusOf returns the status that a reply gives: its enhanced status code, or only
// its class, "5.0.0". It is zero unless the reply is one of class 2, 4 or 5.
func StatusOf(r smtp.Reply) Status {
	s := Status{r.Code / 100, r.Enhanced}
	if s.Code.IsZero() {
		s.Code = smtp.Enh(0, 0) // RFC 3461 §6.3 g
	}
	if s.String() == "" {
		return Status{}
	}
	return s
}

// of returns s in a class that goes with the action: a host may refuse for good what
// others are still asked to take.
func (s Status) of(a Action) Status {
	if !s.IsZero() && (a != Failed || s.Class == 2) { // RFC 3464 §2.3.3: what was given up has failed with class 4, too
		s.Class = a.class()
	}
	return s
}

// ParseStatus reads the value of the field. What follows the code, such as a
// comment, is ignored. ok is false if there is no code.
func ParseStatus(s string) (Status, bool) {
	s = strings.TrimLeft(s, " \t")
	end := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end >= 0 {
		s = s[:end]
	}
	class, code, ok := smtp.ParseEnhanced(s)
	if !ok {
		return Status{}, false
	}
	return Status{class, code}, true
}
