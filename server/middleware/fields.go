package middleware

import (
	"bytes"
	"io"
	"mime"
	"net/mail"
	"strings"

	"github.com/postrider/postrider/smtp"
)

// fields are those fields of a header section that matter here, by their names
// in lower case: the values as they came, folded.
type fields map[string][][]byte

// content is what the value of a field is made of.
type content uint8

const (
	addressList content = iota
	otherContent
)

// matters are the originator and destination fields (RFC 5322 §3.6.2, §3.6.3,
// §3.6.6), and those that a message should not lack.
var matters = map[string]content{
	"from": addressList, "sender": addressList, "reply-to": addressList,
	"to": addressList, "cc": addressList, "bcc": addressList,
	"resent-from": addressList, "resent-sender": addressList,
	"resent-to": addressList, "resent-cc": addressList, "resent-bcc": addressList,
	"date": otherContent, "message-id": otherContent,
}

const maxName = len("resent-sender")

// parseFields takes a header section apart (RFC 5322 §2.2). It is not ok where
// programs could differ about what the fields are: when a line is no field, or
// has a CR, LF or NUL within.
func parseFields(header []byte) (f fields, ok bool) {
	f = make(fields)
	for len(header) > 0 {
		size, blank, ok := fieldSize(header)
		if !ok {
			return nil, false
		}
		if blank {
			return f, size == len(header)
		}
		name, value, found := bytes.Cut(header[:size], []byte(":"))
		header = header[size:]
		name = bytes.TrimRight(name, " \t") // RFC 5322 §4.5
		if !found || !isFieldName(name) {
			return nil, false
		}
		if len(name) > maxName {
			continue
		}
		lower := strings.ToLower(string(name))
		if _, known := matters[lower]; known {
			f[lower] = append(f[lower], value)
		}
	}
	return f, true
}

// fieldSize returns the octets of the first field with its continuation lines
// (RFC 5322 §2.2.3). Blank says that there is an empty line instead.
func fieldSize(header []byte) (size int, blank, ok bool) {
	for {
		line, _, _ := bytes.Cut(header[size:], []byte("\n"))
		end := size + len(line)
		switch whole := end < len(header); {
		case whole && !bytes.HasSuffix(line, []byte("\r")):
			return 0, false, false
		case whole:
			line = line[:len(line)-1]
			end++
		}
		if bytes.IndexByte(line, '\r') >= 0 || bytes.IndexByte(line, 0) >= 0 {
			return 0, false, false
		}
		if size == 0 && len(line) == 0 {
			return end, true, true
		}
		if size = end; size == len(header) || header[size] != ' ' && header[size] != '\t' {
			return size, false, true
		}
	}
}

func isFieldName(name []byte) bool {
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(name) > 0
}

// parser lets encoded words be, whatever their charset: nobody asks for names.
var parser = mail.AddressParser{WordDecoder: &mime.WordDecoder{
	CharsetReader: func(_ string, input io.Reader) (io.Reader, error) { return input, nil },
}}

func addresses(value []byte) ([]*mail.Address, error) {
	return parser.ParseList(strings.ReplaceAll(string(value), "\r\n", ""))
}

// mailboxes returns the mailboxes in the one field of that name. It is not ok if
// there are several such fields, or if it does not parse.
func (f fields) mailboxes(name string) (list []smtp.Mailbox, ok bool) {
	switch len(f[name]) {
	case 0:
		return nil, true
	case 1:
	default:
		return nil, false // RFC 5322 §3.6
	}
	parsed, err := addresses(f[name][0])
	if err != nil {
		return nil, false
	}
	for _, a := range parsed {
		m := split(a.Address)
		if m.Validate() != nil {
			return nil, false
		}
		list = append(list, m)
	}
	return list, true
}

// split is for an address without quotes, as net/mail gives it.
func split(address string) smtp.Mailbox {
	i := strings.LastIndexByte(address, '@')
	return smtp.Mailbox{Local: address[:max(i, 0)], Domain: address[i+1:]}
}

// qualified reports whether all domains in address fields are fully qualified
// (RFC 6409 §4.2). What does not parse has no domain that could be looked at.
func (f fields) qualified() bool {
	for name, values := range f {
		if matters[name] != addressList {
			continue
		}
		for _, value := range values {
			list, err := addresses(value)
			if err != nil {
				continue
			}
			for _, a := range list {
				if !isQualified(split(a.Address).Domain) {
					return false
				}
			}
		}
	}
	return true
}
