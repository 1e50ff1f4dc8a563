package smtptest

import (
	"bytes"
	"mime"
	"net"
	"net/mail"
	"time"

	"github.com/postrider/postrider/smtp"
)

// A Message is one that a Server has accepted. It is not to be changed: all who
// ask for it get the same Data and recipients.
type Message struct {
	// Envelope is the reverse-path and the recipients that were accepted, with
	// the parameters of MAIL and RCPT.
	Envelope smtp.Envelope
	// Data is the content as the client has sent it, dot-stuffing undone.
	// Nothing is added.
	Data []byte

	// Hello is the name that the client gave in HELO, EHLO or LHLO.
	Hello string
	// TLS says that it came over TLS.
	TLS bool
	// Identity is whom the client authenticated as. If empty, it did not.
	Identity string
	// ConnID tells the connections apart: the same for messages that came over
	// one, see server.Info.ID.
	ConnID string
	// RemoteAddr is the client's address.
	RemoteAddr net.Addr
	// Time is when the last octet had come.
	Time time.Time
}

// From returns the reverse-path as an address, "" for the null reverse-path.
func (m Message) From() string { return m.Envelope.From.Mailbox.String() }

// To returns the recipients of the envelope as addresses.
func (m Message) To() []string {
	to := make([]string, len(m.Envelope.Recipients))
	for i, r := range m.Envelope.Recipients {
		to[i] = r.To.Mailbox.String()
	}
	return to
}

// Mail parses Data.
func (m Message) Mail() (*mail.Message, error) { return mail.ReadMessage(bytes.NewReader(m.Data)) }

// Header returns the first header field with the name, unfolded and with its
// encoded words (RFC 2047) decoded. It is "" if there is none, and if Data does
// not parse.
func (m Message) Header(name string) string {
	parsed, err := m.Mail()
	if err != nil {
		return ""
	}
	value := parsed.Header.Get(name)
	if decoded, err := new(mime.WordDecoder).DecodeHeader(value); err == nil {
		return decoded
	}
	return value
}
