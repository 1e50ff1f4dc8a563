package smtp

import (
	"strconv"
	"strings"
	"time"
)

// DeliverBy is the value of BY=: how soon a message must be delivered and what
// is to happen when it is not (RFC 2852 §4). The zero value asks for nothing.
//
// The time counts from the MAIL command. A relay sends what is left of it
// (§4.1.4): by.Within -= time.Since(received).
type DeliverBy struct {
	// Within is the time that is left. On the wire it has whole seconds, what is
	// more is cut off, and at most 999,999,999 of them. With DeliverNotify it may
	// be zero or negative: the time was over so long ago.
	Within time.Duration

	// Mode says what happens when the time is over. If zero, BY= is not given.
	Mode DeliverMode

	// Trace asks every relay for a "relayed" notification.
	Trace bool
}

// DeliverMode is what to do with a message that is not delivered in time.
type DeliverMode byte

// The values of DeliverMode (RFC 2852 §4).
const (
	DeliverReturn DeliverMode = 'R' // return it to the sender
	DeliverNotify DeliverMode = 'N' // notify the sender and go on trying
)

// IsZero reports whether nothing is asked for.
func (d DeliverBy) IsZero() bool { return d == DeliverBy{} }

// String returns the value as it is sent, "120;R", and "" for what cannot be
// sent.
func (d DeliverBy) String() string {
	if d.IsZero() || d.check() != "" {
		return ""
	}
	return string(d.appendTo(nil))
}

// DeliverByMin returns the shortest time that the server takes with
// DeliverReturn, and whether it offers DELIVERBY. A time of 0 means that none
// was announced (RFC 2852 §3).
func (o Offers) DeliverByMin() (time.Duration, bool) {
	s, ok := o[ExtDeliverBy]
	s, _, _ = strings.Cut(s, ",")
	n, _ := deltaSeconds(s)
	return time.Duration(n) * time.Second, ok
}

// fitsBy: less than the minimum is a permanent failure, 55z (§3).
func fitsBy(o Offers, p *MailParams) error {
	if min, _ := o.DeliverByMin(); p.By.Mode == DeliverReturn && p.By.Within < min {
		return &SyntaxError{Code: CodeUnknownParameter, Enhanced: enhBadArgument, Reason: "time of BY is less than the minimum offered"}
	}
	return nil
}

const maxDelta = 999_999_999 // seconds

func (d DeliverBy) check() string {
	if d.IsZero() {
		return ""
	}
	n := d.seconds()
	switch {
	case d.Mode != DeliverReturn && d.Mode != DeliverNotify:
		return "BY has an unknown mode"
	case n > maxDelta || n < -maxDelta:
		return "BY is longer than 999999999 seconds"
	case d.Mode == DeliverReturn && n < 1:
		return "BY with the mode R is not a second or more"
	}
	return ""
}

// seconds is never more than what is left.
func (d DeliverBy) seconds() int64 {
	n := int64(d.Within / time.Second)
	if d.Within%time.Second < 0 {
		n--
	}
	return n
}

func (d DeliverBy) appendTo(dst []byte) []byte {
	dst = append(strconv.AppendInt(dst, d.seconds(), 10), ';', byte(d.Mode))
	if d.Trace {
		dst = append(dst, 'T')
	}
	return dst
}

// by-value = by-time ";" by-mode [by-trace], RFC 2852 §4
func parseBy(p *MailParams, value string) error {
	digits, mode, ok := strings.Cut(value, ";")
	if !ok {
		return badValue(len(digits), "BY has no mode")
	}
	var d DeliverBy
	negative := digits != "" && digits[0] == '-'
	if negative || digits != "" && digits[0] == '+' {
		digits = digits[1:]
	}
	n, ok := deltaSeconds(digits)
	if !ok {
		return badValue(0, "BY is not a number of at most 9 digits")
	}
	if negative {
		n = -n
	}
	d.Within = time.Duration(n) * time.Second
	switch len(mode) {
	case 2:
		if upper(mode[1]) != 'T' {
			return badValue(len(value)-1, "only T may follow the mode of BY")
		}
		d.Trace = true
		fallthrough
	case 1:
		d.Mode = DeliverMode(upper(mode[0]))
	}
	if d.Mode != DeliverReturn && d.Mode != DeliverNotify {
		return badValue(len(value)-len(mode), "mode of BY is neither N nor R")
	}
	if d.Mode == DeliverReturn && n < 1 {
		return badValue(0, "BY with the mode R is not a second or more") // §4
	}
	p.By = d
	return nil
}

func appendBy(dst []byte, p *MailParams) []byte {
	if p.By.IsZero() || p.By.check() != "" {
		return dst
	}
	return p.By.appendTo(append(dst, " BY="...))
}

// dropBy: with the mode N a message may go to a server without the extension;
// with R it must not (§4.1.4).
func dropBy(p *MailParams) {
	if p.By.Mode == DeliverNotify {
		p.By = DeliverBy{}
	}
}

// deltaSeconds = 1*9DIGIT
func deltaSeconds(s string) (n int64, ok bool) {
	if len(s) > 9 {
		return 0, false
	}
	return decimal(s)
}
