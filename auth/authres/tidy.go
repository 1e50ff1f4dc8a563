package authres

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// tidy makes one line of limited length of a text for people.
func tidy(s string, utf8 bool) string {
	return strings.TrimSpace(printable(cut(s), utf8))
}

// cut ends a text at a character's end.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	end := maxText
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// printable puts a question mark for each character that is not printable, and
// a blank for a tab. Without inter, also for what is not ASCII.
func printable(s string, inter bool) string {
	good := true
	for i := 0; i < len(s) && good; i++ {
		good = s[i] >= ' ' && s[i] < 0x7f
	}
	if good {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r < ' ', r == 0x7f, r == utf8.RuneError, r > 0x7f && !inter, unseen(r):
			return '?'
		}
		return r
	}, s)
}

// unseen: characters that end or turn a line where text is shown: C1 controls,
// separators, marks of direction.
func unseen(r rune) bool {
	return r >= 0x80 && r <= 0x9f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 ||
		r == 0x200e || r == 0x200f || r == 0x61c || r == 0xfeff
}

// host writes the domain name at the end of s in A-labels if UTF-8 may not be
// written.
func host(s string, inter bool) string {
	if inter || isASCII(s) || len(s) > maxText {
		return s
	}
	at := strings.LastIndexByte(s, '@') + 1
	if ascii, err := idna.Lookup.ToASCII(s[at:]); err == nil && ascii != "" { // a soft hyphen becomes nothing
		return s[:at] + ascii
	}
	return s
}
