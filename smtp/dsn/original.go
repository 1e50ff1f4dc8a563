package dsn

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/postrider/postrider/smtp"
)

// original is the third part of a notification: the message or its header section.
type original struct {
	returned  smtp.Ret
	mediaType string
	encoding  encoding
	global    bool         // 8-bit where only SMTPUTF8 allows it (RFC 6533 §4.5)
	header    []byte       // what is written for smtp.RetHeaders, encoded
	message   smtp.Content // what is written for smtp.RetFull, to be encoded
	fields    []Field
}

// encoding is a content-transfer-encoding (RFC 2045 §6).
type encoding string

const (
	sevenBit        encoding = "7bit"
	eightBit        encoding = "8bit"
	quotedPrintable encoding = "quoted-printable"
	base64Encoding  encoding = "base64"
)

const defaultMax = 64 << 10

// original reads as much of the message as it has to. forGlobal says that its sender
// is one for whom message/global and its like are made.
func (c *Composer) original(m *Message, failed, forGlobal bool) (*original, error) {
	content := m.Content
	if content.Open == nil {
		return &original{}, nil
	}
	ret := m.Envelope.MailParams.Ret
	if ret == "" {
		ret = c.Ret
	}
	// RFC 3461 §4.3: RET is for failures. RFC 8689 §5: with REQUIRETLS it is HDRS.
	full := failed && ret != smtp.RetHeaders && !m.Envelope.MailParams.RequireTLS && c.mayReturn(content.Size)
	if !content.Reusable() || full && (content.Size < 0 || !content.Kind.Has(smtp.KindExamined)) {
		content.Kind &^= smtp.KindExamined
		var err error
		if content, err = content.Examine(); err != nil {
			return nil, fmt.Errorf("dsn: %w", err)
		}
		full = full && content.Reusable() && c.mayReturn(content.Size)
	}
	r, err := content.Open()
	if err != nil {
		return nil, fmt.Errorf("dsn: content: %w", err)
	}
	defer r.Close()
	limit := c.MaxHeader
	if limit <= 0 {
		limit = defaultMax
	}
	header, whole, err := readHeader(r, limit)
	if err != nil {
		return nil, fmt.Errorf("dsn: content: %w", err)
	}
	o := &original{message: content, header: header, fields: parseFields(bytes.NewReader(header))}
	if full && whole && o.wholeMessage(forGlobal, c.SevenBit) {
		o.returned, o.header = smtp.RetFull, nil
	} else if len(header) > 0 {
		o.returned = smtp.RetHeaders
		o.headerSection(forGlobal, c.SevenBit)
	}
	return o, nil
}

func (c *Composer) mayReturn(size int64) bool {
	limit := c.MaxReturn
	if limit == 0 {
		limit = defaultMax
	}
	return limit < 0 || size <= limit
}

// wholeMessage chooses how the message goes back, or reports that it cannot.
func (o *original) wholeMessage(forGlobal, only7Bit bool) bool {
	kind := o.message.Kind
	const unlined = smtp.KindNUL | smtp.KindBareLineEnd | smtp.KindLongLine
	lines := kind&unlined == 0
	switch {
	case lines && !kind.Has(smtp.Kind8Bit):
		o.mediaType, o.encoding = "message/rfc822", sevenBit
	case lines && !kind.Has(smtp.KindUTF8Header) && !only7Bit:
		o.mediaType, o.encoding = "message/rfc822", eightBit // RFC 2046 §5.2.1
	case !forGlobal || !utf8.Valid(o.header):
		return false
	case lines && !only7Bit:
		o.mediaType, o.encoding, o.global = "message/global", eightBit, true
	default:
		o.mediaType, o.encoding = "message/global", base64Encoding // RFC 6532 §3.7
	}
	return true
}

// headerSection chooses how the header section goes back, which always works.
func (o *original) headerSection(forGlobal, only7Bit bool) {
	var e smtp.Examiner
	e.Write(o.header)
	kind := e.Kind()
	lines := kind&(smtp.KindNUL|smtp.KindLongLine) == 0
	forGlobal = forGlobal && kind.Has(smtp.Kind8Bit) && utf8.Valid(o.header)
	o.mediaType, o.encoding = "text/rfc822-headers", sevenBit
	if forGlobal {
		o.mediaType = "message/global-headers" // RFC 6533 §4.3
	}
	switch {
	case lines && !kind.Has(smtp.Kind8Bit):
	case lines && forGlobal && !only7Bit:
		o.encoding, o.global = eightBit, true
	default: // RFC 6522 §4, RFC 6533 §4.4
		o.encoding = quotedPrintable
		o.header = quote(o.header)
	}
}

// readHeader returns the header section, up to the last line that is within the
// limit, and whether that is all of it. Its lines end in CRLF; a CR elsewhere is
// replaced.
func readHeader(r io.Reader, limit int) (header []byte, whole bool, err error) {
	b := bufio.NewReader(r)
	start := 0 // of the line
	for {
		chunk, err := b.ReadSlice('\n')
		header = append(header, chunk...)
		if len(header) > limit {
			return header[:start], false, nil
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err != nil && err != io.EOF {
			return nil, false, err
		}
		line := bytes.TrimSuffix(header[start:], []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		for i, c := range line {
			if c == '\r' {
				line[i] = '?'
			}
		}
		header = header[:start+len(line)]
		if len(line) == 0 {
			return header, true, nil
		}
		header = append(header, "\r\n"...)
		start = len(header)
		if err == io.EOF {
			return header, true, nil
		}
	}
}
