package server

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"

	"github.com/postrider/postrider/internal/wire"
	"github.com/postrider/postrider/smtp"
)

// An Authenticator offers SASL mechanisms and runs their exchanges (RFC 4954,
// RFC 4422). Its methods are called by many connections at once. Credentials,
// Passwords, Tokens, External and CRAMMD5 are ready ones, Authenticators joins
// several.
type Authenticator interface {
	// Mechanisms returns the mechanisms to offer on a connection, in upper
	// case, the best first. It is asked at EHLO and at AUTH, and only where
	// AUTH is allowed: over TLS, or on loopback by explicit choice.
	Mechanisms(c *Conn) []string
	// Begin starts an exchange of one of the offered mechanisms.
	Begin(ctx context.Context, c *Conn, mech string) (Exchange, error)
}

// An Exchange is one run of a SASL mechanism. Next gets nil for a response
// that was not sent, and an empty slice for an empty one.
//
// When Next returns an error, the client is answered: 535 5.7.8 if the error
// holds ErrCredentials or is the mechanism's own, the reply it holds if it
// holds a *smtp.Error, and otherwise 454 4.7.0 while the error goes to the log.
//
// A client that answers a challenge with "*" has given up (RFC 4954 §4). If it
// had sent a response before, that counts as a failed authentication, since the
// challenge may have been the news of its failure. The mechanisms of this
// package are known better; an Exchange around one of them has a method
// Unwrap() Exchange.
type Exchange interface {
	sasl.Server
	// Identity returns whom the client has proved to be, when Next has
	// reported that it is done. If it is empty, the client is answered 454
	// 4.7.0: that is whom a client is before AUTH.
	Identity() string
}

// ErrCredentials says that a user does not exist or a password or token is
// wrong. A function that verifies credentials returns it, wrapped or not.
var ErrCredentials = errors.New("smtp server: invalid credentials")

var errNoIdentity = errors.New("smtp server: authenticator let a client in without an identity")

// auth runs AUTH (RFC 4954 §4).
func (c *conn) auth(arg []byte) {
	word, initial := smtp.CutVerb(arg)
	mech := strings.ToUpper(string(word))
	switch {
	case c.srv.Auth == nil:
		c.refuse(notImplemented)
		return
	case c.authed:
		c.refuse(authTwice)
		return
	case !c.mayAuth():
		c.refuse(authNeedsTLS)
		return
	case mech == "":
		c.refuse(reply(501, 5, 4, "AUTH needs a mechanism"))
		return
	}
	c.changeMechanisms(c.srv.Auth.Mechanisms(&c.Conn))
	if !slices.Contains(c.mechanisms(), mech) {
		c.refuse(unknownAuthMech)
		return
	}
	var response []byte
	if len(initial) > 0 {
		var err error
		if response, err = decodeInitial(initial); err != nil {
			c.refuse(badBase64)
			return
		}
	}
	c.ctx.enter()
	x, err := c.srv.Auth.Begin(c.ctx, &c.Conn, mech)
	c.ctx.leave()
	if err == nil {
		err = c.exchange(x, response)
	}
	identity := ""
	if err == nil {
		if identity = x.Identity(); identity == "" { // which is what nobody has
			err = errNoIdentity
		}
	}
	if err != nil {
		c.authRefused(err)
		return
	}
	c.update(func(i *Info) { i.Mechanism, i.Identity = mech, identity })
	c.authed = true
	c.chat = 0
	c.reply(replyAuthenticated)
}

// decodeInitial decodes an initial response; "=" stands for an empty one.
func decodeInitial(b []byte) ([]byte, error) {
	if len(b) == 1 && b[0] == '=' {
		return []byte{}, nil
	}
	return decode64(b)
}

func decode64(b []byte) ([]byte, error) {
	if i := bytes.IndexByte(b, '\r'); i >= 0 {
		return nil, base64.CorruptInputError(i) // which Decode would skip
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(b)))
	n, err := base64.StdEncoding.Strict().Decode(out, b)
	return out[:n], err
}

// answered is an error whose reply has been sent, or needs none.
type answered struct{ error }

// malformedResponse is a response that no mechanism gets to see.
type malformedResponse struct{ smtp.Reply }

func (m malformedResponse) Error() string { return m.Text }

// errCancelled says that the client has given an exchange up before it came to
// an end.
var errCancelled = errors.New("smtp server: authentication cancelled")

// exchange runs challenges and responses until the mechanism is done.
func (c *conn) exchange(x Exchange, response []byte) error {
	for {
		c.ctx.enter()
		challenge, done, err := x.Next(response)
		c.ctx.leave()
		if err != nil || done {
			return err
		}
		c.reply(smtp.Reply{Code: 334, Text: base64.StdEncoding.EncodeToString(challenge)})
		line, err := c.readLine(false)
		switch {
		case err == wire.ErrLineTooLong, len(line)+2 > smtp.MaxAuthLine:
			return malformedResponse{authTooLong} // RFC 4954 §6
		case err == wire.ErrBareLF:
			return malformedResponse{lineEndsBadly}
		case err != nil:
			c.readFailed(err)
			return answered{err}
		}
		c.observeSecret(line)
		if len(line) == 1 && line[0] == '*' {
			if toldInChallenge(x, response != nil) {
				return malformedResponse{authCancelled} // RFC 4954 §4
			}
			return errCancelled
		}
		if response, err = decode64(line); err != nil {
			return malformedResponse{badBase64}
		}
	}
}

// toldInChallenge reports whether the challenge that the client does not
// answer was to tell it that it is refused: then it had its try, whatever it
// says. Of an application's own mechanism that is not known, so it is what any
// challenge is taken for that follows a response.
func toldInChallenge(x Exchange, responded bool) bool {
	for {
		switch own := x.(type) {
		case *oauth:
			return own.failure != nil
		case *plain, *login, *scramExchange, *cramExchange, *externalExchange:
			return false
		case interface{ Unwrap() Exchange }:
			x = own.Unwrap()
		default:
			return responded
		}
	}
}

func (c *conn) observeSecret(line []byte) {
	text := "***"
	if string(line) == "*" {
		text = "*"
	}
	c.observe(Event{Kind: CommandReceived, Verb: smtp.AUTH, Line: text})
}

// authRefused answers a failed exchange and counts it.
func (c *conn) authRefused(err error) {
	var rejection *smtp.Error
	var malformed malformedResponse
	_, done := err.(answered)
	if err == errCancelled {
		c.refuse(authCancelled) // RFC 4954 §4
		return
	}
	c.authFails++
	switch {
	case errors.Is(err, ErrAbort):
		c.answer(smtp.Reply{}, err, replyOK)
	case int(c.authFails) >= c.cfg.limits.MaxAuthFailures && !c.ended:
		c.limit(tooManyAuthFailures)
	case done:
	case errors.As(err, &malformed):
		c.refuse(malformed.Reply)
	case errors.As(err, &rejection):
		c.answer(smtp.Reply{}, err, replyOK)
	case errors.Is(err, ErrCredentials), errors.Is(err, sasl.ErrUnexpectedClientResponse), errors.Is(err, sasl.ErrUnexpectedServerChallenge):
		c.reply(authFailed)
	case errors.Is(err, errMalformed):
		c.refuse(reply(501, 5, 2, "malformed authentication response"))
	default:
		c.cfg.logger.Error("smtp server: authentication failed", "conn", &c.Conn, "err", err)
		c.reply(authTemporary)
	}
}
