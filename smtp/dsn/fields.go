package dsn

import (
	"strings"
	"time"

	"github.com/postrider/postrider/smtp"
)

// A row is a field of message/delivery-status: its name and the place of its value.
type row[T any] struct {
	name  string
	value func(*T) value
}

// The fields in the order in which RFC 3464 has them. A name stands in one table
// only: it tells where a group begins that nobody has set apart.
var (
	messageFields = []row[Report]{ // §2.2
		{"Original-Envelope-Id", func(r *Report) value { return identifier{&r.EnvelopeID} }},
		{"Reporting-MTA", func(r *Report) value { return mta{&r.ReportingMTA} }},
		{"DSN-Gateway", func(r *Report) value { return mta{&r.Gateway} }},
		{"Received-From-MTA", func(r *Report) value { return mta{&r.ReceivedFrom} }},
		{"Arrival-Date", func(r *Report) value { return date{&r.Arrival} }},
	}
	recipientFields = []row[Recipient]{ // §2.3
		{"Original-Recipient", func(r *Recipient) value { return address{&r.Original} }},
		{"Final-Recipient", func(r *Recipient) value { return address{&r.Final} }},
		{"Action", func(r *Recipient) value { return action{&r.Action} }},
		{"Status", func(r *Recipient) value { return status{&r.Status} }},
		{"Remote-MTA", func(r *Recipient) value { return mta{&r.RemoteMTA} }},
		{"Diagnostic-Code", func(r *Recipient) value { return diagnostic{&r.Diagnostic} }},
		{"Last-Attempt-Date", func(r *Recipient) value { return date{&r.LastAttempt} }},
		{"Final-Log-ID", func(r *Recipient) value { return identifier{&r.LogID} }},
		{"Will-Retry-Until", func(r *Recipient) value { return date{&r.RetryUntil} }},
	}
)

// A value is what a field says.
type value interface {
	isZero() bool
	// parse sets it to what was read: lines separated by "\n" and the octet that
	// the next line began with.
	parse(raw string)
	// tidy makes it what parse will make of it when it is written.
	tidy()
	isASCII() bool
	// toASCII makes it what can be written in message/delivery-status.
	toASCII()
	// appendTo appends it behind the name of the field, with or without UTF-8.
	appendTo(dst []byte, column int, utf8 bool) []byte
}

// unfold joins the lines of a value.
func unfold(raw string) string {
	if !strings.Contains(raw, "\n") {
		return raw
	}
	var b strings.Builder
	for i, line := range strings.Split(raw, "\n") {
		if i > 0 {
			b.WriteByte(' ')
			line = strings.TrimLeft(line, " \t")
		}
		b.WriteString(strings.TrimRight(line, " \t"))
	}
	return b.String()
}

// cutType takes "type; text" apart. What has no type is all text.
func cutType(s, otherwise string) Typed {
	kind, rest, ok := strings.Cut(s, ";")
	if kind = strings.TrimSpace(kind); ok && isAtom(kind) {
		return Typed{kind, rest}
	}
	return Typed{otherwise, s}
}

// identifier is a text whose spaces mean something.
type identifier struct{ *string }

func (v identifier) isZero() bool     { return *v.string == "" }
func (v identifier) parse(raw string) { *v.string = exact(unfold(raw)) }
func (v identifier) tidy()            { *v.string = exact(*v.string) }
func (v identifier) isASCII() bool    { return isASCII(*v.string) }
func (v identifier) toASCII()         { *v.string = toASCII(*v.string) }
func (v identifier) appendTo(dst []byte, _ int, _ bool) []byte {
	return append(dst, *v.string...)
}

// mta is the name of an MTA.
type mta struct{ *Typed }

func (v mta) isZero() bool { return v.IsZero() }
func (v mta) parse(raw string) {
	*v.Typed = cutType(unfold(raw), typeDNS)
	v.tidy()
}
func (v mta) tidy() {
	if v.Text = plain(v.Text); v.Text == "" {
		*v.Typed = Typed{}
		return
	}
	v.Type = typeName(v.Type)
}
func (v mta) isASCII() bool { return isASCII(v.Text) }
func (v mta) toASCII()      { v.Text = toASCII(v.Text) }
func (v mta) appendTo(dst []byte, column int, _ bool) []byte {
	return fold(dst, column, v.String())
}

// address is that of a recipient.
type address struct{ *Typed }

