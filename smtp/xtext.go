package smtp

import (
	"strconv"
	"unicode/utf8"
)

const upperHex = "0123456789ABCDEF"

// AppendXtext appends s as xtext (RFC 3461 §4): every octet but the graphic
// ASCII characters other than "+" and "=" as "+" and two hexadecimal digits.
func AppendXtext(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if class[c]&cXchar != 0 {
			dst = append(dst, c)
		} else {
			dst = append(dst, '+', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

// DecodeXtext is the inverse of AppendXtext. The digits may be of either case,
// though the RFC asks for upper. What comes out may hold any octet; the
// parameters that carry xtext check it further. The error is a *SyntaxError.
func DecodeXtext(s string) (string, error) {
	t, i, why := xtext(s)
	if why != "" {
		return "", &SyntaxError{Code: CodeArgSyntax, Enhanced: enhBadArgument, Offset: i, Reason: why}
	}
	return t, nil
}

// xtext = *( xchar / hexchar ), RFC 3461 §4; s itself when nothing is encoded
func xtext(s string) (text string, offset int, why string) {
	i := 0
	for i < len(s) && class[s[i]]&cXchar != 0 {
		i++
	}
	if i == len(s) {
		return s, 0, ""
	}
	b := append(make([]byte, 0, len(s)), s[:i]...)
	for i < len(s) {
		c := s[i]
		switch {
		case class[c]&cXchar != 0:
			b = append(b, c)
			i++
		case c == '+' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			b = append(b, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 3
		case c == '+':
			return "", i, "plus sign without two hexadecimal digits"
		default:
			return "", i, "character not allowed in xtext"
		}
	}
	return string(b), 0, ""
}

// AppendUnitext appends an internationalized address as utf-8-addr-xtext
// (RFC 6533 §3), which is ASCII and may be sent to every server: every character
// but the graphic ASCII ones other than "+", "=" and the backslash as \x{HEX}.
func AppendUnitext(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		if class[s[i]]&cQchar != 0 {
			dst = append(dst, s[i])
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		dst = append(dst, `\x{`...)
		if r < 0x10 {
			dst = append(dst, '0')
		}
		for shift := 20; shift >= 0; shift -= 4 {
			if r>>shift != 0 {
				dst = append(dst, upperHex[r>>shift&15])
			}
		}
		if r == 0 {
			dst = append(dst, '0')
		}
		dst = append(dst, '}')
		i += n
	}
	return dst
}

// DecodeUnitext is the inverse of AppendUnitext. It also takes the two forms in
// which characters outside ASCII stand for themselves. No control character comes
// out. The error is a *SyntaxError.
func DecodeUnitext(s string) (string, error) {
	t, i, why := unitext(s)
	if why != "" {
		return "", &SyntaxError{Code: CodeArgSyntax, Enhanced: enhBadArgument, Offset: i, Reason: why}
	}
	return t, nil
}

// unitext decodes utf-8-enc-addr (RFC 6533 §3) in any of its three forms. "+"
// stands for itself, as in an utf-8-address; a code point may be escaped even
// where the grammar does not ask for it.
func unitext(s string) (text string, offset int, why string) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		if n := nonASCII(s, i); n > 0 {
			b = append(b, s[i:i+n]...)
			i += n
			continue
		}
		if s[i] != '\\' {
			if class[s[i]]&cValue == 0 {
				return "", i, "character not allowed in a UTF-8 address"
			}
			b = append(b, s[i])
			i++
			continue
		}
		r, n := embeddedUnicodeChar(s[i:])
		if n == 0 {
			return "", i, "backslash that does not begin a code point"
		}
		b = utf8.AppendRune(b, r)
		i += n
	}
	return string(b), 0, ""
}

// embeddedUnicodeChar = "\x{" HEXPOINT "}", RFC 6533 §3; n is 0 when there is
// none or it is a control or a surrogate
func embeddedUnicodeChar(s string) (r rune, n int) {
	const open = `\x{`
	if !hasPrefixFold(s, open) {
		return 0, 0
	}
	i := len(open)
	for i < len(s) && isHex(s[i]) && i-len(open) < 6 {
		i++
	}
	if i-len(open) < 2 || i == len(s) || s[i] != '}' {
		return 0, 0
	}
	v, err := strconv.ParseUint(s[len(open):i], 16, 32)
	if r = rune(v); err != nil || !utf8.ValidRune(r) || r < 0x20 || r >= 0x7f && r < 0xa0 {
		return 0, 0
	}
	return r, i + 1
}

func isHex(c byte) bool { return isDigit(c) || upper(c)-'A' < 6 }

func unhex(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return upper(c) - 'A' + 10
}
