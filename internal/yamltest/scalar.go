package yamltest

import (
	"strconv"
	"strings"
)

// startsPlain reports whether a plain scalar may begin like s.
func startsPlain(s string) bool {
	switch s[0] {
	case '-', '?', ':':
		return len(s) > 1 && s[1] != ' '
	}
	return !strings.ContainsRune("#,[]{}&*!|>'\"%@`", rune(s[0]))
}

// plain reads a plain scalar; the lines after the first are joined by a blank.
func (p *parser) plain(l line, rest string, indent int) (string, error) {
	if !startsPlain(rest) {
		return "", errorAt(l.num, "value begins with %q", rest[0])
	}
	var text strings.Builder
	for {
		s, _, comment := strings.Cut(rest, " #")
		s = strings.TrimRight(s, " ")
		if strings.Contains(s, ": ") || strings.HasSuffix(s, ":") {
			return "", errorAt(l.num, "key inside a plain scalar")
		}
		text.WriteString(s)
		if p.i == len(p.lines) {
			return text.String(), nil
		}
		l = p.lines[p.i]
		if l.blank() || comment || l.comment() {
			if next, ok := p.next(); ok && next.indent > indent {
				return "", errorAt(l.num, "blank line or comment inside a plain scalar")
			}
			return text.String(), nil
		}
		if l.indent <= indent {
			return text.String(), nil
		}
		text.WriteByte(' ')
		rest = l.text
		p.i++
	}
}

// blockScalar reads a literal or folded scalar, all of whose lines are indented
// more than indent, the first that is not blank being the measure.
func (p *parser) blockScalar(l line, header string, indent int) (string, error) {
	folded := header[0] == '>'
	after, strip := strings.CutPrefix(header[1:], "-")
	if !nothing(after) {
		return "", errorAt(l.num, "block scalar with %q", after)
	}
	var lines []string
	content, deepest := 0, 0 // the indentation, and the greatest of the blank lines before
	last := 0                // number of lines up to the last that is not empty
	for ; p.i < len(p.lines); p.i++ {
		l := p.lines[p.i]
		if l.text == "" {
			if content == 0 {
				deepest = max(deepest, l.indent)
			}
			lines = append(lines, "")
			if content > 0 && l.indent > content {
				lines[len(lines)-1] = strings.Repeat(" ", l.indent-content)
				last = len(lines)
			}
			continue
		}
		if l.indent <= indent {
			break
		}
		if content == 0 {
			content = l.indent
		}
		if content < deepest || l.indent < content {
			return "", errorAt(l.num, "line of a block scalar with another indentation")
		}
		lines = append(lines, strings.Repeat(" ", l.indent-content)+l.text)
		last = len(lines)
	}
	lines = lines[:last]
	text := strings.Join(lines, "\n")
	if folded {
		text = fold(lines)
	}
	if text != "" && !strip {
		text += "\n"
	}
	return text, nil
}

// fold joins lines by a blank, and by as many line ends as there are empty ones
// between them. Lines with more indentation keep the line ends around them.
func fold(lines []string) string {
	var b strings.Builder
	empty, kept := 0, false // the empty lines since, and whether the line before keeps its line end
	for i, s := range lines {
		if s == "" {
			empty++
			continue
		}
		keep := s[0] == ' '
		switch {
		case i == empty: // the first
		case keep || kept:
			empty++
		case empty == 0:
			b.WriteByte(' ')
		}
		b.WriteString(strings.Repeat("\n", empty))
		b.WriteString(s)
		empty, kept = 0, keep
	}
	return b.String()
}

// quoted reads a quoted scalar that ends on its line. Escapes stand for code
// points, so what is returned is UTF-8.
func quoted(num int, s string) (text, after string, err error) {
	var b strings.Builder
	quote := s[0]
	for i := 1; i < len(s); i++ {
		c := s[i]
		switch {
		case c == quote && quote == '\'' && strings.HasPrefix(s[i+1:], "'"):
			b.WriteByte('\'')
			i++
		case c == quote:
			return b.String(), s[i+1:], nil
		case c == '\\' && quote == '"':
			r, n := escape(s[i+1:])
			if n == 0 {
				return "", "", errorAt(num, "escape that is not known")
			}
			b.WriteRune(r)
			i += n
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errorAt(num, "no closing quote")
}

// escape reads what follows a backslash; n is 0 if it is not known.
func escape(s string) (r rune, n int) {
	if s == "" {
		return 0, 0
	}
	if s[0] == 'x' && len(s) >= 3 {
		v, err := strconv.ParseUint(s[1:3], 16, 8)
		if err != nil {
			return 0, 0
		}
		return rune(v), 3
	}
	const from, to = `0tnr"\/ `, "\x00\t\n\r\"\\/ "
	if i := strings.IndexByte(from, s[0]); i >= 0 {
		return rune(to[i]), 1
	}
	return 0, 0
}

// flow reads a flow sequence of scalars that ends on its line.
func flow(num int, s string) (*Node, error) {
	n := &Node{Kind: Sequence, Line: num}
	rest := strings.TrimLeft(s[1:], " ")
	for !strings.HasPrefix(rest, "]") || len(n.Items) > 0 {
		if rest == "" {
			return nil, errorAt(num, "flow sequence does not end")
		}
		item := &Node{Line: num}
		if rest[0] == '"' || rest[0] == '\'' {
			var err error
			if item.Text, rest, err = quoted(num, rest); err != nil {
				return nil, err
			}
		} else {
			end := strings.IndexAny(rest, ",]")
			if end <= 0 || !startsPlain(rest) || strings.ContainsAny(rest[:end], "[{}") ||
				strings.Contains(rest[:end], ": ") || strings.Contains(rest[:end], " #") {
				return nil, errorAt(num, "flow sequence of something else than scalars")
			}
			item.Text, rest = strings.TrimRight(rest[:end], " "), rest[end:]
		}
		n.Items = append(n.Items, item)
		rest = strings.TrimLeft(rest, " ")
		if strings.HasPrefix(rest, "]") {
			break
		}
		var ok bool
		if rest, ok = strings.CutPrefix(rest, ","); !ok {
			return nil, errorAt(num, "no comma in a flow sequence")
		}
		rest = strings.TrimLeft(rest, " ")
	}
	if !nothing(rest[1:]) {
		return nil, errorAt(num, "text after a flow sequence")
	}
	return n, nil
}
