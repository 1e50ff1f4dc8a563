package server

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/postrider/postrider/internal/wire"
)

// progress judges how fast message data comes: in windows of DataTimeout, at
// whose end the octets of the window are counted. The read deadline stands at
// the window's end, or before, so a read that succeeds costs no look at the clock.
type progress struct {
	start, end time.Time
	octets     int64
	early      bool // the deadline is a command's, and nearer than the end
}

// lateBy is how long after its deadline a read that was waiting may fail.
const lateBy = time.Second

// fill waits for more of the message.
func (b *body) fill() error {
	c := b.c
	if c.txn != nil {
		c.txn.leave() // the client's time is not the handler's
	}
	if !b.closed {
		defer c.txn.enter()
	}
	before := len(c.in.Unread())
	if err := c.flush(); err != nil {
		return &BodyError{Err: err}
	}
	if len(c.in.Unread()) > before { // it came while replies were held back
		return nil
	}
	if b.window.start.IsZero() {
		if err := c.openWindow(&b.window); err != nil {
			return &BodyError{Err: err}
		}
	}
	if b.chunked { // a chunk may end before its window, which is then never judged
		began := time.Now()
		defer func() { b.within += time.Since(began) }()
	}
	for {
		had := len(c.in.Unread())
		// Over TLS, to wait without a buffer takes a read more for each record.
		err := c.in.Fill(!c.encrypted, b.received >= wire.LargeBuffer)
		b.window.octets += int64(len(c.in.Unread()) - had)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return &BodyError{Err: notEOF(err)}
		case b.window.early:
			b.window.early = false
			if err := c.awaitData(b.window.end); err != nil {
				return &BodyError{Err: err}
			}
			continue
		case time.Since(b.window.end) > lateBy:
			// The window ended while the handler was at work.
		case !b.window.fastEnough(c.cfg.limits.MinDataRate):
			r := replyTooSlow
			if b.window.octets == 0 {
				r = replyTimeout
			}
			return &BodyError{Reply: r, Err: err}
		}
		if err := c.openWindow(&b.window); err != nil {
			return &BodyError{Err: err}
		}
	}
}

// notEOF keeps a handler that asks errors.Is(err, io.EOF) from taking the loss
// of the connection for the end of the message.
func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// openWindow begins a window. A deadline in force that is not much farther off
// serves as its end, and one that is nearer is left to be met: most messages
// come sooner, and need none of their own.
func (c *conn) openWindow(w *progress) error {
	length := c.cfg.limits.DataTimeout
	c.mu.Lock()
	defer c.mu.Unlock()
	age := time.Since(c.opened) // reads one clock, time.Now two
	now := c.opened.Add(age)
	if left := c.readUntil - age; left <= 2*length && c.readUntil != 0 {
		*w = progress{start: now, end: now.Add(max(left, length)), early: left < length}
		return nil
	}
	*w = progress{start: now, end: now.Add(length)}
	return c.setReadDeadline(w.end)
}

// awaitData sets the deadline for message data.
func (c *conn) awaitData(until time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.setReadDeadline(until)
}

func (w *progress) fastEnough(rate int) bool {
	if rate < 0 {
		return w.octets > 0
	}
	return float64(w.octets) >= float64(rate)*w.end.Sub(w.start).Seconds()
}
