package client

import (
	"context"
	"errors"
	"io"
	"maps"
	"time"

	"github.com/postrider/postrider/smtp"
)

// A transaction is one message on its way, to some of its recipients after the
// other if there must be more than one mail transaction.
type transaction struct {
	ctx       context.Context
	env       smtp.Envelope
	content   smtp.Content
	body      io.ReadCloser // opened before anything is sent
	look      counter
	sized     sizedWriter
	kind      smtp.Kind // of the content; KindBareLineEnd only if a line end within is not CRLF
	dotless   bool      // no line of the content begins with a dot, and it is memory
	needsEnd  bool      // the last line of the content lacks its CRLF
	result    *Result
	began     *time.Time // when BY= began to run; nil without it
	redialled bool       // the present mail transaction has gone again once
	parts     *parts     // nil if one mail transaction is for all recipients

	progress
}

// progress is how far a mail transaction has come on its connection.
type progress struct {
	plan      plan
	reused    bool        // the connection had carried a message before
	step      int         // the command to write next
	answered  int         // the command whose reply is to be read next
	mail      *smtp.Error // why MAIL was refused
	data      *smtp.Error // why DATA was refused
	ready     bool        // the server waits for data
	accepted  int         // recipients
	consumed  bool        // body has been read from
	sent      bool        // the last octet of the message was written
	delivered int         // recipients
}

// Send sends one message and says what became of it for each recipient. The
// error is nil if it was delivered to one at least, and else a *SendError. A
// content that was not examined is looked at first, and what the server cannot
// take is refused before anything is sent. Hello must have succeeded. More
// recipients than the server takes in one transaction have several, as those of
// Client.Send have; those for whom the connection has no room have ErrLimit.
// A transaction that Mail has begun is ended by RSET.
func (c *Conn) Send(ctx context.Context, env smtp.Envelope, content smtp.Content) (*Result, error) {
	t := &transaction{ctx: ctx, env: env, content: content}
	defer t.close()
	if err := t.prepare(); err != nil {
		return t.end(nil, err)
	}
	if err := c.enter(ctx, "MAIL"); err != nil {
		return t.end(c, err)
	}
	defer c.leave()
	err := c.deliver(t, nil, false)
	if c.forward != nil { // the server remembers it
		c.forward, c.reset = nil, true
	}
	return t.end(c, err)
}

// prepare checks the arguments, looks at the content and opens it. After an error
// t is good for end only.
func (t *transaction) prepare() error {
	t.result = newResult(&t.env)
	if t.env.MailParams.By.Mode != 0 {
		now := time.Now()
		t.began = &now
	}
	if err := t.env.Validate(); err != nil {
		if !t.content.Reusable() {
			t.body, _ = t.content.Open() // for close: nobody else will
		}
		return localError{err}
	}
	if err := t.examine(); err != nil {
		return &ConnError{Op: opRead, Err: localError{err}}
	}
	return nil
}

const opRead = "reading the message"

// examine opens the content and learns what it needs. Of a plain reader with more
// than 64 KB only the beginning is known.
func (t *transaction) examine() (err error) {
	if t.content.Open == nil {
		return localError{errNoContent}
	}
	if !t.content.Reusable() {
		if t.content, err = t.content.Examine(); err != nil {
			return err
		}
	}
	t.kind = t.content.Kind
	if t.body, err = t.content.Open(); err != nil || !t.content.Reusable() {
		return err
	}
	if t.kind.Has(smtp.KindExamined) && !t.kind.Has(smtp.KindBareLineEnd) {
		return nil
	}
	if err := copyBody(&t.look, t.body); err != nil {
		return err
	}
	t.content.Size, t.kind = t.look.n, t.look.Kind()
	_, unchanged := t.body.(memory)
	t.dotless = unchanged && !t.look.Dots()
	if t.kind.Has(smtp.KindBareLineEnd) && !bareWithin(t.look.Examiner, 0) {
		t.kind &^= smtp.KindBareLineEnd
		t.needsEnd = true
	}
	return t.reopen()
}

// openAgain is reopen for a content whose first octets have been sent.
func (t *transaction) openAgain() error {
	if err := t.reopen(); err != nil {
		return &ConnError{Op: opRead, Err: localError{err}}
	}
	return nil
}

func (t *transaction) examined() bool { return t.kind.Has(smtp.KindExamined) }

// reopen goes back to the first octet of the content.
func (t *transaction) reopen() error {
	if s, ok := t.body.(io.Seeker); ok {
		if _, err := s.Seek(0, io.SeekStart); err == nil {
			return nil
		}
	}
	t.close()
	var err error
	t.body, err = t.content.Open()
	return err
}

func (t *transaction) close() {
	if t.body != nil {
		t.body.Close()
		t.body = nil
	}
}

