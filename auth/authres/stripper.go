package authres

import "bytes"

// A stripper is the transform of a Strip. It looks at lines that end in CRLF,
// CR or LF, keeps what may be a field to take out until it knows, and never
// more than maxHeld octets of it.
type stripper struct {
	ids   []string
	names [][]byte // of the fields in question, the first is ours to read

	state stripState
	line  lineEnd // what was read last
	start lineEnd // what stands before the field: lineCRLF or lineBare
	name  int     // which of names the field has
	value int     // where its value begins in held
	held  []byte
}

type stripState int

const (
	dropping stripState = iota // what comes is taken out, up to a line end without a blank behind it
	passing                    // the field is none of those in question
	naming                     // it may be one
	spacing                    // its name is one's, the colon is missing
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
	case t.line == lineBare && t.state == spacing && spaced(c) != passing: // white space too, for some
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
	t.state, t.start, t.held = naming, start, t.held[:0]
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
		t.state = t.match()
	} else if t.state == spacing {
		t.state = spaced(c)
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

// match tells what the field may be by its first octets. A lone CR may begin
// the empty line.
func (t *stripper) match() stripState {
	state := passing
	n := len(t.held) - 1
	for i, name := range t.names {
		switch {
		case n < len(name):
			if bytes.EqualFold(t.held, name[:n+1]) {
				state = naming
			}
		case n == len(name) && bytes.EqualFold(t.held[:n], name):
			if next := spaced(t.held[n]); next != passing {
				t.name = i
				return next
			}
		}
	}
	if n == 0 && t.held[0] == '\r' {
		return naming
	}
	return state
}

// spaced tells what follows a field's name: the colon, or before it white space,
// for which other programs take all kinds of octets.
func spaced(c byte) stripState {
	switch {
	case c == ':':
		return holding
	case c <= ' ' || c == 0x7f:
		return spacing
	}
	return passing
}

// finish decides about what is held.
func (t *stripper) finish(out []byte) []byte {
	switch {
	case t.state == naming, t.state == spacing && len(t.held) < maxHeld:
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
