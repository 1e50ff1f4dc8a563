package server

import (
	"errors"
	"os"
	"time"

	"github.com/postrider/postrider/smtp"
)

// EarlyTalker says what becomes of a client that does not wait for the greeting
// before it speaks (RFC 5321 §3.1). Senders that do not read what they are told
// are hardly ever mail servers.
type EarlyTalker uint8

const (
	// EarlyTolerate lets it talk. The greeting is sent at once.
	EarlyTolerate EarlyTalker = iota
	// EarlyRefuse sends 554 in place of the greeting, without asking the
	// Handler. After that the client may only QUIT (RFC 5321 §3.1).
	EarlyRefuse
	// EarlyDelay lets it wait for the greeting ten times as long as others, a
	// minute at most, and then goes on. Many do not wait.
	EarlyDelay
)

// holdGreeting listens before the greeting. It reports whether there is to be
// one.
func (c *conn) holdGreeting() bool {
	if c.srv.EarlyTalker == EarlyTolerate {
		return true
	}
	began, delay := time.Now(), c.cfg.limits.GreetingDelay
	err := c.listen(began.Add(delay))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded): // or Shutdown, which the loop will notice
		return true
	case err != nil:
		c.readFailed(err)
		return false
	}
	c.observe(Event{Kind: EarlyTalk})
	if c.srv.EarlyTalker == EarlyDelay {
		c.pause(time.Until(began.Add(min(10*delay, maxPause))))
		return true
	}
	c.state = refused
	c.reason = &smtp.Error{Reply: talkedEarly, Scope: smtp.ScopeSession}
	c.reply(talkedEarly)
	c.greeted = true
	return false
}
