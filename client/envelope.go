package client

import (
	"time"

	"github.com/postrider/postrider/internal/wire"
	"github.com/postrider/postrider/smtp"
)

// The commands of a transaction as numbers, in their order: RSET if the last
// transaction was left open, MAIL, one RCPT after the other, and DATA or, if the
// message goes together with its envelope, BDAT.
const (
	stepReset = iota
	stepMail
	stepRcpt
)

func (t *transaction) stepData() int { return stepRcpt + len(t.plan.rcpts) }

// maxGroup bounds a group of commands, in octets: it must fit into the window of
// the connection, else both sides may end up waiting for one another (RFC 2920
// §3.1).
const maxGroup = 24 << 10

// envelope writes the commands in groups, and reads the replies to each group
// before the next: with PIPELINING as many commands as fit, without one.
func (c *Conn) envelope(t *transaction) error {
	for {
		for ; t.answered < t.step && t.answered < t.lastReply(); t.answered++ {
			if err := c.answer(t); err != nil {
				return err
			}
		}
		if t.mail != nil || t.step > t.stepData() {
			return nil
		}
		if err := c.inStep("MAIL"); err != nil {
			return err
		}
		c.buf = c.appendGroup(t, c.buf[:0])
		switch {
		case len(c.buf) == 0:
			return nil
		case t.plan.together && t.step > t.stepData():
			if err := c.bodyTogether(t); err != nil {
				return err
			}
		default:
			if _, err := c.request(t.verbOf(t.answered), c.buf, len(c.buf), c.limitOf(t)); err != nil {
				return err
			}
		}
	}
}

// lastReply is the command behind the last one whose reply belongs to the
// envelope: the reply to BDAT decides on the message.
func (t *transaction) lastReply() int {
	if t.plan.together {
		return t.stepData()
	}
	return t.stepData() + 1
}

// appendGroup appends the commands that go out next; none if nothing is left to
// say before the data, or nobody is left to say it for.
func (c *Conn) appendGroup(t *transaction, dst []byte) []byte {
	if t.parts != nil && t.parts.full {
		t.cutOff()
	}
	known := t.answered == t.stepData() // what became of every recipient
	for from := len(dst); t.step <= t.stepData(); t.step++ {
		if n := len(dst) - from; n > maxGroup || n > 0 && !c.may.pipelining {
			return dst
		}
		switch {
		case t.step == stepReset:
			dst = append(dst, "RSET\r\n"...)
		case t.step == stepMail:
			dst = smtp.AppendMail(dst, t.plan.from, &t.plan.params, c.cfg.Extensions...)
		case t.step < t.stepData():
			r := &t.plan.rcpts[t.step-stepRcpt]
			dst = smtp.AppendRcpt(dst, r.To, &r.RcptParams, c.cfg.Extensions...)
		case known && t.accepted == 0, c.cfg.AllOrNothing && !(known && t.accepted == len(t.plan.rcpts)):
			return dst
		case t.plan.together:
			dst = smtp.AppendBdat(dst, t.plan.size, true)
		case t.plan.bdat:
			return dst
		default:
			dst = append(dst, "DATA\r\n"...) // RFC 2920 §3.1: the last of its group
		}
	}
	return dst
}

// answer reads the reply to one command of the envelope.
func (c *Conn) answer(t *transaction) error {
	op := t.verbOf(t.answered)
	if t.answered == t.stepData() {
		err := c.expectData()
		t.ready = err == nil
		if refused, ok := err.(*smtp.Error); ok && c.dead == nil {
			t.data = refused
			return nil
		}
		return err
	}
	code, raw, err := c.readReply(op, c.limitOf(t), wire.MaxReplyLines)
	switch {
	case err != nil:
		return err
	case code/100 == 3:
		return c.outOfStep(op, "the server asks for data that nobody announced")
	case code/100 == 2:
		if t.answered >= stepRcpt {
			t.accepted++
		}
		return nil
	}
	refused := refusal(smtp.Verb(op), parse(raw))
	switch t.answered {
	case stepReset:
		return c.fail(op, refused)
	case stepMail:
		t.mail = refused
	default:
		if t.mail != nil {
			break // it says that there was no MAIL
		}
		t.refuseRcpt(t.answered-stepRcpt, refused)
	}
	if c.dead != nil { // 421
		return refused
	}
	return nil
}

// limitOf is how long the reply to be read next may take.
func (c *Conn) limitOf(t *transaction) time.Duration {
	switch {
	case t.answered < stepRcpt:
		return c.cfg.Timeouts.Mail
	case t.answered < t.stepData():
		return c.cfg.Timeouts.Rcpt
	case t.plan.together: // the reply to BDAT
		return c.cfg.Timeouts.DataEnd
	}
	return c.cfg.Timeouts.DataInit
}

func (t *transaction) verbOf(step int) string {
	switch {
	case step == stepReset:
		return "RSET"
	case step == stepMail:
		return "MAIL"
	case step < t.stepData():
		return "RCPT"
	}
	return "DATA"
}
