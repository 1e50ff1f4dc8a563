package server

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/wire"
	"github.com/postrider/postrider/smtp"
)

// A body is what is behind a Body: the message while it comes in, read by the
// handler and, when Data has returned, to its end by the server. No handler ever
// holds one, so it serves another message afterwards; with it in the transaction
// each message would leave 300 octets more for the garbage collector.
type body struct {
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
	left    int64      // octets of the current chunk still to come
	last    bool       // the current chunk is the last
	refusal smtp.Reply // of a chunk that was not the last

	header headerEnd

	perRecipient bool
	replies      map[int]smtp.Reply

	window progress
	waited time.Duration // for the commands between chunks
	within time.Duration // the same for octets of chunks

	dropping time.Time // when the first chunk behind a refused one came

	declared int64
	trace    [512]byte // room for a Received field
}

var bodies = sync.Pool{New: func() any { return new(body) }}

// begin makes b ready for the message of a transaction. T is nil for octets that
// belong to none.
func (b *body) begin(c *conn, t *transaction, chunked bool) {
	b.c, b.chunked, b.perRecipient = c, chunked, c.srv.Role == LMTP
	policy, maxLine := c.cfg.bodyLines, c.cfg.limits.MaxTextLine
	if chunked {
		policy = c.cfg.chunkLines
	}
	if t != nil {
		params := t.mailParams()
		b.declared = params.Size
		b.perRecipient = b.perRecipient || params.PRDR && t.recipients > 1
		if params.Body == smtp.BodyBinaryMIME {
			policy, maxLine = Pass, 0 // RFC 3030 §3: there need not be lines
		}
	}
	lines := [...]wire.Lines{Reject: wire.RejectBare, Normalize: wire.NormalizeBareLF, Pass: wire.PassBare}[policy]
	b.scan.Reset(lines, maxLine, !chunked)
}

// chunk begins a chunk, whose progress is judged by itself.
func (b *body) chunk(size int64, last bool) {
	b.left, b.last, b.window = size, last, progress{}
}

// prepend is Prepend without a string in between.
func (b *body) prepend(r *Received) {
	if !b.begun {
		own, room := b.prefix, b.trace[:0]
		if len(own) > 0 { // perhaps there
			room = nil
		}
		b.prefix = append(r.appendDated(room, &b.c.cfg.dates), own...)
	}
}

// next returns the next octets of the message, at least one, valid until it
// is called again.
func (b *body) next() ([]byte, error) {
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
func (b *body) behindPrefix() ([]byte, error) {
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
func (b *body) message() ([]byte, error) {
	if b.ahead != nil && (b.err == nil || b.err == io.EOF) {
		if p := b.ahead.next(); len(p) > 0 {
			return p, nil
		}
	}
	return b.content()
}

// content is message without what was read ahead.
func (b *body) content() ([]byte, error) {
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
func (b *body) admit(content []byte) bool {
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
func (b *body) fail(r smtp.Reply) {
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
func (b *body) endChunk() error {
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
func (b *body) discard(accepted bool) error {
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
