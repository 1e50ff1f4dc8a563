package server

import (
	"errors"
	"os"
	"sync"
	"time"

	"github.com/postrider/postrider/smtp"
)

// replyBuffer holds the replies to a hundred recipients.
const replyBuffer = 2048

var replyBuffers = sync.Pool{New: func() any { return new([replyBuffer]byte) }}

// readLine returns the next line. Replies are flushed only before it has to
// wait, so those to a pipelined group leave in one write (RFC 2920 §3.2). The
// errors of wire.Input.Line concern one line, all others the connection. If the
// caller is the loop, it may find the connection resting instead of a line.
func (c *conn) readLine(mayRest bool) ([]byte, error) {
	waiting, staged := c.resting, false
	c.resting = false
	for {
		line, ok, err := c.in.Line(c.offered.line)
		if ok {
			return line, err
		}
		if c.txn != nil {
			c.txn.leave()
		}
		paid := c.owed > 0
		if err := c.flush(); err != nil {
			return nil, err
		}
		if paid { // meanwhile a line may have come
			continue
		}
		if !waiting { // the time is for the whole line, lest it comes in drips
			if staged, err = c.awaitCommand(); err != nil {
				return nil, err
			}
		}
		waiting = true
		if err := c.in.Fill(true, false); err != nil {
			if !staged || !errors.Is(err, os.ErrDeadlineExceeded) {
				return nil, err
			}
			if err := c.extend(err); err != nil {
				return nil, err
			}
			if staged = false; mayRest {
				c.resting = true
				return nil, nil
			}
			c.in.Rest()
			continue
		}
		if isClientHello(c.in.Unread()) && c.leave("TLS") { // it need not have an LF
			return nil, c.reason
		}
	}
}

