package server

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/postrider/postrider/smtp"
)

// A Body is a message as it arrives, by DATA or BDAT: line ends are CRLF,
// dot-stuffing is undone, chunks are joined. It is an io.Reader and an
// io.WriterTo; io.Copy uses the latter and copies no octet on the way.
//
// io.EOF comes only after the true end of the message. Whatever cuts it short
// (a lost connection, RSET between chunks, a limit, stray line ends, Server
// shutdown) comes as a *BodyError, and Data's result is then ignored: half a
// message must never be taken for a whole one.
//
// A Body belongs to the goroutine that Session.Data is called in, until Data
// returns.
type Body struct {
	body   *body // nil once Data has returned
	inside bool  // a call of Read, WriteTo or Header has not returned
}

// A BodyError says why a message did not come to its end.
type BodyError struct {
	// Reply is what the client is told; it is zero when nothing can be.
	Reply smtp.Reply
	// Err is the cause: an error of the connection or a description.
	Err error
}

// Error describes the cause.
func (e *BodyError) Error() string { return fmt.Sprintf("smtp server: message cut short: %v", e.Err) }

// Unwrap returns the cause.
func (e *BodyError) Unwrap() error { return e.Err }

var (
	errReset    = errors.New("mail transaction abandoned by the client")
	errBodyOver = errors.New("body read after Data returned")
)

// Prepend puts header fields in front of the message, as a Received field
// must be (RFC 5321 §4.4). It has effect before the first Read only. Each
// field ends with CRLF; see Received for a builder. A message that begins with a
// blank, which would continue the last of them, has an empty line put before it.
func (b *Body) Prepend(fields string) {
	m := b.body
	if m == nil || m.begun {
		return
	}
	prefix := make([]byte, 0, len(fields)+len(m.prefix))
	m.prefix = append(append(prefix, fields...), m.prefix...)
}

// DeclaredSize returns the SIZE that MAIL declared, in octets; 0 if it did
// not. The client need not keep to it.
func (b *Body) DeclaredSize() int64 {
	if b.body == nil {
		return 0
	}
	return b.body.declared
}

// Received returns how many octets of the message have come so far.
func (b *Body) Received() int64 {
	if b.body == nil {
		return 0
	}
	return b.body.received
}

// PerRecipient reports whether there is one reply for each recipient, so that
// SetReply has effect: with LMTP, and with PRDR if there are several.
func (b *Body) PerRecipient() bool { return b.body != nil && b.body.perRecipient }

// SetReply sets the reply for the i-th accepted recipient, counted from zero.
// Recipients without one get what Data returns. If Data returns an error it
// goes to all of them. A reply that is not 2xx, 4xx or 5xx has no effect, nor
// has any without PerRecipient.
func (b *Body) SetReply(i int, r smtp.Reply) {
	if !b.PerRecipient() || !(r.Positive() || r.Temporary() || r.Permanent()) {
		return
	}
	if b.body.replies == nil {
		b.body.replies = make(map[int]smtp.Reply)
	}
	b.body.replies[i] = r
}

// Read reads the message. See Body for its errors.
func (b *Body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	content, err := b.next(len(p))
	return copy(p, content), err
}

// WriteTo writes the message to w in slices of the receive buffer. It returns
// nil after the true end of the message.
func (b *Body) WriteTo(w io.Writer) (n int64, err error) {
	for {
		content, err := b.next(math.MaxInt)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		m, err := w.Write(content)
		n += int64(m)
		if err != nil {
			return n, err
		}
		if m < len(content) {
			return n, io.ErrShortWrite
		}
	}
}

// next returns the next octets of the message, at least one and at most limit,
// valid until it is called again.
func (b *Body) next(limit int) ([]byte, error) {
	b.inside = true
	m := b.body
	if m == nil {
		b.inside = false
		return nil, &BodyError{Err: errBodyOver}
	}
	var err error
	content := m.rest
	if len(content) == 0 {
		content, err = m.next()
	}
	n := min(limit, len(content))
	m.rest = content[n:]
	b.inside = false
	return content[:n], err
}