// again makes t ready to do the same over another connection.
func (t *transaction) again() error {
	for i := range t.plan.rcpts {
		r := t.recipient(i)
		*r = RecipientResult{To: r.To, Err: errUndecided}
	}
	consumed := t.consumed
	t.begone()
	if !consumed {
		return nil
	}
	return t.openAgain()
}

// mayGoAgain reports whether the message may have a second connection after err.
// It may not once its last octet was written, for the server can have accepted
// it, unless MAIL itself was answered with 421.
func (t *transaction) mayGoAgain(err error) bool {
	return t.mayGoOn(err) && !(t.sent && t.mail == nil)
}

// mayGoOn reports whether recipients that the part does not have may have a second
// connection after err.
func (t *transaction) mayGoOn(err error) bool {
	var refused *smtp.Error
	down := errors.As(err, &refused) && refused.Reply.Code == smtp.CodeUnavailable
	switch {
	case t.ctx.Err() != nil, t.consumed && !t.content.Reusable():
		return false
	case t.sent && t.mail != nil:
		return down
	}
	return down || closedByPeer(err) || refused != nil && refused.Verb == smtp.RSET
}

// refused reports whether MAIL or every RCPT was refused: a connection that is
// lost then changes nothing. With 421 it is MAIL's or RCPT's own loss.
func (t *transaction) refused() bool {
	if t.mail != nil {
		return t.mail.Reply.Code != smtp.CodeUnavailable
	}
	return t.answered == t.stepData() && t.accepted == 0
}

// end gives every recipient that has no outcome yet the one that err means, says
// who it came from, and returns what Send returns. A nil c is no server.
func (t *transaction) end(c *Conn, err error) (*Result, error) {
	if rest, ok := err.(restError); ok {
		err = rest.error
	}
	if err != nil {
		t.settle(err)
		t.result.undecided(err)
	}
	if len(t.result.Recipients) == 0 {
		return t.result, &SendError{Err: err}
	}
	t.saidBy(c)
	return t.result, t.result.err()
}

// saidBy notes that the outcomes that are there, and were not before, are from the
// server on c. A nil c is no server.
func (t *transaction) saidBy(c *Conn) {
	if c == nil {
		return
	}
	for i := range t.result.Recipients {
		if r := &t.result.Recipients[i]; r.Err != errUndecided && r.Host == "" && r.Addr == "" {
			r.Host, r.Addr = c.info.Host, c.addr
			if c.greeted {
				r.Server = c.server()
			}
		}
	}
}

// deliver carries t over c, in as many mail transactions as that takes. If begun,
// the commands of the first are written. If somebody waits in q, which may be nil,
// his envelope goes behind the data of the last. A restError means that what is
// left may go over another connection.
func (c *Conn) deliver(t *transaction, q *queue, begun bool) error {
	forward := c.forward
	for ; ; begun = false {
		if !begun {
			if err := c.begin(t); err != nil {
				return err
			}
		}
		if err := c.run(t, q); err != nil {
			return err
		}
		if more, err := t.next(); !more {
			return err
		}
		if err := c.another(t, q, forward); err != nil {
			return err
		}
	}
}

// begin decides how t goes over c.
func (c *Conn) begin(t *transaction) error {
	known := maps.Clone(c.domains)
	err := c.decideHow(t)
	if err != nil && c.leaveOut(t) {
		c.domains = maps.Clone(known)
		err = c.decideHow(t)
	}
	if err != nil {
		c.domains = known // the server hears of no other
		return err
	}
	t.reused = c.messages > 0
	if !c.reset && !c.begun {
		t.step, t.answered = stepMail, stepMail
	}
	c.reset, c.begun = false, false
	return nil
}

// run carries t on from the command that was written last. If somebody waits in
// q, which may be nil, his envelope goes behind the data.
func (c *Conn) run(t *transaction, q *queue) error {
	c.messages++
	if err := c.envelope(t); err != nil && !t.refused() {
		return err
	}
	refused := t.mail
	if refused == nil {
		refused = t.data
	}
	switch {
	case t.plan.together && t.sent:
		if t.mail == nil && t.accepted > 0 {
			return c.decide(t)
		}
		// Servers are deployed that now run the message as commands.
		c.fail("BDAT", errDiscarded)
	case t.ready && (t.mail != nil || t.accepted == 0):
		c.noData()
	case t.mail != nil || t.accepted == 0 || t.data != nil:
		c.reset = t.mail == nil || t.accepted > 0
	case c.cfg.AllOrNothing && t.accepted < len(t.plan.rcpts):
		c.reset = true
		t.result.undecided(ErrOther)
	default:
		if t.more() {
			q = nil
		}
		if err := c.body(t, q); err != nil {
			return err
		}
		return c.decide(t)
	}
	if t.mail != nil || t.data != nil && t.accepted > 0 {
		t.result.undecided(refused) // whoever it is for
	}
	return nil
}

var errDiscarded = errors.New("closed because the message was written before its envelope was refused")
