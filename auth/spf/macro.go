package spf

import "strings"

// A macro is one macro-expand (§7.1).
type macro struct {
	letter     byte   // in lower case. 0 for one without braces: then literal is what it stands for
	literal    string // of %%, %_ and %-
	escape     bool   // upper case: the value is escaped as in URLs
	parts      int    // how many of the value's parts are kept, from the right. 0 means all
	reverse    bool
	delimiters string // that split the value. If empty, a dot
}

// Which letters a text may have (§7.2).
const (
	inTerm        = "slodiphv"
	inExplanation = "slodiphvcrt"
)

const delimiterOctets = ".-+,/_="

// maxParts is what a number of parts is cut to: no value has more.
const maxParts = 1 << 20

// parseMacro reads the macro at the beginning of s, which is a percent sign.
func parseMacro(s, letters string) (m macro, length int, why string) {
	if len(s) < 2 {
		return m, 0, "percent sign at the end"
	}
	switch s[1] {
	case '%':
		return macro{literal: "%"}, 2, ""
	case '_':
		return macro{literal: " "}, 2, ""
	case '-':
		return macro{literal: "%20"}, 2, ""
	case '{':
	default:
		return m, 0, "percent sign that begins no macro"
	}
	if len(s) < 3 {
		return m, 0, "macro does not end"
	}
	m.letter = s[2] | 0x20
	m.escape = m.letter != s[2]
	if !isAlpha(s[2]) || strings.IndexByte(letters, m.letter) < 0 {
		return m, 0, "macro letter that is unknown, or not allowed here"
	}
	i := 3
	for ; i < len(s) && isDigit(s[i]); i++ {
		m.parts = min(m.parts*10+int(s[i]-'0'), maxParts)
	}
	if i > 3 && m.parts == 0 {
		return m, 0, "macro that keeps 0 parts" // §7.3
	}
	if i < len(s) && s[i]|0x20 == 'r' {
		m.reverse = true
		i++
	}
	from := i
	for i < len(s) && strings.IndexByte(delimiterOctets, s[i]) >= 0 {
		i++
	}
	m.delimiters = s[from:i]
	if i == len(s) || s[i] != '}' {
		return m, 0, "macro with an octet that is not allowed, or without an end"
	}
	return m, i + 1, ""
}

// macroString checks a macro-string and returns where its last macro ends. A
// reason says what is wrong at offset.
func macroString(s, letters string) (lastMacro, offset int, why string) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			_, n, why := parseMacro(s[i:], letters)
			if why != "" {
				return 0, i, why
			}
			i += n - 1
			lastMacro = i + 1
		} else if c <= ' ' || c > '~' {
			return 0, i, "octet that is not allowed"
		}
	}
	return lastMacro, 0, ""
}

// checkDomainSpec reports what is wrong in a domain-spec: it ends in a macro, or
// in a dot and a top label (§7.1).
func checkDomainSpec(s string) (offset int, why string) {
	if s == "" {
		return 0, "domain is missing"
	}
	lastMacro, offset, why := macroString(s, inTerm)
	if why != "" || lastMacro == len(s) {
		return offset, why
	}
	tail := strings.TrimSuffix(s[lastMacro:], ".")
	dot := strings.LastIndexByte(tail, '.')
	if dot < 0 {
		return lastMacro, "domain of one label"
	}
	if !isTopLabel(tail[dot+1:]) {
		return lastMacro + dot + 1, "not a top-level label"
	}
	return 0, ""
}

// isTopLabel reports whether s is a toplabel: letters, digits and inner hyphens,
// but not digits alone.
func isTopLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	digits := true
	for i := range len(s) {
		c := s[i]
		if !isAlpha(c) && !isDigit(c) && c != '-' {
			return false
		}
		digits = digits && isDigit(c)
	}
	return !digits
}
