package client

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/smtp"
)

// A message goes to a server in as many mail transactions, and over as many
// connections, as the limits of the server ask for: those that it announces
// (RFC 9422), and those that it tells by 452 (RFC 5321 §4.5.3.1.10). Each
// transaction has a part of the recipients.

// ErrLimit is what errors.Is finds in the error of a recipient that was left out
// because the server takes no more of them in one transaction, and the message
// could not have another: its content can be read only once, or, with Conn.Send,
// the connection has carried what it may. Sending to these recipients again may
// succeed.
var ErrLimit = errors.New("a limit of the server")

// limitError says which limit it is.
type limitError string

func (e limitError) Error() string        { return string(e) }
func (e limitError) Is(target error) bool { return target == ErrLimit }

// A restError says that the recipients without an outcome need another
// connection, and why.
type restError struct{ error }

func (e restError) Unwrap() error { return e.error }

// parts is what is to be known of a message that may take more than one mail
// transaction. The first three are of the present one.
type parts struct {
	which []int              // the places of its recipients in the envelope
	over  []*RecipientResult // those of them that were too many
	full  bool               // the server has said that it takes no more
	left  int                // recipients that have no outcome, and no place in it
	most  int                // how many the server took when it took no more; 0 if unknown
}

// choose puts into the plan those of the recipients without an outcome that the
// next transaction on c may have.
func (c *Conn) choose(t *transaction) error {
	if most := c.limits.MailMax; most > 0 && c.messages >= most { // RFC 9422 §4.1
		return c.exhausted("the server takes no more than ", most, " transactions over a connection")
	}
	all, most, domains := t.env.Recipients, c.limits.RcptMax, c.limits.RcptDomainMax // RFC 9422 §4.2, §4.3
	if t.parts == nil && (most == 0 || len(all) <= most) && domains == 0 {
		t.plan.rcpts = all
		return nil
	}
	p := t.inParts()
	if p.most > 0 && (most == 0 || p.most < most) {
		most = p.most
	}
	p.which, p.left = nil, 0
	for i := range t.result.Recipients {
		switch {
		case t.result.Recipients[i].Err != errUndecided:
		case most > 0 && len(p.which) == most, !c.mayName(&all[i].To):
			p.left++
		default:
			p.which = append(p.which, i)
			t.plan.rcpts = append(t.plan.rcpts, all[i])
		}
	}
	switch {
	case p.left > 0 && c.cfg.AllOrNothing && (most > 0 && len(all) > most || domains > 0 && len(domainsOf(all)) > domains):
		return &ContentError{smtp.ExtLimits, "there are more recipients than the server takes in one transaction, " +
			"and it is to be all or nothing", tooManyRcpts}
	case p.left > 0 && c.cfg.AllOrNothing, len(p.which) == 0:
		return c.exhausted("the server takes no more than ", domains, " recipient domains over a connection")
	}
	return nil
}

// leaveOut settles the recipients whose addresses this server cannot be told of
// without SMTPUTF8, and those whose parameters it does not know. It reports whether
// that makes a difference for others.
func (c *Conn) leaveOut(t *transaction) bool {
	if c.cfg.AllOrNothing {
		return false
	}
	out := map[int]error{}
	undecided := 0
	for i := range t.env.Recipients {
		if t.result.Recipients[i].Err != errUndecided {
			continue
		}
		undecided++
		one := smtp.Envelope{Recipients: t.env.Recipients[i : i+1]}
		p := plan{rcpts: one.Recipients}
		err := p.internationalize(c.offers, &one, 0)
		if err == nil {
			err = c.mayAskOf(one.Recipients[0].RcptParams)
		}
		if err != nil {
			out[i] = err
		}
	}
	if len(out) == 0 || len(out) == undecided {
		return false
	}
	for i, err := range out {
		t.result.Recipients[i].decide(err)
	}
	t.inParts()
	return true
}

// inParts makes t one that may take several mail transactions.
func (t *transaction) inParts() *parts {
	if t.parts == nil {
		t.parts = new(parts)
	}
	return t.parts
}

// exhausted says that c may carry no more of this, and sees to it that it is not
// kept for later.
func (c *Conn) exhausted(before string, n int, after string) error {
	c.noRoom = true
	return restError{limitError("not sent: " + before + strconv.Itoa(n) + after)}
}

