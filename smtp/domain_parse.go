package smtp

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// ParseDomain checks a Domain (RFC 5321 §4.1.2): labels of letters, digits and
// inner hyphens, or U-labels (RFC 6531 §3.3). A trailing dot, an underscore and
// an address literal are refused. The error is a *SyntaxError.
func ParseDomain(s string) error {
	i, why := domain(s, 0, cLdh)
	if why == "" && i < len(s) {
		why = "unexpected character after the domain"
	}
	if why != "" {
		return &SyntaxError{Code: CodeArgSyntax, Enhanced: enhBadRecipient, Offset: i, Reason: why}
	}
	return nil
}

// ParseHello checks the argument of HELO, EHLO or LHLO: a Domain in ASCII or an
// address literal (RFC 5321 §4.1.1.1). Underscores are let through, since many
// hosts send them. The error is a *SyntaxError.
func ParseHello(s string) error {
	var i int
	var why string
	if s != "" && s[0] == '[' {
		i, why = addressLiteral(s, 0)
	} else {
		i, why = domain(s, 0, cHello)
	}
	if why == "" && i < len(s) {
		why = "unexpected character after the name"
	}
	if why == "" && !isASCII(s) {
		i, why = 0, "name is not ASCII"
	}
	if why != "" {
		return &SyntaxError{Code: CodeArgSyntax, Enhanced: enhBadArgument, Offset: i, Reason: why}
	}
	return nil
}

// domain = sub-domain *("." sub-domain); allow is cLdh, or cHello to let
// underscores through
func domain(s string, start int, allow uint16) (end int, why string) {
	ascii := true
	for i := start; ; i++ {
		var plain bool
		if end, plain, why = subDomain(s, i, allow); why != "" {
			switch {
			case end > i || end < len(s) && class[s[end]]&allow != 0:
			case end < len(s) && !endsDomain(s[end]):
				why = "character not allowed in a domain"
			case end == start:
				why = "domain is empty"
			}
			return end, why
		}
		ascii = ascii && plain
		if end == len(s) || s[end] != '.' {
			break
		}
		i = end
	}
	if end < len(s) && !endsDomain(s[end]) {
		return end, "character not allowed in a domain"
	}
	if end-start > MaxDomain { // §4.5.3.1.2
		return start + MaxDomain, "domain is longer than 255 octets"
	}
	if !ascii && !hasULabels(s[start:end]) {
		return start, "domain has a label that is not a U-label"
	}
	return end, ""
}

// endsDomain reports whether c may follow a domain, or stands for a fault that
// has a better description than a wrong character.
func endsDomain(c byte) bool {
	return c == '>' || c == ',' || c == ':' || c == '.' || isBlank(c)
}

// subDomain = Let-dig [Ldh-str] / U-label
func subDomain(s string, start int, allow uint16) (end int, ascii bool, why string) {
	i, ascii := start, true
	for i < len(s) {
		if class[s[i]]&allow != 0 {
			i++
			continue
		}
		if s[i] < utf8.RuneSelf {
			break
		}
		n := nonASCII(s, i)
		if n == 0 {
			break
		}
		ascii = false
		i += n
	}
	switch {
	case i == start && i == len(s):
		return i, ascii, "domain ends with a dot"
	case i == start:
		return i, ascii, "domain label is empty"
	case s[start] == '-':
		return start, ascii, "domain label begins with a hyphen"
	case s[i-1] == '-':
		return i - 1, ascii, "domain label ends with a hyphen"
	case ascii && i-start > MaxLabel: // §2.3.5
		return start + MaxLabel, ascii, "domain label is longer than 63 octets"
	}
	return i, ascii, ""
}

// hasULabels reports whether every label of a domain that is not ASCII is a
// U-label or maps to one. A label that maps to plain ASCII or to several labels
// (IDEOGRAPHIC FULL STOP) could name another domain than it shows.
func hasULabels(domain string) bool {
	a, err := idna.Lookup.ToASCII(domain)
	if err != nil || len(a) > MaxDomain {
		return false
	}
	for {
		from, fromRest, more := strings.Cut(domain, ".")
		to, toRest, moreTo := strings.Cut(a, ".")
		if more != moreTo || len(to) > MaxLabel || !isASCII(from) && !strings.HasPrefix(to, "xn--") {
			return false
		}
		if !more {
			return true
		}
		domain, a = fromRest, toRest
	}
}

// addressLiteral = "[" ( IPv4-address-literal / IPv6-address-literal /
// General-address-literal ) "]"
func addressLiteral(s string, start int) (end int, why string) {
	i := start + 1
	for i < len(s) && class[s[i]]&cDcontent != 0 {
		i++
	}
	if i == len(s) || s[i] != ']' {
		return i, "closing bracket of the address literal is missing"
	}
	if i+1-start > MaxDomain { // §4.5.3.1.2
		return start + MaxDomain, "address literal is longer than 255 octets"
	}
	content := s[start+1 : i]
	tag, rest, tagged := strings.Cut(content, ":")
	switch {
	case !tagged:
		if _, ok := ipv4Literal(content); !ok {
			return start + 1, "address literal is not an IPv4 address"
		}
	case equalFold(tag, "IPv6"):
		if _, ok := ipv6Literal(rest); !ok {
			return i - len(rest), "address literal is not an IPv6 address"
		}
	case !isLdhStr(tag):
		return start + 1, "address literal has a bad tag"
	case rest == "":
		return i, "address literal is empty after its tag"
	default:
		// The grammar takes the first group for a tag; no such tag is registered.
		if _, ok := ipv6Literal(content); ok {
			return start + 1, "IPv6 address literal lacks the tag IPv6"
		}
	}
	return i + 1, ""
}

// ipv4Literal = Snum 3("." Snum). Leading zeros are refused: some programs
// read them as octal.
func ipv4Literal(s string) (netip.Addr, bool) {
	if s == "" || len(s) > len("255.255.255.255") {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(s)
	return a, err == nil && a.Is4()
}

// ipv6Literal = IPv6-addr, what follows "IPv6:"
func ipv6Literal(s string) (netip.Addr, bool) {
	if s == "" || len(s) > len("0000:0000:0000:0000:0000:0000:255.255.255.255") || strings.IndexByte(s, '%') >= 0 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(s)
	return a, err == nil && a.Is6()
}

// isLdhStr = *( ALPHA / DIGIT / "-" ) Let-dig
func isLdhStr(s string) bool {
	for i := 0; i < len(s); i++ {
		if class[s[i]]&cLdh == 0 {
			return false
		}
	}
	return s != "" && s[len(s)-1] != '-'
}
