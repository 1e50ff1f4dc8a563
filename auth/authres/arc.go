package authres

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// ParseARC reads the value of an ARC-Authentication-Results header field: the
// number of its set, and what Parse reads behind that (RFC 8617 §4.1.1). The
// number is 1 to 50, or 0 if it cannot be read; an error may concern only what
// stands behind it.
func ParseARC(value string) (instance int, f Field, err error) {
	if len(value) > maxLength {
		return 0, Field{}, fmt.Errorf("authres: field of %d octets", len(value))
	}
	p := scanner{s: value}
	instance, why := p.instance()
	if why != "" {
		return 0, Field{}, fmt.Errorf("authres: at octet %d: %s", p.i, why)
	}
	if !utf8.ValidString(value) {
		return instance, Field{}, fmt.Errorf("authres: field is not UTF-8")
	}
	f, why = p.payload()
	if why != "" {
		return instance, Field{}, fmt.Errorf("authres: at octet %d: %s", p.i, why)
	}
	f.UTF8 = !isASCII(value)
	return instance, f, nil
}

// AppendARC appends an ARC-Authentication-Results header field with its final
// CRLF, as AppendTo does with Authentication-Results.
func (f Field) AppendARC(b []byte, instance int) []byte {
	b = append(b, "ARC-Authentication-Results: i="...)
	b = append(strconv.AppendInt(b, int64(instance), 10), "; "...)
	return append(f.AppendPayload(b), "\r\n"...)
}

// instance = [CFWS] %s"i" [CFWS] "=" [CFWS] 1*2DIGIT [CFWS] ";"
func (p *scanner) instance() (n int, why string) {
	if _, why = p.cfws(); why != "" {
		return 0, why
	}
	if !p.take('i') { // case counts: §4.1.1
		return 0, "the number of the set is missing"
	}
	if why = p.equals(); why != "" {
		return 0, why
	}
	digits := p.run(isDigit)
	if n, _ = strconv.Atoi(digits); n < 1 || n > 50 || len(digits) > 2 {
		return 0, "no number of a set"
	}
	if _, why = p.cfws(); why != "" {
		return 0, why
	}
	if !p.take(';') {
		return 0, "a semicolon is missing behind the number of the set"
	}
	return n, ""
}
