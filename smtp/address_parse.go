package smtp

import (
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// ParseMailbox reads a Mailbox without angle brackets (RFC 5321 §4.1.2, with
// UTF-8 as in RFC 6531 §3.3). The fields are substrings of s; only a quoted
// local-part with quoted pairs is copied. The error is a *SyntaxError.
func ParseMailbox(s string) (Mailbox, error) {
	m, i, why := mailbox(s, 0)
	if why == "" && i < len(s) {
		why = "unexpected character after the address"
	}
	if why == "" && len(s) > maxMailbox {
		i, why = maxMailbox, "address is longer than 254 octets"
	}
	if why != "" {
		return Mailbox{}, &SyntaxError{Code: CodeArgSyntax, Enhanced: enhBadRecipient, Offset: i, Reason: why}
	}
	return m, nil
}

// ParseReversePath reads a reverse-path: "<>", a Mailbox in angle brackets with
// or without a source route, which is dropped (RFC 5321 §4.1.1.2, Appendix C),
// or a bare Mailbox. The error is a *SyntaxError.
func ParseReversePath(s string) (ReversePath, error) {
	if s == "" || s[0] != '<' {
		m, err := ParseMailbox(s)
		return ReversePath{m}, asSender(err)
	}
	m, i, why := reversePath(s, 0)
	if why == "" && i < len(s) {
		why = "unexpected character after the path"
	}
	if why != "" {
		return ReversePath{}, &SyntaxError{Code: CodeArgSyntax, Enhanced: enhBadSender, Offset: i, Reason: why}
	}
	return ReversePath{m}, nil
}

// ParseForwardPath reads a forward-path: a Mailbox in angle brackets with or
// without a source route, which is dropped (RFC 5321 §3.6.1), the domain-less
// "<postmaster>" in any case (§4.1.1.3), or either of them bare. The error is a
// *SyntaxError.
func ParseForwardPath(s string) (ForwardPath, error) {
	if equalFold(s, postmaster) {
		return ForwardPath{Mailbox{Local: s}}, nil
	}
	if s == "" || s[0] != '<' {
		m, err := ParseMailbox(s)
		return ForwardPath{m}, err
	}
	m, i, why := forwardPath(s, 0)
	if why == "" && i < len(s) {
		why = "unexpected character after the path"
	}
	if why != "" {
		return ForwardPath{}, &SyntaxError{Code: CodeArgSyntax, Enhanced: enhBadRecipient, Offset: i, Reason: why}
	}
	return ForwardPath{m}, nil
}

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

const (
	postmaster = "postmaster"
	maxMailbox = MaxPath - len("<>")
)

var (
	enhBadRecipient = Enh(1, 3) // bad destination mailbox address syntax
	enhBadSender    = Enh(1, 7) // bad sender's mailbox address syntax
	enhSyntax       = Enh(5, 2) // syntax error
	enhBadArgument  = Enh(5, 4) // invalid command arguments
	enhNonASCII     = Enh(6, 7) // non-ASCII addresses not permitted
)

func asSender(err error) error {
	if err == nil {
		return nil
	}
	err.(*SyntaxError).Enhanced = enhBadSender
	return err
}

// Each function below is one production. It reads at i and returns the index
// after what it read; a reason means that the text at the index is at fault.

// reversePath = Path / "<>"
func reversePath(s string, i int) (m Mailbox, end int, why string) {
	if strings.HasPrefix(s[i:], "<>") {
		return Mailbox{}, i + 2, ""
	}
	return path(s, i)
}

// forwardPath = Path / "<Postmaster>"
func forwardPath(s string, i int) (m Mailbox, end int, why string) {
	const length = len("<") + len(postmaster)
	if len(s)-i > length && s[i+length] == '>' && s[i] == '<' && equalFold(s[i+1:i+length], postmaster) {
		return Mailbox{Local: s[i+1 : i+length]}, i + length + 1, "" // §4.1.1.3
	}
	return path(s, i)
}

// path = "<" [ A-d-l ":" ] Mailbox ">"
func path(s string, start int) (m Mailbox, end int, why string) {
	i := start
	if i == len(s) || s[i] != '<' {
		return Mailbox{}, i, "path must stand in angle brackets"
	}
	i++
	if i < len(s) && s[i] == '@' {
		if i, why = sourceRoute(s, i); why != "" {
			return Mailbox{}, i, why
		}
	}
	if m, i, why = mailbox(s, i); why != "" {
		return Mailbox{}, i, why
	}
	if i == len(s) || s[i] != '>' {
		return Mailbox{}, i, "closing angle bracket is missing"
	}
	i++
	if i-start > MaxPath { // §4.5.3.1.3
		return Mailbox{}, start + MaxPath, "path is longer than 256 octets"
	}
	return m, i, ""
}

// sourceRoute = At-domain *( "," At-domain ) ":"
func sourceRoute(s string, i int) (end int, why string) {
	for {
		if i == len(s) || s[i] != '@' {
			return i, "@ is missing in the source route"
		}
		if i, why = domain(s, i+1, cLdh); why != "" {
			return i, why
		}
		if i == len(s) || s[i] != ',' && s[i] != ':' {
			return i, "colon is missing after the source route"
		}
		i++
		if s[i-1] == ':' {
			return i, ""
		}
	}
}

// mailbox = Local-part "@" ( Domain / address-literal )
func mailbox(s string, i int) (m Mailbox, end int, why string) {
	local, i, why := localPart(s, i)
	if why != "" {
		return Mailbox{}, i, why
	}
	if i == len(s) || s[i] != '@' {
		if i < len(s) && s[i] != '>' {
			return Mailbox{}, i, "character not allowed in a local-part"
		}
		return Mailbox{}, i, "@ and a domain are missing"
	}
	start := i + 1
	if start < len(s) && s[start] == '[' {
		i, why = addressLiteral(s, start)
	} else {
		i, why = domain(s, start, cLdh)
	}
	if why != "" {
		return Mailbox{}, i, why
	}
	return Mailbox{Local: local, Domain: s[start:i]}, i, ""
}

// localPart = Dot-string / Quoted-string
func localPart(s string, start int) (local string, end int, why string) {
	if start < len(s) && s[start] == '"' {
		local, end, why = quotedString(s, start)
	} else {
		end, why = dotString(s, start)
		local = s[start:end]
	}
	if why == "" && end-start > MaxLocalPart { // §4.5.3.1.1
		return "", start + MaxLocalPart, "local-part is longer than 64 octets"
	}
	return local, end, why
}

// dotString = Atom *("." Atom)
func dotString(s string, start int) (end int, why string) {
	for i := start; ; i++ {
		end = atom(s, i)
		if end == i {
			switch {
			case end < len(s) && s[end] == '.' && i > start:
				return end, "two dots in a row in the local-part"
			case end < len(s) && s[end] == '.':
				return end, "local-part begins with a dot"
			case i > start:
				return end, "local-part ends with a dot"
			case end < len(s) && s[end] != '@' && s[end] != '>':
				return end, "character not allowed in a local-part"
			}
			return end, "local-part is empty"
		}
		if end == len(s) || s[end] != '.' {
			return end, ""
		}
		i = end
	}
}

// atom = 1*atext; the index does not move when there is none
func atom(s string, i int) (end int) {
	for i < len(s) {
		if class[s[i]]&cAtext != 0 {
			i++
			continue
		}
		n := nonASCII(s, i)
		if n == 0 {
			break
		}
		i += n
	}
	return i
}

// quotedString = DQUOTE *( qtextSMTP / quoted-pairSMTP ) DQUOTE
func quotedString(s string, start int) (text string, end int, why string) {
	pairs := 0
	i := start + 1
	for i < len(s) && i-start < MaxPath {
		switch c := s[i]; {
		case class[c]&cQtext != 0:
			i++
		case c == '"':
			text = s[start+1 : i]
			if pairs > 0 {
				text = unquote(text, len(text)-pairs)
			}
			return text, i + 1, ""
		case c == '\\':
			if i+1 == len(s) || s[i+1]-0x20 > 0x7e-0x20 {
				return "", i, "backslash before a character that cannot be quoted"
			}
			pairs++
			i += 2
		default:
			n := nonASCII(s, i)
			if n == 0 {
				return "", i, "character not allowed in a quoted string"
			}
			i += n
		}
	}
	return "", i, "closing quote is missing"
}

// unquote removes the backslashes of quoted pairs; n is the length that stays.
func unquote(s string, n int) string {
	b := make([]byte, 0, n)
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
		}
		b = append(b, s[i])
	}
	return string(b)
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
