package dmarc

import (
	"compress/gzip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/smtp"
)

// namespace is that of reports (RFC 9990 §6.1).
const namespace = "urn:ietf:params:xml:ns:dmarc-2.0"

// WriteXML writes the report as a document of the media type text/xml. Octets
// that XML cannot have are replaced. A report without rows is an error.
func (r *Report) WriteXML(w io.Writer) error {
	if len(r.Rows) == 0 {
		return errors.New("dmarc: a report has one row at least")
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	out := *r
	if len(r.Errors) > 1 {
		out.Errors = []string{strings.Join(r.Errors, "; ")}
	}
	out.Rows = make([]Row, len(r.Rows))
	for i, row := range r.Rows {
		out.Rows[i] = row.complete()
	}
	if err := e.EncodeElement(&out, xml.StartElement{Name: xml.Name{Space: namespace, Local: "feedback"}}); err != nil {
		return err
	}
	return e.Close()
}

// WriteGzip writes the report compressed, of the media type application/gzip.
// That is how it should be sent (§3.5.2).
func (r *Report) WriteGzip(w io.Writer) error {
	z := gzip.NewWriter(w)
	if err := r.WriteXML(z); err != nil {
		return err
	}
	return z.Close()
}

// FileName returns the name that the attachment must have (§3.5.2), for a report
// that WriteGzip has written: receiver!policy-domain!begin!end!id.xml.gz. The
// receiver is the domain of whoever reports. The ID is part of the name if it is
// made of letters and digits only. The error says which part is invalid.
func (r *Report) FileName(receiver string) (string, error) {
	domain, err := r.names(&receiver)
	if err != nil {
		return "", err
	}
	unique := ""
	if isAlphanumeric(r.ID) {
		unique = "!" + r.ID
	}
	return fmt.Sprintf("%s!%s!%d!%d%s.xml.gz", receiver, domain, r.Begin, r.End, unique), nil
}

// Subject returns what the Subject field of the message with the report must say
// (§3.5.2), not folded. The submitter is the domain of whoever reports.
func (r *Report) Subject(submitter string) (string, error) {
	domain, err := r.names(&submitter)
	if err != nil {
		return "", err
	}
	if !isReportID(r.ID) {
		return "", fmt.Errorf("dmarc: %q is no Report-ID", r.ID)
	}
	return fmt.Sprintf("Report Domain: %s Submitter: %s Report-ID: <%s>", domain, submitter, r.ID), nil
}

// names checks what goes into file names and fields.
func (r *Report) names(receiver *string) (domain string, err error) {
	domain = asciiName(r.Policy.Domain)
	if domain == "" {
		return "", fmt.Errorf("dmarc: policy domain %q is no domain", r.Policy.Domain)
	}
	name := asciiName(*receiver)
	if name == "" {
		return "", fmt.Errorf("dmarc: receiver %q is no domain", *receiver)
	}
	if r.Begin < 0 || r.End < r.Begin {
		return "", fmt.Errorf("dmarc: the period %d to %d is none", r.Begin, r.End)
	}
	*receiver = name
	return domain, nil
}

// complete fills in what the schema wants: consumers of the old one expect an
// SPF result in each row.
func (row Row) complete() Row {
	if row.Disposition == "" {
		row.Disposition = NoAction
	}
	for _, v := range []*authres.Verdict{&row.DKIM, &row.SPF} {
		if *v != authres.Pass {
			*v = authres.Fail
		}
	}
	if len(row.SPFResults) == 0 {
		domain := row.EnvelopeFrom
		if domain == "" {
			domain = row.HeaderFrom
		}
		row.SPFResults = []SPFResult{{Domain: domain, Scope: "mfrom", Result: authres.None}}
	}
	if len(row.DKIMResults) > maxSignatures {
		row.DKIMResults = row.DKIMResults[:maxSignatures]
	}
	return row
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

// isReportID = dot-atom-text ["@" dot-atom-text]; §3.5.1. The second part is
// taken for a domain, which is more strict.
func isReportID(s string) bool {
	local, domain, found := strings.Cut(s, "@")
	m, err := smtp.ParseMailbox(local + "@x")
	return err == nil && m.Local == local && m.IsASCII() && !strings.HasPrefix(local, `"`) && len(s) <= 254 &&
		(!found || asciiName(domain) == strings.ToLower(domain) && domain != "")
}
