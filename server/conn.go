package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/intercept"
	"github.com/postrider/postrider/internal/wire"
	"github.com/postrider/postrider/smtp"
)

// tlsConn is what makes a connection a TLS connection, *tls.Conn or a wrapper.
type tlsConn interface {
	ConnectionState() tls.ConnectionState
}

// conn is the state machine of one connection. All but Conn, and what mu
// guards, belongs to the connection's goroutine.
type conn struct {
	Conn
	srv     *Server
	cfg     *config
	counted netip.Prefix // what it is counted by, if it is
	raw     net.Conn     // as accepted: deadlines and Close go here
	nc      net.Conn     // what is read and written: raw, or TLS over it
	in      wire.Input
	out     []byte

	ctx       *scope
	session   Session
	intercept intercept.Func
	state     states
	verb      smtp.Verb // of the command being run
	offered   *offer
	last      *command
	greeted   bool
	encrypted bool
	authed    bool
	txn       *transaction
	deferred  struct { // a command that cut off a BDAT transaction, still to be run
		row *command
		arg []byte
	}
	errs       int
	chat       int
	rejected   int // senders and recipients since the last accepted message
	messages   int
	authFails  int
	opened     bool  // the observer knows of it
	ended      bool  // no further command is read
	aborted    bool  // nothing more is sent
	late       bool  // a handler took longer than it may
	utf8Reply  bool  // the command asked for replies in UTF-8
	secretDue  bool  // AUTH was the last command: junk may be a response
	unwelcome  bool  // sent away with 421
	reason     error // for Session.Close; nil after QUIT
	writeUntil time.Time

	mu        sync.Mutex
	readUntil time.Time // the read deadline in force
	nudged    bool      // Shutdown wants idle connections to go
	shaking   bool      // in a TLS handshake
	idle      bool      // waiting for a command outside of a mail transaction
}

// transaction is one mail transaction, in one allocation for the usual one.
type transaction struct {
	scope
	mail       smtp.MailParams
	noParams   smtp.RcptParams // of a RCPT without parameters
	text       strings.Builder // of the arguments, see argument
	recipients int
	body       Body
	refusal    smtp.Reply // of a chunk
}

// argument makes a string of a command's argument. They share a few larger
// allocations, since a message may have a thousand recipients. What has been
// written to a strings.Builder never changes, so the strings may be kept.
func (t *transaction) argument(arg []byte) string {
	start := t.text.Len()
	if t.text.Cap()-start < len(arg) {
		size := 96 // the paths of a usual message with one recipient
		if start > 0 {
			size = 1024
		}
		t.text = strings.Builder{}
		t.text.Grow(max(size, len(arg)))
		start = 0
	}
	t.text.Write(arg)
	return t.text.String()[start:]
}

// rcptParams returns what a RCPT's parameters are parsed into. Handlers may
// keep it, so each RCPT that has any gets its own; the others share one that
// stays zero.
func (t *transaction) rcptParams(arg []byte) *smtp.RcptParams {
	if bytes.IndexByte(arg, ' ') >= 0 || bytes.IndexByte(arg, '\t') >= 0 {
		return new(smtp.RcptParams)
	}
	return &t.noParams
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{srv: s, cfg: s.cfg, raw: nc, nc: nc, state: connected}
	c.ctx = &scope{parent: s.base, limit: or(s.cfg.limits.HandlerTimeout, defaultHandlerTimeout)}
	c.offered = s.cfg.nothing
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], rand.Uint64())
	c.info = Info{
		ID:       base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(id[:]),
		Role:     s.Role,
		Hostname: s.cfg.hostname,
		Opened:   time.Now(),
	}
	return c
}

// serve is the life of a connection.
func (c *conn) serve() {
	defer c.finish()
	defer func() {
		if v := recover(); v != nil {
			c.panicked(v)
		}
	}()
	c.in.Reset(c.nc, false)
	if refusal := c.admit(); refusal.Code != 0 {
		c.turnAway(refusal)
		return
	}
	if f := c.srv.ConnContext; f != nil {
		c.ctx.parent = f(c.ctx.parent, c.raw)
	}
	c.intercept = intercept.From(c.ctx.parent)
	c.opened = true
	c.observe(Event{Kind: ConnOpened})
	if t, ok := c.nc.(tlsConn); ok {
		if err := c.handshake(t); err != nil {
			c.end(err)
			return
		}
		c.in.Reset(c.nc, true)
	}
	if c.open() {
		c.loop()
	}
}

