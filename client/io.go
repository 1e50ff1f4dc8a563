package client

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/wire"
	"github.com/postrider/postrider/smtp"
)

// enter begins an operation: until leave, the end of ctx ends every wait. op is
// only for the error.
func (c *Conn) enter(ctx context.Context, op string) error {
	if c.dead != nil {
		return c.dead
	}
	if err := ctx.Err(); err != nil {
		return &ConnError{Op: op, Err: err}
	}
	c.ctx = ctx
	if ctx.Done() != nil {
		c.stop = context.AfterFunc(ctx, c.onCancel)
	}
	return nil
}

// leave ends an operation. A context that ended in it leaves a connection whose
// deadlines lie in the past, even if the operation came through.
func (c *Conn) leave() {
	if c.stop != nil && !c.stop() {
		c.fail("connection", c.ctx.Err())
	}
	c.ctx, c.stop = nil, nil
	if c.dead != nil {
		c.Close()
	}
}

// cancel is run by the context.
func (c *Conn) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.canceled = true
	c.raw.SetDeadline(time.Unix(1, 0))
}

// write writes command lines and shows them to the trace. No write may take longer
// than one of message data, and so the two do not take turns with the deadline.
func (c *Conn) write(op string, p []byte, limit time.Duration) error {
	_, err := c.send(op, p, min(limit, c.cfg.Timeouts.DataBlock))
	if err == nil {
		c.traceWrote(p)
	}
	return err
}

// send writes p, which begins where c.buf does or replaces it.
func (c *Conn) send(op string, p []byte, limit time.Duration) (n int, err error) {
	c.buf = p[:0]
	if len(p) == 0 {
		return 0, nil
	}
	if c.look != nil && c.gathers() {
		if n = c.look.write(p); n == len(p) {
			return n, nil
		}
	}
	c.setDeadline(&c.writeBy, limit, net.Conn.SetWriteDeadline)
	more, err := c.nc.Write(p[n:])
	if err != nil {
		err = c.fail(op, err)
	}
	return n + more, err
}

// readReply reads one reply. Raw is valid until the next call. After 421 the
// connection is of no more use (§3.8).
func (c *Conn) readReply(op string, limit time.Duration, maxLines int) (code int, raw []byte, err error) {
	if !c.waiting {
		c.wait, c.armed = limit, false
	}
	c.waiting = false
	code, raw, err = c.replies.Next(maxLines)
	if err != nil {
		return 0, nil, c.fail(op, err)
	}
	c.traceGot(raw)
	if code == smtp.CodeUnavailable {
		c.fail(op, &smtp.Error{Verb: smtp.Verb(op), Reply: parse(raw), Scope: smtp.ScopeSession})
	}
	return code, raw, nil
}

// expect reads the reply to verb and wants it positive.
func (c *Conn) expect(op string, verb smtp.Verb, limit time.Duration) (smtp.Reply, error) {
	return c.expectLines(op, verb, limit, wire.MaxReplyLines)
}

func (c *Conn) expectLines(op string, verb smtp.Verb, limit time.Duration, maxLines int) (smtp.Reply, error) {
	code, raw, err := c.readReply(op, limit, maxLines)
	if err != nil {
		return smtp.Reply{}, err
	}
	return c.outcome(op, verb, code, raw)
}

// outcome makes a reply, or an error, of what readReply returned.
func (c *Conn) outcome(op string, verb smtp.Verb, code int, raw []byte) (smtp.Reply, error) {
	switch reply := c.parseKnown(op, raw); code / 100 {
	case 2:
		return reply, nil
	case 3:
		return reply, c.outOfStep(op, "the server asks for more where nothing follows")
	default:
		return reply, refusal(verb, reply)
	}
}

// command writes one line, CRLF included, and expects a positive reply. The
// server must not have said anything since its last reply.
func (c *Conn) command(ctx context.Context, verb smtp.Verb, line []byte, limit time.Duration) (smtp.Reply, error) {
	if err := c.enter(ctx, string(verb)); err != nil {
		return smtp.Reply{}, err
	}
	defer c.leave()
	return c.roundTrip(verb, line, limit)
}

