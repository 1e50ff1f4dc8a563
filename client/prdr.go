package client

import (
	"github.com/postrider/postrider/internal/wire"
	"github.com/postrider/postrider/smtp"
)

// expectEnd reads what decides on a message for n accepted recipients: one reply,
// or, if MAIL has said PRDR and the server likes, 353, one reply for each of them
// and the one that decides on all (draft-hall-prdr-00 §4.5). Own are those of the
// recipients; nil if the outcome of all is err.
func (c *Conn) expectEnd(verb smtp.Verb, prdr bool, n int) (reply smtp.Reply, own []smtp.Reply, err error) {
	code, raw, err := c.readReply(opEnd, c.cfg.Timeouts.DataEnd, wire.MaxReplyLines)
	if err != nil {
		return smtp.Reply{}, nil, err
	}
	if !prdr || code != codeEach || n == 0 {
		reply, err = c.outcome(opEnd, verb, code, raw)
		return reply, nil, err
	}
	own = make([]smtp.Reply, 0, n)
	for range n { // §4.5.2
		code, raw, err := c.readReply(opEnd, c.cfg.Timeouts.DataEnd, wire.MaxReplyLines)
		if err != nil {
			return smtp.Reply{}, nil, err
		}
		if code/100 == 3 || code == smtp.CodeUnavailable { // after 421 nothing follows
			reply, err = c.outcome(opEnd, verb, code, raw)
			return reply, nil, err
		}
		own = append(own, parse(raw))
	}
	if reply, err = c.expect(opEnd, verb, c.cfg.Timeouts.DataEnd); err != nil {
		own = nil // §4.6: a negative reply for all counts for all
	}
	return reply, own, err
}

// codeEach announces a reply for each recipient (draft-hall-prdr-00 §4.5.1).
const codeEach = 353

// ownOutcome returns what decides for the recipient of the first reply in own, when
// reply is positive for all: a refusal of his own, or reply (§4.6).
func ownOutcome(verb smtp.Verb, own []smtp.Reply, reply smtp.Reply) (smtp.Reply, error) {
	if own[0].Positive() {
		return reply, nil
	}
	refused := refusal(verb, own[0])
	refused.Scope = smtp.ScopeRecipient
	return own[0], refused
}
