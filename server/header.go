package server

import (
	"errors"
	"io"
)

// maxHeaderAhead bounds in octets what Header gathers when MaxHeaderSize does
// not.
const maxHeaderAhead = 16 << 20

var errHeaderLate = errors.New("smtp server: Header after Read or WriteTo")

// readAhead is for those who look at a message that another is to read.
type readAhead struct {
	header []byte // as Header has returned it; nil before
	unread []byte // of it, not yet handed out
	rest   []byte // what came with its end, in the receive buffer
	tees   []io.Writer

	source io.Reader // what stands in place of the message; nil without Replace
	buffer []byte    // for source
}

// pending reports whether something read ahead has not been handed out.
func (a *readAhead) pending() bool { return a != nil && (len(a.unread) > 0 || len(a.rest) > 0) }

// Header reads the header section ahead and returns it as it came, through
// the empty line that ends it. It is the whole message if there is no such
// line, and empty if there is no header field and no line at all. What was
// given to Prepend is not in it.
//
// The message is read whole by Read or WriteTo all the same, and Prepend has
// effect until then. Header may be called again at any time and returns the
// same; the first call must come before the first Read. The octets are valid
// until Data returns and must not be changed.
//
// The header section is in memory as long as the message is, so it is held to
// Limits.MaxHeaderSize, and to 16 MiB if that is no limit. This and everything
// else that can cut a message short comes as the *BodyError that Read would
// give.
func (b *Body) Header() ([]byte, error) {
	b.inside = true
	m := b.body
	if m == nil {
		b.inside = false
		return nil, &BodyError{Err: errBodyOver}
	}
	header, err := m.headerSection()
	b.inside = false
	return header, err
}

// headerSection is Body.Header.
func (b *body) headerSection() ([]byte, error) {
	switch {
	case b.ahead != nil && b.ahead.header != nil:
		return b.ahead.header, nil
	case b.begun:
		return nil, errHeaderLate
	case b.err != nil && b.err != io.EOF:
		return nil, b.err
	}
	a := b.lookAhead()
	header := []byte{}
	for !b.header.passed {
		content, err := b.content()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if b.header.passed {
			n := int(b.header.size) - len(header)
			header = append(header, content[:n]...)
			a.header, a.unread, a.rest = header, header, content[n:]
			return header, nil
		}
		if header = append(header, content...); len(header) > maxHeaderAhead && b.c.cfg.limits.MaxHeaderSize < 0 {
			b.fail(headerTooBig)
			return nil, b.failed
		}
	}
	a.header, a.unread = header, header
	return header, nil
}

func (b *body) lookAhead() *readAhead {
	if b.ahead == nil {
		b.ahead = new(readAhead)
	}
	return b.ahead
}

// next returns the next octets read ahead, none when all have been handed out.
func (a *readAhead) next() (content []byte) {
	if len(a.unread) > 0 {
		content, a.unread = a.unread, nil
	} else {
		content, a.rest = a.rest, nil
	}
	return content
}
