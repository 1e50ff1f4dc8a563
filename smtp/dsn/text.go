package dsn

import (
	"strings"

	"github.com/postrider/postrider/smtp"
)

// Text is the part of a notification that is for people.
type Text struct {
	Subject  string
	Body     string // lines of UTF-8 that end in "\n"
	Language string // a language tag (RFC 5646). If "", not told
}

// text asks for the text and makes it fit to be sent.
func (w *writer) text(r *Report) Text {
	write := w.c.Text
	if write == nil {
		write = English
	}
	t := write(r)
	if !isAtom(t.Language) || len(t.Language) > maxType {
		t.Language = ""
	}
	lines := strings.Split(strings.TrimRight(t.Body, "\r\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(clean(strings.TrimSuffix(line, "\r")), " ")
	}
	t.Body = strings.Join(lines, "\r\n") + "\r\n"
	return t
}

func (t *Text) mediaType() string {
	if isASCII(t.Body) {
		return "text/plain; charset=us-ascii"
	}
	return "text/plain; charset=utf-8"
}

// textBody writes the rest of the part's header and the text.
func (w *writer) textBody(t Text) {
	if t.Language != "" {
		w.field("Content-Language", t.Language)
	}
	body := []byte(t.Body)
	var e smtp.Examiner
	e.Write(body)
	if e.Kind()&(smtp.Kind8Bit|smtp.KindLongLine) != 0 {
		w.encoding(quotedPrintable)
		body = quote(body)
	}
	w.line("")
	w.b = append(w.b, body...)
}
