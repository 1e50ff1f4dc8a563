package dsn

import (
	"bytes"
	"strings"

	"github.com/postrider/postrider/smtp"
)

// qmail reads a failure in the qmail-send bounce message format: paragraphs of text,
// the first of which begins with words that never change, and each of the next with
// an address. The one that begins with "-" ends them; the message follows.
func (p *parser) qmail() {
	const opening = "Hi. This is the "
	first := p.paragraph(opening)
	if len(first) == 0 {
		return
	}
	if _, host, ok := strings.Cut(first[0], " at "); ok { // "… qmail-send program at mx.example.org."
		host, _, _ = strings.Cut(host, " ")
		v := mta{&p.report.ReportingMTA}
		v.parse(strings.TrimRight(host, "."))
	}
	for {
		lines := p.paragraph("")
		if len(lines) == 0 {
			return
		}
		if strings.HasPrefix(lines[0], "-") {
			break
		}
		if r, ok := qmailRecipient(lines); ok && p.room.take(recipientCost) {
			p.report.Recipients = append(p.report.Recipients, r)
		}
	}
	p.report.Returned = smtp.RetFull
	p.report.Header = headerFields(p.lines)
}

// qmailRecipient reads "<a@b.example>:" and the reason in the lines behind it.
func qmailRecipient(lines []string) (r Recipient, ok bool) {
	addr, ok := strings.CutSuffix(lines[0], ">:")
	if !ok || !strings.HasPrefix(addr, "<") {
		return r, false
	}
	r = Recipient{Final: Typed{typeRFC822, addr[1:]}, Action: Failed}
	address{&r.Final}.tidy()
	reason := strings.Join(lines[1:], " ")
	if _, said, ok := strings.Cut(reason, "Remote host said: "); ok {
		said, _, _ = strings.Cut(said, " Giving up on ")
		if isReplyLine(said, "") {
			r.Diagnostic = Typed{typeSMTP, said}
		}
	}
	if r.Diagnostic.IsZero() {
		r.Diagnostic = Typed{"x-qmail", reason}
	}
	if _, code, ok := strings.Cut(reason, "(#"); ok {
		r.Status, _ = ParseStatus(code)
	}
	diagnostic{&r.Diagnostic}.tidy()
	return r, r.complete()
}

// paragraph returns the lines up to the next empty one, without empty ones before;
// none if they do not begin as said.
func (p *parser) paragraph(opening string) (paragraph []string) {
	for {
		line, begins, _, ok := p.next()
		switch {
		case !ok:
			return paragraph
		case len(line) == 0 && begins:
			if len(paragraph) > 0 {
				return paragraph
			}
		case len(paragraph) == 0 && !bytes.HasPrefix(line, []byte(opening)):
			return nil
		case begins && p.room.take(len(line)+fieldCost):
			paragraph = append(paragraph, clean(text(line)))
		}
	}
}
