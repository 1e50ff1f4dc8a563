package client

import (
	"bytes"
	"io"
	"sync"

	"github.com/postrider/postrider/smtp"
)

var bodyBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// copyBody hands what r gives to w, the memory itself if r is memory. An error of
// r is a localError.
func copyBody(w io.Writer, r io.Reader) error {
	if m, ok := r.(memory); ok {
		_, err := m.WriteTo(w)
		return err
	}
	buf := bodyBuffers.Get().(*[64 << 10]byte)
	defer bodyBuffers.Put(buf)
	for {
		n, err := r.Read(buf[:])
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return localError{err}
		}
	}
}

// memory is the reader of smtp.BytesContent. Of all others, what they gave when
// they were examined says nothing about what they give now.
type memory interface {
	io.WriterTo
	FromBytesContent()
}

// A sizedWriter refuses a message that is not as long as its Size says.
type sizedWriter struct {
	w    io.Writer
	left int64
}

func (w *sizedWriter) Write(p []byte) (int, error) {
	if w.left -= int64(len(p)); w.left < 0 {
		return 0, errSize
	}
	return w.w.Write(p)
}

// counter examines and counts.
type counter struct {
	smtp.Examiner
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.Examiner.Write(p)
}

// bareWithin reports whether a CR or LF stands alone in what e, a copy, has seen.
// If last, its last octet, is CR, an LF may follow.
func bareWithin(e smtp.Examiner, last byte) bool {
	end := []byte("\r\n")
	if last == '\r' {
		end = end[1:]
	}
	e.Write(end)
	return e.Kind().Has(smtp.KindBareLineEnd)
}

// A checkedWriter refuses octets that the transaction does not allow, before
// they are written: what was examined earlier may have changed since, and a bare
// line end that slips through can become a message of its own.
type checkedWriter struct {
	w         io.Writer
	forbidden smtp.Kind
	seen      smtp.Examiner
}

func (w *checkedWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	w.seen.Write(p)
	kind := w.seen.Kind() & w.forbidden &^ smtp.KindBareLineEnd
	if bareWithin(w.seen, p[len(p)-1]) {
		kind |= smtp.KindBareLineEnd & w.forbidden
	}
	if kind != 0 {
		return 0, needOf(kind)
	}
	return w.w.Write(p)
}

// finish looks at the last octet, which no LF follows.
func (w *checkedWriter) finish() error {
	if bareWithin(w.seen, 0) && w.forbidden.Has(smtp.KindBareLineEnd) {
		return needOf(smtp.KindBareLineEnd)
	}
	return nil
}

// forbidden returns what a message may not have under BODY= (RFC 6152, RFC 3030)
// and with or without SMTPUTF8 (RFC 6531 §3.2).
func forbidden(body smtp.BodyType, utf8 bool) (kind smtp.Kind) {
	if !utf8 {
		kind = smtp.KindUTF8Header
	}
	switch body {
	case smtp.BodyBinaryMIME:
		return kind
	case smtp.Body8BitMIME:
		return kind | smtp.KindBareLineEnd | smtp.KindNUL
	}
	return kind | smtp.KindBareLineEnd | smtp.KindNUL | smtp.Kind8Bit
}

// needOf says which extension would have allowed what is in kind.
func needOf(kind smtp.Kind) *ContentError {
	switch {
	case kind&smtp.KindNUL != 0:
		return &ContentError{smtp.ExtBinaryMIME, "the message has NUL octets and the server does not offer CHUNKING and BINARYMIME", noConversion}
	case kind&smtp.KindBareLineEnd != 0:
		return &ContentError{smtp.ExtBinaryMIME, "the message has line ends that are not CRLF and the server does not offer CHUNKING and BINARYMIME", noConversion}
	case kind&smtp.Kind8Bit != 0:
		return &ContentError{smtp.Ext8BitMIME, "the message has 8-bit octets and the server does not offer 8BITMIME", noConversion}
	}
	return &ContentError{smtp.ExtSMTPUTF8, "the header section is not ASCII and SMTPUTF8 was not said", noUTF8Header}
}

// What reports give for messages that a server cannot take.
var (
	tooBig       = smtp.Enh(3, 4)  // RFC 3463
	timeIsOver   = smtp.Enh(4, 7)  // RFC 3463
	tooManyRcpts = smtp.Enh(5, 3)  // RFC 3463
	noConversion = smtp.Enh(6, 3)  // RFC 3463
	noUTF8       = smtp.Enh(6, 7)  // RFC 6531 §3.5
	noUTF8Header = smtp.Enh(6, 9)  // RFC 6531 §3.5
	noEncryption = smtp.Enh(7, 10) // RFC 5248
	noRequireTLS = smtp.Enh(7, 30) // RFC 8689
)

// A lineEnder writes CRLF for every line end, be it CRLF, LF or CR.
type lineEnder struct {
	w     io.Writer
	wasCR bool
}

func (l *lineEnder) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if l.wasCR && p[0] == '\n' { // its CRLF is written
			l.wasCR = false
			p = p[1:]
			continue
		}
		i := bytes.IndexAny(p, "\r\n")
		if i < 0 {
			i = len(p)
		}
		if _, err := l.w.Write(p[:i]); err != nil {
			return 0, err
		}
		if l.wasCR = i < len(p) && p[i] == '\r'; i < len(p) {
			if _, err := l.w.Write([]byte("\r\n")); err != nil {
				return 0, err
			}
			i++
		}
		p = p[i:]
	}
	return n, nil
}
