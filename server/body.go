package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/postrider/postrider/internal/wire"
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
	c        *conn
	scan     wire.DotScanner
	prefix   []byte
	begun    bool       // something has been handed out: no prefix any more
	prefixed bool       // the prefix has been handed out, and nothing else
	ended    bool       // the end of data has been consumed
	ahead    *readAhead // nil without Header and Tee
	rest     []byte     // handed out by next, not yet taken by Read
	received int64      // octets of content
	dropped  int64
	err      error      // sticky: io.EOF or *BodyError
	failed   *BodyError // the message is refused, but the session is in step
	closed   bool       // Data has returned
	refused  bool       // Data returned an error: nothing is checked any more

	chunked bool
	left    int64 // octets of the current chunk still to come
	last    bool  // the current chunk is the last

	header headerEnd

	perRecipient bool
	replies      map[int]smtp.Reply

	window progress
	waited time.Duration // for the commands between chunks
	within time.Duration // the same for octets of chunks
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

func (b *Body) begin(c *conn, chunked bool) {
	*b = Body{c: c, chunked: chunked, perRecipient: c.srv.Role == LMTP}
	if c.txn != nil && c.txn.mail.PRDR && c.txn.recipients > 1 {
		b.perRecipient = true
	}
	policy := c.cfg.bodyLines
	if chunked {
		policy = c.cfg.chunkLines
		if c.txn != nil && c.txn.mail.Body == smtp.BodyBinaryMIME {
			policy = Pass // RFC 3030 §3
		}
	}
	lines := [...]wire.Lines{Reject: wire.RejectBare, Normalize: wire.NormalizeBareLF, Pass: wire.PassBare}[policy]
	maxLine := c.cfg.limits.MaxTextLine
	if c.txn != nil && c.txn.mail.Body == smtp.BodyBinaryMIME {
		maxLine = 0 // there need not be lines
	}
	b.scan.Reset(lines, maxLine, !chunked)
}

// chunk begins a chunk, whose progress is judged by itself.
func (b *Body) chunk(size int64, last bool) {
	b.left, b.last, b.window = size, last, progress{}
}

// Prepend puts header fields in front of the message, as a Received field
// must be (RFC 5321 §4.4). It has effect before the first Read only. Each
// field ends with CRLF; see Received for a builder. A message that begins with a
// blank, which would continue the last of them, has an empty line put before it.
func (b *Body) Prepend(fields string) {
	if b.begun {
		return
	}
	prefix := make([]byte, 0, len(fields)+len(b.prefix))
	b.prefix = append(append(prefix, fields...), b.prefix...)
}

// prepend is Prepend without a string in between.
func (b *Body) prepend(r *Received) {
	if !b.begun {
		own, t := b.prefix, b.c.txn
		if t.trace == nil {
			t.trace = replyBuffers.Get().(*[replyBuffer]byte)
		}
		b.prefix = append(r.appendDated(t.trace[:0], &b.c.cfg.dates), own...)
	}
}

// DeclaredSize returns the SIZE that MAIL declared, in octets; 0 if it did
// not. The client need not keep to it.
func (b *Body) DeclaredSize() int64 { return b.c.txn.mail.Size }

// Received returns how many octets of the message have come so far.
func (b *Body) Received() int64 { return b.received }

// PerRecipient reports whether there is one reply for each recipient, so that
// SetReply has effect: with LMTP, and with PRDR if there are several.
func (b *Body) PerRecipient() bool { return b.perRecipient }

// SetReply sets the reply for the i-th accepted recipient, counted from zero.
// Recipients without one get what Data returns. If Data returns an error it
// goes to all of them. A reply that is not 2xx, 4xx or 5xx has no effect, nor
// has any without PerRecipient.
func (b *Body) SetReply(i int, r smtp.Reply) {
	if !b.perRecipient || !(r.Positive() || r.Temporary() || r.Permanent()) {
		return
	}
	if b.replies == nil {
		b.replies = make(map[int]smtp.Reply)
	}
	b.replies[i] = r
}

