package dsn

import (
	"strings"
	"time"

	"github.com/postrider/postrider/smtp"
)

// Report is what a notification tells programs: the fields of
// message/delivery-status (RFC 3464 §2) and what is known of the message that it is
// about. Times are in UTC and whole seconds.
type Report struct {
	EnvelopeID   string    // Original-Envelope-Id: ENVID= of the message. If "", it had none
	ReportingMTA Typed     // who tried to deliver the message
	Gateway      Typed     // DSN-Gateway: who made this out of a report of another kind. If zero, nobody
	ReceivedFrom Typed     // Received-From-MTA: whom the reporting MTA had the message from. If zero, unknown
	Arrival      time.Time // when the reporting MTA had it. If zero, unknown
	Fields       []Field   // further fields, in order
	Recipients   []Recipient

	Returned smtp.Ret // how much of the message stands in the notification; "" for nothing
	Header   []Field  // its header section, unfolded

	// Truncated says that a parsed notification had more fields, recipients or header
	// octets than the parser keeps; a single value that is too long is only cut.
	Truncated bool
}

// Recipient is what a Report says of one recipient (RFC 3464 §2.3).
type Recipient struct {
	Original    Typed     // ORCPT= of the recipient. If zero, it had none
	Final       Typed     // the recipient, as the reporting MTA had it in the envelope
	Action      Action    // what the reporting MTA did
	Status      Status    // why. If zero, a Composer takes that of Diagnostic, in a class that goes with Action
	RemoteMTA   Typed     // who has said what stands in Diagnostic. If zero, the reporting MTA itself
	Diagnostic  Typed     // the reply that decided. If zero, unknown
	LastAttempt time.Time // when delivery was tried last. If zero, unknown
	LogID       string    // Final-Log-ID: where to find it in the log. If "", unknown
	RetryUntil  time.Time // when a delayed message is given up. If zero, unknown; not written of others
	Fields      []Field   // further fields, in order

	// Notify is NOTIFY= of the recipient: what a Composer goes by. It is not part
	// of a report.
	Notify smtp.Notify
}

// NewRecipient returns a Recipient for r with Final, Original and Notify filled in.
func NewRecipient(r smtp.Recipient) Recipient {
	return Recipient{
		Original: Typed{r.RcptParams.ORcpt.Type, r.RcptParams.ORcpt.Address}, // RFC 3461 §6.3 d
		Final:    Address(r.To.Mailbox),                                      // §6.3 e
		Notify:   r.RcptParams.Notify,
	}
}

// Field is a header field or a field of a report, unfolded.
type Field struct{ Name, Value string }

// Get returns the value of the first field of that name in the returned header
// section, "" if there is none. The case of the name does not matter.
func (r *Report) Get(name string) string { return get(r.Header, name) }

// MessageID returns the Message-ID of the message that the report is about, with
// its angle brackets, or "" if the notification does not tell.
func (r *Report) MessageID() string { return messageID(r.Get("Message-ID")) }

func get(fields []Field, name string) string {
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// messageID returns the msg-id that s is (RFC 5322 §3.6.4), or "". It is strict:
// what it returns is written into other fields.
func messageID(s string) string {
	s = strings.TrimSpace(s)
	if len(s) < len("<a>") || len(s) > maxMessageID || s[0] != '<' || s[len(s)-1] != '>' {
		return ""
	}
	for _, c := range []byte(s[1 : len(s)-1]) {
		if c <= ' ' || c >= 0x7f || c == '<' || c == '>' {
			return ""
		}
	}
	return s
}

// maxMessageID leaves room for the name of the field in a line of 998 octets.
const maxMessageID = 900
