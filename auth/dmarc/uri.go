package dmarc

import (
	"strings"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/smtp"
)

// A URI is where reports go (RFC 9989 §4.6), as in "mailto:dmarc@example.org".
type URI string

// Mailbox returns the address that a mailto URI names. It is not ok when the
// URI is of another scheme, or names no single address at a domain of the DNS.
// Header fields that it asks for (RFC 6068 §2) are disregarded.
func (u URI) Mailbox() (m smtp.Mailbox, ok bool) {
	const scheme = "mailto:"
	if len(u) < len(scheme) || !equalFold(string(u[:len(scheme)]), scheme) {
		return m, false
	}
	path, _, _ := strings.Cut(string(u[len(scheme):]), "?")
	text, ok := unescape(path)
	if !ok {
		return m, false
	}
	m, err := smtp.ParseMailbox(text)
	if err != nil || !dns.ValidName(asciiName(m.Domain)) {
		return smtp.Mailbox{}, false
	}
	return m, true
}

// parseURIs = dmarc-urilist of §4.8. It is ok when at least one is a URI; the
// others are left out.
func parseURIs(list string) (uris []URI, ok bool) {
	for text := range strings.SplitSeq(list, ",") {
		if len(uris) == maxURIs {
			break
		}
		if u, ok := parseURI(strings.Trim(text, " \t")); ok {
			uris = append(uris, u)
		}
	}
	return uris, len(uris) > 0
}

// parseURI takes the obsolete size limit off ("!10m").
func parseURI(text string) (u URI, ok bool) {
	text, size, limited := strings.Cut(text, "!")
	if limited && !isSize(size) {
		return "", false
	}
	scheme, path, found := strings.Cut(text, ":")
	if !found || path == "" || !isScheme(scheme) || !isURI(path) {
		return "", false
	}
	if equalFold(scheme, "mailto") {
		if _, ok := URI(text).Mailbox(); !ok {
			return "", false
		}
	}
	return URI(text), true
}

// isSize = 1*DIGIT [ "k" / "m" / "g" / "t" ]
func isSize(s string) bool {
	unit := strings.TrimLeft(s, "0123456789")
	return len(unit) < len(s) && (unit == "" || len(unit) == 1 && strings.Contains("kmgtKMGT", unit))
}

// joinURIs is the inverse of parseURIs: what separates URIs and tags is escaped,
// and what is no URI even so is left out.
func joinURIs(uris []URI) string {
	escape := strings.NewReplacer(",", "%2C", ";", "%3B", "!", "%21")
	var list []string
	for _, u := range uris {
		if escaped, ok := parseURI(escape.Replace(string(u))); ok {
			list = append(list, string(escaped))
		}
	}
	return strings.Join(list, ",")
}

// isScheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." ); RFC 3986 §3.1
func isScheme(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i] | 0x20
		if !(c >= 'a' && c <= 'z' || i > 0 && (s[i] >= '0' && s[i] <= '9' || s[i] == '+' || s[i] == '-' || s[i] == '.')) {
			return false
		}
	}
	return s != ""
}

// isURI reports whether s has only what may stand in a URI (RFC 3986 §2).
func isURI(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' || strings.IndexByte(`"<>\^`+"`{|}", s[i]) >= 0 {
			return false
		}
	}
	_, ok := unescape(s)
	return ok
}

// unescape resolves the percent signs (RFC 3986 §2.1).
func unescape(s string) (string, bool) {
	if !strings.Contains(s, "%") {
		return s, true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return "", false
			}
			high, low := unhex(s[i+1]), unhex(s[i+2])
			if high > 15 || low > 15 {
				return "", false
			}
			c, i = high<<4|low, i+2
		}
		b.WriteByte(c)
	}
	return b.String(), true
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}
