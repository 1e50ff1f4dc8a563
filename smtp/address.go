package smtp

import (
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// Mailbox is an address of RFC 5321 §4.1.2: local-part "@" domain. Mailboxes
// are values, comparable with == for identity as written; Equal knows which
// differences mean nothing.
type Mailbox struct {
	Local  string // the local-part without quotes and backslashes, case kept. May be "" (written `""`).
	Domain string // the domain as written, A- or U-labels, or an address literal with its brackets: "[192.0.2.1]"
}

// String returns the address as it is written: the local-part in quotes when
// it needs them, then "@" and the domain. "" for the zero value.
func (m Mailbox) String() string {
	if m.IsZero() {
		return ""
	}
	return string(m.AppendTo(make([]byte, 0, len(m.Local)+len(m.Domain)+3)))
}

// AppendTo appends what String returns. It never emits a control octet or
// invalid UTF-8: these become "?". Validate tells beforehand.
func (m Mailbox) AppendTo(dst []byte) []byte {
	if m.IsZero() {
		return dst
	}
	dst = appendLocal(dst, m.Local)
	if m.Domain == "" {
		return dst
	}
	return appendDomain(append(dst, '@'), m.Domain)
}

// IsZero reports whether m is the zero value, which is no address.
func (m Mailbox) IsZero() bool { return m.Local == "" && m.Domain == "" }

// IsASCII reports whether m needs no SMTPUTF8 (RFC 6531 §3.2).
func (m Mailbox) IsASCII() bool { return isASCII(m.Local) && isASCII(m.Domain) }

// ToASCII returns m with its domain in A-labels (IDNA2008 lookup with the
// mapping of UTS 46), for a peer without SMTPUTF8. A domain that is ASCII
// already is left as written. The error, a *SyntaxError, says that the
// local-part is not ASCII or that a label cannot be converted.
func (m Mailbox) ToASCII() (Mailbox, error) {
	if !isASCII(m.Local) {
		return Mailbox{}, &SyntaxError{Code: CodeBadMailbox, Enhanced: enhNonASCII, Reason: "local-part is not ASCII"}
	}
	if isASCII(m.Domain) {
		return m, nil
	}
	a, err := idna.Lookup.ToASCII(m.Domain)
	if err != nil {
		return Mailbox{}, &SyntaxError{Code: CodeArgSyntax, Enhanced: enhBadRecipient, Offset: -1,
			Reason: "domain has a label that is not a U-label"}
	}
	m.Domain = a
	return m, nil
}

// CanonicalDomain returns a spelling of a domain that is the same for all spellings
// of the same domain: lower case, A-labels, address literals as netip writes them.
// What is not a domain comes back in lower case.
func CanonicalDomain(domain string) string {
	m := Mailbox{Domain: domain}
	if ip, ok := m.Literal(); ok && ip.Is6() {
		return "[IPv6:" + ip.String() + "]"
	} else if ok {
		return "[" + ip.String() + "]"
	}
	if a, err := m.ToASCII(); err == nil {
		m = a
	}
	return strings.ToLower(m.Domain)
}

// ToUnicode returns m with its domain in U-labels. A domain without A-labels is
// left as written. The error, a *SyntaxError, says that an A-label is not one.
func (m Mailbox) ToUnicode() (Mailbox, error) {
	if !hasALabel(m.Domain) {
		return m, nil
	}
	u, err := idna.Lookup.ToUnicode(m.Domain)
	if err != nil {
		return Mailbox{}, &SyntaxError{Code: CodeArgSyntax, Enhanced: enhBadRecipient, Offset: -1,
			Reason: "domain has a label that is not an A-label"}
	}
	m.Domain = u
	return m, nil
}

// Literal returns the address of an IPv4 or IPv6 literal. An IPv4-mapped IPv6
// address stays one. ok is false for a domain and for a general literal.
func (m Mailbox) Literal() (addr netip.Addr, ok bool) {
	n := len(m.Domain)
	if n < 2 || m.Domain[0] != '[' || m.Domain[n-1] != ']' {
		return netip.Addr{}, false
	}
	s := m.Domain[1 : n-1]
	if hasPrefixFold(s, "IPv6:") {
		addr, ok = ipv6Literal(s[len("IPv6:"):])
	} else {
		addr, ok = ipv4Literal(s)
	}
	if !ok {
		return netip.Addr{}, false
	}
	return addr, true
}

// Equal reports whether m and o are the same address: the local-parts exactly
// (RFC 5321 §2.4), the domains without regard to case, to A- or U-labels, or to
// how an IP address is written.
func (m Mailbox) Equal(o Mailbox) bool {
	return m.Local == o.Local && equalDomain(m, o)
}

// Validate reports the first reason why m cannot be sent as an address, as a
// *SyntaxError whose offset counts in the address as String writes it.
func (m Mailbox) Validate() error {
	i, why := m.check()
	if why != "" {
		return &SyntaxError{Code: CodeArgSyntax, Enhanced: enhBadRecipient, Offset: i, Reason: why}
	}
	return nil
}

// ReversePath is the argument of MAIL: where failures are reported. The zero
// value is the null reverse-path "<>" (RFC 5321 §4.5.5).
type ReversePath struct{ Mailbox }

// IsNull reports whether p is the null reverse-path.
func (p ReversePath) IsNull() bool { return p.Mailbox.IsZero() }

// String returns the path in angle brackets: "<>" for the null reverse-path.
func (p ReversePath) String() string { return bracketed(p.Mailbox) }

// AppendTo appends what String returns.
func (p ReversePath) AppendTo(dst []byte) []byte {
	return append(p.Mailbox.AppendTo(append(dst, '<')), '>')
}

// Validate is Mailbox.Validate; the null reverse-path is valid.
func (p ReversePath) Validate() error {
	if p.IsNull() {
		return nil
	}
	return asSender(p.Mailbox.Validate())
}

// ForwardPath is the argument of RCPT: where the message goes. Domain is empty
// only in the domain-less <postmaster>.
type ForwardPath struct{ Mailbox }

// IsPostmaster reports whether p is <postmaster> without a domain, in any case
// (RFC 5321 §4.1.1.3, §4.5.1).
func (p ForwardPath) IsPostmaster() bool { return p.Domain == "" && equalFold(p.Local, postmaster) }

// String returns the path in angle brackets.
func (p ForwardPath) String() string { return bracketed(p.Mailbox) }

// AppendTo appends what String returns.
func (p ForwardPath) AppendTo(dst []byte) []byte {
	return append(p.Mailbox.AppendTo(append(dst, '<')), '>')
}

// Validate is Mailbox.Validate; the domain-less <postmaster> is valid.
func (p ForwardPath) Validate() error {
	if p.IsPostmaster() {
		return nil
	}
	return p.Mailbox.Validate()
}

func bracketed(m Mailbox) string {
	b := make([]byte, 0, len(m.Local)+len(m.Domain)+5)
	return string(append(m.AppendTo(append(b, '<')), '>'))
}

// check returns the offset in the written form and the reason why m is not an
// address.
func (m Mailbox) check() (offset int, why string) {
	n, why := checkLocal(m.Local)
	if why != "" {
		return n, why
	}
	var end int
	if strings.HasPrefix(m.Domain, "[") {
		end, why = addressLiteral(m.Domain, 0)
	} else {
		end, why = domain(m.Domain, 0, cLdh)
	}
	if why == "" && end < len(m.Domain) {
		why = "character not allowed in a domain"
	}
	if why != "" {
		return n + 1 + end, why
	}
	if n+1+len(m.Domain) > maxMailbox { // §4.5.3.1.3
		return maxMailbox, "address is longer than 254 octets"
	}
	return 0, ""
}

// checkLocal returns the length of a local-part as written.
func checkLocal(local string) (n int, why string) {
	n = len(local)
	if end, why := dotString(local, 0); why != "" || end < len(local) {
		n += len(`""`)
		for i := 0; i < len(local); {
			switch c := local[i]; {
			case class[c]&cQtext != 0:
				i++
			case c == '"' || c == '\\':
				n++
				i++
			default:
				size := nonASCII(local, i)
				if size == 0 {
					return i, "character not allowed in a local-part"
				}
				i += size
			}
		}
	}
	if n > MaxLocalPart { // §4.5.3.1.1
		return MaxLocalPart, "local-part is longer than 64 octets"
	}
	return n, ""
}

func appendLocal(dst []byte, local string) []byte {
	if end, why := dotString(local, 0); why == "" && end == len(local) {
		return append(dst, local...)
	}
	dst = append(dst, '"')
	for i := 0; i < len(local); {
		switch c := local[i]; {
		case class[c]&cQtext != 0:
			dst = append(dst, c)
			i++
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
			i++
		default:
			n := nonASCII(local, i)
			if n == 0 {
				dst = append(dst, '?')
				n = 1
			} else {
				dst = append(dst, local[i:i+n]...)
			}
			i += n
		}
	}
	return append(dst, '"')
}

// appendDomain replaces what could end the path or the line.
func appendDomain(dst []byte, domain string) []byte {
	plain := 0
	for plain < len(domain) && (class[domain[plain]]&cHello != 0 || domain[plain] == '.') {
		plain++
	}
	dst = append(dst, domain[:plain]...)
	literal := domain[0] == '['
	for i := plain; i < len(domain); {
		c := domain[i]
		switch {
		case class[c]&cHello != 0 || c == '.':
			dst = append(dst, c)
		case literal && (class[c]&cDcontent != 0 || c == '[' && i == 0 || c == ']' && i == len(domain)-1):
			dst = append(dst, c)
		default:
			if n := nonASCII(domain, i); n > 0 {
				dst = append(dst, domain[i:i+n]...)
				i += n
				continue
			}
			dst = append(dst, '?')
		}
		i++
	}
	return dst
}

func equalDomain(m, o Mailbox) bool {
	if equalFold(m.Domain, o.Domain) {
		return true
	}
	if a, ok := m.Literal(); ok {
		b, ok := o.Literal()
		return ok && a == b
	}
	if isASCII(m.Domain) && isASCII(o.Domain) {
		return false // one A-label has one spelling
	}
	a, err := idna.Lookup.ToASCII(m.Domain)
	if err != nil {
		return false
	}
	b, err := idna.Lookup.ToASCII(o.Domain)
	return err == nil && equalFold(a, b)
}

func hasALabel(domain string) bool {
	for {
		label, rest, more := strings.Cut(domain, ".")
		if hasPrefixFold(label, "xn--") {
			return true
		}
		if !more {
			return false
		}
		domain = rest
	}
}
