package client

import (
	"context"
	"errors"
	"io"

	"github.com/postrider/postrider/smtp"
)

// A transaction is one message on its way over one connection, or over a second
// one if the first proves to be gone.
type transaction struct {
	ctx      context.Context
	env      smtp.Envelope
	content  smtp.Content
	body     io.ReadCloser // opened before anything is sent
	look     counter
	sized    sizedWriter
	kind     smtp.Kind // of the content; KindBareLineEnd only if a line end within is not CRLF
	needsEnd bool      // the last line of the content lacks its CRLF
	result   *Result

	progress
}

// progress is how far a transaction has come on its connection.
type progress struct {
	plan     plan
	step     int         // the command to write next
	answered int         // the command whose reply is to be read next
	mail     *smtp.Error // why MAIL was refused
	data     *smtp.Error // why DATA was refused
	ready    bool        // the server waits for data
	accepted int         // recipients
	consumed bool        // body has been read from
	sent     bool        // the last octet of the message was written
}

// Send sends one message and says what became of it for each recipient. The
// error is nil if it was delivered to one at least, and else a *SendError. A
// content that was not examined is looked at first, and what the server cannot
// take is refused before anything is sent. Hello must have succeeded.
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
	err := c.begin(t)
	if err == nil {
		err = c.run(t, nil)
	}
	return t.end(c, err)
}

// prepare checks the arguments, looks at the content and opens it. After an error
// t is good for end only.
func (t *transaction) prepare() error {
	t.result = newResult(&t.env)
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
	if t.kind.Has(smtp.KindBareLineEnd) && !bareWithin(t.look.Examiner, 0) {
		t.kind &^= smtp.KindBareLineEnd
		t.needsEnd = true
	}
	return t.reopen()
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

// again makes t ready for another connection.
func (t *transaction) again() error {
	consumed := t.consumed
	t.progress = progress{}
	for i := range t.result.Recipients {
		t.result.Recipients[i] = RecipientResult{To: t.env.Recipients[i].To, Err: errUndecided}
	}
	if !consumed {
		return nil
	}
	if err := t.reopen(); err != nil {
		return &ConnError{Op: opRead, Err: localError{err}}
	}
	return nil
}

// mayGoAgain reports whether the message may have a second connection after err.
// It may not once its last octet was written, for the server can have accepted
// it, unless MAIL itself was answered with 421.
func (t *transaction) mayGoAgain(err error) bool {
	var refused *smtp.Error
	down := errors.As(err, &refused) && refused.Reply.Code == smtp.CodeUnavailable
	switch {
	case t.ctx.Err() != nil, t.consumed && !t.content.Reusable():
		return false
	case t.sent:
		return down && t.mail != nil
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
	if err != nil && t.sent && t.mail == nil {
		lost := &ConnError{Op: opEnd, Err: err, Unknown: true}
		if e, ok := err.(*ConnError); ok {
			lost.Op, lost.Err = e.Op, e.Err
		}
		err = lost
	}
	t.result.undecided(err)
	if len(t.result.Recipients) == 0 {
		return t.result, &SendError{Err: err}
	}
	for i := range t.result.Recipients {
		if c != nil {
			t.result.Recipients[i].Host, t.result.Recipients[i].Addr = c.info.Host, c.addr
		}
	}
	return t.result, t.result.err()
}

// begin decides how t goes over c.
func (c *Conn) begin(t *transaction) error {
	if err := c.decideHow(t); err != nil {
		return err
	}
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
		if err := c.body(t, q); err != nil {
			return err
		}
		return c.decide(t)
	}
	if refused != nil {
		t.result.undecided(refused)
	}
	return nil
}

var errDiscarded = errors.New("closed because the message was written before its envelope was refused")
