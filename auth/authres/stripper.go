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
	word  []byte  // what of its name can be seen
	name  int     // which of names the field has, if it is one
	value int     // where its value begins in held
	held  []byte
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
	case t.line == lineBare && t.state == naming && (c == ':' || unseenByte(c)) && t.find() >= 0: // white space too, for some
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
		t.state = t.match(c)
	}
	switch {
	case t.state == passing:
		return append(out, t.held...)
	case len(t.held) == maxHeld:
		if out = t.finish(out); t.state != dropping {
			t.state = passing
		}
	case t.state != holding:
		t.value = len(t.held) + 1 // behind the colon that is next, perhaps
	}
	return out
}

// match tells what the field may be when c has come. Of its name only printable
// ASCII counts: some programs take all kinds of octets for white space. What
// begins with a line end has none: there, the header ends for some.
func (t *stripper) match(c byte) stripState {
	switch {
	case c == ':':
		if t.name = t.find(); t.name >= 0 {
			return holding
		}
		return passing
	case !unseenByte(c):
		t.word = append(t.word, c)
		for _, name := range t.names {
			if len(t.word) <= len(name) && bytes.EqualFold(t.word, name[:len(t.word)]) {
				return naming
			}
		}
		return passing
	case t.held[0] == '\n', t.held[0] == '\r' && len(t.held) > 1:
		return passing
	}
	return naming // a lone CR may begin the empty line
}

// find returns the place in names of the name that was seen, or -1.
func (t *stripper) find() int {
	return slices.IndexFunc(t.names, func(name []byte) bool { return bytes.EqualFold(t.word, name) })
}

func unseenByte(c byte) bool { return c <= ' ' || c >= 0x7f }

// finish decides about what is held.
func (t *stripper) finish(out []byte) []byte {
	switch {
	case t.state == naming && (len(t.held) < maxHeld || t.find() < 0):
		return append(out, t.held...)
	case t.state == passing, t.state == dropping:
		return out
	case t.state == holding && t.name == 0 && len(t.ids) > 0 && claims(string(t.held[t.value:]), t.ids) == others:
		return append(out, t.held...)
	case t.start == lineCRLF:
		t.state = dropping
		return out
	}
	return append(append(out, ' '), t.held...)
}