// Read reads the message. See Body for its errors.
func (b *Body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(b.rest) == 0 {
		content, err := b.next()
		if err != nil {
			return 0, err
		}
		b.rest = content
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// WriteTo writes the message to w in slices of the receive buffer. It returns
// nil after the true end of the message.
func (b *Body) WriteTo(w io.Writer) (n int64, err error) {
	for {
		content := b.rest
		if b.rest = nil; len(content) == 0 {
			content, err = b.next()
		}
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

// next returns the next octets of the message, at least one, valid until it
// is called again.
func (b *Body) next() ([]byte, error) {
	if b.closed {
		return nil, &BodyError{Err: errBodyOver}
	}
	b.begun = true
	if len(b.prefix) > 0 {
		p := b.prefix
		b.prefix, b.prefixed = nil, true
		return p, nil
	}
	if b.prefixed {
		b.prefixed = false
		return b.behindPrefix()
	}
	return b.message()
}

// behindPrefix is the first content when something was put in front of it. A
// blank there would continue our field with words of the client's; no header
// section begins so (RFC 5322 §2.2), so what comes is body.
func (b *Body) behindPrefix() ([]byte, error) {
	content, err := b.message()
	if err == nil && (content[0] == ' ' || content[0] == '\t') {
		b.lookAhead().unread = content
		return emptyLine, nil
	}
	return content, err
}

// emptyLine ends a header section. It is never changed.
var emptyLine = []byte("\r\n")

// message is next without what was put in front.
func (b *Body) message() ([]byte, error) {
	if b.ahead != nil && (b.err == nil || b.err == io.EOF) {
		if p := b.ahead.next(); len(p) > 0 {
			return p, nil
		}
	}
	return b.content()
}

// content is message without what was read ahead.
func (b *Body) content() ([]byte, error) {
	if b.ahead != nil && b.ahead.source != nil && b.err == nil {
		return b.replaced()
	}
	for b.err == nil {
		if b.chunked && b.left == 0 {
			b.err = b.endChunk()
			continue
		}
		p, chunkEnd := b.c.in.Unread(), false
		if b.chunked && int64(len(p)) >= b.left {
			p, chunkEnd = p[:b.left], true
		}
		content, n, event := b.scan.Next(p, chunkEnd)
		switch {
		case event == wire.End:
			b.c.in.Consume(n)
			b.err, b.ended = io.EOF, true
		case event != wire.More:
			b.fail(strayReply(event))
		case n == 0:
			b.err = b.fill()
		default:
			b.c.in.Consume(n)
			b.left -= int64(n)
			if b.admit(content) && len(content) > 0 && (b.ahead == nil || b.copyTo(b.ahead.tees, content)) {
				return content, nil
			}
		}
	}
	return nil, b.err
}

// admit counts content and holds it against the limits.
func (b *Body) admit(content []byte) bool {
	b.received += int64(len(content))
	if b.closed && b.refused {
		return true // it is dropped anyway
	}
	limits := &b.c.cfg.limits
	switch {
	case over(b.received, limits.MaxMessageSize):
		b.fail(tooBig)
		return false
	case !b.header.passed && over(b.header.octets(content), limits.MaxHeaderSize):
		b.fail(headerTooBig)
		return false
	}
	return true
}

// fail refuses the message. What is still to come will be dropped.
func (b *Body) fail(r smtp.Reply) {
	b.failed = &BodyError{Reply: r, Err: errors.New(r.Text)}
	b.err = b.failed
	b.scan.Ignore()
}

func strayReply(e wire.Event) smtp.Reply {
	switch e {
	case wire.BareCR:
		return bareCR
	case wire.BareLF:
		return bareLF
	case wire.NUL:
		return nulOctet
	}
	return textLineTooLong
}

// endChunk is called when all octets of a chunk have been read. After the
// last one it returns io.EOF, otherwise it waits for the next chunk.
func (b *Body) endChunk() error {
	if !b.last {
		return b.c.nextChunk(b)
	}
	if event := b.scan.Finish(); event != wire.More {
		b.fail(strayReply(event))
		return b.failed
	}
	return io.EOF
}

// discard drops what is still to come, after Data has returned: with DATA all
// of it, with BDAT the current chunk, and the further ones too if the message
// was accepted. Nil means that the session is in step with the client.
func (b *Body) discard(accepted bool) error {
	b.closed, b.rest, b.ahead, b.refused = true, nil, nil, !accepted
	if b.refused {
		b.scan.Ignore()
	}
	if b.failed != nil {
		b.refused = true
		b.err = nil
	}
	if b.ended {
		if b.err != nil && b.err != io.EOF {
			return b.err
		}
		return nil
	}
	for {
		if b.chunked && b.left == 0 && (b.refused || b.last) {
			if b.err == nil && !b.refused {
				b.err = b.endChunk()
			}
			if b.err == nil || b.err == io.EOF || b.failed != nil {
				return nil
			}
			return b.err
		}
		content, err := b.content()
		switch {
		case err == io.EOF:
			return nil
		case b.failed != nil && err == b.failed:
			b.refused = true
			b.err = nil
			continue
		case err != nil:
			return err
		}
		if b.dropped += int64(len(content)); over(b.dropped, b.c.cfg.limits.MaxDiscard) {
			return &BodyError{Reply: tooMuchToDiscard, Err: errors.New(tooMuchToDiscard.Text)}
		}
	}
}

// headerEnd finds where the header section ends, in content that comes in
// pieces. An LF alone ends a line too: where such pass, a message may have no
// others, and must not be all header.
type headerEnd struct {
	passed bool
	size   int64
	within bool // the last octets belong to a line that is not empty
	cr     bool // the last octet is a CR at the beginning of a line
}

// octets returns the size of the header section as known after content.
func (h *headerEnd) octets(content []byte) int64 {
	for i := 0; i < len(content); i++ {
		if h.within {
			j := bytes.IndexByte(content[i:], '\n')
			if j < 0 {
				break
			}
			i += j
			h.within = false
			continue
		}
		switch {
		case content[i] == '\n':
			h.passed = true
			h.size += int64(i + 1)
			return h.size
		case content[i] == '\r' && !h.cr:
			h.cr = true
			continue
		}
		h.within, h.cr = true, false
	}
	h.size += int64(len(content))
	return h.size
}
