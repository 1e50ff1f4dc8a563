package dsn

import (
	"fmt"
	"strings"
	"time"

	"github.com/postrider/postrider/smtp"
)

// tidy makes r what Parse returns when it has been written in UTF-8. It changes
// Recipients in their place, and makes new Fields.
func (r *Report) tidy() error {
	for _, row := range messageFields {
		row.value(r).tidy()
	}
	r.Fields = tidyFields(r.Fields)
	for i := range r.Recipients {
		to := &r.Recipients[i]
		to.Notify = 0
		if to.Action != Delayed {
			to.RetryUntil = time.Time{} // RFC 3464 §2.3.9
		}
		for _, row := range recipientFields {
			row.value(to).tidy()
		}
		to.Fields = tidyFields(to.Fields)
		if to.Final.IsZero() {
			return fmt.Errorf("dsn: recipient %d has no address", i)
		}
		if to.Status.IsZero() {
			if reply, ok := to.Diagnostic.Reply(); ok {
				to.Status = StatusOf(reply).of(to.Action)
			}
		}
		if to.Status.IsZero() {
			to.Status = Status{to.Action.class(), smtp.Enh(0, 0)} // RFC 3461 §6.3 g
		}
	}
	return nil
}

// tidyFields leaves out what cannot be written, or would be read as something else.
func tidyFields(fields []Field) []Field {
	var tidied []Field
	for _, f := range fields {
		if !isFieldName(f.Name) || isStandard(f.Name) {
			continue
		}
		tidied = append(tidied, Field{f.Name, plain(f.Value)})
	}
	return tidied
}

func isStandard(name string) bool {
	for _, row := range messageFields {
		if strings.EqualFold(row.name, name) {
			return true
		}
	}
	for _, row := range recipientFields {
		if strings.EqualFold(row.name, name) {
			return true
		}
	}
	return false
}

// isASCII reports whether message/delivery-status can hold all of r.
func (r *Report) isASCII() bool {
	ok := true
	r.each(func(v value) { ok = ok && v.isASCII() })
	return ok
}

func (r *Report) toASCII() { r.each(value.toASCII) }

func (r *Report) each(f func(value)) {
	for _, row := range messageFields {
		f(row.value(r))
	}
	for i := range r.Fields {
		f(identifier{&r.Fields[i].Value})
	}
	for i := range r.Recipients {
		to := &r.Recipients[i]
		for _, row := range recipientFields {
			f(row.value(to))
		}
		for j := range to.Fields {
			f(identifier{&to.Fields[j].Value})
		}
	}
}