// mayName reports whether a RCPT with the domain of to is within RCPTDOMAINMAX,
// which counts domains over the whole session (RFC 9422 §4.3), and counts it.
func (c *Conn) mayName(to *smtp.ForwardPath) bool {
	if c.limits.RcptDomainMax == 0 {
		return true
	}
	domain := strings.ToLower(to.Domain)
	if _, known := c.domains[domain]; known {
		return true
	}
	if len(c.domains) >= c.limits.RcptDomainMax {
		return false
	}
	if c.domains == nil {
		c.domains = make(map[string]struct{})
	}
	c.domains[domain] = struct{}{}
	return true
}

func domainsOf(rcpts []smtp.Recipient) map[string]struct{} {
	set := make(map[string]struct{})
	for i := range rcpts {
		set[strings.ToLower(rcpts[i].To.Domain)] = struct{}{}
	}
	return set
}

// refuseRcpt records a negative reply to the RCPT of recipient i of the part. One
// that says "too many recipients" is remembered: the recipient may have the next
// transaction.
func (t *transaction) refuseRcpt(i int, refused *smtp.Error) {
	r := t.recipient(i)
	r.Reply, r.Err = refused.Reply, refused
	yes, sure := tooMany(refused.Reply)
	if !yes || t.accepted == 0 {
		return
	}
	p := t.inParts()
	p.over = append(p.over, r)
	if sure && !p.full {
		p.full, p.most = true, t.accepted // who is not named yet, is not in this transaction
	}
	if refused.Reply.Code == smtp.CodeTooBig {
		r.Err = limitError("not sent: the server takes no more recipients: " + refused.Reply.String()) // §4.5.3.1.10
	}
}

// tooMany reports whether a reply to RCPT, after others were accepted, says that
// there are too many recipients; without an enhanced status code it may as well
// be about the mailbox.
func tooMany(reply smtp.Reply) (yes, sure bool) {
	old := reply.Code == smtp.CodeTooBig // RFC 821's code for it
	sure = reply.Enhanced == smtp.Enh(5, 3) && (reply.Temporary() || old)
	return sure || reply.Enhanced.IsZero() && (old || reply.Code == smtp.CodeNoStorage), sure
}

// cutOff takes the recipients that were not named yet out of the transaction.
func (t *transaction) cutOff() {
	n := t.step - stepRcpt
	if n >= len(t.plan.rcpts) {
		return
	}
	t.parts.left += len(t.plan.rcpts) - n
	t.plan.rcpts = t.plan.rcpts[:n]
}

// more reports whether there will be recipients for a further transaction.
func (t *transaction) more() bool {
	return t.parts != nil && (t.parts.left > 0 || len(t.parts.over) > 0)
}

// next makes t ready for a further transaction, if recipients are left to whom
// the last one gives hope; each one delivers to somebody or settles what it was
// for, so that there is an end.
func (t *transaction) next() (more bool, err error) {
	if !t.more() {
		return false, nil
	}
	if t.delivered > 0 && (t.content.Reusable() || !t.consumed) {
		for _, r := range t.parts.over {
			*r = RecipientResult{To: r.To, Err: errUndecided}
		}
	}
	if t.result.settled() {
		return false, nil
	}
	consumed := t.consumed
	t.begone()
	t.redialled = false
	switch {
	case !consumed:
		return true, nil
	case !t.content.Reusable():
		return false, limitError("not sent: the server takes no more recipients in one transaction, and the content can be read only once")
	}
	return true, t.openAgain()
}

// begone forgets the mail transaction that was made or tried.
func (t *transaction) begone() {
	t.progress = progress{}
	if t.parts != nil {
		t.parts.over, t.parts.full = nil, false
	}
}

// another sees to it that c may carry a further transaction of t, now.
func (c *Conn) another(t *transaction, q *queue, forward []smtp.XForward) error {
	switch {
	case c.dead != nil:
		return restError{c.dead}
	case q == nil:
		return c.forwardAgain(forward)
	case q.spent(c, time.Now()):
		return restError{limitError("not sent: the connection has carried enough")}
	}
	_, err := q.pace(t.ctx)
	return err
}

// recipient is the result of recipient i of the part.
func (t *transaction) recipient(i int) *RecipientResult {
	if t.parts != nil && t.parts.which != nil {
		i = t.parts.which[i]
	}
	return &t.result.Recipients[i]
}

// settle gives every recipient of the part that has no outcome the one that err
// means: if the whole message was written, nobody knows.
func (t *transaction) settle(err error) {
	if t.sent && t.mail == nil {
		lost := &ConnError{Op: opEnd, Err: err, Unknown: true}
		if e, ok := err.(*ConnError); ok {
			lost.Op, lost.Err = e.Op, e.Err
		}
		err = lost
	}
	for i := range t.plan.rcpts {
		t.recipient(i).decide(err)
	}
}
