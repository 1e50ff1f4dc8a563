package client

import (
	"net"
	"time"

	"github.com/postrider/postrider/smtp"
)

// Waiting returns how many calls of Send stand in line for a connection.
func (c *Client) Waiting() int { return c.Stats().Waiting }

// ScramAuthNonce is ScramAuth with a nonce that is always the same.
func ScramAuthNonce(username, password, nonce string) Auth {
	a := newScramAccount(username, password)
	a.nonce = func() string { return nonce }
	return a.auth
}

// ScramAuthSalts is ScramAuth, and counts the salts for which keys are kept.
func ScramAuthSalts(username, password string) (auth Auth, salts func() int) {
	a := newScramAccount(username, password)
	return a.auth, func() int { return len(a.keys["SCRAM-SHA-256"].seen) }
}

// InLine returns how many keys need a slot that there is none of.
func (p *Pool) InLine() int {
	p.slots.mu.Lock()
	defer p.slots.mu.Unlock()
	return p.slots.line.Len()
}

// HourPasses lets the Rate forget the last message.
func (c *Client) HourPasses() {
	c.queue.own.mu.Lock()
	defer c.queue.own.mu.Unlock()
	c.queue.pacing.begun = c.queue.pacing.begun.Add(-time.Hour)
}

// Envelope returns a function that appends the commands for env, as to a server that
// offers o.
func Envelope(env smtp.Envelope, o smtp.Offers) func(dst []byte) []byte {
	c := &Conn{}
	c.setOffers(o)
	t := &transaction{env: env, result: newResult(&env), kind: smtp.KindExamined}
	return func(dst []byte) []byte {
		t.progress = progress{}
		if err := c.begin(t); err != nil {
			panic(err)
		}
		return c.appendGroup(t, dst)
	}
}

// Requester returns peeker.request of one peeker that looks at nc.
func Requester(nc net.Conn) func(out []byte, wrote func()) (n int, arrived bool) {
	return newPeeker(nc).request
}