func (v address) isZero() bool { return v.IsZero() }
func (v address) parse(raw string) {
	*v.Typed = cutType(unfold(raw), typeRFC822)
	if strings.EqualFold(v.Type, typeUTF8) {
		if s, err := smtp.DecodeUnitext(strings.Trim(v.Text, " \t")); err == nil {
			v.Text = s
		}
	}
	v.tidy()
}
func (v address) tidy() {
	s := bare(clean(v.Text))
	n := 0
	for i, r := range s {
		if n += len(smtp.AppendUnitext(nil, string(r))); n > maxExact {
			s = bare(cut(s, i))
			break
		}
	}
	if s == "" {
		*v.Typed = Typed{}
		return
	}
	v.Type, v.Text = typeName(v.Type), s
	if v.Type == typeRFC822 && !isASCII(s) {
		v.Type = typeUTF8
	}
}
func (v address) isASCII() bool { return isASCII(v.Text) }
func (v address) toASCII() {
	if v.Type != typeUTF8 { // which has a form in ASCII
		v.Text = toASCII(v.Text)
	}
}
func (v address) appendTo(dst []byte, _ int, utf8 bool) []byte {
	dst = append(append(dst, v.Type...), "; "...)
	if v.Type == typeUTF8 && (!utf8 || strings.Contains(strings.ToLower(v.Text), `\x{`)) {
		return smtp.AppendUnitext(dst, v.Text) // RFC 6533 §3
	}
	return append(dst, v.Text...)
}

// bare takes off the brackets in which some write an address.
func bare(s string) string {
	s = strings.Trim(s, " ")
	for n := len(s); n > 2 && s[0] == '<' && s[n-1] == '>'; n = len(s) {
		s = strings.Trim(s[1:n-1], " ")
	}
	return s
}

// diagnostic is the reply that decided.
type diagnostic struct{ *Typed }

func (v diagnostic) isZero() bool { return v.IsZero() }
func (v diagnostic) parse(raw string) {
	t := cutType(raw, "")
	if t.Type == "" {
		if t.Type = "unknown"; isReplyLine(strings.TrimLeft(t.Text, " \t"), "") {
			t.Type = typeSMTP
		}
	}
	var b strings.Builder
	code := ""
	for i, line := range strings.Split(t.Text, "\n") {
		trimmed := strings.Trim(line, " \t")
		if code == "" && isReplyLine(trimmed, "") {
			code = trimmed[:3]
		}
		switch {
		case i > 0 && code != "" && strings.HasPrefix(line, " ") && isReplyLine(trimmed, code): // RFC 3461 §9.2
			b.WriteByte('\n')
		case i > 0:
			b.WriteByte(' ')
		}
		b.WriteString(trimmed)
	}
	*v.Typed = Typed{t.Type, b.String()}
	v.tidy()
}
func (v diagnostic) tidy() {
	v.Type = typeName(v.Type)
	if v.Type == typeSMTP {
		v.Text = diagnosticText(v.Text)
	} else {
		v.Text = plain(v.Text)
	}
	if v.Text == "" {
		*v.Typed = Typed{}
	}
}
func (v diagnostic) isASCII() bool { return isASCII(v.Text) }
func (v diagnostic) toASCII()      { v.Text = toASCII(v.Text) }
func (v diagnostic) appendTo(dst []byte, column int, _ bool) []byte {
	for i, line := range strings.Split(v.Text, "\n") {
		if i == 0 {
			dst = fold(dst, column, v.Type+"; "+line)
		} else {
			dst = fold(append(dst, "\r\n "...), 1, line)
		}
	}
	return dst
}

// action is one of five words.
type action struct{ *Action }

func (v action) isZero() bool     { return *v.Action == 0 }
func (v action) parse(raw string) { *v.Action = parseAction(raw) }
func (v action) tidy()            {}
func (v action) isASCII() bool    { return true }
func (v action) toASCII()         {}
func (v action) appendTo(dst []byte, _ int, _ bool) []byte {
	return append(dst, v.String()...)
}

// status is an enhanced status code.
type status struct{ *Status }

func (v status) isZero() bool     { return v.IsZero() }
func (v status) parse(raw string) { *v.Status, _ = ParseStatus(raw) }
func (v status) tidy() {
	if v.String() == "" {
		*v.Status = Status{}
	}
}
func (v status) isASCII() bool { return true }
func (v status) toASCII()      {}
func (v status) appendTo(dst []byte, _ int, _ bool) []byte {
	return append(dst, v.String()...)
}

// date is a date-time (RFC 5322 §3.3).
type date struct{ *time.Time }

func (v date) isZero() bool     { return v.IsZero() }
func (v date) parse(raw string) { *v.Time = parseDate(unfold(raw)) }
func (v date) tidy() {
	if t := v.UTC().Truncate(time.Second); t.Year() >= 1900 && t.Year() <= 9999 {
		*v.Time = t
	} else {
		*v.Time = time.Time{}
	}
}
func (v date) isASCII() bool { return true }
func (v date) toASCII()      {}
func (v date) appendTo(dst []byte, _ int, _ bool) []byte {
	return v.AppendFormat(dst, dateLayout)
}
