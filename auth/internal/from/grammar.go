package from

import "strings"

// A parser reads the productions of RFC 5322 §3.4. Its methods return false
// when they have found a problem.
type parser struct {
	s        string
	i        int
	domain   string // of the mailboxes so far
	spelling string // as the last of them had it
	problem  Problem
}

func (p *parser) fail(why Problem) bool {
	p.problem = why
	return false
}

// peek returns the next octet, or 0 at the end.
func (p *parser) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

// addressList = address *("," address); RFC 6854 §2.1
func (p *parser) addressList() bool {
	for {
		if !p.address(false) {
			return false
		}
		switch p.peek() {
		case 0:
			return true
		case ',':
			p.i++
		default:
			return p.fail(Malformed)
		}
	}
}

// address = mailbox / group, with the white space and comments behind it.
func (p *parser) address(inGroup bool) bool {
	if !p.cfws() {
		return false
	}
	w, ok := p.words()
	if !ok {
		return false
	}
	switch p.peek() {
	case '@':
		ok = p.addrSpec(w)
	case '<':
		ok = !p.misleading(w) && p.angleAddr()
	case ':':
		ok = !inGroup && w.count > 0 && !p.misleading(w) && p.group()
	default:
		ok = false
	}
	if !ok {
		if p.problem == "" {
			p.problem = Malformed
		}
		return false
	}
	return p.cfws()
}

// group = display-name ":" [group-list] ";"
func (p *parser) group() bool {
	p.i++
	if !p.cfws() {
		return false
	}
	if p.peek() == ';' {
		p.i++
		return true
	}
	for p.address(true) {
		next := p.peek()
		p.i++
		if next != ',' {
			return next == ';'
		}
	}
	return false
}

// angleAddr = "<" addr-spec ">". White space is allowed at its ends, comments
// are not.
func (p *parser) angleAddr() bool {
	p.i++
	p.blanks()
	if p.peek() == '@' {
		return p.fail(Ambiguous) // a source route (§4.4): some show its first domain
	}
	w, ok := p.words()
	if !ok || p.peek() != '@' || !p.addrSpec(w) {
		return false
	}
	if p.blanks(); p.peek() == '(' {
		return p.fail(Ambiguous)
	}
	if p.peek() != '>' {
		return false
	}
	p.i++
	return true
}

// addrSpec = local-part "@" domain. The local-part has been read. It may have
// dots where RFC 5322 has none: such mailboxes exist, and whose they are is plain.
func (p *parser) addrSpec(w words) bool {
	switch {
	case w.count != 1:
		return false
	case p.s[p.i-1] == ' ' || p.s[p.i-1] == '\t' || w.comment:
		return p.fail(Ambiguous)
	case w.quoted && strings.ContainsAny(w.last, `@<>()[],;:\`):
		return p.fail(Ambiguous) // some end the local-part at the first "@", or take no quotes there
	case strings.Contains(w.last, "=?"):
		return p.fail(Ambiguous) // some decode it (RFC 2047 §5 forbids it here)
	}
	p.i++
	switch p.peek() {
	case ' ', '\t', '\r', '(':
		return p.fail(Ambiguous)
	case '[':
		return p.literal()
	}
	start := p.i
	for p.i < len(p.s) && (isAtext(p.s[p.i]) || p.s[p.i] == '.') {
		p.i++
	}
	domain := p.s[start:p.i]
	return isDotAtom(domain) && p.add(domain)
}

// literal = "[" *dtext "]": an address that has no domain name.
func (p *parser) literal() bool {
	end := strings.IndexAny(p.s[p.i+1:], `[]\`)
	if end < 0 || p.s[p.i+1+end] != ']' {
		return false
	}
	return p.fail(NoDomain)
}

// words are what stands before "@", "<" or ":".
type words struct {
	count   int    // atoms, with the dots between them, and quoted strings
	last    string // the last of them, a quoted string with its quotes
	quoted  bool   // last is a quoted string
	comment bool   // there was a comment behind one
	lure    bool   // a quoted string has an address in angle brackets
}

// words = *(word / "." / CFWS), the phrase of §4.1 or a local-part
func (p *parser) words() (w words, ok bool) {
	for p.i < len(p.s) {
		start := p.i
		switch c := p.s[p.i]; {
		case isAtext(c) || c == '.' && w.count > 0:
			for p.i < len(p.s) && (isAtext(p.s[p.i]) || p.s[p.i] == '.') {
				p.i++
			}
			w.last, w.quoted = p.s[start:p.i], false
			w.count++
		case c == '"':
			if !p.quotedString() {
				return w, false
			}
			w.last, w.quoted = p.s[start:p.i], true
			w.lure = w.lure || strings.IndexByte(w.last, '@') >= 0 && strings.ContainsAny(w.last, "<>")
			w.count++
		case c == ' ' || c == '\t' || c == '\r' || c == '(':
			if !p.cfws() {
				return w, false
			}
			w.comment = w.comment || strings.IndexByte(p.s[start:p.i], '(') >= 0
		default:
			return w, true
		}
	}
	return w, true
}

// misleading reports a display-name from which some readers take an address
// that is not the mailbox's.
func (p *parser) misleading(w words) bool {
	if w.lure {
		p.problem = Ambiguous
	}
	return w.lure
}

// quotedString is read from quote to quote (§3.2.4).
func (p *parser) quotedString() bool {
	for p.i++; p.i < len(p.s); p.i++ {
		switch p.s[p.i] {
		case '\\':
			p.i++
			if p.peek() == '\r' {
				return p.fail(Malformed)
			}
		case '"':
			p.i++
			return true
		}
	}
	return p.fail(Malformed)
}

// blanks = [FWS]; check has seen that lines are folded as they should.
func (p *parser) blanks() {
	for p.i < len(p.s) && (p.s[p.i] == ' ' || p.s[p.i] == '\t' || p.s[p.i] == '\r' || p.s[p.i] == '\n') {
		p.i++
	}
}

// maxDepth of comments in comments. Nobody writes two.
const maxDepth = 16

// cfws = *([FWS] comment) [FWS]; §3.2.2
func (p *parser) cfws() bool {
	for {
		p.blanks()
		if p.peek() != '(' {
			return true
		}
		depth := 0
		for p.i < len(p.s) {
			switch p.s[p.i] {
			case '(':
				depth++
			case ')':
				depth--
			case '@':
				return p.fail(Ambiguous) // some take an address out of a comment
			case '\\':
				p.i++
				if p.peek() == '\r' || p.peek() == '@' {
					return p.fail(Malformed)
				}
			}
			p.i++
			if depth == 0 {
				break
			}
			if depth > maxDepth {
				return p.fail(Malformed)
			}
		}
		if depth > 0 || p.i > len(p.s) {
			return p.fail(Malformed)
		}
	}
}

// isDotAtom reports whether a run of atext and dots is a dot-atom-text (§3.2.3).
func isDotAtom(s string) bool {
	return s != "" && s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..")
}

// isAtext reports whether c may stand in an atom (§3.2.3, RFC 6532 §3.2).
func isAtext(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c >= 0x80:
		return true
	}
	return strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}