// open begins the session and sends the greeting, or the refusal.
func (c *conn) open() bool {
	c.ctx.enter()
	session, err := c.srv.Handler.NewSession(c.ctx, &c.Conn)
	c.ctx.leave()
	switch {
	case err != nil:
		r, ok := c.negative(err, sessionFailed)
		if !ok {
			return false
		}
		c.state = refused
		c.reason = err
		c.reply(r)
		c.greeted = true
		return !c.ended
	case session == nil:
		c.cfg.logger.Error("smtp server: NewSession returned neither session nor error", "conn", &c.Conn)
		c.reply(sessionFailed)
		return false
	}
	c.session = session
	if !c.intercepted("", nil) {
		c.reply(c.cfg.greeting)
	}
	c.greeted = true
	return !c.ended
}

// loop reads and runs commands until the connection ends.
func (c *conn) loop() {
	for !c.ended {
		if c.late || c.ctx.late.Load() || c.txn != nil && c.txn.late.Load() {
			c.verb = ""
			c.limit(handlerLate)
			return
		}
		if d := c.deferred; d.row != nil {
			c.deferred.row, c.deferred.arg = nil, nil
			c.verb = d.row.verb
			c.run(d.row, d.arg)
			continue
		}
		line, err := c.readLine()
		row, arg := c.row(line, err)
		if row == nil {
			continue
		}
		switch refusal := c.check(row, arg); {
		case refusal.Code == 0:
			c.run(row, arg)
		case row.traits&takesData != 0:
			c.discardChunk(arg, refusal)
		default:
			c.refuse(refusal)
		}
	}
}

// run runs a command that has passed every check.
func (c *conn) run(row *command, arg []byte) {
	if row.traits&idleChat != 0 {
		if c.chat++; over(c.chat, c.cfg.limits.MaxIdleChat) {
			c.limit(tooMuchChat)
			return
		}
	}
	row.run(c, arg)
}

// row finds a line's verb. A line that has none is refused, and nil returned.
func (c *conn) row(line []byte, err error) (*command, []byte) {
	switch {
	case err == wire.ErrLineTooLong:
		c.verb = ""
		c.heard(nil, false)
		c.refuseLine(line, lineTooLong)
		return nil, nil
	case err == wire.ErrBareLF:
		c.verb = ""
		c.heard(line, false)
		c.refuseLine(line, lineEndsBadly)
		return nil, nil
	case err != nil:
		c.readFailed(err)
		return nil, nil
	}
	verb, arg, known := smtp.ParseVerb(line)
	row := c.last // a run of RCPT need not be looked up
	if row == nil || row.verb != verb {
		row = c.cfg.verbs[verb]
		c.last = row
	}
	if !known && len(c.cfg.handlers) > 0 {
		word, rest := smtp.CutVerb(line)
		if row = c.cfg.verbs[smtp.Verb(bytes.ToUpper(word))]; row != nil {
			verb, arg = row.verb, rest
		}
	}
	c.verb = verb
	c.heard(line, row != nil)
	switch lmtp := c.srv.Role == LMTP; {
	case c.intercepted(verb, line):
		if row != nil && row.traits&takesData != 0 && !c.ended {
			c.skipChunk(arg)
		}
		return nil, nil
	case row == nil && c.state == refused:
		c.refuse(onlyQuit) // §3.1
		return nil, nil
	case row == nil && known:
		c.refuse(notImplemented)
		return nil, nil
	case row == nil, lmtp && row.traits&notLMTP != 0, !lmtp && row.traits&onlyLMTP != 0:
		c.refuse(unknownCommand)
		return nil, nil
	case len(line)+2 > smtp.MaxCommandLine && len(line)+2 > c.cfg.maxLine(c.offered.offers, verb):
		c.refuseLine(line, lineTooLong)
		return nil, nil
	}
	return row, arg
}

// refuseLine answers a line that is no command at all. One that would be
// followed by octets ends the connection, lest they be taken for commands.
func (c *conn) refuseLine(line []byte, refusal smtp.Reply) {
	verb, _, _ := smtp.ParseVerb(line)
	if row := c.cfg.verbs[verb]; row != nil && row.traits&takesData != 0 {
		refusal = chunkUnclear
	}
	c.refuse(refusal)
}

