package authres

import (
	"fmt"
	"unicode/utf8"
)

// What Parse takes at most.
const (
	maxLength     = 64 << 10
	maxResults    = 100
	maxProperties = 100 // of one result
)

// Parse reads the value of an Authentication-Results header field: what stands
// behind the colon, folded or not, with or without its final CRLF (RFC 8601
// §2.2). Comments and folding may stand wherever the grammar lets them; a
// comment that follows a verdict is kept. Words are given in lower case.
//
// It forgives what is common and harmless: a semicolon at the end, values that
// should be quoted, statements without a property's type. Results in a version
// of a method other than 1 are left out. An error means that nothing is known:
// the syntax is wrong, not UTF-8, of another version, or above the limits of
// 64 KiB, 100 results, and 100 properties for each.
func Parse(value string) (Field, error) {
	if len(value) > maxLength {
		return Field{}, fmt.Errorf("authres: field of %d octets", len(value))
	}
	if !utf8.ValidString(value) {
		return Field{}, fmt.Errorf("authres: field is not UTF-8")
	}
	p := scanner{s: value}
	f, why := p.payload()
	if why != "" {
		return Field{}, fmt.Errorf("authres: at octet %d: %s", p.i, why)
	}
	f.UTF8 = !isASCII(value)
	return f, nil
}

// payload = [CFWS] authserv-id [ CFWS version ] ( no-result / 1*resinfo ) [CFWS]
func (p *scanner) payload() (f Field, why string) {
	if f.AuthServID, why = p.head(); why != "" {
		return f, why
	}
	for p.take(';') {
		if _, why = p.cfws(); why != "" {
			return f, why
		}
		if p.end() || p.is(';') {
			continue
		}
		r, known, why := p.resinfo()
		switch {
		case why != "":
			return f, why
		case len(f.Results) == maxResults:
			return f, "too many results"
		case known:
			f.Results = append(f.Results, r)
		}
	}
	if !p.end() {
		return f, "unexpected character"
	}
	return f, ""
}

// head reads up to the first semicolon: who says it, and in which version.
func (p *scanner) head() (id, why string) {
	if _, why = p.cfws(); why != "" {
		return "", why
	}
	if id, why = p.value(); why != "" {
		return "", why
	}
	if _, why = p.cfws(); why != "" {
		return "", why
	}
	if version := p.run(isDigit); version != "" && !isOne(version) {
		return "", "unknown version"
	}
	if _, why = p.cfws(); why != "" {
		return "", why
	}
	if !p.is(';') {
		return "", "a semicolon is missing behind who says it"
	}
	return id, ""
}

// resinfo = methodspec [ CFWS reasonspec ] [ CFWS 1*propspec ], or "none". Of
// the latter, and of versions that are not known, nothing is kept.
func (p *scanner) resinfo() (r Result, known bool, why string) {
	if r.Method, why = p.keyword(); why != "" {
		return r, false, why
	}
	if _, why = p.cfws(); why != "" {
		return r, false, why
	}
	if r.Method == "none" && (p.end() || p.is(';')) {
		return r, false, ""
	}
	known = true
	if p.take('/') {
		if _, why = p.cfws(); why != "" {
			return r, false, why
		}
		version := p.run(isDigit)
		if version == "" {
			return r, false, "a version is missing"
		}
		known = isOne(version)
	}
	if why = p.equals(); why != "" {
		return r, false, why
	}
	verdict, why := p.keyword()
	if why != "" {
		return r, false, why
	}
	r.Verdict = Verdict(verdict)
	if r.Comment, why = p.cfws(); why != "" {
		return r, false, why
	}
	for !p.end() && !p.is(';') {
		if why = p.statement(&r); why != "" {
			return r, false, why
		}
	}
	return r, known, ""
}

// statement = reasonspec / propspec, with the white space behind it.
func (p *scanner) statement(r *Result) (why string) {
	var prop Property
	if prop.Type, why = p.keyword(); why != "" {
		return why
	}
	if _, why = p.cfws(); why != "" {
		return why
	}
	if p.take('.') {
		if _, why = p.cfws(); why != "" {
			return why
		}
		if prop.Name, why = p.keyword(); why != "" {
			return why
		}
	}
	if why = p.equals(); why != "" {
		return why
	}
	if prop.Value, why = p.pvalue(); why != "" {
		return why
	}
	switch {
	case prop.Name != "":
		if len(r.Properties) == maxProperties {
			return "too many properties"
		}
		r.Properties = append(r.Properties, prop)
	case prop.Type == "reason" && r.Reason == "":
		r.Reason = prop.Value
	}
	_, why = p.cfws()
	return why
}

// equals reads "=" with comments and white space around it.
func (p *scanner) equals() (why string) {
	if _, why = p.cfws(); why != "" {
		return why
	}
	if !p.take('=') {
		return "an equals sign is missing"
	}
	_, why = p.cfws()
	return why
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isOne(version string) bool {
	for len(version) > 1 && version[0] == '0' {
		version = version[1:]
	}
	return version == "1"
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
