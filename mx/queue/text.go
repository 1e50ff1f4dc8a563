package queue

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/smtp"
)

// The text of messages and recipients: a MAIL or RCPT command and below it lines
// of a name and a value, "host: mx.example.org". A line that is not needed is left
// out; one that is not known is from a later version and is passed over. What is
// not printable ASCII stands in quotes, so a line is a line, and any database
// takes it.

const (
	maxText = 64 << 20 // of a text that is written or read
	maxData = 4 << 10  // of Message.Data
)

var (
	errTextLong  = errors.New("text is longer than 64 MB")
	errTextLine  = errors.New("line is neither a command nor a name and a value")
	errTextTwice = errors.New("line is there twice")
	errTextValue = errors.New("value is not one of those it can have")
	errParams    = errors.New("parameters are more than 32, or one has a name that cannot be")
	errDataLong  = errors.New("field Data is longer than 4 KB")
)

// A textField is a line of the text of a T.
type textField[T any] struct {
	name   string
	many   bool                                              // may be there several times
	append func(b []byte, name string, v *T) ([]byte, error) // nil if another field does it
	parse  func(v *T, value string) error
}

// appendFields appends the lines that v needs.
func appendFields[T any](b []byte, table []textField[T], v *T) ([]byte, error) {
	for i := range table {
		f := &table[i]
		if f.append == nil {
			continue
		}
		var err error
		if b, err = f.append(b, f.name, v); err != nil {
			return b, err
		}
	}
	return b, nil
}

// parseField reads a line into v. seen has the bits of those that were read.
func parseField[T any](line string, table []textField[T], v *T, seen *uint32) error {
	name, value, ok := strings.Cut(line, ": ")
	if !ok || !isTextName(name) {
		return errTextLine
	}
	for i := range table {
		if f := &table[i]; f.name == name {
			if *seen&(1<<i) != 0 && !f.many {
				return fmt.Errorf("%s: %w", name, errTextTwice)
			}
			*seen |= 1 << i
			value, err := unquote(value)
			if err == nil {
				err = f.parse(v, value)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		}
	}
	return nil
}

func isTextName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c-'a' >= 26 && c-'0' >= 10 && c != '-' {
			return false
		}
	}
	return s != ""
}

func appendField(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	if isPlain(value) {
		b = append(b, value...)
	} else {
		b = strconv.AppendQuote(b, value)
	}
	return append(b, '\n')
}

func isPlain(s string) bool {
	for i := range len(s) {
		if s[i]-' ' >= 0x7f-' ' {
			return false
		}
	}
	return s == "" || s[0] != '"'
}

func unquote(s string) (string, error) {
	if s == "" || s[0] != '"' {
		return s, nil
	}
	return strconv.Unquote(s)
}

// timeField is a line for a time that is not zero.
func timeField[T any](name string, at func(*T) *time.Time) textField[T] {
	return textField[T]{
		name: name,
		append: func(b []byte, name string, v *T) ([]byte, error) {
			if at(v).IsZero() {
				return b, nil
			}
			return appendTime(append(append(b, name...), ": "...), *at(v), "")
		},
		parse: func(v *T, value string) error { return parseTime(at(v), value) },
	}
}

// appendTime appends t, what follows it, and the end of the line.
func appendTime(b []byte, t time.Time, rest string) ([]byte, error) {
	if y := t.UTC().Year(); y < 0 || y > 9999 {
		return b, errTextValue
	}
	b = t.UTC().AppendFormat(b, time.RFC3339Nano)
	return append(append(b, rest...), '\n'), nil
}

func parseTime(t *time.Time, s string) error {
	if err := t.UnmarshalText([]byte(s)); err != nil {
		return errTextValue
	}
	*t = t.UTC()
	return nil
}

// flagField is a line for what holds.
func flagField[T any](name string, at func(*T) *bool) textField[T] {
	const yes = "yes"
	return textField[T]{
		name: name,
		append: func(b []byte, name string, v *T) ([]byte, error) {
			if *at(v) {
				b = appendField(b, name, yes)
			}
			return b, nil
		},
		parse: func(v *T, value string) error {
			if value != yes {
				return errTextValue
			}
			*at(v) = true
			return nil
		},
	}
}

// stringField is a line for what is not empty.
func stringField[T any](name string, at func(*T) *string) textField[T] {
	return textField[T]{
		name: name,
		append: func(b []byte, name string, v *T) ([]byte, error) {
			if *at(v) != "" {
				b = appendField(b, name, *at(v))
			}
			return b, nil
		},
		parse: func(v *T, value string) error {
			*at(v) = value
			return nil
		},
	}
}

// otherField has the parameters of the application's own extensions, one a line
// and unchecked: a later version may have rows for their names.
func otherField[T any](at func(*T) *[]smtp.Param) textField[T] {
	return textField[T]{
		name: "param",
		many: true,
		append: func(b []byte, name string, v *T) ([]byte, error) {
			if len(*at(v)) > smtp.MaxParams {
				return b, errParams
			}
			for _, p := range *at(v) {
				if strings.Contains(p.Name, "=") {
					return b, errParams
				}
				value := p.Name
				if p.Value != "" {
					value += "=" + p.Value
				}
				b = appendField(b, name, value)
			}
			return b, nil
		},
		parse: func(v *T, value string) error {
			other := at(v)
			name, value, more := strings.Cut(value, "=")
			if more && value == "" {
				return errTextValue
			}
			if len(*other) == smtp.MaxParams {
				return errParams
			}
			*other = append(*other, smtp.Param{Name: name, Value: value})
			return nil
		},
	}
}

// everyExtension offers all that there is, so that any parameter can be read.
var everyExtension = func() smtp.Offers {
	offers := smtp.Offers{}
	for row := range smtp.Extensions() {
		offers[row.Keyword] = ""
	}
	return offers
}()

// cutCommandEnd ends the line of a command that was appended.
func cutCommandEnd(b []byte) []byte {
	return append(b[:len(b)-len("\r\n")], '\n')
}
