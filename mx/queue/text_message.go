package queue

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

const mailCommand = "MAIL "

// MarshalText is AppendText.
func (m *Message) MarshalText() ([]byte, error) {
	return m.AppendText(make([]byte, 0, 128))
}

// AppendText appends m as lines that a person can read and UnmarshalText does,
// for stores and tools. ID, Arrived, Size, Kind and Envelope.Recipients are not
// in it. Without an error nothing else is lost: what cannot be written, an
// envelope that is not valid and Data of more than 4 KB, is an error. The text
// is printable UTF-8.
func (m *Message) AppendText(b []byte) ([]byte, error) {
	start := len(b)
	b, err := m.appendText(b)
	if err == nil && len(b)-start > maxText {
		err = errTextLong
	}
	if err != nil {
		return b[:start], fmt.Errorf("queue: message: %w", err)
	}
	return b, nil
}

// UnmarshalText reads what AppendText has written into m, but for the fields that
// are not in it, which stay as they are. After an error m means nothing.
func (m *Message) UnmarshalText(text []byte) error {
	*m = Message{ID: m.ID, Arrived: m.Arrived, Size: m.Size, Kind: m.Kind,
		Envelope: smtp.Envelope{Recipients: m.Envelope.Recipients}}
	if err := m.parseText(text); err != nil {
		return fmt.Errorf("queue: message: %w", err)
	}
	return nil
}

// In the command is what looks there as it is. Times have fractions of a second
// here, parameters do not.
func (m *Message) appendText(b []byte) ([]byte, error) {
	if err := m.Envelope.From.Validate(); err != nil {
		return b, err
	}
	p := m.Envelope.MailParams
	if err := checkMailParams(p); err != nil {
		return b, err
	}
	if len(m.Data) > maxData {
		return b, errDataLong
	}
	p.By, p.Hold, p.Other = smtp.DeliverBy{}, smtp.Hold{}, nil
	p.UTF8 = p.UTF8 || !m.Envelope.From.IsASCII()
	b = cutCommandEnd(smtp.AppendMail(b, m.Envelope.From, &p))
	return appendFields(b, messageFields, m)
}

func (m *Message) parseText(text []byte) error {
	if len(text) > maxText {
		return errTextLong
	}
	line, rest, _ := strings.Cut(string(text), "\n")
	arg, ok := strings.CutPrefix(line, mailCommand)
	if !ok {
		return errTextLine
	}
	var err error
	p := &m.Envelope.MailParams
	if m.Envelope.From, err = smtp.ParseMail(arg, everyExtension, p); err != nil {
		return err
	}
	var seen uint32
	for rest != "" {
		line, rest, _ = strings.Cut(rest, "\n")
		if err := parseField(line, messageFields, m, &seen); err != nil {
			return err
		}
	}
	if len(m.Data) > maxData {
		return errDataLong
	}
	if seen != 0 {
		return checkMailParams(*p)
	}
	return nil
}

// checkMailParams is Validate without Other, and without the rule that a client
// waits less long than it gives: a server takes it when both are the same (RFC
// 4865 §5.2.2).
func checkMailParams(p smtp.MailParams) error {
	p.Other = nil
	if !p.Hold.IsZero() {
		if err := (&smtp.MailParams{Hold: p.Hold}).Validate(); err != nil {
			return err
		}
		p.Hold = smtp.Hold{}
	}
	return p.Validate()
}

var messageFields = []textField[Message]{
	{
		name: "smtputf8", // the address needs it, and nobody gave it
		append: func(b []byte, name string, m *Message) ([]byte, error) {
			if !m.Envelope.MailParams.UTF8 && !m.Envelope.From.IsASCII() {
				b = appendField(b, name, "no")
			}
			return b, nil
		},
		parse: func(m *Message, value string) error {
			if value != "no" {
				return errTextValue
			}
			m.Envelope.MailParams.UTF8 = false
			return nil
		},
	},
	{
		name: "by", // "1m30s;RT"
		append: func(b []byte, name string, m *Message) ([]byte, error) {
			if by := m.Envelope.MailParams.By; !by.IsZero() {
				value := by.Within.String() + ";" + string(rune(by.Mode))
				if by.Trace {
					value += "T"
				}
				b = appendField(b, name, value)
			}
			return b, nil
		},
		parse: func(m *Message, value string) (err error) {
			by := &m.Envelope.MailParams.By
			within, mode, _ := strings.Cut(value, ";")
			if mode, by.Trace = strings.CutSuffix(mode, "T"); len(mode) != 1 {
				return errTextValue
			}
			by.Mode = smtp.DeliverMode(mode[0])
			by.Within, err = time.ParseDuration(within)
			return err
		},
	},
	{
		name: "hold-for",
		append: func(b []byte, name string, m *Message) ([]byte, error) {
			if d := m.Envelope.MailParams.Hold.For; d != 0 {
				b = appendField(b, name, d.String())
			}
			return b, nil
		},
		parse: func(m *Message, value string) (err error) {
			m.Envelope.MailParams.Hold.For, err = time.ParseDuration(value)
			return err
		},
	},
	timeField("hold-until", func(m *Message) *time.Time { return &m.Envelope.MailParams.Hold.Until }),
	otherField(func(m *Message) *[]smtp.Param { return &m.Envelope.MailParams.Other }),
	{
		name: "received-from", // as dsn.Typed writes itself, if that can be read
		append: func(b []byte, name string, m *Message) ([]byte, error) {
			if !m.ReceivedFrom.IsZero() {
				b = appendField(b, name, typedText(m.ReceivedFrom))
			}
			return b, nil
		},
		parse: func(m *Message, value string) error {
			kind, text, ok := strings.Cut(value, "; ")
			kind, err := unquote(kind)
			if !ok || err != nil {
				return errTextValue
			}
			m.ReceivedFrom = dsn.Typed{Type: kind, Text: text}
			return nil
		},
	},
	flagField("tls-optional", func(m *Message) *bool { return &m.TLSOptional }),
	flagField("notification", func(m *Message) *bool { return &m.Notification }),
	stringField("data", func(m *Message) *string { return &m.Data }),
}

func typedText(t dsn.Typed) string {
	if !isPlain(t.Type) || strings.Contains(t.Type, ";") {
		return strings.ReplaceAll(strconv.Quote(t.Type), ";", `\x3b`) + "; " + t.Text
	}
	return t.Type + "; " + t.Text
}
