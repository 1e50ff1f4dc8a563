package middleware

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// SubmissionOptions say what is done for messages of one's own users.
type SubmissionOptions struct {
	// Owns says whether a client that has authenticated as identity may send
	// as address. Asked are the reverse-path, every mailbox in From, and
	// Sender: that Sender may is not enough, since programs show From. If nil,
	// everybody may send as anybody.
	Owns func(ctx context.Context, identity string, address smtp.Mailbox) (bool, error)
	// AddDate adds a Date field to a message without one (RFC 6409 §8.2). If
	// false, it goes without.
	AddDate bool
	// AddMessageID adds a Message-ID field to a message without one, with the
	// server's Hostname behind the "@" (RFC 6409 §8.3). If false, it goes
	// without.
	AddMessageID bool
}

// Submission returns middleware for servers to which one's own users submit
// mail. What is not in its options is always done: addresses whose domain is
// not fully qualified are refused with 554 5.1.8 in MAIL, 554 5.1.2 in RCPT
// (RFC 6409 §4.2), and 554 5.6.0 in the address fields of the message, as is
// a header section that is malformed: with a line that is no field, with a
// bare CR or LF or a NUL.
//
// Who sends as somebody else gets 550 5.7.1 (RFC 6409 §6.1). With Owns a
// message has just one From field and at most one Sender field, otherwise it
// is refused with 554 5.6.0: programs differ in which of several they show.
// The null reverse-path is everybody's; From decides.
func Submission(o SubmissionOptions) func(server.Handler) server.Handler {
	return wrap(func(w wrapped) server.Session { return &submitted{w, &o} })
}

// maxAuthors bounds what one message makes the application look up.
const maxAuthors = 100

var (
	senderUnqualified    = smtp.Reject(554, smtp.Enh(1, 8), "sender's domain is not fully qualified")
	recipientUnqualified = smtp.Reject(554, smtp.Enh(1, 2), "recipient's domain is not fully qualified")
	headerUnqualified    = smtp.Reject(554, smtp.Enh(6, 0), "a domain in the header section is not fully qualified")
	headerMalformed      = smtp.Reject(554, smtp.Enh(6, 0), "header section is malformed")
	fromMalformed        = smtp.Reject(554, smtp.Enh(6, 0), "there must be one well-formed From field, and no more than one Sender")
	tooManyAuthors       = smtp.Reject(554, smtp.Enh(6, 0), "too many mailboxes in From")
	notYours             = smtp.Reject(550, smtp.Enh(7, 1), "you may not send as this sender")
	notYoursFrom         = smtp.Reject(550, smtp.Enh(7, 1), "you may not send as who is named in From or Sender")
)

type submitted struct {
	wrapped
	o *SubmissionOptions
}

func (s *submitted) Mail(ctx context.Context, from smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error) {
	if !from.IsNull() {
		if !isQualified(from.Domain) {
			return smtp.Reply{}, senderUnqualified // RFC 6409 §4.2
		}
		if ok, err := s.owns(ctx, from.Mailbox); err != nil {
			return smtp.Reply{}, err
		} else if !ok {
			return smtp.Reply{}, notYours // RFC 6409 §6.1
		}
	}
	return s.Session.Mail(ctx, from, p)
}

func (s *submitted) Rcpt(ctx context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
	if !to.IsPostmaster() && !isQualified(to.Domain) { // RFC 6409 §4.2, §6.4
		return smtp.Reply{}, recipientUnqualified
	}
	return s.Session.Rcpt(ctx, to, p)
}

func (s *submitted) Data(ctx context.Context, b *server.Body) (smtp.Reply, error) {
	header, err := b.Header()
	if err != nil {
		return smtp.Reply{}, err
	}
	f, ok := parseFields(header)
	if !ok {
		return smtp.Reply{}, headerMalformed
	}
	if s.o.Owns != nil {
		if err := s.mayAuthor(ctx, f); err != nil {
			return smtp.Reply{}, err
		}
	}
	if !f.qualified() {
		return smtp.Reply{}, headerUnqualified
	}
	if add := s.missing(f); add != "" {
		b.Prepend(add)
	}
	return s.Session.Data(ctx, b)
}

func (s *submitted) owns(ctx context.Context, address smtp.Mailbox) (bool, error) {
	if s.o.Owns == nil {
		return true, nil
	}
	ok, err := s.o.Owns(ctx, s.conn.Identity(), address)
	if err != nil {
		return false, fmt.Errorf("middleware: who owns %v: %w", address, err)
	}
	return ok, nil
}

// mayAuthor returns why the client may not send a message with these fields.
func (s *submitted) mayAuthor(ctx context.Context, f fields) error {
	from, okFrom := f.mailboxes("from")
	sender, okSender := f.mailboxes("sender")
	switch {
	case !okFrom || !okSender || len(from) == 0 || len(sender) > 1:
		return fromMalformed
	case len(from) > maxAuthors:
		return tooManyAuthors
	}
	for _, address := range append(from, sender...) {
		if ok, err := s.owns(ctx, address); err != nil {
			return err
		} else if !ok {
			return notYoursFrom
		}
	}
	return nil
}

// missing returns the fields that are to be added.
func (s *submitted) missing(f fields) string {
	var add strings.Builder
	if s.o.AddDate && f["date"] == nil { // RFC 6409 §8.2
		add.WriteString("Date: " + time.Now().Format("Mon, 2 Jan 2006 15:04:05 -0700") + "\r\n")
	}
	if s.o.AddMessageID && f["message-id"] == nil { // RFC 6409 §8.3
		add.WriteString("Message-ID: <" + rand.Text() + "@" + s.conn.Info().Hostname + ">\r\n")
	}
	return add.String()
}
