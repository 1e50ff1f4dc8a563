package tlsrpt

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/postrider/postrider/smtp"
)

// Mail is a message with a report (RFC 8460 §5.3). It must get a DKIM signature
// of the domain of From, without l=, that covers the fields TLS-Report-Domain and
// TLS-Report-Submitter (§3, §5.3).
//
// It must be delivered whatever becomes of TLS (§3), and so says "TLS-Required:
// No" (RFC 8689 §5). The delivery's sessions should not be reported in turn.
type Mail struct {
	Report    *Report
	From      string    // an address. If empty, the report's contact
	To        []string  // the addresses of the domain's Record
	Date      time.Time // If zero, now
	MessageID string    // without "<" and ">". If empty, a random one at the domain of From
}

// WriteTo writes the message with CRLF line ends. It is 7-bit, unless an address
// is not. The error is the writer's, or says what cannot be written.
func (m *Mail) WriteTo(w io.Writer) (int64, error) {
	text, err := m.compose()
	if err != nil {
		return 0, err
	}
	return text.WriteTo(w)
}

func (m *Mail) compose() (*bytes.Buffer, error) {
	r := m.Report
	subject, err := r.Subject()
	if err != nil {
		return nil, err
	}
	file, err := r.FileName()
	if err != nil {
		return nil, err
	}
	submitter, domain, err := r.names()
	if err != nil {
		return nil, err
	}
	from, err := smtp.ParseMailbox(cmp.Or(m.From, r.Contact))
	if err != nil {
		return nil, fmt.Errorf("tlsrpt: from %.80q: %w", m.From, err)
	}
	to := make([]string, len(m.To))
	for i, address := range m.To {
		mailbox, err := smtp.ParseMailbox(address)
		if err != nil {
			return nil, fmt.Errorf("tlsrpt: to %.80q: %w", address, err)
		}
		to[i] = mailbox.String()
	}
	if len(to) == 0 {
		return nil, fmt.Errorf("tlsrpt: the report for %s goes to nobody", domain)
	}
	id := cmp.Or(m.MessageID, rand.Text()+"@"+asciiName(from.Domain))
	if mailbox, err := smtp.ParseMailbox(id); err != nil || mailbox.String() != id {
		return nil, fmt.Errorf("tlsrpt: message ID %.80q", m.MessageID)
	}
	date := m.Date
	if date.IsZero() {
		date = time.Now()
	}
	boundary := rand.Text()

	b := new(bytes.Buffer)
	line := func(format string, args ...any) { fmt.Fprintf(b, format+"\r\n", args...) }
	line("From: <%s>", from)
	line("To: <%s>", strings.Join(to, ">,\r\n <"))
	line("Date: %s", date.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	line("Message-ID: <%s>", id)
	line("Subject: %s", strings.NewReplacer(" Submitter:", "\r\n Submitter:", " Report-ID:", "\r\n Report-ID:").Replace(subject))
	line("TLS-Report-Domain: %s", domain)
	line("TLS-Report-Submitter: %s", submitter)
	line("TLS-Required: No")
	line("Auto-Submitted: auto-generated") // RFC 3834 §5
	line("MIME-Version: 1.0")
	line("Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n boundary=\"%s\"", boundary)
	line("")
	line("--%s", boundary)
	line("Content-Type: text/plain; charset=us-ascii")
	line("")
	line("This is a report about TLS connections to the mail servers of\r\n%s\r\nfrom %s\r\nuntil %s,", domain, stamp(r.Start), stamp(r.End))
	line("made by %s.", submitter)
	line("")
	for _, p := range r.Policies {
		line("%s: %d successful, %d failed", printable(string(cmp.Or(p.Policy.Type, NoPolicyFound))), p.Successful, p.Failed)
	}
	line("")
	line("--%s", boundary)
	line("Content-Type: %s", MediaTypeGzip)
	line("Content-Transfer-Encoding: base64")
	line("Content-Disposition: attachment;\r\n filename=\"%s\"", file)
	line("")
	lines := &lineWriter{w: b}
	encoder := base64.NewEncoder(base64.StdEncoding, lines)
	if err := r.WriteGzip(encoder); err != nil {
		return nil, err
	}
	encoder.Close()
	line("")
	line("--%s--", boundary)
	return b, nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// printable replaces what is no printable ASCII, and cuts.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s[:min(len(s), 40)])
}

// A lineWriter breaks lines (RFC 2045 §6.8).
type lineWriter struct {
	w      *bytes.Buffer
	column int
}

func (l *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if l.column == 76 {
			l.w.WriteString("\r\n")
			l.column = 0
		}
		part := p[:min(len(p), 76-l.column)]
		l.w.Write(part)
		l.column += len(part)
		p = p[len(part):]
	}
	return n, nil
}
