package tlsrpt

import (
	"net/url"
	"strings"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/smtp"
)

// A URI is where reports go (RFC 8460 §3): "mailto:tlsrpt@example.org" or
// "https://example.org/tlsrpt".
type URI string

// Mailbox returns the address that a mailto URI names. It is not ok when the URI
// is another, or names no single address at a domain of the DNS. Header fields
// that it asks for (RFC 6068 §2) are disregarded.
func (u URI) Mailbox() (m smtp.Mailbox, ok bool) {
	scheme, rest, _ := strings.Cut(string(u), ":")
	if !strings.EqualFold(scheme, "mailto") {
		return m, false
	}
	path, _, _ := strings.Cut(rest, "?")
	text, err := url.PathUnescape(path)
	if err != nil {
		return m, false
	}
	m, err = smtp.ParseMailbox(text)
	if err != nil || asciiName(m.Domain) == "" {
		return smtp.Mailbox{}, false
	}
	return m, true
}

// HTTPS reports whether the URI is one to which reports are posted.
func (u URI) HTTPS() bool {
	parsed, err := url.Parse(string(u))
	return err == nil && parsed.Scheme == "https" && (dns.ValidName(parsed.Hostname()) || strings.HasPrefix(parsed.Host, "["))
}

// parseURIs = tlsrpt-uri *(*WSP "," *WSP tlsrpt-uri). Those of which we can make
// no use are left out.
func parseURIs(list string) (uris []URI) {
	for text := range strings.SplitSeq(list, ",") {
		u := URI(strings.Trim(text, " \t"))
		if !isURI(string(u)) {
			continue
		}
		if _, ok := u.Mailbox(); (ok || u.HTTPS()) && len(uris) < maxURIs {
			uris = append(uris, u)
		}
	}
	return uris
}

// isURI reports whether s has only what may stand in a URI of a record (RFC 3986
// §2, RFC 8460 §3).
func isURI(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' || strings.IndexByte("\"<>\\^`{|}!", s[i]) >= 0 {
			return false
		}
	}
	return s != "" && len(s) <= maxURI
}
