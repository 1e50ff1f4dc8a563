package wire

import "bytes"

// A DotWriter gives message data the form it has between 354 and the end of
// data: every line that begins with a dot begins with one more, and the whole
// ends in CRLF.CRLF (RFC 5321 §4.5.2). Only a dot after CRLF, or the first octet
// of the message, begins a line: §2.3.8 knows no other line end.
//
// The zero value stands at the start of a message. It buffers nothing, so the
// data may be cut anywhere between two calls.
type DotWriter struct {
	place place
}

// place is where the next octet falls.
type place uint8

const (
	lineStart place = iota // after CRLF, or at the start of the message
	afterCR
	midLine
)

// Append appends p to dst with the dots that it needs.
func (w *DotWriter) Append(dst, p []byte) []byte {
	for len(p) > 0 {
		n, stuff := w.run(p)
		dst = append(dst, p[:n]...)
		if stuff {
			dst = append(dst, '.')
		}
		p = p[n:]
	}
	return dst
}

// Segments appends to dst slices of p that, written one after the other, are p
// with the dots it needs: a slice that ends in the first dot of a line is
// followed by one that begins with this same dot. At most max slices, of which
// there must be room for three, are appended; n is how many octets of p they
// cover.
//
// It lets the caller's memory go to writev(2) uncopied.
func (w *DotWriter) Segments(dst [][]byte, p []byte, max int) (segs [][]byte, n int) {
	from := 0
	for ; n < len(p) && max > 1; max-- {
		run, stuff := w.run(p[n:])
		n += run
		if !stuff {
			break
		}
		// The dot itself stands for the one that is added before it.
		dst = append(dst, p[from:n+1])
		from = n
	}
	if from < n {
		return append(dst, p[from:n]), n
	}
	return dst, n
}

// AppendEnd appends the end of data to dst, first ending the last line if the
// message did not, and goes back to the start of a message.
func (w *DotWriter) AppendEnd(dst []byte) []byte {
	if w.place != lineStart {
		dst = append(dst, "\r\n"...)
	}
	w.place = lineStart
	return append(dst, ".\r\n"...) // §4.1.1.4
}

// run returns the length of the longest prefix of p, which is not empty, that
// leaves as it is, and whether a dot is to be added behind it. It moves the state
// past the prefix, and past the need for the dot.
func (w *DotWriter) run(p []byte) (n int, stuff bool) {
	switch {
	case w.place == lineStart && p[0] == '.':
		w.place = midLine
		return 0, true
	case w.place == afterCR && p[0] == '\n':
		if len(p) == 1 {
			w.place = lineStart
			return 1, false
		}
		if p[1] == '.' {
			w.place = midLine
			return 1, true
		}
	}
	if i := bytes.Index(p, crlfDot); i >= 0 {
		w.place = midLine
		return i + 2, true
	}
	switch {
	case bytes.HasSuffix(p, crlfDot[:2]):
		w.place = lineStart
	case p[len(p)-1] == '\r':
		w.place = afterCR
	default:
		w.place = midLine
	}
	return len(p), false
}

var crlfDot = []byte("\r\n.")
