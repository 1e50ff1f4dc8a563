package authres

import "strings"

// A scanner reads the tokens of a field's value. Its methods take what they
// find at i and go on behind it; a reason is what stands there instead.
type scanner struct {
	s string
	i int
}

const maxCommentDepth = 16

// end reports whether nothing is left.
func (p *scanner) end() bool { return p.i == len(p.s) }

// is reports whether c is next.
func (p *scanner) is(c byte) bool { return p.i < len(p.s) && p.s[p.i] == c }

// take goes behind c if it is next.
func (p *scanner) take(c byte) bool {
	if p.is(c) {
		p.i++
		return true
	}
	return false
}

// fws goes behind white space: blanks, and line ends with a blank behind them
// or at the end of the field.
func (p *scanner) fws() {
	for !p.end() {
		switch rest := p.s[p.i:]; {
		case rest[0] == ' ' || rest[0] == '\t':
			p.i++
		case rest == "\r\n":
			p.i += 2
		case strings.HasPrefix(rest, "\r\n ") || strings.HasPrefix(rest, "\r\n\t"):
			p.i += 3
		default:
			return
		}
	}
}

// cfws goes behind white space and comments and returns the text of the first
// comment (RFC 5322 §3.2.2).
func (p *scanner) cfws() (comment, why string) {
	for p.fws(); p.is('('); p.fws() {
		text, why := p.comment()
		if why != "" {
			return "", why
		}
		if comment == "" {
			comment = text
		}
	}
	return comment, ""
}

// comment reads one comment with those inside it, whose parentheses become
// part of the text.
func (p *scanner) comment() (text, why string) {
	start := p.i
	p.i++
	var b strings.Builder
	for depth := 1; ; {
		c, quoted, why := p.character()
		if why != "" {
			p.i = start
			return "", "comment does not end"
		}
		switch {
		case quoted:
		case c == '(':
			if depth++; depth > maxCommentDepth {
				return "", "comments within comments"
			}
		case c == ')':
			if depth--; depth == 0 {
				return strings.TrimSpace(b.String()), ""
			}
		}
		b.WriteByte(c)
	}
}

// quotedString reads a quoted-string and returns what it stands for (§3.2.4).
func (p *scanner) quotedString() (text, why string) {
	start := p.i
	p.i++
	var b strings.Builder
	for {
		c, quoted, why := p.character()
		if why != "" {
			p.i = start
			return "", "quoted string does not end"
		}
		if c == '"' && !quoted {
			return b.String(), ""
		}
		b.WriteByte(c)
	}
}

// character reads one octet of a comment or a quoted string: line ends of
// folding are not part of it, tabs count as blanks. No control character is.
func (p *scanner) character() (c byte, quoted bool, why string) {
	for {
		rest := p.s[p.i:]
		switch {
		case rest == "":
			return 0, false, "end"
		case strings.HasPrefix(rest, "\r\n ") || strings.HasPrefix(rest, "\r\n\t"):
			p.i += 2
			continue
		case rest[0] == '\\' && len(rest) > 1:
			quoted = true
			p.i++
		}
		c = p.s[p.i]
		p.i++
		if c == '\t' {
			c = ' '
		}
		if c < ' ' || c == 0x7f {
			return 0, false, "control character"
		}
		return c, quoted, ""
	}
}

// run goes behind octets that ok allows.
func (p *scanner) run(ok func(byte) bool) string {
	start := p.i
	for p.i < len(p.s) && ok(p.s[p.i]) {
		p.i++
	}
	return p.s[start:p.i]
}

// keyword reads a Keyword (RFC 5321 §4.1.2) and gives it in lower case.
func (p *scanner) keyword() (word, why string) {
	if word = p.run(isKeyword); word == "" {
		return "", "a word is missing"
	}
	return strings.ToLower(word), ""
}

// value reads a value as RFC 2045 §5.1 has it: token or quoted-string. In a
// token, what is not ASCII may stand too (RFC 6532 §3.2).
func (p *scanner) value() (text, why string) {
	if p.is('"') {
		return p.quotedString()
	}
	if text = p.run(isToken); text == "" {
		return "", "a value is missing"
	}
	return text, ""
}

// pvalue reads a value, or an address with or without its local part. Many
// write more without quotes than they may, such as IPv6 addresses; what cannot
// be mistaken for another part of the field is taken.
func (p *scanner) pvalue() (text, why string) {
	start := p.i
	if p.is('"') {
		if text, why = p.quotedString(); why != "" || !p.is('@') {
			return text, why
		}
		text = p.s[start:p.i]
		if strings.ContainsAny(text, "\r\n\t") {
			return "", "folded local part"
		}
	}
	if text += p.run(isOpen); text == "" && p.is(';') || text == "" && p.end() {
		return "", "" // "header.d=" has no value
	} else if text == "" {
		return "", "a value is missing"
	}
	return text, ""
}

// isKeyword: RFC 5321's Keyword, and the underscore because it is in use.
func isKeyword(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// isToken: RFC 2045 §5.1.
func isToken(c byte) bool {
	return c > ' ' && c != 0x7f && strings.IndexByte(`()<>@,;:\"/[]?=`, c) < 0
}

// isOpen: what may stand in a value without ending it.
func isOpen(c byte) bool {
	return c > ' ' && c != 0x7f && strings.IndexByte(`();\"`, c) < 0
}
