package dsn

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/postrider/postrider/smtp"
)

// Composer makes notifications. Its fields must not change while it is in use; it is
// then safe for concurrent use.
type Composer struct {
	// Hostname is the name of this MTA: in Reporting-MTA, in the text, and in the
	// addresses that a notification comes from. A domain or an address literal. If
	// empty, "localhost".
	Hostname string
	// From is the author. If zero, MAILER-DAEMON at Hostname; answers go to
	// postmaster there (RFC 3464 §2).
	From smtp.Mailbox
	// NotifyDelay says that the sender hears of a delay unless NOTIFY says
	// otherwise, and not only if it asks for that (RFC 3461 §4.1).
	NotifyDelay bool
	// Ret is how much of the message goes back with a failure if its sender gave no
	// RET. If empty, smtp.RetFull (RFC 6522 §3).
	Ret smtp.Ret
	// MaxReturn is the size of the longest message that goes back whole, in octets;
	// of a longer one only the header section does. If zero, 64 KB; if negative,
	// there is no limit.
	MaxReturn int64
	// MaxHeader is how much of a header section goes back, in octets. It is held in
	// memory. If zero, 64 KB.
	MaxHeader int
	// SevenBit makes notifications that every server can take, with neither
	// SMTPUTF8 nor 8BITMIME: messages and header sections that are not ASCII are
	// encoded (RFC 6533 §4.5), and with whom that does not work the header section
	// goes back alone (RFC 6522 §3). Without, what needs it is 8-bit, and says so in
	// the envelope.
	SevenBit bool
	// Text writes the part for people. If nil, English.
	Text func(r *Report) Text
	// Now is asked for the time of a notification. If nil, time.Now.
	Now func() time.Time
}

// Message is the message that a notification is about, as this MTA accepted it.
type Message struct {
	// Envelope is that of the message. From is where the notification goes. Its
	// Recipients are not looked at.
	Envelope smtp.Envelope
	// Content is the message. It must be readable more than once to go back whole.
	// If zero, nothing of it goes back.
	Content smtp.Content
	// ReceivedFrom is whom it came from, see Peer. If zero, that is not told.
	ReceivedFrom Typed
	// Arrival is when it came. If zero, that is not told.
	Arrival time.Time
	// Fields are further fields about the message for programs, such as "X-Queue-Id".
	Fields []Field
}

// Notification is a message ready to be sent, with client.Client.Send or any other
// way.
type Notification struct {
	// Envelope has the null reverse-path, the original reverse-path as its only
	// recipient, and the MAIL parameters that the content needs. REQUIRETLS and
	// MT-PRIORITY are those of the message. There are no DSN parameters: a null
	// reverse-path is enough, and servers without DSN would have to refuse them.
	Envelope smtp.Envelope
	// Content may be read again and again. If Report.Returned is smtp.RetFull it
	// reads the message's Content each time, which has to stay what it is.
	Content smtp.Content
	// Report is what the notification says to programs: what Parse returns for it.
	Report Report
	// MessageID is that of the notification, with angle brackets.
	MessageID string
}

// ErrUnwanted is the error of composing a notification that nobody wants: the message
// came with the null reverse-path, so that it may be a notification itself (RFC 3461
// §5.2), or no recipient's NOTIFY asks for it. Who wants his postmaster to know puts
// the postmaster's address into From of a copy of the Message: once, and never for a
// message to the postmaster, or notifications chase each other.
var ErrUnwanted = errors.New("dsn: no notification is wanted")

// Wanted reports whether the sender of a message wants to hear of r.
func (c *Composer) Wanted(m *Message, r *Recipient) bool {
	return !m.Envelope.From.IsNull() && r.Action.wanted(r.Notify, m.Envelope.MailParams.By, c.NotifyDelay)
}

// Compose makes the notification that tells the sender of m what became of it for
// some of its recipients. Those of whom he does not want to hear are left out; if
// none is left the error is ErrUnwanted. Any other error says that the content cannot
// be read, or that a field of c or of a recipient cannot be written. Compose reads
// the header section of the message; all of it only if all of it goes back and its
// Kind is not known.
func (c *Composer) Compose(m *Message, recipients ...Recipient) (*Notification, error) {
	wanted := make([]Recipient, 0, len(recipients))
	failed := false
	for i := range recipients {
		if r := &recipients[i]; c.Wanted(m, r) {
			wanted = append(wanted, *r)
			failed = failed || r.Action == Failed
		}
	}
	if len(wanted) == 0 {
		return nil, ErrUnwanted
	}
	host, err := c.hostname()
	if err != nil {
		return nil, err
	}
	from, err := c.from(host)
	if err != nil {
		return nil, err
	}
	if err := m.Envelope.From.Validate(); err != nil {
		return nil, fmt.Errorf("dsn: reverse-path: %w", err)
	}
	// RFC 6533 §4.4: who sends such mail can read such notifications.
	forGlobal := m.Envelope.MailParams.UTF8 || !m.Envelope.From.IsASCII()
	orig, err := c.original(m, failed, forGlobal)
	if err != nil {
		return nil, err
	}
	report := Report{
		EnvelopeID:   m.Envelope.MailParams.EnvID, // RFC 3461 §6.3 a
		ReportingMTA: reportingMTA(host),
		ReceivedFrom: m.ReceivedFrom,
		Arrival:      m.Arrival,
		Fields:       m.Fields,
		Recipients:   wanted,
		Returned:     orig.returned,
		Header:       orig.fields,
	}
	if err := report.tidy(); err != nil {
		return nil, err
	}
	n := &Notification{
		Report:    report,
		MessageID: "<" + rand.Text() + "@" + host + ">",
		Envelope: smtp.Envelope{
			Recipients: []smtp.Recipient{{To: smtp.ForwardPath{Mailbox: m.Envelope.From.Mailbox}}}, // RFC 3461 §6.1
			MailParams: smtp.MailParams{
				RequireTLS: m.Envelope.MailParams.RequireTLS, // RFC 8689 §5
				Priority:   m.Envelope.MailParams.Priority,
			},
		},
	}
	if c.SevenBit { // its domain at least may do without
		if to, err := m.Envelope.From.ToASCII(); err == nil {
			n.Envelope.Recipients[0].To.Mailbox = to
		}
	}
	w := &writer{c: c, n: n, from: from, host: host, orig: orig, forGlobal: forGlobal, boundary: rand.Text()}
	w.compose()
	return n, nil
}

// hostname returns the checked Hostname.
func (c *Composer) hostname() (string, error) {
	host := c.Hostname
	if host == "" {
		host = "localhost"
	}
	m := smtp.Mailbox{Local: "postmaster", Domain: host}
	a, err := m.ToASCII()
	if err == nil {
		err = a.Validate()
	}
	if err != nil {
		return "", fmt.Errorf("dsn: Hostname: %w", err)
	}
	return a.Domain, nil
}

func (c *Composer) from(host string) (smtp.Mailbox, error) {
	if c.From.IsZero() {
		return smtp.Mailbox{Local: "MAILER-DAEMON", Domain: host}, nil
	}
	from, err := c.From.ToASCII()
	if err == nil {
		err = from.Validate()
	}
	if err != nil {
		return smtp.Mailbox{}, fmt.Errorf("dsn: From: %w", err)
	}
	return from, nil
}

// reportingMTA: what is no name in the DNS must not be called one (RFC 3461 §6.3 b).
func reportingMTA(host string) Typed {
	if strings.HasPrefix(host, "[") || strings.Contains(host, ".") {
		if _, err := netip.ParseAddr(host); err != nil {
			return DNS(host)
		}
	}
	return Typed{"x-local-hostname", host}
}
