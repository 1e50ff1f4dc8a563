package spf

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// foreign stands in an expanded domain-spec for an octet that a macro has
// brought and that no name that we look up may have.
const foreign = 0

// target returns the target-name of a term in domain's policy (§4.8), or ""
// if it is not a name that may be looked up.
func (e *evaluation) target(spec, domain string) string {
	name := spec
	switch {
	case spec == "":
		return domain
	case strings.IndexByte(spec, '%') >= 0:
		e.buf = e.expandDomain(e.buf[:0], spec, domain)
		name = string(e.buf)
	}
	name = truncate(strings.TrimSuffix(name, "."))
	if !validTarget(name) {
		return ""
	}
	return name
}

// mute reports whether a term matches nothing because its domain-spec asks for
// a local-part that is not ASCII (RFC 8616 §4).
func (e *evaluation) mute(spec string) bool {
	if isASCII(e.result.Sender.Local) {
		return false
	}
	for {
		_, rest, more := cutMacro(spec)
		if !more {
			return false
		}
		m, n, _ := parseMacro(rest, inTerm)
		if m.letter == 'l' || m.letter == 's' {
			return true
		}
		spec = rest[n:]
	}
}

// truncate removes labels from the left until the name is short enough (§7.3).
func truncate(name string) string {
	if len(name) <= maxName {
		return name
	}
	cut := len(name) - maxName
	dot := strings.IndexByte(name[cut-1:], '.')
	if dot < 0 {
		return "" // one endless label
	}
	return name[cut+dot:]
}

// validTarget is dns.ValidName, with the octets beside that the published test
// suite for the grammar of §7.1 asks for.
func validTarget(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	label := 0
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '.' && label == 0:
			return false
		case c == '.':
			label = 0
			continue
		case isAlpha(c), isDigit(c):
		case c == '-', c == '_', c == ':', c == '/', c == '%', c == ' ':
		default:
			return false
		}
		label++
		if label > 63 {
			return false
		}
	}
	return label > 0
}

// expandDomain appends an expanded domain-spec, of which only the end is kept if
// it is long.
func (e *evaluation) expandDomain(dst []byte, spec, domain string) []byte {
	for spec != "" {
		literal, rest, more := cutMacro(spec)
		dst = append(dst, literal...)
		spec = rest
		if more {
			m, n, _ := parseMacro(spec, inTerm) // the record was checked
			spec = spec[n:]
			if m.letter == 0 {
				dst = append(dst, m.literal...)
				continue
			}
			from := len(dst)
			dst = m.append(dst, e.value(m.letter, domain))
			for i := from; i < len(dst); i++ {
				if c := dst[i]; !isAlpha(c) && !isDigit(c) && c != '.' && c != '-' && c != '_' {
					dst[i] = foreign
				}
			}
		}
		if len(dst) > 8*maxName {
			dst = dst[:copy(dst, dst[len(dst)-2*maxName:])] // truncate removes more than this
		}
	}
	return dst
}

// expandText appends an expanded explain-string until it has limit octets.
// What macros bring is made printable ASCII (§6.2).
func (e *evaluation) expandText(dst []byte, text, domain string, limit int) []byte {
	for text != "" && len(dst) < limit {
		literal, rest, more := cutMacro(text)
		dst = append(dst, literal...)
		text = rest
		if more {
			m, n, _ := parseMacro(text, inExplanation)
			text = text[n:]
			if m.letter == 0 {
				dst = append(dst, m.literal...)
				continue
			}
			dst = m.append(dst, e.value(m.letter, domain))
		}
	}
	dst = dst[:min(len(dst), limit)]
	for i, c := range dst {
		if c < ' ' || c > '~' {
			dst[i] = '?'
		}
	}
	return dst
}

// cutMacro returns what stands before the next macro.
func cutMacro(s string) (literal, rest string, more bool) {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i:], true
}

// value returns what a macro letter stands for (§7.2).
func (e *evaluation) value(letter byte, domain string) string {
	switch letter {
	case 's':
		if e.sender == "" {
			e.sender = e.result.Sender.Local + "@" + e.result.Domain
		}
		return e.sender
	case 'l':
		return e.result.Sender.Local
	case 'o':
		return e.result.Domain
	case 'd':
		return domain
	case 'i':
		return dotted(e.ip)
	case 'p':
		return e.validatedName(domain)
	case 'h':
		if len(e.req.Hello) <= maxHello {
			return e.req.Hello
		}
	case 'c':
		return e.ip.String()
	case 't':
		return strconv.FormatInt(time.Now().Unix(), 10)
	case 'v':
		if e.ip.Is4() {
			return "in-addr"
		}
		return "ip6"
	case 'r':
		if e.v.Hostname != "" {
			return e.v.Hostname
		}
	}
	return "unknown"
}

// dotted returns an IPv6 address as its 32 nibbles, with dots (§7.3).
func dotted(ip netip.Addr) string {
	if ip.Is4() {
		return ip.String()
	}
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, 63)
	for _, c := range ip.As16() {
		b = append(b, hex[c>>4], '.', hex[c&15], '.')
	}
	return string(b[:63])
}

// append transforms a value and appends it (§7.3).
func (m *macro) append(dst []byte, value string) []byte {
	from := len(dst)
	if m.parts == 0 && !m.reverse && m.delimiters == "" {
		dst = append(dst, value...)
	} else {
		dst = m.appendParts(dst, value)
	}
	if m.escape {
		dst = escape(dst, from)
	}
	return dst
}

// appendParts splits, reverses, takes parts from the right and joins with dots.
func (m *macro) appendParts(dst []byte, value string) []byte {
	delimiters := m.delimiters
	if delimiters == "" {
		delimiters = "."
	}
	n := 1 // parts
	for i := range len(value) {
		if strings.IndexByte(delimiters, value[i]) >= 0 {
			n++
		}
	}
	skip := 0
	if m.parts > 0 {
		skip = max(n-m.parts, 0)
	}
	from := len(dst)
	for i := 0; i < n; i++ {
		// Reversed, the rightmost parts are those that came first.
		var part string
		if m.reverse {
			end := strings.LastIndexAny(value, delimiters)
			part, value = value[end+1:], value[:max(end, 0)]
		} else {
			end := strings.IndexAny(value, delimiters)
			if end < 0 {
				end = len(value)
			}
			part, value = value[:end], value[min(end+1, len(value)):]
		}
		if i < skip {
			continue
		}
		if len(dst) > from || i > skip {
			dst = append(dst, '.')
		}
		dst = append(dst, part...)
	}
	return dst
}

// escape replaces what is not unreserved in URLs in dst[from:] (§7.3, RFC 3986
// §2.3).
func escape(dst []byte, from int) []byte {
	const hex = "0123456789ABCDEF"
	value := string(dst[from:])
	dst = dst[:from]
	for i := range len(value) {
		c := value[i]
		if isAlpha(c) || isDigit(c) || strings.IndexByte("-._~", c) >= 0 {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
