package wire

import (
	"bytes"
	"io"
)

// Bounds on a reply. RFC 5321 §4.5.3.1.5 allows a line 512 octets; more is
// accepted because servers are seen that put whole policies into a line.
const (
	MaxReplyLine  = 4096     // octets of a reply line with its line end, unless MaxLine says otherwise
	MaxReply      = 64 << 10 // octets of a whole reply
	MaxReplyLines = 128      // lines of a reply
	MaxHelloLines = 1024     // lines of the reply to EHLO, one for each keyword
)

const (
	firstReplyBuffer = 512
	keepReplyBuffer  = 8 << 10 // what a larger reply left behind is dropped
)

// A ReplyError says how a reply breaks RFC 5321 §4.2. The connection is out of
// step after it: no later octet can be told to be the beginning of a reply.
type ReplyError string

func (e ReplyError) Error() string { return string(e) }

// The ways in which a reply can be broken.
const (
	ErrReplyLine  ReplyError = "reply line is too long"
	ErrReplySize  ReplyError = "reply is too long"
	ErrReplyLines ReplyError = "reply has too many lines"
	ErrReplyCode  ReplyError = "reply does not begin with a code between 200 and 599"
	ErrReplyMixed ReplyError = "reply changes its code between two lines"
	ErrReplySep   ReplyError = "reply code is followed by neither a blank nor a hyphen"
	ErrReplyOctet ReplyError = "reply contains NUL or a CR without LF"
)

// A ReplyReader reads replies with bounds on everything. Lines end in CRLF; an
// LF alone is taken too, since nothing but the server's own text stands between
// two line ends of a reply. Any other octet of the text is handed on as it
// came; showing it safely is the business of whoever shows it.
//
// The zero value with R set is ready.
type ReplyReader struct {
	R io.Reader
	// MaxLine limits a reply line with its line end, in octets. If zero,
	// MaxReplyLine. An AUTH challenge may be longer (RFC 4954 §4).
	MaxLine int

	buf        []byte
	start, end int // octets read and not yet handed out
	err        error
}

// Buffered is how many octets have been read and not handed out.
func (r *ReplyReader) Buffered() int { return r.end - r.start }

// Next reads one reply of at most maxLines lines. The code lies between 200 and
// 599; raw is the reply as it came, valid until the next call. io.EOF means
// that the peer closed between two replies, io.ErrUnexpectedEOF within one; a
// ReplyError repeats itself on every later call.
func (r *ReplyReader) Next(maxLines int) (code int, raw []byte, err error) {
	if r.err != nil {
		return 0, nil, r.err
	}
	r.shrink()
	pos := 0 // octets of the reply looked at
	for lines := 1; ; lines++ {
		n, err := r.line(pos)
		if err != nil {
			return 0, nil, r.fail(err)
		}
		line := r.buf[r.start+pos : r.start+pos+n]
		pos += n
		c, more, err := parseReplyLine(line)
		switch {
		case err != nil:
		case lines > 1 && c != code:
			err = ErrReplyMixed // §4.2.1
		case lines >= maxLines && more:
			err = ErrReplyLines
		}
		if err != nil {
			return 0, nil, r.fail(err)
		}
		code = c
		if !more {
			raw = r.buf[r.start : r.start+pos]
			r.start += pos
			return code, raw, nil
		}
	}
}

// line returns the length of the line that begins pos octets behind start, and
// reads until it is whole.
func (r *ReplyReader) line(pos int) (int, error) {
	limit := r.MaxLine
	if limit == 0 {
		limit = MaxReplyLine
	}
	for seen := 0; ; {
		have := r.buf[r.start+pos : r.end]
		if i := bytes.IndexByte(have[seen:], '\n'); i >= 0 {
			if seen+i+1 > limit {
				return 0, ErrReplyLine
			}
			return seen + i + 1, nil
		}
		if seen = len(have); seen >= limit {
			return 0, ErrReplyLine
		}
		if r.end-r.start >= MaxReply {
			return 0, ErrReplySize
		}
		if err := r.fill(); err != nil {
			if err == io.EOF && r.end > r.start {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
	}
}

// fill reads once. It makes room first, by moving what is left to the front or
// by doubling the buffer.
func (r *ReplyReader) fill() error {
	if r.start > 0 {
		copy(r.buf, r.buf[r.start:r.end])
		r.start, r.end = 0, r.end-r.start
	}
	if r.end == len(r.buf) {
		grown := make([]byte, max(firstReplyBuffer, 2*len(r.buf)))
		copy(grown, r.buf[:r.end])
		r.buf = grown
	}
	// A Read may give nothing and no error, but not for ever.
	for range 100 {
		n, err := r.R.Read(r.buf[r.end:])
		r.end += n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// fail remembers an error after which the octets to come mean nothing.
func (r *ReplyReader) fail(err error) error {
	if _, ok := err.(ReplyError); ok {
		r.err = err
	}
	return err
}

func (r *ReplyReader) shrink() {
	if r.start == r.end {
		r.start, r.end = 0, 0
		if len(r.buf) > keepReplyBuffer {
			r.buf = nil
		}
	}
}

// parseReplyLine parses Reply-code [ ( SP / "-" ) textstring ] CRLF (§4.2). A
// code with nothing behind it is a last line without text.
func parseReplyLine(line []byte) (code int, more bool, err error) {
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	if len(line) < 3 || line[0]-'2' > 3 || line[1]-'0' > 9 || line[2]-'0' > 9 {
		return 0, false, ErrReplyCode
	}
	if len(line) > 3 {
		if more = line[3] == '-'; !more && line[3] != ' ' {
			return 0, false, ErrReplySep
		}
	}
	if bytes.IndexByte(line, 0) >= 0 || bytes.IndexByte(line, '\r') >= 0 {
		return 0, false, ErrReplyOctet
	}
	return int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0'), more, nil
}
