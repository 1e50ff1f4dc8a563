package dsn

import (
	"strings"
	"time"

	"github.com/postrider/postrider/smtp"
)

// A writer puts a notification together.
type writer struct {
	c    *Composer
	n    *Notification
	host string
	from smtp.Mailbox
	orig *original
	// forGlobal says that the sender is one for whom message/global… is made.
	forGlobal bool
	boundary  string // random, and chosen after all that is inside: it occurs nowhere
	b         []byte
}

func (w *writer) compose() {
	report := &w.n.Report
	text := w.text(report) // before anything is lost
	params := &w.n.Envelope.MailParams
	to := w.n.Envelope.Recipients[0].To
	status, statusEncoding := "delivery-status", sevenBit
	if !report.isASCII() {
		if w.forGlobal && !w.c.SevenBit {
			status, statusEncoding = "global-delivery-status", eightBit // RFC 6533 §4.1
		} else {
			report.toASCII()
		}
	}
	is8Bit := statusEncoding == eightBit || w.orig.encoding == eightBit
	w.header(text, status, is8Bit)

	w.part("Explanation", text.mediaType())
	w.textBody(text)
	w.part("Report for programs", "message/"+status)
	w.encoding(statusEncoding)
	w.line("")
	w.status(report, statusEncoding == eightBit)
	if w.orig.returned != "" {
		w.part(w.description(), w.orig.mediaType)
		w.encoding(w.orig.encoding)
		w.line("")
	}
	w.finish()

	kind := smtp.KindExamined
	if is8Bit || !to.IsASCII() {
		kind |= smtp.Kind8Bit
		params.Body = smtp.Body8BitMIME
	}
	if !to.IsASCII() {
		kind |= smtp.KindUTF8Header
	}
	params.UTF8 = statusEncoding == eightBit || w.orig.global || !to.IsASCII()
	w.n.Content.Kind = kind
}

// header writes the header section (RFC 3464 §2, RFC 3834 §3.1).
func (w *writer) header(text Text, status string, is8Bit bool) {
	now := time.Now
	if w.c.Now != nil {
		now = w.c.Now
	}
	w.line("Date: " + now().Format(dateLayout))
	w.line("From: Mail Delivery System <" + w.from.String() + ">")
	if w.c.From.IsZero() {
		w.line("Reply-To: <postmaster@" + w.host + ">")
	}
	w.line("To: " + w.n.Envelope.Recipients[0].To.String())
	w.field("Subject", encodedWords(text.Subject))
	w.line("Message-ID: " + w.n.MessageID)
	if id := w.n.Report.MessageID(); id != "" {
		w.line("In-Reply-To: " + id)
		w.line("References: " + id)
	}
	w.line("Auto-Submitted: auto-replied")
	if !w.n.Envelope.MailParams.RequireTLS && strings.EqualFold(w.n.Report.Get("TLS-Required"), "No") {
		w.line("TLS-Required: No") // RFC 8689 §6
	}
	w.line("MIME-Version: 1.0")
	w.line("Content-Type: multipart/report; report-type=" + status + ";\r\n\tboundary=\"" + w.boundary + "\"")
	if is8Bit {
		w.encoding(eightBit) // RFC 2045 §6.4
	}
	w.line("")
	w.b = append(w.b, "This is a report in MIME format (RFC 6522)."...)
}

// status writes the fields (RFC 3464 §2.1).
func (w *writer) status(r *Report, utf8 bool) {
	writeFields(w, messageFields, r, r.Fields, utf8)
	for i := range r.Recipients {
		w.line("")
		to := &r.Recipients[i]
		writeFields(w, recipientFields, to, to.Fields, utf8)
	}
}

func writeFields[T any](w *writer, rows []row[T], of *T, further []Field, utf8 bool) {
	for _, row := range rows {
		if v := row.value(of); !v.isZero() {
			w.b = append(append(w.b, row.name...), ": "...)
			w.b = v.appendTo(w.b, len(row.name)+2, utf8)
			w.line("")
		}
	}
	for _, f := range further {
		w.field(f.Name, f.Value)
	}
}

// finish writes or refers to what goes back of the message, and makes the content.
func (w *writer) finish() {
	tail := "\r\n--" + w.boundary + "--\r\n"
	if w.orig.returned != smtp.RetFull {
		w.b = append(append(w.b, w.orig.header...), tail...)
		w.n.Content = smtp.BytesContent(w.b)
		return
	}
	message := w.orig.message
	if w.orig.encoding == base64Encoding {
		message = base64Content(message)
	}
	w.n.Content = between(w.b, message, []byte(tail))
}

func (w *writer) description() string {
	if w.orig.returned == smtp.RetFull {
		return "Your message"
	}
	return "Header of your message"
}

// part begins a part. Its header goes on until an empty line.
func (w *writer) part(description, mediaType string) {
	w.line("\r\n--" + w.boundary)
	w.line("Content-Type: " + mediaType)
	w.line("Content-Description: " + description)
}

func (w *writer) encoding(e encoding) {
	if e != sevenBit {
		w.line("Content-Transfer-Encoding: " + string(e))
	}
}

func (w *writer) field(name, value string) {
	w.b = append(append(w.b, name...), ": "...)
	w.b = fold(w.b, len(name)+2, value)
	w.line("")
}

func (w *writer) line(s string) { w.b = append(append(w.b, s...), "\r\n"...) }
