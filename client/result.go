package client

import (
	"errors"
	"iter"

	"github.com/postrider/postrider/smtp"
)

// A Result says what became of a message, recipient by recipient.
type Result struct {
	Recipients []RecipientResult // in the envelope's order
}

// A RecipientResult says what became of a message for one recipient.
type RecipientResult struct {
	To    smtp.ForwardPath // as it stands in the envelope
	Reply smtp.Reply       // the reply that decided; zero if none did
	Err   error            // nil: the server has taken responsibility. Else *smtp.Error, *ConnError, *ContentError, ErrOther, ErrLimit, …
	Host  string           // who said it: the server's name as it was dialled; "" if none was reached
	Addr  string           // and its network address
	// Server is what the server had said and proved before. Nil if none was ready
	// for MAIL. It must not be changed.
	Server *ServerInfo
}

// ErrOther is the error of a recipient that was accepted and whose message was
// then not sent, because AllOrNothing is set and another recipient was refused.
var ErrOther = errors.New("not sent: another recipient was refused")

// Delivered reports whether the server has taken the message for this recipient.
func (r *RecipientResult) Delivered() bool { return r.Err == nil }

// Unknown reports whether the server may have taken the message; see ErrUnknown.
func (r *RecipientResult) Unknown() bool { return errors.Is(r.Err, ErrUnknown) }

// Temporary reports whether sending again may succeed for this recipient. It is
// false if the outcome is unknown: ask Unknown first.
func (r *RecipientResult) Temporary() bool { return r.Err != nil && temporary(r.Err) }

// Delivered counts the recipients for which the server has taken the message.
func (r *Result) Delivered() int {
	n := 0
	for i := range r.Recipients {
		if r.Recipients[i].Err == nil {
			n++
		}
	}
	return n
}

// Failed yields the recipients for which the server has not taken the message, as
// far as is known.
func (r *Result) Failed() iter.Seq[*RecipientResult] {
	return func(yield func(*RecipientResult) bool) {
		for i := range r.Recipients {
			if rr := &r.Recipients[i]; rr.Err != nil && !yield(rr) {
				return
			}
		}
	}
}

// Unknown reports whether the outcome is unknown for a recipient.
func (r *Result) Unknown() bool {
	for i := range r.Recipients {
		if r.Recipients[i].Unknown() {
			return true
		}
	}
	return false
}

func newResult(env *smtp.Envelope) *Result {
	var r *Result
	if len(env.Recipients) == 1 { // one allocation for both
		one := new(struct {
			Result
			recipients [1]RecipientResult
		})
		r = &one.Result
		r.Recipients = one.recipients[:]
	} else {
		r = &Result{Recipients: make([]RecipientResult, len(env.Recipients))}
	}
	for i := range r.Recipients {
		r.Recipients[i] = RecipientResult{To: env.Recipients[i].To, Err: errUndecided}
	}
	return r
}

// errUndecided stands in a Result while nothing is known yet.
var errUndecided = errors.New("undecided")

// undecided sets the outcome of every recipient that has none.
func (r *Result) undecided(err error) {
	if err == nil {
		return
	}
	for i := range r.Recipients {
		r.Recipients[i].decide(err)
	}
}

// decide sets the outcome if there is none.
func (r *RecipientResult) decide(err error) {
	if r.Err != errUndecided {
		return
	}
	r.Err = err
	var refused *smtp.Error
	if errors.As(err, &refused) {
		r.Reply = refused.Reply
	}
}

// settled reports whether every recipient has an outcome.
func (r *Result) settled() bool {
	for i := range r.Recipients {
		if r.Recipients[i].Err == errUndecided {
			return false
		}
	}
	return true
}

// err returns the error of Send: nil if something was delivered. Of several it
// holds one that may pass, since the whole may then be tried again.
func (r *Result) err() error {
	var first *RecipientResult
	for i := range r.Recipients {
		rr := &r.Recipients[i]
		switch {
		case rr.Err == nil:
			return nil
		case first == nil, rank(rr) > rank(first):
			first = rr
		}
	}
	if first == nil {
		return nil
	}
	more := 0
	for i := range r.Recipients {
		if r.Recipients[i].Err != first.Err {
			more++
		}
	}
	return &SendError{Host: first.Host, Addr: first.Addr, Err: first.Err, More: more}
}

// rank orders the outcomes by how much the caller must know of them.
func rank(r *RecipientResult) int {
	switch {
	case r.Unknown():
		return 3
	case r.Err == ErrOther:
		return 0
	case r.Temporary():
		return 2
	}
	return 1
}
