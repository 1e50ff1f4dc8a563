package dsn

import (
	"strings"
	"unicode/utf8"
)

// How much of anything is kept, in octets. A line has 998 at most (RFC 5322 §2.1.1),
// and is folded at 78 where that can be done.
const (
	maxLine       = 998
	foldAt        = 78
	maxName       = 100  // the name of a field
	maxType       = 40   // the type of a Typed
	maxExact      = 800  // a value whose spaces mean something, as it is written
	maxText       = 2000 // any other value
	maxDiagnostic = 2000 // a reply of many lines
	maxWord       = 480  // what stands between two spaces: so much never has to be folded
)

// clean returns s in one line of UTF-8: HT becomes a space; control characters, what
// is not UTF-8, and characters that change the direction or the line of the text
// become "?".
func clean(s string) string {
	ok := true
	for i := 0; i < len(s) && ok; i++ {
		ok = s[i]-' ' < 0x7f-' '
	}
	if ok {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r < ' ', r >= 0x7f && r < 0xa0, r == utf8.RuneError,
			r >= 0x2028 && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return '?'
		}
		return r
	}, s)
}

// text decodes octets of which nobody says reliably what they are: UTF-8 if they
// can be that, else ISO 8859-1.
func text(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return string(runes)
}

// exact is for a value whose spaces mean something: an address, an identifier.
func exact(s string) string { return cut(strings.Trim(clean(s), " "), maxExact) }

// plain is for any other value: each run of spaces is one, and the longest words are
// broken, so that it can be folded.
func plain(s string) string { return cut(words(s), maxText) }

func words(s string) string {
	s = clean(s)
	var b strings.Builder
	for word := range strings.FieldsSeq(s) {
		for word != "" {
			head := cut(word, maxWord)
			word = word[len(head):]
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(head)
		}
	}
	return b.String()
}

// cut returns at most n octets of s, never a part of a character or a space at the end.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.TrimRight(s[:n], " ")
}

// toASCII puts "?" for every character outside ASCII.
func toASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return '?'
		}
		return r
	}, s)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// typeName returns a type in lower case, and "unknown" for what is none (RFC 3464
// §2.3.1).
func typeName(s string) string {
	if !isAtom(s) || len(s) > maxType {
		return "unknown"
	}
	return strings.ToLower(s)
}

// isAtom: RFC 822 §3.3
func isAtom(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\".[]`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// isFieldName: RFC 5322 §2.2
func isFieldName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == ':' {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

// diagnosticText returns the text of a diagnostic: its lines if they are those of a
// reply, all with the code of the first, and else one line.
func diagnosticText(s string) string {
	var lines []string
	for line := range strings.SplitSeq(s, "\n") {
		if line = words(line); line != "" {
			lines = append(lines, line)
		}
	}
	for _, line := range lines {
		if !isReplyLine(lines[0], "") || !isReplyLine(line, lines[0][:3]) {
			return cut(strings.Join(lines, " "), maxText)
		}
	}
	n := 0
	for i, line := range lines {
		if n += len(line) + len("\n"); i > 0 && n > maxDiagnostic {
			lines = lines[:i] // the reply ends here
			break
		}
	}
	return cut(strings.Join(lines, "\n"), maxDiagnostic)
}

// fold appends s, which stands at the column, and breaks the line at spaces. What is
// behind the break begins with HT.
func fold(dst []byte, column int, s string) []byte {
	first := true
	for word := range strings.SplitSeq(s, " ") {
		switch {
		case first:
			first = false
		case column+1+len(word) <= foldAt:
			dst = append(dst, ' ')
			column++
		default:
			dst = append(dst, "\r\n\t"...)
			column = 8
		}
		dst = append(dst, word...)
		column += len(word)
	}
	return dst
}
