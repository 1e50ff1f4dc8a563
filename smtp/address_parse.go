package smtp

import (
	"strings"
	"unicode/utf8"
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
	if m, end, ok := ordinaryPath(s, start); ok {
		return m, end, ""
	}
	return anyPath(s, start)
}

// ordinaryPath is path for what nearly all are, a Dot-string and a Domain in ASCII,
// in one function instead of one for each production: ParseRcpt takes 41 ns and not
// 54. When ok is false, nobody knows yet whether it is a path.
func ordinaryPath(s string, start int) (m Mailbox, end int, ok bool) {
	if start == len(s) || s[start] != '<' {
		return Mailbox{}, 0, false
	}
	i, atext := start+1, false
	for i < len(s) && (class[s[i]]&cAtext != 0 || s[i] == '.' && atext) {
		atext = s[i] != '.'
		i++
	}
	at := i
	if !atext || at-start-1 > MaxLocalPart || at == len(s) || s[at] != '@' {
		return Mailbox{}, 0, false
	}
	label := at + 1
	for i = label; i < len(s); i++ {
		if class[s[i]]&cLdh != 0 {
			continue
		}
		if i == label || i-label > MaxLabel || s[label] == '-' || s[i-1] == '-' {
			return Mailbox{}, 0, false
		}
		if s[i] != '.' {
			break
		}
		label = i + 1
	}
	if i == len(s) || s[i] != '>' || i-at-1 > MaxDomain || i+1-start > MaxPath {
		return Mailbox{}, 0, false
	}
	return Mailbox{Local: s[start+1 : at], Domain: s[at+1 : i]}, i + 1, true
}

func anyPath(s string, start int) (m Mailbox, end int, why string) {
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
		if s[i] < utf8.RuneSelf {
			break
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
	for i < len(s) {
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
