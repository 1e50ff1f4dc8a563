package spf

import (
	"net/netip"
	"strings"

	"github.com/postrider/postrider/auth/authres"
)

// ParseRecord reads a record: the text of a TXT record, its strings joined
// (§3.3, §4.6). The error is a *SyntaxError.
func ParseRecord(text string) (*Record, error) {
	r := new(Record)
	if err := r.parse(text); err != nil {
		return nil, err
	}
	return r, nil
}

const version = "v=spf1"

// isRecord reports whether a TXT record is a policy (§4.5).
func isRecord(text string) bool {
	const n = len(version)
	return len(text) >= n && (len(text) == n || text[n] == ' ') && strings.EqualFold(text[:n], version)
}

// parse reads the whole record, because an error anywhere is an error even if
// the term would not be evaluated (§4.6).
func (r *Record) parse(text string) *SyntaxError {
	if !isRecord(text) {
		return &SyntaxError{Reason: "does not begin with v=spf1"}
	}
	r.Directives = make([]Directive, 0, min(strings.Count(text, " "), 16))
	for i := len(version); i < len(text); {
		if text[i] == ' ' { // §4.6.1: one or more
			i++
			continue
		}
		term, _, _ := strings.Cut(text[i:], " ")
		if offset, why := r.term(term); why != "" {
			return &SyntaxError{Offset: i + offset, Term: term, Reason: why}
		}
		i += len(term)
	}
	return nil
}

// The functions below return the offset in their text and the reason of an
// error, or no reason.

// term reads a directive or a modifier.
func (r *Record) term(term string) (offset int, why string) {
	verdict, name := authres.Pass, term // §4.6.2
	switch term[0] {
	case '+':
		name = term[1:]
	case '-':
		verdict, name = authres.Fail, term[1:]
	case '~':
		verdict, name = authres.SoftFail, term[1:]
	case '?':
		verdict, name = authres.Neutral, term[1:]
	}
	qualifier := len(term) - len(name)
	n := nameLength(name)
	if n < len(name) && name[n] == '=' && n > 0 {
		if qualifier > 0 {
			return 0, "modifier with a qualifier"
		}
		offset, why = r.modifier(name[:n], name[n+1:])
		return n + 1 + offset, why
	}
	if n == 0 {
		return qualifier, "no name"
	}
	m, ok := mechanism(name[:n])
	if !ok {
		return qualifier, "unknown mechanism"
	}
	d := Directive{Text: term, Verdict: verdict, Mechanism: m, Bits4: 32, Bits6: 128}
	if offset, why = d.argument(name[n:]); why != "" {
		return qualifier + n + offset, why
	}
	r.all = r.all || m == All
	r.Directives = append(r.Directives, d)
	return 0, ""
}

// nameLength returns the length of the name at the beginning of s:
// ALPHA *( ALPHA / DIGIT / "-" / "_" / "." ).
func nameLength(s string) int {
	i := 0
	for i < len(s) && (isAlpha(s[i]) || i > 0 && (isDigit(s[i]) || strings.IndexByte("-_.", s[i]) >= 0)) {
		i++
	}
	return i
}

func mechanism(name string) (m Mechanism, ok bool) {
	for i := range mechanisms {
		if strings.EqualFold(mechanisms[i].name, name) {
			return Mechanism(i), true
		}
	}
	return 0, false
}

// modifier reads what stands behind the equals sign of name.
func (r *Record) modifier(name, value string) (offset int, why string) {
	spec := &r.Redirect
	switch {
	case strings.EqualFold(name, "redirect"):
		r.redirect = "redirect=" + value
	case strings.EqualFold(name, "exp"):
		spec = &r.Exp
	default:
		r.Unknown = append(r.Unknown, Modifier{name, value})
		_, offset, why = macroString(value, inTerm)
		return offset, why
	}
	if *spec != "" {
		return 0, "modifier stands twice" // §6
	}
	*spec = value
	return checkDomainSpec(value)
}

// argument reads what stands behind the mechanism's name.
func (d *Directive) argument(s string) (offset int, why string) {
	row := &mechanisms[d.Mechanism]
	value, colon := strings.CutPrefix(s, ":")
	switch {
	case row.arg == nothing && s != "":
		return 0, "argument where there is none"
	case row.arg == nothing:
		return 0, ""
	case !colon && row.arg != maybeDomainSpec:
		return 0, "argument is missing"
	case row.arg == ip4Network || row.arg == ip6Network:
		why = d.network(value, row.arg == ip4Network)
		return 1, why
	}
	if row.cidr {
		if value, why = d.dualCIDR(value); why != "" {
			return len(s) - len(value), why
		}
	}
	if !colon && value != "" {
		return 0, "unexpected octet"
	} else if !colon {
		return 0, ""
	}
	d.Domain = value
	if offset, why = checkDomainSpec(value); why == "" {
		return 0, ""
	}
	if _, err := netip.ParseAddr(value); err == nil {
		return 1, "an IP address, which belongs into ip4 or ip6"
	}
	return 1 + offset, why
}

// network reads ip4-network or ip6-network and its length (§5.6).
func (d *Directive) network(s string, ip4 bool) (why string) {
	host, length, cidr := strings.Cut(s, "/")
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Is4() != ip4 || addr.Zone() != "" {
		if ip4 {
			return "not an IPv4 address"
		}
		return "not an IPv6 address"
	}
	bits := addr.BitLen()
	if cidr {
		if bits = cidrLength(length, bits); bits < 0 {
			return "prefix length that is none"
		}
	}
	d.Network = netip.PrefixFrom(addr, bits)
	return ""
}

// dualCIDR cuts [ "/" ip4 ] [ "//" ip6 ] off the end of s (§5.6). It is not
// there if the digits are not: a slash may stand in a domain-spec too.
func (d *Directive) dualCIDR(s string) (rest, why string) {
	if head, digits, ok := cutLength(s); ok && strings.HasSuffix(head, "/") {
		if d.Bits6 = cidrLength(digits, 128); d.Bits6 < 0 {
			return s, "IPv6 prefix length that is none"
		}
		s = head[:len(head)-1]
	}
	if head, digits, ok := cutLength(s); ok && !strings.HasSuffix(head, "/") {
		if d.Bits4 = cidrLength(digits, 32); d.Bits4 < 0 {
			return s, "IPv4 prefix length that is none"
		}
		s = head
	}
	return s, ""
}

// cutLength cuts a slash and one or more digits off the end of s.
func cutLength(s string) (head, digits string, ok bool) {
	i := len(s)
	for i > 0 && isDigit(s[i-1]) {
		i--
	}
	if i == 0 || i == len(s) || s[i-1] != '/' {
		return s, "", false
	}
	return s[:i-1], s[i:], true
}

// cidrLength returns the number, or -1 if it is above limit, begins with a zero
// that is not all of it, or is none.
func cidrLength(digits string, limit int) int {
	if digits == "" || len(digits) > 3 || digits[0] == '0' && len(digits) > 1 {
		return -1
	}
	n := 0
	for i := range len(digits) {
		if !isDigit(digits[i]) {
			return -1
		}
		n = n*10 + int(digits[i]-'0')
	}
	if n > limit {
		return -1
	}
	return n
}

func isAlpha(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
