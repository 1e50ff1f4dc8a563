package middleware

import (
	"context"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// RateLimitOptions say how much mail is taken from one key in a period.
type RateLimitOptions struct {
	// Messages limits the mail transactions of one key within Per. If zero,
	// 100; negative, no limit.
	Messages int
	// Recipients limits the recipients of one key within Per. If zero, 1,000;
	// negative, no limit.
	Recipients int
	// Per is the period. If zero, one hour.
	Per time.Duration
	// Key returns whom a message is counted for; it is asked at each MAIL. An
	// empty key is not limited. If nil, it is whom the client authenticated
	// as, otherwise its IPv4 address or IPv6 /64; clients on a unix socket are
	// not limited.
	Key func(ctx context.Context, c *server.Conn, from smtp.ReversePath) string
	// MaxKeys limits the keys that are remembered, each in less than 256
	// octets. Beyond, those are forgotten that have used the least. If zero,
	// 100,000.
	MaxKeys int
}

// RateLimit returns middleware that limits messages and recipients per key.
// Who has used up everything gets 451 4.7.1 to MAIL or 450 4.7.1 to RCPT, and
// may try again later; what is refused so does not count, what the Handler
// behind refuses does.
//
// A key may use its whole allowance at once, and gets it back evenly over Per:
// with 100 messages per hour, one every 36 seconds.
func RateLimit(o RateLimitOptions) func(server.Handler) server.Handler {
	per := o.Per
	if per <= 0 {
		per = time.Hour
	}
	l := &rateLimiter{
		key:        o.Key,
		messages:   newRate(o.Messages, 100, per),
		recipients: newRate(o.Recipients, 1000, per),
		used:       newTable(o.MaxKeys, 100_000, usage.ends),
	}
	if l.key == nil {
		l.key = clientKey
	}
	return wrap(func(w wrapped) server.Session { return &rateLimited{wrapped: w, l: l} })
}

var (
	tooManyMessages   = smtp.Reject(451, smtp.Enh(7, 1), "too many messages, try again later")
	tooManyRecipients = smtp.Reject(450, smtp.Enh(7, 1), "too many recipients, try again later")
)

type rateLimiter struct {
	key                  func(context.Context, *server.Conn, smtp.ReversePath) string
	messages, recipients rate
	used                 *table[usage]
}

type rateLimited struct {
	wrapped
	l   *rateLimiter
	key string // of the transaction
}

func (s *rateLimited) Mail(ctx context.Context, from smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error) {
	s.key = s.l.key(ctx, s.conn, from)
	if !s.l.allow(s.key, s.l.messages, func(u *usage) *time.Time { return &u.messages }) {
		return smtp.Reply{}, tooManyMessages
	}
	return s.Session.Mail(ctx, from, p)
}

func (s *rateLimited) Rcpt(ctx context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
	if !s.l.allow(s.key, s.l.recipients, func(u *usage) *time.Time { return &u.recipients }) {
		return smtp.Reply{}, tooManyRecipients
	}
	return s.Session.Rcpt(ctx, to, p)
}

// usage is what one key has used: for each kind the time at which everything
// will have come back.
type usage struct{ messages, recipients time.Time }

func (u usage) ends() time.Time {
	if u.messages.After(u.recipients) {
		return u.messages
	}
	return u.recipients
}

// rate is an allowance and how long one of it takes to come back.
type rate struct{ per, each time.Duration }

func newRate(n, otherwise int, per time.Duration) rate {
	switch {
	case n < 0:
		return rate{}
	case n == 0:
		n = otherwise
	}
	return rate{per, per / time.Duration(n)}
}

// allow takes one of the allowance, if there is one left.
func (l *rateLimiter) allow(key string, r rate, of func(*usage) *time.Time) (ok bool) {
	if r.each <= 0 || key == "" {
		return true
	}
	now := time.Now()
	l.used.update(key, now, func(u *usage) bool {
		back := of(u)
		next := *back
		if next.Before(now) {
			next = now
		}
		if next = next.Add(r.each); next.Sub(now) > r.per {
			return false
		}
		*back, ok = next, true
		return true
	})
	return ok
}

// clientKey is the default of RateLimitOptions.Key. The letter in front keeps
// an identity from passing for an address.
func clientKey(_ context.Context, c *server.Conn, _ smtp.ReversePath) string {
	if id := c.Identity(); id != "" {
		return "a" + id
	}
	if p := network(c, 32, 64); p.IsValid() {
		return "i" + p.String()
	}
	return ""
}
