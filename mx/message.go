package mx

import "github.com/postrider/postrider/smtp"

// A Message is what goes to the recipients of one destination.
type Message struct {
	// Envelope is as for client.Client.Send. MailParams.RequireTLS asks every hop
	// for TLS to a host that is authenticated (RFC 8689).
	Envelope smtp.Envelope
	// Content is the header section and body, with the header field Received of
	// whoever sends it on. If it can be read only once and has more than 64 KB, one
	// address is tried and no other.
	Content smtp.Content
	// TLSOptional says that the message has the header field "TLS-Required: No":
	// its sender wants it delivered rather than protected (RFC 8689 §5).
	TLSOptional bool
}
