package queue

import (
	"math/rand/v2"
	"time"

	"github.com/postrider/postrider/smtp"
)

// The rests of a destination that does not take mail.
const (
	minRest = time.Minute
	maxRest = 30 * time.Minute
)

// jitter returns d give or take a fifth, so that what was put off together does not
// come back together.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()*2-1)*float64(d)/5)
}

// doubled is d doubled n times, but most at the most.
func doubled(d, most time.Duration, n int) time.Duration {
	for ; n > 0 && d < most; n-- {
		d *= 2
	}
	return min(d, most)
}

// retryAfter is the time to the next attempt when so many were made.
func (r *Runner) retryAfter(attempts int) time.Duration {
	first := orDefault(r.Retry, 5*time.Minute)
	most := max(first, orDefault(r.MaxRetry, 4*time.Hour))
	return jitter(doubled(first, most, attempts-1))
}

// times are those of a new item.
type times struct{ due, expires, warn time.Time }

// times plans the item of a message that was announced by a MAIL at the time
// arrived. What it waits for by wish is not counted as its being late.
func (r *Runner) times(m *NewMessage, arrived time.Time) times {
	p := &m.Envelope.MailParams
	t := times{due: m.Due}
	if at := p.Hold.At(arrived); t.due.Before(at) { // RFC 4865 §4: not before
		t.due = at
	}
	lifetime := m.Lifetime
	if lifetime == 0 {
		lifetime = orDefault(r.Lifetime, 5*24*time.Hour)
	}
	t.expires = t.due.Add(lifetime)
	if after := orDefault(r.WarnAfter, 4*time.Hour); after > 0 {
		t.warn = t.due.Add(after)
	}
	by := arrived.Add(p.By.Within)
	switch p.By.Mode {
	case smtp.DeliverReturn: // RFC 2852 §4.1.1
		if by.Before(t.expires) {
			t.expires = by
		}
	case smtp.DeliverNotify: // once, and not again if it was over before the message came
		if t.warn = by; p.By.Within <= 0 {
			t.warn = time.Time{}
		}
	}
	if !t.warn.Before(t.expires) {
		t.warn = time.Time{}
	}
	return t
}

// passedOn are the parameters of MAIL that go to the next host.
func passedOn(m *Message, now time.Time) smtp.MailParams {
	p := m.Envelope.MailParams
	p.Hold = smtp.Hold{} // RFC 4865 §4: it has been kept
	if p.By.Mode != 0 {  // RFC 2852 §4.1.4: what is left
		p.By.Within -= now.Sub(m.Arrived)
	}
	return p
}

// mustReturn reports whether the message must not be delivered when its time is over
// (RFC 2852 §4).
func (m *Message) mustReturn() bool { return m.Envelope.MailParams.By.Mode == smtp.DeliverReturn }

// tooLate reports whether l must not be delivered any more: there is no whole second
// left that could be passed on.
func (l *Leased) tooLate(now time.Time) bool {
	return l.Message.mustReturn() && l.Item.expired(now.Add(time.Second-1))
}

// expired reports whether the item is to be given up.
func (it *Item) expired(now time.Time) bool { return !it.Expires.IsZero() && !now.Before(it.Expires) }

// warns reports whether it is time to tell the sender that the item is late.
func (it *Item) warns(now time.Time) bool { return !it.Warn.IsZero() && !now.Before(it.Warn) }

// earlier returns the earlier of two times, of which a zero one does not count.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
