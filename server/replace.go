package server

import (
	"errors"
	"io"
)

var errReplaceEarly = errors.New("smtp server: Replace before io.EOF")

// replaceBuffer is how many octets of a replaced message are read at a time.
const replaceBuffer = 32 << 10

// Replace puts the octets of r in the place of the message, for middleware that
// has read it whole and hands on another: with fields on top that only the
// whole message could give, or without some. It may be called only after Read
// or WriteTo have come to the true end of the message, else it returns an error
// and changes nothing.
//
// After it the Body is as it was at its beginning: Prepend, Header and Tee have
// effect, and whoever reads it gets the octets of r and then io.EOF. An error
// of r refuses the message: Read gives it as a *BodyError, and the client is
// answered as if Data had returned it. Line ends and sizes of r are not
// checked; Received and DeclaredSize are still those of the message that came.
// r is read until Data returns and is not closed.
func (b *Body) Replace(r io.Reader) error {
	m := b.body
	if m == nil || m.err != io.EOF || len(m.rest) > 0 || m.ahead.pending() {
		return errReplaceEarly
	}
	m.ahead = &readAhead{source: r, buffer: make([]byte, replaceBuffer)}
	m.err, m.ended, m.begun, m.header = nil, true, false, headerEnd{}
	return nil
}

// replaced is content of a message that was put in place of another.
func (b *body) replaced() ([]byte, error) {
	a := b.ahead
	for range 100 {
		n, err := a.source.Read(a.buffer)
		content := a.buffer[:n]
		if !b.header.passed {
			b.header.octets(content)
		}
		if err == io.EOF {
			b.err = io.EOF
		} else if err != nil {
			b.failHandler(err)
		}
		if n > 0 && (b.err == nil || b.err == io.EOF) && b.copyTo(a.tees, content) {
			return content, nil
		}
		if b.err != nil {
			return nil, b.err
		}
	}
	b.failHandler(io.ErrNoProgress)
	return nil, b.err
}

// failHandler refuses the message as if Data had returned err.
func (b *body) failHandler(err error) {
	r, say := b.c.negative(err, handlerFailed)
	failed := &BodyError{Reply: r, Err: err}
	if b.err = failed; say {
		b.failed = failed
		b.scan.Ignore()
	}
}
