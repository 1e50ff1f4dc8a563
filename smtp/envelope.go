package smtp

import "strconv"

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
			return Envelope{}, at("reverse-path "+strconv.Quote(from), err)
		}
		e.From = p
	}
	e.Recipients = make([]Recipient, len(to))
	for i, s := range to {
		p, err := ParseForwardPath(s)
		if err != nil {
			return Envelope{}, at("forward-path "+strconv.Quote(s), err)
		}
		e.Recipients[i].To = p
	}
	return e, nil
}

// NeedsUTF8 reports whether an address or a parameter in Other is not ASCII, so
// that the message can travel only to a server that offers SMTPUTF8 (RFC 6531
// §3.2). An original recipient is sent in ASCII and needs nothing.
func (e *Envelope) NeedsUTF8() bool {
	if !e.From.IsASCII() || !isASCIIParams(e.MailParams.Other) {
		return true
	}
	for i := range e.Recipients {
		r := &e.Recipients[i]
		if !r.To.IsASCII() || !isASCIIParams(r.RcptParams.Other) {
			return true
		}
	}
	return false
}

func isASCIIParams(params []Param) bool {
	for _, p := range params {
		if !isASCII(p.Value) {
			return false
		}
	}
	return true
}

// Validate reports the first thing in e that cannot be sent: an address or a
// parameter with an octet or a length that the grammar does not allow, or no
// recipient at all. A nil result means that nothing in e can break out of its
// command line. The error wraps a *SyntaxError and names what is at fault.
func (e *Envelope) Validate() error {
	if err := e.From.Validate(); err != nil {
		return at("reverse-path", err)
	}
	if err := e.MailParams.Validate(); err != nil {
		return err
	}
	if len(e.Recipients) == 0 {
		return badValue(-1, "the envelope has no recipient")
	}
	for i := range e.Recipients {
		r := &e.Recipients[i]
		err := r.To.Validate()
		if err == nil {
			err = r.RcptParams.Validate()
		}
		if err != nil {
			return at("recipient "+strconv.Itoa(i), err)
		}
	}
	return nil
}

// atError says which part of an envelope a *SyntaxError is about.
type atError struct {
	where string
	err   *SyntaxError
}

func at(where string, err error) error { return &atError{where, err.(*SyntaxError)} }

func (e *atError) Error() string { return "smtp: " + e.where + ": " + e.err.text() }

func (e *atError) Unwrap() error { return e.err }
