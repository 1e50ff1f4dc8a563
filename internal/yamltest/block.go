package yamltest

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// A line is one line of the text without its indentation.
type line struct {
	num    int
	indent int
	text   string // "" for a blank line; trailing blanks are kept
}

func (l line) blank() bool   { return strings.TrimLeft(l.text, " ") == "" }
func (l line) comment() bool { return strings.HasPrefix(l.text, "#") }
func (l line) item() bool    { return l.text == "-" || strings.HasPrefix(l.text, "- ") }

// marker reports whether the line ends a document.
func (l line) marker() bool {
	return l.indent == 0 && strings.HasPrefix(l.text, "---") && strings.TrimRight(l.text, " ") == "---"
}

type parser struct {
	lines []line
	i     int
}

func (p *parser) split(text string) error {
	if !utf8.ValidString(text) {
		return errors.New("not UTF-8")
	}
	num := 0
	for raw := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		num++
		l := line{num: num, text: strings.TrimLeft(raw, " ")}
		l.indent = len(raw) - len(l.text)
		for i := range len(l.text) {
			if c := l.text[i]; c < ' ' || c == 0x7f {
				return errorAt(num, "control octet %#02x", c)
			}
		}
		if l.indent == 0 && (strings.HasPrefix(raw, "...") || strings.HasPrefix(raw, "%")) {
			return errorAt(num, "document end or directive")
		}
		p.lines = append(p.lines, l)
	}
	return nil
}

// next skips blank lines and comments. ok is false at the end of the document.
func (p *parser) next() (l line, ok bool) {
	for ; p.i < len(p.lines); p.i++ {
		l = p.lines[p.i]
		if !l.blank() && !l.comment() {
			return l, !l.marker()
		}
	}
	return line{}, false
}

func (p *parser) documents() ([]*Node, error) {
	var docs []*Node
	for {
		if l, ok := p.next(); ok {
			doc, err := p.block(l.indent)
			if err != nil {
				return nil, err
			}
			if l, ok := p.next(); ok {
				return nil, errorAt(l.num, "indentation that nothing has")
			}
			docs = append(docs, doc)
		} else if len(docs) > 0 && p.i < len(p.lines) {
			return nil, errorAt(p.lines[p.i].num, "empty document")
		}
		if p.i == len(p.lines) {
			return docs, nil
		}
		p.i++ // the marker
		if _, ok := p.next(); !ok {
			return nil, errorAt(p.lines[p.i-1].num, "empty document")
		}
	}
}

// block reads the mapping or sequence whose first line is the next one.
func (p *parser) block(indent int) (*Node, error) {
	l := p.lines[p.i]
	n := &Node{Kind: Mapping, Line: l.num}
	if l.item() {
		n.Kind = Sequence
	}
	for {
		l, ok := p.next()
		if !ok || l.indent < indent || l.indent == indent && n.Kind == Sequence && !l.item() {
			return n, nil
		}
		if l.indent > indent || l.item() != (n.Kind == Sequence) {
			return nil, errorAt(l.num, "indentation that nothing has, or a %s goes on as something else", n.Kind)
		}
		var item *Node
		var err error
		if n.Kind == Sequence {
			item, err = p.item(l)
		} else {
			item, err = p.entry(l, n)
		}
		if err != nil {
			return nil, err
		}
		n.Items = append(n.Items, item)
	}
}

// item reads what follows a dash: a scalar, a flow sequence or a mapping that
// begins on the same line.
func (p *parser) item(l line) (*Node, error) {
	rest := strings.TrimLeft(l.text[1:], " ")
	if rest == "" || strings.HasPrefix(rest, "#") || strings.HasPrefix(rest, "- ") {
		return nil, errorAt(l.num, "item that does not begin on the line of its dash, or a sequence in it")
	}
	if _, _, ok := cutKey(rest); !ok {
		return p.value(l, rest, l.indent)
	}
	indent := l.indent + len(l.text) - len(rest)
	p.lines[p.i] = line{num: l.num, indent: indent, text: rest}
	return p.block(indent)
}

// entry reads one key of a mapping and returns its value.
func (p *parser) entry(l line, mapping *Node) (*Node, error) {
	key, rest, ok := cutKey(l.text)
	if !ok {
		return nil, errorAt(l.num, "no key")
	}
	mapping.Keys = append(mapping.Keys, key)
	return p.value(l, rest, l.indent)
}

// value reads a value of which rest stands on the line and the remainder, if
// any, on lines that are indented more than indent.
func (p *parser) value(l line, rest string, indent int) (*Node, error) {
	rest = strings.TrimLeft(rest, " ")
	p.i++
	switch {
	case rest == "" || rest[0] == '#':
		next, ok := p.next()
		if !ok || next.indent < indent || next.indent == indent && !next.item() {
			return nil, errorAt(l.num, "no value")
		}
		return p.block(next.indent)
	case rest[0] == '|' || rest[0] == '>':
		text, err := p.blockScalar(l, rest, indent)
		return &Node{Line: l.num, Text: text}, err
	case rest[0] == '[':
		return flow(l.num, rest)
	case rest[0] == '"' || rest[0] == '\'':
		text, after, err := quoted(l.num, rest)
		if err == nil && !nothing(after) {
			err = errorAt(l.num, "text after a quoted scalar")
		}
		return &Node{Line: l.num, Text: text}, err
	}
	text, err := p.plain(l, rest, indent)
	return &Node{Line: l.num, Text: text}, err
}

// cutKey splits "key: rest". ok is false if the line does not begin with a key.
func cutKey(s string) (key, rest string, ok bool) {
	if s[0] == '"' || s[0] == '\'' {
		key, after, err := quoted(0, s)
		rest, ok = strings.CutPrefix(after, ":")
		return key, rest, ok && err == nil && (rest == "" || rest[0] == ' ')
	}
	if !startsPlain(s) {
		return "", "", false
	}
	key, rest, ok = strings.Cut(s+" ", ": ")
	return strings.TrimRight(key, " "), strings.TrimRight(rest, " "), ok && !strings.Contains(key, " #")
}

// nothing reports whether only a comment is left of a line.
func nothing(rest string) bool {
	trimmed := strings.TrimLeft(rest, " ")
	return trimmed == "" || trimmed[0] == '#' && len(trimmed) < len(rest)
}
