package smtp

import "unicode/utf8"

// The character classes of the grammar, one bit each; octets from 128 are in
// none of them (see nonASCII).
const (
	cAtext    = 1 << iota // RFC 5322 §3.2.3
	cLetDig               // Let-dig, §4.1.2
	cLdh                  // Let-dig and "-"
	cHello                // cLdh and "_", which HELO names are often sent with
	cQtext                // qtextSMTP, §4.1.2
	cDcontent             // dcontent, §4.1.3
	cValue                // esmtp-value, §4.1.2
	cXchar                // RFC 3461 §4
	cQchar                // RFC 6533 §3
)

var class = func() (t [256]uint16) {
	for c := 0x20; c < 0x7f; c++ {
		var bits uint16
		alnum := '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
		if alnum {
			bits |= cAtext | cLetDig | cLdh | cHello
		}
		switch c {
		case '!', '#', '$', '%', '&', '\'', '*', '+', '-', '/', '=', '?', '^', '_', '`', '{', '|', '}', '~':
			bits |= cAtext
		}
		if c == '-' {
			bits |= cLdh | cHello
		}
		if c == '_' {
			bits |= cHello
		}
		if c != '"' && c != '\\' {
			bits |= cQtext
		}
		if c != ' ' && c != '[' && c != '\\' && c != ']' {
			bits |= cDcontent
		}
		if c != ' ' && c != '=' {
			bits |= cValue
			if c != '+' {
				bits |= cXchar
				if c != '\\' {
					bits |= cQchar
				}
			}
		}
		t[c] = bits
	}
	return t
}()

func isDigit(c byte) bool { return c-'0' < 10 }

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func skipBlanks(s string, i int) int {
	for i < len(s) && isBlank(s[i]) {
		i++
	}
	return i
}

func upper(c byte) byte {
	if c-'a' < 26 {
		return c - 'a' + 'A'
	}
	return c
}

// equalFold compares without regard to the case of ASCII letters and no
// others: Unicode folding would make KELVIN SIGN a k.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if a[i] != b[i] && upper(a[i]) != upper(b[i]) {
			return false
		}
	}
	return true
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && equalFold(s[:len(prefix)], prefix)
}

// nonASCII returns the length of the UTF8-non-ascii at i (RFC 6531 §3.3), 0
// when the octets there are ASCII, not UTF-8 or a C1 control.
func nonASCII(s string, i int) int {
	if s[i] < utf8.RuneSelf {
		return 0
	}
	r, n := utf8.DecodeRuneInString(s[i:])
	if n == 1 || r < 0xa0 {
		return 0
	}
	return n
}

func isASCII(s string) bool {
	const high = 0x8080808080808080
	var all uint64
	if n := len(s); n >= 8 {
		all = eight(s[n-8:]) // which overlap with the eights before
		for ; n >= 8; n -= 8 {
			all |= eight(s)
			s = s[8:]
		}
		return all&high == 0
	}
	for i := range len(s) {
		all |= uint64(s[i])
	}
	return all&high == 0
}

// eight returns the first eight octets of s, which the compiler reads at once.
func eight(s string) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// isPrintable reports whether s has only graphic ASCII characters and spaces.
func isPrintable(s string) bool {
	const ones = 0x0101010101010101
	for ; len(s) >= 8; s = s[8:] {
		w := eight(s)
		low := w - 0x20*ones          // borrows into bit 7 where an octet is below SP
		del := (w ^ 0x7f*ones) - ones // borrows into bit 7 where an octet is DEL
		if (w|low|del)&(0x80*ones) != 0 {
			return false
		}
	}
	for i := 0; i < len(s); i++ {
		if s[i]-0x20 > 0x7e-0x20 {
			return false
		}
	}
	return true
}

// appendSafe appends s with every control character, and every octet that is
// not UTF-8, replaced by "?". A CR is dropped.
func appendSafe(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c-0x20 <= 0x7e-0x20 || c == '\t':
			dst = append(dst, c)
			i++
		case c == '\r':
			i++
		case c < utf8.RuneSelf:
			dst = append(dst, '?')
			i++
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			if n == 1 || r < 0xa0 {
				dst = append(dst, '?')
			} else {
				dst = append(dst, s[i:i+n]...)
			}
			i += n
		}
	}
	return dst
}
