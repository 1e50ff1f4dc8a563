package smtp

import (
	"strings"
	"time"
)

// RRVS is the value of RRVS= on RCPT: the mailbox must have had the same owner
// since then (RFC 7293 §3.1). The zero value asks for nothing.
type RRVS struct {
	Since  time.Time  // sent in UTC and rounded up to a second
	Action RRVSAction // for a next server without RRVS. If zero, not given, which means RRVSReject.
}

// RRVSAction says what a relay does when the next server does not offer RRVS.
type RRVSAction byte

// The values of RRVSAction (RFC 7293 §3.1).
const (
	RRVSReject   RRVSAction = 'R' // return the message
	RRVSContinue RRVSAction = 'C' // relay it without the protection
)

// String returns the value as it is sent, "2014-04-03T23:01:00Z;C", and "" for
// nil and for what cannot be sent.
func (r *RRVS) String() string {
	if r == nil || r.check() != "" {
		return ""
	}
	return string(r.appendTo(nil))
}

func (r *RRVS) check() string {
	switch {
	case r == nil:
		return ""
	case !isDate(wholeSeconds(r.Since)):
		return "RRVS is out of range"
	case r.Action != 0 && r.Action != RRVSReject && r.Action != RRVSContinue:
		return "RRVS has an unknown action"
	}
	return ""
}

func (r *RRVS) appendTo(dst []byte) []byte {
	dst = appendDateTime(dst, r.Since)
	if r.Action != 0 {
		dst = append(dst, ';', byte(r.Action))
	}
	return dst
}

// rrvs-param = "RRVS=" date-time [ ";" ( "C" / "R" ) ], RFC 7293 §3.1
func parseRRVS(p *RcptParams, value string) error {
	date, action, more := strings.Cut(value, ";")
	t, _, fraction, ok := dateTime(date)
	switch {
	case !ok:
		return badValue(0, "RRVS is not a date and time")
	case fraction:
		return badValue(dateTimeLen-1, "RRVS has a fraction of a second") // §3.1
	}
	r := &RRVS{Since: t}
	if more {
		if len(action) == 1 {
			r.Action = RRVSAction(upper(action[0]))
		}
		if r.Action != RRVSReject && r.Action != RRVSContinue {
			return badValue(len(date)+1, "action of RRVS is neither C nor R")
		}
	}
	p.RRVS = r
	return nil
}

func appendRRVS(dst []byte, p *RcptParams) []byte {
	if p.RRVS == nil || p.RRVS.check() != "" {
		return dst
	}
	return p.RRVS.appendTo(append(dst, " RRVS="...))
}

// dropRRVS: only a sender who said "C" lets the message go on (§5.1.1).
func dropRRVS(p *RcptParams) {
	if p.RRVS != nil && p.RRVS.Action == RRVSContinue {
		p.RRVS = nil
	}
}
