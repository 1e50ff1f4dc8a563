package smtp

import (
	"strconv"
	"strings"
	"time"
)

// Hold asks a submission server to keep a message back for a while (RFC 4865):
// HOLDFOR= or HOLDUNTIL=. At most one of the fields is set; the zero value asks
// for nothing.
type Hold struct {
	For   time.Duration // HOLDFOR=, 1 s to 999,999,999 s, a fraction of a second counts as one. If zero, not given.
	Until time.Time     // HOLDUNTIL=, sent in UTC and rounded up to a second. If zero, not given.
}

// IsZero reports whether nothing is asked for.
func (h Hold) IsZero() bool { return h.For == 0 && h.Until.IsZero() }

// At returns when the message may be released at the earliest, for a MAIL
// command at the time now: now itself when nothing is asked for.
func (h Hold) At(now time.Time) time.Time {
	switch {
	case h.For != 0:
		return now.Add(h.For)
	case !h.Until.IsZero():
		return h.Until
	}
	return now
}

// HoldOutlastsBy reports whether, with a MAIL command at the time now, the
// message would be released only after the time of BY. A server refuses it with
// 501 (RFC 4865 §5.2.2); ParseMail does so for HOLDFOR, which needs no clock.
func (p *MailParams) HoldOutlastsBy(now time.Time) bool {
	return !p.Hold.IsZero() && p.By.Mode != 0 && p.Hold.At(now).After(now.Add(p.By.Within))
}

// FutureRelease returns how long and until when the server holds a message, and
// whether it offers FUTURERELEASE (RFC 4865 §3). What was not announced as the
// RFC asks is zero.
func (o Offers) FutureRelease() (maxInterval time.Duration, maxDate time.Time, ok bool) {
	s, ok := o[ExtFutureRelease]
	interval, date, _ := strings.Cut(s, " ")
	if n, isNumber := deltaSeconds(interval); isNumber {
		maxInterval = time.Duration(n) * time.Second
	}
	if t, _, _, isDate := dateTime(strings.Trim(date, " ")); isDate {
		maxDate = t
	}
	return maxInterval, maxDate, ok
}

func (h Hold) check() string {
	switch {
	case h.For != 0 && !h.Until.IsZero():
		return "HOLDFOR and HOLDUNTIL exclude each other" // §4.1
	case h.For < 0 || h.seconds() > maxDelta:
		return "HOLDFOR is not from 1 to 999999999 seconds"
	case !h.Until.IsZero() && !isDate(wholeSeconds(h.Until)):
		return "HOLDUNTIL is out of range"
	}
	return ""
}

// seconds is never less than what is asked for.
func (h Hold) seconds() int64 {
	n := int64(h.For / time.Second)
	if h.For%time.Second > 0 {
		n++
	}
	return n
}

func fitsHold(o Offers, p *MailParams) error {
	interval, date, _ := o.FutureRelease()
	switch {
	case interval > 0 && p.Hold.For > interval:
		return badValue(0, "HOLDFOR is more than is offered") // §4.1, §4.2
	case !date.IsZero() && p.Hold.Until.After(date):
		return badValue(0, "HOLDUNTIL is later than is offered") // §4.1, §4.2
	}
	return nil
}

// future-release-integer = %x31-39 *8DIGIT, RFC 4865 §3
func parseHoldFor(p *MailParams, value string) error {
	n, ok := deltaSeconds(value)
	if !ok || value[0] == '0' {
		return badValue(0, "HOLDFOR is not from 1 to 999999999 seconds")
	}
	if !p.Hold.IsZero() {
		return badValue(0, "HOLDFOR and HOLDUNTIL exclude each other") // §4.2
	}
	p.Hold.For = time.Duration(n) * time.Second
	return nil
}

// future-release-date-time = date-time, RFC 4865 §3 as erratum 2040 corrects it;
// the text asks for UTC
func parseHoldUntil(p *MailParams, value string) error {
	t, offset, _, ok := dateTime(value)
	switch {
	case !ok:
		return badValue(0, "HOLDUNTIL is not a date and time")
	case offset != "Z" && offset != "z" && offset[1:] != "00:00":
		return badValue(len(value)-len(offset), "HOLDUNTIL is not in UTC")
	case !p.Hold.IsZero():
		return badValue(0, "HOLDFOR and HOLDUNTIL exclude each other") // §4.2
	}
	p.Hold.Until = t
	return nil
}

func appendHoldFor(dst []byte, p *MailParams) []byte {
	if p.Hold.For == 0 || p.Hold.check() != "" {
		return dst
	}
	return strconv.AppendInt(append(dst, " HOLDFOR="...), p.Hold.seconds(), 10)
}

func appendHoldUntil(dst []byte, p *MailParams) []byte {
	if p.Hold.Until.IsZero() || p.Hold.check() != "" {
		return dst
	}
	return appendDateTime(append(dst, " HOLDUNTIL="...), p.Hold.Until)
}
