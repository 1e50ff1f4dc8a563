package smtp

import (
	"strconv"
	"strings"
)

// OfferedLimits are what a server announces with LIMITS (RFC 9422): how much it
// takes in this session.
type OfferedLimits struct {
	MailMax       int // mail transactions, begun by MAIL, in one connection. If zero, not announced.
	RcptMax       int // recipients, RCPT commands, in one mail transaction. If zero, not announced.
	RcptDomainMax int // different domains among the recipients of one connection. If zero, not announced.
}

// maxLimit is the greatest number that a limit may have, RFC 9422 §4
const maxLimit = 999_999

// Limits returns what LIMITS announces: nothing when it is not offered. Limits
// that are not known and values that break the grammar are ignored (RFC 9422
// §3); of two with the same name the smaller counts.
func (o Offers) Limits() OfferedLimits {
	var l OfferedLimits
	for rest := o[ExtLimits]; rest != ""; {
		var word string
		word, rest, _ = strings.Cut(rest, " ")
		name, value, _ := strings.Cut(word, "=")
		field := l.field(name)
		if field == nil || len(value) > 6 || value == "" || value[0] == '0' {
			continue
		}
		n, ok := decimal(value)
		if ok && (*field == 0 || int(n) < *field) {
			*field = int(n)
		}
	}
	return l
}

// String returns the parameter of LIMITS, "MAILMAX=20 RCPTMAX=1000". A limit
// that is not positive is left out; one past 999,999, the most that can be
// written, is written as that.
func (l OfferedLimits) String() string {
	var dst []byte
	for _, name := range limitNames {
		n := *l.field(name)
		if n <= 0 {
			continue
		}
		if len(dst) > 0 {
			dst = append(dst, ' ')
		}
		dst = strconv.AppendInt(append(append(dst, name...), '='), int64(min(n, maxLimit)), 10)
	}
	return string(dst)
}

var limitNames = [...]string{"MAILMAX", "RCPTMAX", "RCPTDOMAINMAX"}

func (l *OfferedLimits) field(name string) *int {
	for i, field := range [...]*int{&l.MailMax, &l.RcptMax, &l.RcptDomainMax} {
		if equalFold(name, limitNames[i]) {
			return field
		}
	}
	return nil
}
