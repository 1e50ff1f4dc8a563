package dsn

import (
	"bufio"
	"bytes"
	"io"
	"unicode/utf8"
)

// lines reads octets line by line. Lines end in LF or CRLF. It knows the boundaries
// of the multiparts that it is in, and does not read beyond one until it is told to.
type lines struct {
	r          *bufio.Reader
	boundaries []string // of the open multiparts, the outermost first
	at         int      // the index of the boundary that the last line was, or -1
	closing    bool     // that line ends its multipart
	inLine     bool     // what comes next is not the beginning of a line
	err        error    // of r, not io.EOF
	eof        bool
	room       *room
}

func newLines(r io.Reader, room *room) *lines {
	return &lines{r: bufio.NewReader(r), at: -1, room: room}
}

// next returns the next line without its end, which is valid until the next call. A
// CR elsewhere is replaced. Of a line that is longer than the buffer it returns
// pieces: begins and ends tell which. ok is false at the end and at a boundary.
func (l *lines) next() (line []byte, begins, ends, ok bool) {
	if l.at >= 0 || l.eof {
		return nil, false, false, false
	}
	line, err := l.r.ReadSlice('\n')
	switch {
	case err == bufio.ErrBufferFull:
		if n := len(line) - 1; line[n] == '\r' && l.r.UnreadByte() == nil { // LF may follow
			line = line[:n]
		}
	case err != nil:
		l.eof = true
		if err != io.EOF {
			l.err = err
		}
		if len(line) == 0 {
			return nil, false, false, false
		}
	}
	begins = !l.inLine
	ends = err == nil
	l.inLine = !ends
	if ends {
		line = line[:len(line)-1]
	}
	if ends || l.eof {
		line = bytes.TrimSuffix(line, []byte("\r"))
	}
	if begins && l.boundary(line) {
		return nil, false, false, false
	}
	if i := bytes.IndexByte(line, '\r'); i >= 0 {
		for ; i < len(line); i++ {
			if line[i] == '\r' {
				line[i] = '?'
			}
		}
	}
	return line, begins, ends, true
}

// boundary reports whether the line is one, and notes which. Of two multiparts with
// the same boundary the inner one has it.
func (l *lines) boundary(line []byte) bool {
	if len(line) < 2 || line[0] != '-' || line[1] != '-' {
		return false
	}
	line = bytes.TrimRight(line[2:], " \t")
	for i := len(l.boundaries) - 1; i >= 0; i-- {
		rest, ok := bytes.CutPrefix(line, []byte(l.boundaries[i]))
		if ok && (len(rest) == 0 || string(rest) == "--") {
			l.at, l.closing = i, len(rest) > 0
			return true
		}
	}
	return false
}

// skip reads on to the next boundary or the end.
func (l *lines) skip() {
	for {
		if _, _, _, ok := l.next(); !ok {
			return
		}
	}
}

// A part is what lies between here and the next boundary, with LF as line end.
type part struct {
	l    *lines
	line []byte
	rest []byte // of line
}

func (p *part) Read(b []byte) (int, error) {
	for len(p.rest) == 0 {
		line, _, ends, ok := p.l.next()
		if !ok {
			return 0, io.EOF
		}
		p.line = append(p.line[:0], line...)
		if ends {
			p.line = append(p.line, '\n')
		}
		p.rest = p.line
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// fields reads a header section or a group of fields: up to an empty line, a
// boundary or the end. Lines that are no field are left out. The lines of a value
// are separated by "\n" and keep the octet that they begin with. more reports
// whether it was an empty line that ended it.
func (l *lines) fields() (fields []Field, more bool) {
	var value []byte
	open := false // the last of fields takes more lines
	closed := func() {
		if n := len(fields); n > 0 && value != nil {
			if len(value) == maxValue {
				value = wholeRunes(value)
			}
			fields[n-1].Value = text(value)
			value = nil
		}
	}
	defer closed()
	for {
		line, begins, _, ok := l.next()
		switch {
		case !ok:
			return fields, false
		case begins && len(line) == 0:
			return fields, true
		case !begins:
			if open {
				value = l.keep(value, line)
			}
		case line[0] == ' ' || line[0] == '\t':
			if open && len(value) < maxValue && l.take(1) {
				value = l.keep(append(value, '\n'), line)
			}
		default:
			closed()
			name, rest, found := bytes.Cut(line, []byte(":"))
			name = bytes.TrimRight(name, " \t") // RFC 5322 §4.5.8
			open = found && isFieldName(string(name)) && l.take(len(name)+fieldCost)
			if open {
				fields = append(fields, Field{Name: string(name)})
				value = l.keep([]byte{}, bytes.TrimLeft(rest, " \t"))
			}
		}
	}
}

// fieldCost is what a field costs besides its octets.
const fieldCost = 64

// maxValue is how many octets of one value are read.
const maxValue = 8 << 10

// keep appends to a value what there is room for.
func (l *lines) keep(value, line []byte) []byte {
	n := min(len(line), maxValue-len(value))
	if n <= 0 || !l.take(n) {
		return value
	}
	return append(value, line[:n]...)
}

// wholeRunes leaves out the beginning of a character at the end.
func wholeRunes(b []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(b); i++ {
		if c := b[len(b)-i]; utf8.RuneStart(c) {
			if !utf8.FullRune(b[len(b)-i:]) {
				return b[:len(b)-i]
			}
			break
		}
	}
	return b
}

// take reports whether there is room for so much.
func (l *lines) take(n int) bool { return l.room.take(n) }

// room is how much of a notification may still be kept, in octets.
type room struct {
	left  int
	short bool // something was left out
}

func (r *room) take(n int) bool {
	if r.left < n {
		r.short = true
		return false
	}
	r.left -= n
	return true
}