// awaitCommand sets the deadline for the next command: in two stages, if that
// is far off, of which the first ends when the connection should rest. The
// deadline in force is left alone while it is only a little too long: setting it
// costs more than parsing a command.
func (c *conn) awaitCommand() (staged bool, err error) {
	timeout := c.commandTimeout()
	slack := timeout / 8
	if staged = c.mayRest && timeout > 4*c.cfg.restAfter; staged {
		timeout, slack = c.cfg.restAfter, c.cfg.restAfter
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = c.txn == nil
	if c.idle && c.nudged {
		return false, os.ErrDeadlineExceeded
	}
	if left := c.readUntil - time.Since(c.opened); left >= timeout && left <= timeout+slack {
		return staged, nil
	}
	return staged, c.setReadDeadline(time.Now().Add(timeout + slack))
}

func (c *conn) commandTimeout() time.Duration {
	if c.state == refused {
		return min(c.cfg.limits.CommandTimeout, closeGrace)
	}
	return c.cfg.limits.CommandTimeout
}

// setReadDeadline is called with mu held.
func (c *conn) setReadDeadline(t time.Time) error {
	c.readUntil = t.Sub(c.opened)
	return c.raw.SetReadDeadline(t)
}

// busy marks that what is awaited belongs to a transaction.
func (c *conn) busy() {
	c.mu.Lock()
	c.idle = false
	c.mu.Unlock()
}

// reply queues one reply. After 421 the connection ends (RFC 5321 §3.8).
func (c *conn) reply(r smtp.Reply) {
	if c.aborted {
		return
	}
	if r.Code >= 400 && c.isGreeting() {
		r.Enhanced = smtp.Enhanced{}
	}
	if c.out == nil {
		c.out = replyBuffers.Get().(*[replyBuffer]byte)[:0]
	}
	c.out = r.AppendTo(c.out)
	if r.Code >= 400 && c.cfg.limits.Tarpit > 0 {
		c.owe(r)
	}
	if c.srv.Observer != nil {
		c.observe(Event{Kind: ReplySent, Verb: c.verb, Reply: hideChallenge(r)})
	}
	if r.Code == 421 {
		c.unwelcome = true
		c.end(&smtp.Error{Verb: c.verb, Reply: r, Scope: smtp.ScopeSession})
	}
	if len(c.out) > flushBeyond {
		if c.txn != nil {
			c.txn.leave()
		}
		if err := c.send(); err != nil {
			c.end(err)
		}
	}
}

// say queues a reply of which the octets are known: for each recipient that takes
// 3 ns and not 25.
func (c *conn) say(r *prepared) {
	if c.srv.Observer != nil || c.out == nil || len(c.out) > flushBeyond {
		c.reply(r.Reply)
		return
	}
	c.out = append(c.out, r.octets...)
}

// isGreeting reports whether a reply now is the greeting or one to HELO, EHLO or
// LHLO: these have no enhanced status code (RFC 2034 §3).
func (c *conn) isGreeting() bool {
	return !c.greeted || c.verb == smtp.EHLO || c.verb == smtp.HELO || c.verb == smtp.LHLO
}

// flush sends what is queued, in one write, when it has been paid for.
func (c *conn) flush() error {
	if len(c.out) == 0 || c.aborted {
		return nil
	}
	if c.owed > 0 {
		c.payOff()
	}
	return c.send()
}

func (c *conn) send() error {
	timeout := c.cfg.limits.WriteTimeout
	if now := time.Since(c.opened); c.writeUntil-now < timeout/2 {
		c.writeUntil = now + timeout
		c.raw.SetWriteDeadline(c.opened.Add(c.writeUntil))
	}
	_, err := c.nc.Write(c.out)
	if err != nil {
		c.aborted = true
	}
	if cap(c.out) == replyBuffer {
		replyBuffers.Put((*[replyBuffer]byte)(c.out[:replyBuffer]))
	}
	c.out = nil
	return err
}

// refuse answers a command that was wrong in form or place.
func (c *conn) refuse(r smtp.Reply) {
	if c.errs++; over(c.errs, c.cfg.limits.MaxErrors) {
		c.limit(tooManyErrors)
		return
	}
	c.reply(r)
}

// reject counts a sender or a recipient that the handler has refused.
func (c *conn) reject() {
	if c.rejected++; over(c.rejected, c.cfg.limits.MaxRejected) && !c.ended {
		c.limit(tooManyRejected)
	}
}

// refuseSyntax answers an argument that did not parse.
func (c *conn) refuseSyntax(err error) {
	var syntax *smtp.SyntaxError
	var own *smtp.Error // of a Parse function of the application's
	switch {
	case errors.As(err, &syntax):
		c.refuse(syntax.Reply())
	case errors.As(err, &own) && !own.Reply.Positive() && !own.Reply.Intermediate():
		c.refuse(c.complete(own.Reply))
	default:
		c.refuse(reply(501, 5, 4, "syntax error"))
	}
}

// limit answers what goes beyond a limit.
func (c *conn) limit(r smtp.Reply) {
	c.observe(Event{Kind: LimitHit, Verb: c.verb, Reply: r})
	c.reply(r)
}

// answer sends what a handler said; ok is the reply when it said nothing. It
// reports whether the answer is positive.
func (c *conn) answer(r smtp.Reply, err error, ok *prepared) bool {
	if err == nil && r.Code == 0 && r.Text == "" {
		c.say(ok)
		return true
	}
	r, positive, silent := c.verdict(r, err, ok.Reply)
	if !silent {
		c.reply(r)
	}
	return positive
}

// verdict makes one reply of what a handler returned.
func (c *conn) verdict(r smtp.Reply, err error, ok smtp.Reply) (out smtp.Reply, positive, silent bool) {
	switch {
	case err != nil:
		out, say := c.negative(err, handlerFailed)
		return out, false, !say
	case r.Code == 0 && r.Text == "":
		return ok, true, false
	case !r.Positive():
		c.cfg.logger.Error("smtp server: handler returned a reply that is not 2xx without an error",
			"conn", &c.Conn, "verb", c.verb, "reply", r.String())
		return handlerFailed, false, false
	}
	return c.complete(r), true, false
}

// negative finds the reply in a handler's error. It is fallback when there is
// none: what the error says is for the log only. With say false nothing may
// be sent.
func (c *conn) negative(err error, fallback smtp.Reply) (r smtp.Reply, say bool) {
	var rejection *smtp.Error
	switch {
	case errors.Is(err, ErrAbort):
		c.aborted = true
		c.end(err)
		return smtp.Reply{}, false
	case errors.As(err, &rejection) && (rejection.Reply.Temporary() || rejection.Reply.Permanent()):
		return c.complete(rejection.Reply), true
	}
	c.cfg.logger.Error("smtp server: handler failed", "conn", &c.Conn, "verb", c.verb, "err", err)
	return fallback, true
}

// complete makes an application's reply fit to be sent: with an enhanced code
// (RFC 2034 §4), and in ASCII unless the client asked for UTF-8 (RFC 6531
// §3.7.4.2).
func (c *conn) complete(r smtp.Reply) smtp.Reply {
	r.Raw = ""
	if r.Enhanced.IsZero() {
		r.Enhanced = smtp.Enh(0, 0)
	}
	if c.utf8Reply || c.txn != nil && c.txn.utf8 {
		return r
	}
	for i := range len(r.Text) {
		if r.Text[i] >= 0x80 {
			r.Text = toASCII(r.Text)
			break
		}
	}
	return r
}

func toASCII(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r >= 0x80 {
			r = '?'
		}
		b = append(b, byte(r))
	}
	return string(b)
}
