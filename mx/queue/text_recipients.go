package queue

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/smtp"
)

const rcptCommand = "RCPT "

// MarshalText is AppendText.
func (r Recipients) MarshalText() ([]byte, error) {
	return r.AppendText(make([]byte, 0, 64*len(r)))
}

// AppendText appends r as lines that a person can read and UnmarshalText does,
// for stores and tools. Without an error nothing is lost: what cannot be
// written, an address or a parameter that is not valid, is an error. The text is
// printable UTF-8.
func (r Recipients) AppendText(b []byte) ([]byte, error) {
	start := len(b)
	for i := range r {
		var err error
		if b, err = r[i].appendText(b); err == nil && len(b)-start > maxText {
			err = errTextLong
		}
		if err != nil {
			return b[:start], fmt.Errorf("queue: recipient %d: %w", i, err)
		}
	}
	return b, nil
}

// UnmarshalText reads what AppendText has written. After an error r means
// nothing.
func (r *Recipients) UnmarshalText(text []byte) error {
	if len(text) > maxText {
		return fmt.Errorf("queue: recipients: %w", errTextLong)
	}
	*r = nil
	rest := string(text)
	if rest != "" {
		*r = make(Recipients, 0, strings.Count(rest, "\n"+rcptCommand)+1)
	}
	for rest != "" {
		*r = append(*r, Recipient{})
		var err error
		if rest, err = (*r)[len(*r)-1].parseText(rest); err != nil {
			return fmt.Errorf("queue: recipient %d: %w", len(*r)-1, err)
		}
	}
	return nil
}

func (r *Recipient) appendText(b []byte) ([]byte, error) {
	if err := r.To.Validate(); err != nil {
		return b, err
	}
	p := r.RcptParams
	p.Other = nil
	if err := p.Validate(); err != nil {
		return b, err
	}
	p.RRVS = nil
	b = cutCommandEnd(smtp.AppendRcpt(b, r.To, &p))
	return appendFields(b, recipientFields, r)
}

// parseText reads the recipient that text begins with and returns the rest.
func (r *Recipient) parseText(text string) (rest string, err error) {
	line, rest, _ := strings.Cut(text, "\n")
	arg, ok := strings.CutPrefix(line, rcptCommand)
	if !ok {
		return "", errTextLine
	}
	if r.To, err = smtp.ParseRcpt(arg, everyExtension, &r.RcptParams); err != nil {
		return "", err
	}
	var seen uint32
	for rest != "" && !strings.HasPrefix(rest, rcptCommand) {
		line, rest, _ = strings.Cut(rest, "\n")
		if err := parseField(line, recipientFields, r, &seen); err != nil {
			return "", err
		}
	}
	if rrvs := r.RcptParams.RRVS; rrvs != nil {
		return rest, (&smtp.RcptParams{RRVS: rrvs}).Validate()
	}
	return rest, nil
}

var recipientFields = []textField[Recipient]{
	{
		name: "rrvs", // with fractions of a second, unlike the parameter
		append: func(b []byte, name string, r *Recipient) ([]byte, error) {
			p := r.RcptParams.RRVS
			if p == nil {
				return b, nil
			}
			action := ""
			if p.Action != 0 {
				action = ";" + string(rune(p.Action))
			}
			return appendTime(append(append(b, name...), ": "...), p.Since, action)
		},
		parse: func(r *Recipient, value string) error {
			p := new(smtp.RRVS)
			date, action, more := strings.Cut(value, ";")
			if more && len(action) != 1 {
				return errTextValue
			}
			if more {
				p.Action = smtp.RRVSAction(action[0])
			}
			r.RcptParams.RRVS = p
			return parseTime(&p.Since, date)
		},
	},
	otherField(func(r *Recipient) *[]smtp.Param { return &r.RcptParams.Other }),
	timeField("last", func(r *Recipient) *time.Time { return &r.Last }),
	{
		name: "reply", // as it was received, or with the four below
		append: func(b []byte, name string, r *Recipient) ([]byte, error) {
			return appendReply(b, name, r.Reply), nil
		},
		parse: func(r *Recipient, value string) (err error) {
			r.Reply, err = smtp.ParseReply(value)
			return err
		},
	},
	{
		name: replyCode,
		parse: func(r *Recipient, value string) (err error) {
			r.Reply.Code, err = strconv.Atoi(value)
			return err
		},
	},
	{
		name: replyEnhanced,
		parse: func(r *Recipient, value string) error {
			detail, ok := strings.CutPrefix(value, "x.")
			if ok {
				_, r.Reply.Enhanced, ok = smtp.ParseEnhanced("5." + detail)
			}
			if !ok {
				return errTextValue
			}
			return nil
		},
	},
	{
		name: replyText,
		parse: func(r *Recipient, value string) error {
			r.Reply.Text = value
			return nil
		},
	},
	{
		name: replyRaw,
		parse: func(r *Recipient, value string) error {
			r.Reply.Raw = value
			return nil
		},
	},
	flagField("local", func(r *Recipient) *bool { return &r.Local }),
	stringField("host", func(r *Recipient) *string { return &r.Host }),
}

const (
	replyCode     = "reply-code"
	replyEnhanced = "reply-enhanced"
	replyText     = "reply-text"
	replyRaw      = "reply-raw"
)

func appendReply(b []byte, name string, r smtp.Reply) []byte {
	if r.Raw != "" {
		if parsed, err := smtp.ParseReply(r.Raw); err == nil && parsed == r {
			return appendField(b, name, r.Raw)
		}
		b = appendField(b, replyRaw, r.Raw)
	}
	if r.Code != 0 {
		b = appendField(b, replyCode, strconv.Itoa(r.Code))
	}
	if !r.Enhanced.IsZero() {
		b = appendField(b, replyEnhanced, r.Enhanced.String())
	}
	if r.Text != "" {
		b = appendField(b, replyText, r.Text)
	}
	return b
}
