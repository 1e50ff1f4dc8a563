package server

import (
	"os"
	"time"

	"github.com/postrider/postrider/smtp"
)

// maxPause bounds how long one write is held back. Clients wait five minutes
// for most replies and two for that to DATA (RFC 5321 §4.5.3.2).
const maxPause = time.Minute

// owe notes that a refusal is to be held back, if the client has had its share.
func (c *conn) owe(r smtp.Reply) {
	c.refusals++
	beyond := int(c.refusals) - c.cfg.limits.TarpitAfter
	if beyond <= 0 {
		return
	}
	if beyond == 1 {
		c.observe(Event{Kind: Tarpitted, Verb: c.verb, Reply: r})
	}
	c.owed = min(c.owed+c.cfg.limits.Tarpit, maxPause)
}

// payOff holds back what is about to be sent. The refusals of a pipelined group
// are paid for together, so a group of a thousand costs no more than maxPause.
func (c *conn) payOff() {
	d := c.owed
	c.owed = 0
	c.pause(d)
}

// pause waits, but not longer than the client is there, nor beyond Shutdown.
// Only a read can tell that the client is gone. When it brings octets instead,
// no more are taken in, and the rest of the time passes without.
func (c *conn) pause(d time.Duration) {
	until := time.Now().Add(d)
	if c.listen(until) != nil {
		return
	}
	rest := time.NewTimer(time.Until(until))
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-c.srv.leaving:
	}
}

// listen waits until octets come from the client; where there are none yet, no
// buffer is held meanwhile. The error is os.ErrDeadlineExceeded when none have come until
// then, or when Shutdown cut the wait short.
func (c *conn) listen(until time.Time) error {
	c.mu.Lock()
	if c.nudged {
		c.mu.Unlock()
		return os.ErrDeadlineExceeded
	}
	c.idle = true // so that Shutdown wakes it
	err := c.setReadDeadline(until)
	c.mu.Unlock()
	if err != nil {
		return err
	}
	defer c.busy()
	return c.in.Fill(true, false)
}
