// Package from finds the author domain of a message: the domain that its From
// field names (RFC 9989 §5.3.1). It is strict on purpose. What DMARC vouches for
// must be what a mail reader shows, so wherever two readers might see different
// addresses there is no domain but a [Problem].
package from

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/postrider/postrider/mx/dns"
)

// A Problem says why there is no author domain. It is empty if there is one.
type Problem string

// The problems.
const (
	Missing        Problem = "no From field"
	Repeated       Problem = "several From fields" // RFC 5322 §3.6 allows one
	TooLong        Problem = "From field is too long"
	Control        Problem = "control character in From"            // a bare CR or LF, NUL and their like
	Malformed      Problem = "From does not parse"                  // not RFC 5322 §3.4, or in its obsolete syntax
	Ambiguous      Problem = "From is read in different ways"       // well-formed, but mail readers are known to differ
	NoDomain       Problem = "From has no domain name"              // an address literal, an empty group, a name that the DNS cannot have
	SeveralDomains Problem = "mailboxes of several domains in From" // RFC 9989 §11.5
)

// An Author is what From says.
type Author struct {
	Domain  string // in lower case and A-labels, without a final dot. Empty if there is a Problem
	Problem Problem
}

// maxField is more than any mail reader shows, and bounds the work.
const maxField = 64 << 10

// Parse reads the values of all From fields of a message: what follows the
// colon, still folded, with or without the CRLF at the end.
func Parse(fields []string) Author {
	switch {
	case len(fields) == 0:
		return Author{Problem: Missing}
	case len(fields) > 1:
		return Author{Problem: Repeated}
	}
	p := parser{s: fields[0]}
	if p.check() {
		if p.addressList() && p.domain == "" {
			p.problem = NoDomain
		}
		if p.problem == Malformed {
			p.unquoted()
		}
	}
	if p.problem != "" {
		return Author{Problem: p.problem}
	}
	return Author{Domain: strings.ToLower(p.domain)}
}

// unquoted looks for what is common and not well-formed: a display name that
// needs quotation marks and has none, as in
//
//	Foo, Inc. <a@foo.example>
//	a@foo.example <a@foo.example>
//
// Whoever reads that shows this one address or none, because an at sign in the
// name can only be that of the same address.
func (p *parser) unquoted() {
	s := strings.Trim(p.s, " \t\r\n")
	name, address, ok := strings.Cut(s, "<")
	if !ok || !strings.HasSuffix(address, ">") {
		return
	}
	address = address[:len(address)-1]
	name = strings.TrimRight(name, " \t\r\n")
	if !strings.EqualFold(name, address) && strings.ContainsFunc(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" \t\r\n,.'&+-_/!", r)
	}) {
		return
	}
	local, domain, _ := strings.Cut(address, "@")
	notAtext := func(r rune) bool { return r < utf8.RuneSelf && r != '.' && !isAtext(byte(r)) }
	if local == "" || !isDotAtom(domain) || strings.ContainsFunc(local+domain, notAtext) {
		return
	}
	p.problem, p.domain, p.spelling = "", "", ""
	p.add(domain)
}

// check looks at the field as octets, so that the grammar can take any white
// space for a space.
func (p *parser) check() bool {
	s := p.s
	if len(s) > maxField {
		return p.fail(TooLong)
	}
	ascii, blank := true, false // blank: nothing but white space on this line, and it continues another
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ' ' || c == '\t':
			continue
		case c == '\r':
			end := i + 2
			if end > len(s) || s[i+1] != '\n' || end < len(s) && s[end] != ' ' && s[end] != '\t' {
				return p.fail(Control)
			}
			if blank {
				return p.fail(Malformed) // §4.2: some take such a line for the end of the header
			}
			i, blank = i+1, end < len(s)
			continue
		case c < ' ' || c == 0x7f:
			return p.fail(Control)
		case c >= utf8.RuneSelf:
			ascii = false
		}
		blank = false
	}
	if blank {
		return p.fail(Malformed)
	}
	if ascii {
		return true
	}
	if !utf8.ValidString(s) {
		return p.fail(Malformed) // in other charsets an octet may hide a quote behind it
	}
	for _, r := range s {
		if r >= 0x80 && r < 0xa0 {
			return p.fail(Control)
		}
	}
	return true
}

// add takes the domain of one more mailbox.
func (p *parser) add(domain string) bool {
	if domain == p.spelling {
		return true
	}
	p.spelling = domain
	for i := 0; i < len(domain); i++ {
		if domain[i] >= utf8.RuneSelf {
			a, problem := toASCII(domain)
			if problem != "" {
				return p.fail(problem)
			}
			domain = a
			break
		}
	}
	switch {
	case !dns.ValidName(domain):
		return p.fail(NoDomain)
	case p.domain == "":
		p.domain = domain
	case !strings.EqualFold(p.domain, domain):
		return p.fail(SeveralDomains)
	}
	return true
}

// toASCII returns the A-labels of an internationalized domain. A label that is
// no U-label as it stands (RFC 5890 §2.3.2.1) but becomes one by mapping, as a
// soft hyphen becomes nothing, is shown as what it is not.
func toASCII(domain string) (string, Problem) {
	if len(domain) > 4*253 {
		return "", NoDomain
	}
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return "", NoDomain
	}
	back, err := idna.Lookup.ToUnicode(ascii)
	if err != nil {
		return "", NoDomain
	}
	for label := range strings.SplitSeq(domain, ".") {
		var shown string
		shown, back, _ = strings.Cut(back, ".")
		if !isASCII(label) && (isASCII(shown) || strings.ToLower(label) != shown) {
			return "", Ambiguous
		}
	}
	return ascii, ""
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
