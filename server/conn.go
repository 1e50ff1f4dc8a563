package server

import (
	"bytes"
	"crypto/tls"
	"encoding/base32"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
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
	cfg     *config
	counted netip.Prefix // what it is counted by, if it is
	raw     net.Conn     // as accepted: deadlines and Close go here
	nc      net.Conn     // what is read and written: raw, TLS over it, or what lies under its PROXY header
	in      wire.Input
	out     []byte

	ctx        *scope
	session    Session
	intercept  intercept.Func
	verb       smtp.Verb // of the command being run
	offered    *offer
	txn        *transaction
	deferred   *deferred // still to be run
	errs       int32
	refusals   int32 // 4xx and 5xx since the last accepted message, if Limits.Tarpit is set
	chat       int32
	rejected   int32 // senders and recipients since the last accepted message
	messages   int32
	authFails  int32
	owed       time.Duration // how long the next write is to be held back
	domains    []string      // of accepted recipients, if they are limited
	reason     error         // for Session.Close; nil after QUIT
	writeUntil time.Duration // the write deadline in force, counted from opened

	state     states
	turned    bool // there was no room for it
	placed    bool // it has one of the places of MaxTransactions
	veiled    bool // a proxy did not say whom it speaks for
	afar      bool // who speaks for the client is on another machine
	announced bool // the observer knows of it
	greeted   bool
	mayRest   bool // it lies over a socket
	resting   bool // see rest
	encrypted bool
	authed    bool
	forwarded bool // XFORWARD has come for the next mail transaction
	ended     bool // no further command is read
	aborted   bool // nothing more is sent
	late      bool // a handler took longer than it may
	utf8Reply bool // the command asked for replies in UTF-8
	secretDue bool // AUTH was the last command: junk may be a response
	unwelcome bool // sent away with 421

	mu        sync.Mutex
	readUntil time.Duration // the read deadline in force, counted from opened
	nudged    bool          // Shutdown wants idle connections to go
	shaking   bool          // in a TLS handshake
	idle      bool          // waiting for a command outside of a mail transaction
}

// deferred is a command that cut off a BDAT transaction.
type deferred struct {
	row *command
	arg []byte
}

func newConn(s *Server, nc net.Conn) *conn {
	c := &conn{Conn: Conn{srv: s}, cfg: s.cfg, raw: nc, nc: nc, state: connected}
	c.ctx = &scope{parent: s.base, limit: or(s.cfg.limits.HandlerTimeout, defaultHandlerTimeout)}
	c.offered = s.cfg.nothing
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], rand.Uint64())
	c.id = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(id[:])
	c.Conn.opened = time.Now()
	return c
}

// serve is the life of a connection, up to where it rests.
func (c *conn) serve() {
	defer c.finish()
	defer c.survive()
	if c.begin() {
		c.loop()
	}
}

// begin is all that comes before the first command. It reports whether one may
// come. Its large frame is no part of serve's, beneath every other: goroutines
// begin with more than 2 KB where most of them use that while they wait.
func (c *conn) begin() bool {
	c.in.Reset(c.nc, false)
	c.mayRest = c.cfg.restAnyhow || overSocket(c.raw)
	if err := c.identify(); err != nil {
		c.aborted = true
		c.end(err)
		c.observe(Event{Kind: ProxyFailed, Err: err})
		return false
	}
	if refusal := c.admit(); refusal.Code != 0 {
		c.turnAway(refusal)
		return false
	}
	if f := c.srv.ConnContext; f != nil {
		c.ctx.parent = f(c.ctx.parent, c.raw)
		if f := intercept.Opened(c.ctx.parent); f != nil {
			f(&c.Conn)
		}
	}
	c.intercept = intercept.From(c.ctx.parent)
	c.announced = true
	c.observe(Event{Kind: ConnOpened})
	if t, ok := c.nc.(tlsConn); ok {
		if err := c.handshake(t); err != nil {
			c.end(err)
			return false
		}
		c.in.Reset(c.nc, true)
	}
	return !c.holdGreeting() || c.open()
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

// loop reads and runs commands until the connection ends or rests.
func (c *conn) loop() {
	for !c.ended {
		if c.late || c.ctx.late.Load() || c.txn != nil && c.txn.late.Load() {
			c.verb = ""
			c.limit(handlerLate)
			return
		}
		if d := c.deferred; d != nil {
			c.deferred = nil
			c.verb = d.row.verb
			c.run(d.row, d.arg)
			continue
		}
		line, err := c.readLine(true)
		if c.resting {
			return
		}
		row, arg := c.row(line, err)
		if row == nil {
			continue
		}
		switch refusal := c.check(row, arg); {
		case refusal == nil:
			c.run(row, arg)
		case row.traits&takesData != 0:
			c.discardChunk(arg, *refusal)
		default:
			c.refuse(*refusal)
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
	if err != nil {
		c.badLine(line, err)
		return nil, nil
	}
	verb, arg, known := smtp.ParseVerb(line)
	row := c.cfg.row(verb)
	if !known && len(c.cfg.handlers) > 0 {
		word, rest := smtp.CutVerb(line)
		if row = c.cfg.verbs[smtp.Verb(bytes.ToUpper(word))]; row != nil {
			verb, arg = row.verb, rest
		}
	}
	if row == nil && !known && c.foreign(line) {
		return nil, nil
	}
	c.verb = verb
	if c.srv.Observer != nil {
		c.heard(line, row != nil)
	}
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

// badLine answers what readLine found no line in.
func (c *conn) badLine(line []byte, err error) {
	tooLong := err == wire.ErrLineTooLong
	switch {
	case !tooLong && err != wire.ErrBareLF:
		c.readFailed(err)
	case c.foreign(line):
	case tooLong:
		c.verb = ""
		c.heard(nil, false)
		c.refuseLine(line, lineTooLong)
	default:
		c.verb = ""
		c.heard(line, false)
		c.refuseLine(line, lineEndsBadly)
	}
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

// check returns the reply that refuses a command before it is run, nil if none does.
func (c *conn) check(row *command, arg []byte) (refusal *smtp.Reply) {
	switch {
	case c.state == refused && row.in&refused == 0:
		return &onlyQuit
	case c.srv.RequireTLS && !c.encrypted && row.traits&beforeTLS == 0:
		return &needTLS
	case row.in&c.state == 0:
		return c.misplaced(row)
	case c.srv.Role == Submission && !c.authed && row.traits&needsAuth != 0:
		return &needAuth
	case row.keyword != "" && !c.offered.offers.Has(row.keyword):
		return &notOffered
	case row.traits&noArgument != 0 && len(arg) > 0:
		return &noArgumentTaken
	case row.traits&hasGrammar == 0 && (bytes.IndexByte(arg, 0) >= 0 || bytes.IndexByte(arg, '\r') >= 0):
		return &badCharacters
	}
	return nil
}

// end stops the loop and keeps the first reason.
func (c *conn) end(reason error) {
	if !c.ended {
		c.ended, c.reason = true, reason
	}
}

// intercepted lets a test's script answer in the server's place.
func (c *conn) intercepted(verb smtp.Verb, line []byte) bool {
	return c.intercept != nil && c.interceptedBy(verb, line)
}

func (c *conn) interceptedBy(verb smtp.Verb, line []byte) bool {
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
