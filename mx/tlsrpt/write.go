package tlsrpt

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/smtp"
)

// The media types of reports (RFC 8460 §5.3).
const (
	MediaTypeJSON = "application/tlsrpt+json"
	MediaTypeGzip = "application/tlsrpt+gzip"
)

// WriteJSON writes the report as it is, of the type MediaTypeJSON.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(r.form())
}

// WriteGzip writes the report compressed, of the type MediaTypeGzip. That is how
// it should be sent (RFC 8460 §5.2).
func (r *Report) WriteGzip(w io.Writer) error {
	z := gzip.NewWriter(w)
	if err := r.WriteJSON(z); err != nil {
		return err
	}
	return z.Close()
}

// FileName returns the name of a file with the compressed report:
// submitter!policy-domain!begin!end!id.json.gz (RFC 8460 §5.1). The ID's part in
// front of "@" is in it if it is made of letters and digits only. The error says
// what is invalid.
func (r *Report) FileName() (string, error) {
	submitter, domain, err := r.names()
	if err != nil {
		return "", err
	}
	unique, _, _ := strings.Cut(r.ID, "@")
	if unique = "!" + unique; !isAlphanumeric(unique[1:]) {
		unique = ""
	}
	return fmt.Sprintf("%s!%s!%d!%d%s.json.gz", submitter, domain, r.Start.Unix(), r.End.Unix(), unique), nil
}

// Subject returns what the Subject field of a message with the report says
// (RFC 8460 §5.3), not folded.
func (r *Report) Subject() (string, error) {
	submitter, domain, err := r.names()
	if err != nil {
		return "", err
	}
	id := r.ID
	if !strings.Contains(id, "@") {
		id += "@" + submitter
	}
	if m, err := smtp.ParseMailbox(id); err != nil || !m.IsASCII() || m.Local == "" || m.String() != id || strings.HasPrefix(id, `"`) || strings.HasSuffix(id, "]") {
		return "", fmt.Errorf("tlsrpt: the report's ID %.80q cannot stand in a Subject", r.ID)
	}
	return fmt.Sprintf("Report Domain: %s Submitter: %s Report-ID: <%s>", domain, submitter, id), nil
}

// names returns what goes into file names and fields.
func (r *Report) names() (submitter, domain string, err error) {
	contact, err := smtp.ParseMailbox(r.Contact)
	if err != nil {
		return "", "", fmt.Errorf("tlsrpt: the report's contact %.80q is no address", r.Contact)
	}
	if submitter = asciiName(contact.Domain); submitter == "" {
		return "", "", fmt.Errorf("tlsrpt: the report's contact %.80q is not at a domain", r.Contact)
	}
	if len(r.Policies) == 0 {
		return "", "", errors.New("tlsrpt: the report has no policy")
	}
	if domain = asciiName(r.Policies[0].Policy.Domain); domain == "" {
		return "", "", fmt.Errorf("tlsrpt: the report's policy domain %.80q is none", r.Policies[0].Policy.Domain)
	}
	if r.Start.Unix() < 0 || r.End.Before(r.Start) {
		return "", "", errors.New("tlsrpt: the report has no period")
	}
	return submitter, domain, nil
}

// asciiName returns a domain in lower case and A-labels without its final dot, or
// "" when the DNS cannot have it.
func asciiName(domain string) string {
	m, err := smtp.Mailbox{Local: "a", Domain: strings.TrimSuffix(domain, ".")}.ToASCII()
	if err != nil || !dns.ValidName(m.Domain) || strings.HasSuffix(m.Domain, ".") {
		return ""
	}
	return strings.ToLower(m.Domain)
}

func isAlphanumeric(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i] | 0x20
		if (c < 'a' || c > 'z') && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return s != ""
}
