package queue

import (
	"slices"
	"strings"

	"github.com/postrider/postrider/smtp"
)

// Match reports whether f selects the item. Limit is not looked at. It is for
// stores: for what they cannot ask their database.
func (f *Filter) Match(e *Entry) bool { return f.matchesAll(e) && f.matchesTo(e) }

// matchesAll looks at all but the recipients.
func (f *Filter) matchesAll(e *Entry) bool {
	switch {
	case len(f.Messages) > 0 && !slices.Contains(f.Messages, e.Item.Message),
		f.Destination != "" && f.Destination != e.Item.Destination,
		f.From != "" && !matchesAddress(f.From, e.Message.Envelope.From.Mailbox),
		f.Held && !e.Item.Held,
		f.Waiting && e.Item.Held,
		!f.Before.IsZero() && !e.Message.Arrived.Before(f.Before):
		return false
	}
	return true
}

func (f *Filter) matchesTo(e *Entry) bool {
	return f.To == "" || slices.ContainsFunc(e.Item.Recipients, func(r Recipient) bool {
		return matchesAddress(f.To, r.To.Mailbox)
	})
}

// matchesAddress reports whether m is the address, the domain behind an "@", or "<>".
func matchesAddress(pattern string, m smtp.Mailbox) bool {
	if pattern == "<>" {
		return m.IsZero()
	}
	local, domain := "", strings.TrimPrefix(pattern, "@")
	if domain == pattern {
		at := max(len(pattern)-len(m.Domain), 0)
		local, domain = pattern[:at], pattern[at:]
		if written := m.String(); !sameLocalPart(local, written[:len(written)-len(m.Domain)]) {
			return false
		}
	}
	return strings.EqualFold(domain, m.Domain)
}

// sameLocalPart compares local parts, with the "@" if there is one.
func sameLocalPart(a, b string) bool {
	return a == b || len(a) == len(b) && isPostmaster(a) && isPostmaster(b)
}

func isPostmaster(local string) bool {
	path := smtp.ForwardPath{Mailbox: smtp.Mailbox{Local: strings.TrimSuffix(local, "@")}}
	return path.IsPostmaster() // RFC 5321 §4.5.1
}
