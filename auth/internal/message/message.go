// Package message takes a message apart while it streams by, for everything
// that judges signatures: it splits the header in place, hashes the canonical
// body once for all who ask alike, and canonicalises fields (RFC 6376 §3.4,
// §3.7). Whatever the message, its cost is linear in the message's size and its
// memory is the header and a few kilobytes.
//
// Lines end in CRLF. A CR or LF that stands alone is data.
package message

import (
	"bytes"
	"crypto"
	_ "crypto/sha1"   // for crypto.SHA1, whoever imports this package
	_ "crypto/sha256" // for crypto.SHA256
	"errors"
)

// Limits bound the header of a message.
type Limits struct {
	MaxHeader int // octets. If zero, 1 MiB
	MaxFields int // fields. If zero, 1,000
}

// Why a message is not evaluated. The texts are fit for strangers.
var (
	ErrHeaderSize = errors.New("header too large")
	ErrFields     = errors.New("too many header fields")
)

// A Message is an io.Writer of a message in the form of the Internet Message
// Format (RFC 5322), header first. It is not safe for concurrent use.
type Message struct {
	limits   Limits
	onHeader func(*Message)

	header   []byte // without the empty line
	line     int    // where the line that is being received begins in header
	lines    int    // lines of header that are complete
	starts   []int  // where fields begin in header
	done     bool   // the header is complete, or given up
	closed   bool
	err      error
	bare     bool
	fields   []Field
	index    *index
	bodies   [2]*body // by Canon
	received bool     // something of the body
}

// New returns a Message that calls onHeader, if not nil, once: in the Write
// that brings the empty line, or in Close if there is none, or in the Write
// that goes beyond the limits.
func New(limits Limits, onHeader func(*Message)) *Message {
	if limits.MaxHeader == 0 {
		limits.MaxHeader = 1 << 20
	}
	if limits.MaxFields == 0 {
		limits.MaxFields = 1000
	}
	return &Message{limits: limits, onHeader: onHeader}
}

// Write takes the next octets of the message, which may end anywhere. It keeps
// none of p, and never fails: see [Message.Err].
func (m *Message) Write(p []byte) (int, error) {
	n := len(p)
	if !m.done {
		p = m.writeHeader(p)
	}
	if m.done && len(p) > 0 {
		m.received = true
		for _, b := range m.bodies {
			if b != nil {
				b.write(p)
			}
		}
	}
	return n, nil
}

// Close ends the message. Closing again does nothing.
func (m *Message) Close() {
	if m.closed {
		return
	}
	if !m.done {
		m.lastLine()
	}
	m.closed = true
	for i, b := range m.bodies {
		if b != nil {
			b.close()
			m.bodies[i] = nil
		}
	}
}

// Err returns why the message is not evaluated: [ErrHeaderSize], [ErrFields],
// or nil. Such a message has no fields and hashes no body.
func (m *Message) Err() error { return m.err }

// InBody reports whether octets of the body have come.
func (m *Message) InBody() bool { return m.received }

// Malformed reports whether the header holds a CR or LF alone, or NUL. Those
// who read it later may see other fields in it.
func (m *Message) Malformed() bool { return m.bare }

// Fields returns the fields from top to bottom once the header is complete.
// They must not be changed. A line that is no field is one without a name.
func (m *Message) Fields() []Field { return m.fields }

// BodyHash returns what hashes the body in the canonical form canon with h, as
// many octets as length says, or all if that is negative. Who asks for the
// same gets the same, so it is hashed once. It must be called before the body
// begins: in onHeader.
func (m *Message) BodyHash(canon Canon, h crypto.Hash, length int64) *BodyHash {
	if length < 0 {
		length = -1
	}
	if m.received || m.closed {
		panic("message: BodyHash after the body has begun")
	}
	if m.bodies[canon] == nil {
		m.bodies[canon] = newBody(canon)
	}
	return m.bodies[canon].sink(h, length)
}

// writeHeader takes what belongs to the header off p and returns the rest.
func (m *Message) writeHeader(p []byte) []byte {
	for len(p) > 0 {
		n := min(len(p), headerPiece) // a little of the body may be copied in vain
		at := len(m.header)
		m.keep(p[:n])
		for {
			i := bytes.IndexByte(m.header[at:], '\n')
			if i < 0 {
				break
			}
			at += i + 1
			if at-m.line < 2 || m.header[at-2] != '\r' {
				continue // a bare LF ends no line
			}
			if at-m.line == 2 {
				rest := len(m.header) - at
				m.header = m.header[:m.line]
				m.endHeader()
				return p[n-rest:]
			}
			if !m.endLine(at) {
				return nil
			}
		}
		if len(m.header) > m.limits.MaxHeader && len(m.header)-m.line > 1 { // one octet may begin the empty line
			m.giveUp(ErrHeaderSize)
			return nil
		}
		p = p[n:]
	}
	return nil
}

const headerPiece = 4096

func (m *Message) keep(p []byte) {
	if m.header == nil {
		m.header = make([]byte, 0, max(2048, len(p)))
	}
	m.header = append(m.header, p...)
}

// endLine counts the line that ends before at, and the field that it begins.
func (m *Message) endLine(at int) bool {
	if at > m.limits.MaxHeader {
		return m.giveUp(ErrHeaderSize)
	}
	if c := m.header[m.line]; c != ' ' && c != '\t' || len(m.starts) == 0 {
		if len(m.starts) == m.limits.MaxFields {
			return m.giveUp(ErrFields)
		}
		if m.starts == nil {
			m.starts = make([]int, 0, 24)
		}
		m.starts = append(m.starts, m.line)
	}
	m.lines++
	m.line = at
	return true
}

// lastLine ends a header that no empty line ends.
func (m *Message) lastLine() {
	if m.line < len(m.header) {
		m.keep(crlfs[:2])
		if !m.endLine(len(m.header)) {
			return
		}
	}
	m.endHeader()
}

func (m *Message) giveUp(err error) bool {
	m.err, m.done, m.header, m.starts = err, true, nil, nil
	m.tell()
	return false
}

func (m *Message) endHeader() {
	m.done = true
	m.bare = bytes.Count(m.header, []byte("\r")) != m.lines ||
		bytes.Count(m.header, []byte("\n")) != m.lines ||
		bytes.IndexByte(m.header, 0) >= 0
	m.fields = make([]Field, len(m.starts))
	for i, start := range m.starts {
		end := len(m.header)
		if i+1 < len(m.starts) {
			end = m.starts[i+1]
		}
		m.fields[i] = newField(m.header[start:end:end])
	}
	m.tell()
}

func (m *Message) tell() {
	if m.onHeader != nil {
		m.onHeader(m)
	}
}
