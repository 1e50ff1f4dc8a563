package dsn

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"strings"

	"github.com/postrider/postrider/smtp"
)

// The bounds of Parse.
const (
	maxParsed = 4 << 20 // octets that a Report may hold, its own overhead included
	maxDepth  = 8       // multiparts in one another
)

// ErrNotReport is the error of parsing a message that is no delivery status
// notification, or names no recipient.
var ErrNotReport = errors.New("dsn: not a delivery status notification")

// Parse reads a notification: a message with a part of the type
// message/delivery-status or message/global-delivery-status, wherever it stands, or,
// with less in the result, one in the format of qmail or with the field
// X-Failed-Recipients. It is lenient: line ends may be LF, parts may be missing, and
// of what cannot be understood nothing is said. It reads no further than it has to
// and holds at most 4 MB. The error is ErrNotReport or that of r.
func Parse(r io.Reader) (*Report, error) {
	p := &parser{room: room{left: maxParsed}}
	p.lines = newLines(r, &p.room)
	p.entity(0)
	if p.lines.err != nil {
		return nil, fmt.Errorf("dsn: %w", p.lines.err)
	}
	if len(p.report.Recipients) == 0 {
		p.failedRecipients()
	}
	if len(p.report.Recipients) == 0 {
		return nil, ErrNotReport
	}
	p.report.Truncated = p.room.short
	return &p.report, nil
}

type parser struct {
	*lines
	room   room
	report Report
	failed string // X-Failed-Recipients
	status bool   // the report was there
}

// done reports whether there is nothing left to look for.
func (p *parser) done() bool { return p.status && p.report.Returned != "" }

// entity reads a message or a part: its header and as much of what is in it as is
// needed.
func (p *parser) entity(depth int) {
	header, more := p.fields()
	if depth == 0 {
		p.failed = unfold(get(header, "X-Failed-Recipients"))
	}
	if !more {
		return
	}
	mediaType, boundary := contentType(unfold(get(header, "Content-Type")))
	encoded := encoding(strings.ToLower(strings.TrimSpace(unfold(get(header, "Content-Transfer-Encoding")))))
	switch mediaType {
	case "message/delivery-status", "message/global-delivery-status": // RFC 6533 §4.4
		if !p.status {
			p.status = true
			p.report.read(p.decoded(encoded))
		}
	case "message/rfc822", "message/global":
		p.returned(smtp.RetFull, encoded)
	case "text/rfc822-headers", "message/global-headers":
		p.returned(smtp.RetHeaders, encoded)
	default:
		switch {
		case boundary != "" && depth < maxDepth:
			p.multipart(boundary, depth)
		case depth == 0:
			p.qmail()
		}
	}
}

// multipart reads the parts of one.
func (p *parser) multipart(boundary string, depth int) {
	self := len(p.boundaries)
	p.boundaries = append(p.boundaries, boundary)
	p.skip()
	for p.at == self && !p.closing {
		p.at = -1
		p.entity(depth + 1)
		if p.done() {
			return
		}
		p.skip()
	}
	p.boundaries = p.boundaries[:self]
	if p.at == self {
		p.at = -1 // what follows belongs to the part around
	}
}

// decoded returns the rest of the part, decoded, as lines of their own.
func (p *parser) decoded(e encoding) *lines {
	switch e {
	case quotedPrintable:
		return newLines(quotedprintable.NewReader(&part{l: p.lines}), &p.room)
	case base64Encoding:
		return newLines(base64.NewDecoder(base64.StdEncoding, &part{l: p.lines}), &p.room)
	}
	return p.lines
}

// returned reads the header section of the message that the report is about, if it
// stands behind the report: what came before is something else.
func (p *parser) returned(ret smtp.Ret, e encoding) {
	if p.status && p.report.Returned == "" {
		p.report.Returned = ret
		p.report.Header = headerFields(p.decoded(e))
	}
}

// parseFields returns the fields of a header section.
func parseFields(r io.Reader) []Field {
	return headerFields(newLines(r, &room{left: maxParsed}))
}

func headerFields(l *lines) []Field {
	fields, _ := l.fields()
	for i, f := range fields {
		fields[i].Value = strings.Trim(clean(unfold(f.Value)), " ")
	}
	return fields
}

// contentType returns the type in lower case and the boundary of a multipart.
func contentType(s string) (mediaType, boundary string) {
	mediaType, params, err := mime.ParseMediaType(s)
	if err != nil || params == nil {
		mediaType, s, _ = strings.Cut(s, ";")
		mediaType = strings.ToLower(strings.TrimSpace(mediaType))
		// As some write it, nothing is quoted that should be.
		if i := strings.Index(strings.ToLower(s), "boundary="); i >= 0 {
			boundary, _, _ = strings.Cut(s[i+len("boundary="):], ";")
			boundary = strings.Trim(boundary, "\" \t")
		}
	} else {
		boundary = params["boundary"]
	}
	if !strings.HasPrefix(mediaType, "multipart/") || len(boundary) > maxBoundary {
		return mediaType, ""
	}
	return mediaType, boundary
}

// maxBoundary is generous: RFC 2046 §5.1.1 allows 70 octets.
const maxBoundary = 256

// failedRecipients makes a report of X-Failed-Recipients, with which Exim marks a
// failure.
func (p *parser) failedRecipients() {
	quoted, start := false, 0
	for i := 0; i <= len(p.failed); i++ {
		switch {
		case i < len(p.failed) && p.failed[i] == '"':
			quoted = !quoted
			continue
		case i < len(p.failed) && (quoted || p.failed[i] != ','):
			continue
		}
		r := Recipient{Final: Typed{typeRFC822, p.failed[start:i]}, Action: Failed}
		start = i + 1
		address{&r.Final}.tidy()
		if !r.Final.IsZero() && p.room.take(recipientCost) {
			p.report.Recipients = append(p.report.Recipients, r)
		}
	}
}