func (c *Conn) roundTrip(verb smtp.Verb, line []byte, limit time.Duration) (smtp.Reply, error) {
	if err := c.inStep(string(verb)); err != nil {
		return smtp.Reply{}, err
	}
	if err := c.write(string(verb), line, limit); err != nil {
		return smtp.Reply{}, err
	}
	return c.expect(string(verb), verb, limit)
}

// inStep refuses to go on when something waits to be read that nobody asked for:
// it would be taken for the answer to the next command.
func (c *Conn) inStep(op string) error {
	if c.replies.Buffered() > 0 {
		return c.outOfStep(op, "octets from the server that answer nothing")
	}
	return nil
}

// setDeadline gives an operation limit from now. The deadline in force stays if
// it is at most a little earlier than that: setting one costs as much as writing
// a small command.
func (c *Conn) setDeadline(inForce *time.Time, limit time.Duration, set func(net.Conn, time.Time) error) {
	if left := time.Until(*inForce); left <= limit && left > limit-min(limit/8, 5*time.Second) {
		return
	}
	*inForce = time.Now().Add(limit)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.canceled {
		set(c.raw, *inForce)
	}
}

// replySource is what the reply reader reads: it sees to it that a wait, which begins
// with the first Read and goes on while the same reply trickles in, ends in time. The
// deadline in force, of an earlier and shorter wait, stays until it strikes: replies
// that are waited for by turns for 5 minutes and for 10 need none set.
type replySource Conn

func (s *replySource) Read(p []byte) (int, error) {
	c := (*Conn)(s)
	if !c.armed {
		c.await()
	}
	n, err := c.nc.Read(p)
	if err != nil && n == 0 && c.readBy.Before(c.replyBy) && isTimeout(err) {
		c.extend()
		n, err = c.nc.Read(p)
	}
	return n, err
}

// await begins the wait for a reply.
func (c *Conn) await() {
	c.armed = true
	c.replyBy = time.Now().Add(c.wait)
	if left := c.replyBy.Sub(c.readBy); left < 0 || left >= c.wait {
		c.extend()
	}
}

// extend lets the wait for a reply go on to its end.
func (c *Conn) extend() {
	c.readBy = time.Time{}
	c.setDeadline(&c.readBy, time.Until(c.replyBy), net.Conn.SetReadDeadline)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// parseKnown is parse, without an allocation if the message before was decided by the same
// reply: many servers have one for all.
func (c *Conn) parseKnown(op string, raw []byte) smtp.Reply {
	if text, whole := bytes.CutSuffix(raw, crlf); whole && string(text) == c.decided.Raw {
		return c.decided
	}
	reply := parse(raw)
	if op == opEnd && len(raw) <= smtp.MaxReplyLine {
		c.decided = reply
	}
	return reply
}

var crlf = []byte("\r\n")

// parse parses what the reply reader has checked. Like that, it takes an LF alone
// for a line end.
func parse(raw []byte) smtp.Reply {
	reply, err := smtp.ParseReply(string(raw))
	if err != nil {
		lines := strings.ReplaceAll(string(raw), "\r\n", "\n")
		reply, err = smtp.ParseReply(strings.ReplaceAll(lines, "\n", "\r\n"))
	}
	if err != nil { // the two disagree: keep the code, which is what counts
		reply = smtp.Reply{Code: int(raw[0]-'0')*100 + int(raw[1]-'0')*10 + int(raw[2]-'0'), Raw: string(raw)}
	}
	return reply
}

// refusal makes an error of a negative reply.
func refusal(verb smtp.Verb, reply smtp.Reply) *smtp.Error {
	scope := smtp.ScopeMessage
	switch {
	case reply.Code == smtp.CodeUnavailable:
		scope = smtp.ScopeSession // §3.8
	case verb == smtp.RCPT:
		scope = smtp.ScopeRecipient
	case verb != smtp.MAIL && verb != smtp.DATA && verb != smtp.BDAT && verb != "":
		scope = smtp.ScopeSession
	}
	return &smtp.Error{Verb: verb, Reply: reply, Scope: scope}
}
