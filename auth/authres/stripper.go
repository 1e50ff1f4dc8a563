package authres

import (
	"bytes"
	"slices"
)

// A stripper is the transform of a Strip. It looks at lines that end in CRLF,
// CR or LF, keeps what may be a field to take out until it knows, and never
// more than maxHeld octets of it.
type stripper struct {
	ids   []string
	names [][]byte // of the fields in question, the first is ours to read

	state stripState
	line  lineEnd // what was read last
	start lineEnd // what stands before the field: lineCRLF or lineBare
	held  []byte
	word  []byte      // what can be seen of it
	read  []candidate // its names as different readers see them, the longest first
	name  int         // which of names it has, if it is one
	value int         // where its value begins in held
}

// A candidate is a line in which a field may begin, if a bare CR or LF ends the
// line before it. It has not been seen to be none.
type candidate struct {
	at   int // where it begins in held
	word int // where what can be seen of it begins in word
}

type stripState int

const (
	dropping stripState = iota // what comes is taken out, up to a line end without a blank behind it
	passing                    // the field is none of those in question
	naming                     // it may be one
	holding                    // it is one, and may not be let through
	inBody
)

type lineEnd int

const (
	lineMid lineEnd = iota // no end
	lineCR                 // a CR: it is bare unless an LF follows
	lineCRLF
	lineBare
)

const maxHeld = 8 << 10

// add appends to out what may be given after p was read.
func (t *stripper) add(out, p []byte) []byte {
	for len(p) > 0 {
		n := 0
		if t.state == inBody {
			return append(out, p...)
		}
		if t.line == lineMid && (t.state == passing || t.state == dropping) {
			if n = bytes.IndexAny(p, "\r\n"); n < 0 {
				n = len(p)
			}
		}
		if n == 0 {
			out, p = t.octet(out, p[0]), p[1:]
			continue
		}
		if t.state == passing {
			out = append(out, p[:n]...)
		}
		p = p[n:]
	}
	return out
}

// end appends to out what is left at the end of the message.
func (t *stripper) end(out []byte) []byte {
	out = t.finish(out)
	t.state, t.held = passing, nil
	return out
}

func (t *stripper) octet(out []byte, c byte) []byte {
	if t.line == lineCR && c == '\n' {
		t.line = lineCRLF
		if t.state == naming && t.start == lineCRLF && len(t.held) == 1 { // the empty line
			t.state = inBody
			return append(out, "\r\n"...)
		}
		return t.keep(out, c)
	}
	if t.line == lineCR {
		t.line = lineBare
	}
	switch {
	case t.line == lineMid, c == ' ', c == '\t':
	case t.line == lineBare && t.state == naming && t.held[0] != '\r': // in the middle of a name, for some
		if last := t.read[len(t.read)-1]; c != '\r' && c != '\n' && last.word < len(t.word) {
			t.read = append(t.read, candidate{len(t.held), len(t.word)})
		}
	default:
		out = t.begin(out, c)
	}
	switch c {
	case '\r':
		t.line = lineCR
	case '\n':
		t.line = lineBare
	default:
		t.line = lineMid
	}
	return t.keep(out, c)
}

// begin ends a field before a line that does not continue it, which c begins.
// What stands before a field that is taken out stands before that line then. A
// CRLF behind a bare line end goes too: to some it is the end of the field, to
// others the empty line.
func (t *stripper) begin(out []byte, c byte) []byte {
	out = t.finish(out)
	start := t.line
	if t.state == dropping {
		if t.line == lineBare && c == '\r' {
			return out
		}
		start = lineCRLF
	}
	t.state, t.start, t.held, t.word = naming, start, t.held[:0], t.word[:0]
	t.read = append(t.read[:0], candidate{})
	return out
}

// keep puts the octet where it belongs in this state.
func (t *stripper) keep(out []byte, c byte) []byte {
	switch t.state {
	case passing:
		return append(out, c)
	case dropping:
		return out
	}
	t.held = append(t.held, c)
	if t.state == naming {
		out = t.match(out, c)
	}
	switch {
	case t.state == passing:
		return append(out, t.held...)
	case len(t.held) == maxHeld:
		if out = t.finish(out); t.state != dropping {
			t.state = passing
		}
	}
	return out
}

// match tells what the field may be when c has come. Of its name only printable
// ASCII counts: some programs take all kinds of octets for white space. What
// begins with a line end has none: there, the header ends for some.
func (t *stripper) match(out []byte, c byte) []byte {
	switch {
	case c == ':':
		if t.named() {
			t.state = holding
		}
		out = t.drop(out, func(r candidate) bool { return t.find(r) < 0 })
		t.value = len(t.held)
	case !unseenByte(c):
		t.word = append(t.word, c)
		out = t.drop(out, func(r candidate) bool { return !t.mayBe(t.word[r.word:]) })
	case t.held[0] == '\n', t.held[0] == '\r' && len(t.held) > 1:
		t.state = passing // a lone CR may begin the empty line
	}
	return out
}

// drop forgets candidates, and appends to out what stands before the first that
// is left.
func (t *stripper) drop(out []byte, none func(candidate) bool) []byte {
	t.read = slices.DeleteFunc(t.read, none)
	if len(t.read) == 0 {
		t.state = passing
		return out
	}
	first := t.read[0]
	if first.at == 0 {
		return out
	}
	out = append(out, t.held[:first.at]...)
	t.held = append(t.held[:0], t.held[first.at:]...)
	t.word = append(t.word[:0], t.word[first.word:]...)
	for i := range t.read {
		t.read[i].at -= first.at
		t.read[i].word -= first.word
	}
	t.start = lineBare
	return out
}

// named sets name and reports whether any candidate has one of the names now.
func (t *stripper) named() bool {
	t.name = -1
	for _, r := range t.read {
		t.name = max(t.name, t.find(r))
	}
	return t.name >= 0
}

// find returns the place in names of what was seen of r, or -1.
func (t *stripper) find(r candidate) int {
	return slices.IndexFunc(t.names, func(name []byte) bool { return bytes.EqualFold(t.word[r.word:], name) })
}

func (t *stripper) mayBe(word []byte) bool {
	return slices.ContainsFunc(t.names, func(name []byte) bool {
		return len(word) <= len(name) && bytes.EqualFold(word, name[:len(word)])
	})
}

func unseenByte(c byte) bool { return c <= ' ' || c >= 0x7f }

// finish decides about what is held.
func (t *stripper) finish(out []byte) []byte {
	switch {
	case t.state == naming && (len(t.held) < maxHeld || !t.named()):
		return append(out, t.held...)
	case t.state == passing, t.state == dropping:
		return out
	case t.state == holding && t.name == 0 && len(t.ids) > 0 && claims(string(t.held[t.value:]), t.ids) == others:
		return append(out, t.held...)
	case t.start == lineCRLF:
		t.state = dropping
		return out
	}
	if t.state == naming {
		t.value = len(t.held)
	}
	return indent(out, t.held, t.value)
}

// indent appends a field with a blank before each line of its name, which ends
// before value.
func indent(out, field []byte, value int) []byte {
	out = append(out, ' ')
	for i, c := range field {
		if i > 0 && i < value && (field[i-1] == '\n' || field[i-1] == '\r') && c != ' ' && c != '\t' && c != '\n' {
			out = append(out, ' ')
		}
		out = append(out, c)
	}
	return out
}
