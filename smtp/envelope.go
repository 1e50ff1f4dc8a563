package smtp

import (
	"errors"
	"fmt"
)

// Envelope is what MAIL and RCPT carry: where failures go, where the message
// goes, and the parameters of both (RFC 5321 §2.3.1).
type Envelope struct {
	From       ReversePath // zero: the null reverse-path
	MailParams MailParams
	Recipients []Recipient
}

// Recipient is one forward-path with its parameters.
type Recipient struct {
	To         ForwardPath
	RcptParams RcptParams
}

// NewEnvelope returns the envelope of the plain case. From "" or "<>" is the
// null reverse-path; addresses may stand in angle brackets. The error wraps a
// *SyntaxError and names the address.
func NewEnvelope(from string, to ...string) (Envelope, error) {
	var e Envelope
	if from != "" {
		p, err := ParseReversePath(from)
		if err != nil {
			return Envelope{}, fmt.Errorf("smtp: reverse-path %q: %w", from, err)
		}
		e.From = p
	}
	e.Recipients = make([]Recipient, len(to))
	for i, s := range to {
		p, err := ParseForwardPath(s)
		if err != nil {
			return Envelope{}, fmt.Errorf("smtp: forward-path %q: %w", s, err)
		}
		e.Recipients[i].To = p
	}
	return e, nil
}

// NeedsUTF8 reports whether an address is not ASCII, so that the message can
// travel only to a server that offers SMTPUTF8 (RFC 6531 §3.2).
func (e *Envelope) NeedsUTF8() bool {
	if !e.From.IsASCII() {
		return true
	}
	for i := range e.Recipients {
		if !e.Recipients[i].To.IsASCII() {
			return true
		}
	}
	return false
}

// Validate reports the first thing in e that cannot be sent: an address or a
// parameter with an octet or a length that the grammar does not allow, or no
// recipient at all. A nil result means that nothing in e can break out of its
// command line.
func (e *Envelope) Validate() error {
	if err := e.From.Validate(); err != nil {
		return fmt.Errorf("reverse-path: %w", err)
	}
	if err := e.MailParams.Validate(); err != nil {
		return err
	}
	if len(e.Recipients) == 0 {
		return errors.New("smtp: the envelope has no recipient")
	}
	for i := range e.Recipients {
		r := &e.Recipients[i]
		if err := r.To.Validate(); err != nil {
			return fmt.Errorf("recipient %d: %w", i, err)
		}
		if err := r.RcptParams.Validate(); err != nil {
			return fmt.Errorf("recipient %d: %w", i, err)
		}
	}
	return nil
}
