package middleware_test

import (
	"context"
	"encoding/base64"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/server/middleware"
	"github.com/postrider/postrider/smtp"
)

const (
	mailed   = "C: MAIL FROM:<a@example.org>\nS: 250 ...\nC: RSET\nS: 250 ..."
	mailOver = "C: MAIL FROM:<a@example.org>\nS: 451 4.7.1 too many messages, try again later"
	rcpted   = "C: RCPT TO:<b@example.com>\nS: 250 ..."
	rcptOver = "C: RCPT TO:<b@example.com>\nS: 450 4.7.1 too many recipients, try again later"
)

var login = "C: AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password)) + "\nS: 235 ..."

func TestRateLimitOfMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, middleware.RateLimit(middleware.RateLimitOptions{Messages: 3, Per: time.Hour}))
		// Three at once, then one every twenty minutes. What is refused does
		// not count, and no other client is concerned.
		h.play(t, "192.0.2.1", mailed, mailed, mailed, mailOver, mailOver)
		h.play(t, "192.0.2.1", mailOver)
		h.play(t, "192.0.2.2", mailed, mailed, mailed, mailOver)
		h.play(t, "2001:db8::1", mailed, mailed, mailed, mailOver)
		h.play(t, "2001:db8::2", mailOver) // the same /64
		h.play(t, "2001:db8:0:1::1", mailed)
		time.Sleep(20*time.Minute - time.Second)
		h.play(t, "192.0.2.1", mailOver)
		time.Sleep(time.Second)
		h.play(t, "192.0.2.1", mailed, mailOver)
		time.Sleep(24 * time.Hour)
		h.play(t, "192.0.2.1", mailed, mailed, mailed, mailOver)
		h.play(t, "", mailed, mailed, mailed, mailed, mailed)
		if calls := h.noted(); len(calls) == 0 {
			t.Error("nothing was asked")
		}
	})
}

// An identity has an allowance of its own, wherever it comes from.
func TestRateLimitOfIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, middleware.RateLimit(middleware.RateLimitOptions{Messages: 2}))
		h.play(t, "127.0.0.1", mailed, mailed, mailOver, login, mailed, mailed, mailOver)
		h.play(t, "127.0.0.2", login, mailOver)
		h.play(t, "127.0.0.2", mailed)
	})
}

func TestRateLimitOfRecipients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, middleware.RateLimit(middleware.RateLimitOptions{Recipients: 2, Per: time.Minute}))
		begin := "C: MAIL FROM:<>\nS: 250 ..."
		h.play(t, "192.0.2.1", begin, rcpted, rcpted, rcptOver, "C: DATA\nS: 354 ...\nC: .\nS: 250 ...", begin, rcptOver, "C: DATA\nS: 503 ...")
		time.Sleep(30 * time.Second)
		// One that the Handler refuses counts: guessing is not free.
		h.play(t, "192.0.2.1", begin, "C: RCPT TO:<nobody@example.com>\nS: 550 ...", rcptOver)
		h.stop()
		want(t, "calls", h.noted(), "new\nmail <>\nrcpt <b@example.com>\nrcpt <b@example.com>\ndata\nreset done\nmail <>\nreset closed\nclose\n"+
			"new\nmail <>\nrcpt <nobody@example.com>\nreset closed\nclose")
	})
}

func TestRateLimitDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, middleware.RateLimit(middleware.RateLimitOptions{}))
		var hundred []string
		for range 100 {
			hundred = append(hundred, mailed)
		}
		h.play(t, "192.0.2.1", append(hundred, mailOver)...)
		time.Sleep(36 * time.Second)
		h.play(t, "192.0.2.1", mailed, mailOver)

		h = start(t, middleware.RateLimit(middleware.RateLimitOptions{Messages: -1, Recipients: -1}))
		h.play(t, "192.0.2.1", append(hundred, hundred...)...)
	})
}

func TestRateLimitKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, middleware.RateLimit(middleware.RateLimitOptions{
			Messages: 1,
			Key: func(_ context.Context, c *server.Conn, from smtp.ReversePath) string {
				if c.Hello() != "client.example" {
					t.Errorf("asked for %q", c.Hello())
				}
				return from.Domain
			},
		}))
		null := "C: MAIL FROM:<>\nS: 250 ...\nC: RSET\nS: 250 ..."
		h.play(t, "192.0.2.1", mailed, mailOver, null, null, "C: MAIL FROM:<a@example.net>\nS: 250 ...")
		h.play(t, "192.0.2.2", mailOver)
	})
}