// check returns the reply that refuses a command before it is run, if any.
func (c *conn) check(row *command, arg []byte) (refusal smtp.Reply) {
	switch {
	case c.state == refused && row.in&refused == 0:
		return onlyQuit
	case c.srv.RequireTLS && !c.encrypted && row.traits&beforeTLS == 0:
		return needTLS
	case row.in&c.state == 0:
		return c.misplaced(row)
	case c.srv.Role == Submission && !c.authed && row.traits&needsAuth != 0:
		return needAuth
	case row.keyword != "" && !c.offered.offers.Has(row.keyword):
		return notOffered
	case row.traits&noArgument != 0 && len(arg) > 0:
		return noArgumentTaken
	case row.traits&hasGrammar == 0 && (bytes.IndexByte(arg, 0) >= 0 || bytes.IndexByte(arg, '\r') >= 0):
		return badCharacters
	}
	return smtp.Reply{}
}

// end stops the loop and keeps the first reason.
func (c *conn) end(reason error) {
	if !c.ended {
		c.ended, c.reason = true, reason
	}
}

// finish takes the connection down.
func (c *conn) finish() {
	defer c.srv.forget(c)
	c.guard(c.disconnect)
	if c.txn != nil {
		c.guard(func() { c.endTransaction(ResetClosed) })
	}
	if c.session != nil {
		c.guard(func() { c.session.Close(c.reason) })
	}
	c.ctx.end(context.Canceled)
	if c.opened {
		c.guard(func() { c.observe(Event{Kind: ConnClosed, Err: c.reason}) })
	}
}

// guard keeps a panic in one step from taking the next ones with it.
func (c *conn) guard(step func()) {
	defer func() {
		if v := recover(); v != nil {
			c.logPanic(v)
		}
	}()
	step()
}

// disconnect sends what is still to be sent and closes the connection.
func (c *conn) disconnect() {
	defer c.raw.Close()
	defer c.in.Close()
	if c.aborted || c.flush() != nil {
		return
	}
	if c.encrypted {
		c.raw.SetWriteDeadline(time.Now().Add(time.Second))
		c.nc.Close() // sends close_notify
		return
	}
	// To close with octets unread would make the kernel reset the connection,
	// and the client might never see why it was sent away.
	if t, ok := c.raw.(interface{ CloseWrite() error }); ok && c.unwelcome && t.CloseWrite() == nil {
		c.raw.SetReadDeadline(time.Now().Add(time.Second))
		c.in.Close()
		for range 16 {
			if c.in.Fill(true, false) != nil {
				return
			}
			c.in.Close()
		}
	}
}

func (c *conn) panicked(v any) {
	c.logPanic(v)
	c.end(fmt.Errorf("smtp server: panic: %v", v))
	c.reply(handlerPanic)
}

func (c *conn) logPanic(v any) {
	c.cfg.logger.Error("smtp server: panic in a handler", "conn", &c.Conn, "panic", v, "stack", string(debug.Stack()))
}

// cut closes the connection from outside.
func (c *conn) cut() {
	if t, ok := c.raw.(interface{ NetConn() net.Conn }); ok {
		t.NetConn().Close() // no close_notify: it could block
		return
	}
	c.raw.Close()
}

// nudge wakes an idle connection so that it takes its leave.
func (c *conn) nudge() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nudged = true
	switch soon := time.Now().Add(handshakeGrace); {
	case c.idle:
		c.setReadDeadline(time.Unix(1, 0))
	case c.shaking && soon.Before(c.readUntil):
		c.setReadDeadline(soon)
	}
}

// readFailed ends the connection because nothing more can be read from it.
func (c *conn) readFailed(err error) {
	c.mu.Lock()
	nudged := c.nudged
	c.mu.Unlock()
	c.verb = "" // what is said now answers no command
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && nudged:
		c.end(ErrServerClosed)
		c.reply(replyShutdown)
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.end(err)
		c.reply(replyTimeout)
	default:
		c.end(err)
	}
}

// intercepted lets a test's script answer in the server's place.
func (c *conn) intercepted(verb smtp.Verb, line []byte) bool {
	if c.intercept == nil {
		return false
	}
	a, ok := c.intercept(c.ctx, string(verb), line)
	if !ok {
		return false
	}
	if len(a.Reply) > 0 {
		c.out = append(c.out, a.Reply...)
		if r, err := smtp.ParseReply(string(a.Reply)); err == nil {
			c.observe(Event{Kind: ReplySent, Verb: verb, Reply: r})
			switch {
			case r.Code == 421:
				c.unwelcome = true
				c.end(&smtp.Error{Verb: verb, Reply: r, Scope: smtp.ScopeSession})
			case line == nil && !r.Positive():
				c.state = refused // §3.1
			}
		}
	}
	if a.Drop {
		c.flush()
		c.aborted = true
		c.end(ErrAbort)
	}
	return true
}
