package server

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/smtp"
)

// Extensions that need the application: it must do with the parameters, or
// with the content they allow, what the RFC asks. Parameters reach
// Session.Mail and Session.Rcpt.
var (
	// SMTPUTF8 promises that addresses and header fields in UTF-8 are
	// handled and passed on as such (RFC 6531).
	SMTPUTF8 = Extension{Keyword: smtp.ExtSMTPUTF8}
	// BinaryMIME promises that messages without line structure, NUL
	// included, are stored and passed on unchanged (RFC 3030 §3).
	BinaryMIME = Extension{Keyword: smtp.ExtBinaryMIME}
	// DSN promises that NOTIFY, ORCPT, RET and ENVID are obeyed and passed
	// on (RFC 3461).
	DSN = Extension{Keyword: smtp.ExtDSN}
	// RequireTLS promises that a message with REQUIRETLS travels on only over
	// TLS to servers that promise the same, and is returned otherwise (RFC
	// 8689). It is offered over TLS only (§2).
	RequireTLS = Extension{
		Keyword: smtp.ExtRequireTLS,
		Offer:   func(c *Conn) (string, bool) { return "", c.TLS() != nil },
	}
	// RRVS promises that a message is not delivered to a mailbox that has
	// changed hands since the time that RCPT gives (RFC 7293).
	RRVS = Extension{Keyword: smtp.ExtRRVS}
	// PRDR makes Body.PerRecipient true, and Body.SetReply have effect, for
	// messages with several recipients whose MAIL asks for it: after the data
	// come 353, one reply for each recipient and a last one that decides
	// (draft-hall-prdr). There is nothing to promise.
	PRDR = Extension{Keyword: smtp.ExtPRDR}
)

// DeliverBy promises that messages are delivered within the time that MAIL
// gives, or returned, or reported as late (RFC 2852). AtLeast, in whole
// seconds, is the shortest time that smtp.DeliverReturn may come with; less is
// refused with 555. If it is zero, none is announced.
func DeliverBy(atLeast time.Duration) Extension {
	x := Extension{Keyword: smtp.ExtDeliverBy}
	if seconds := int64(atLeast / time.Second); seconds > 0 {
		x.Param = strconv.FormatInt(seconds, 10)
	}
	return x
}

// MTPriority promises that messages are handled by the priority that MAIL
// gives, and passed on with it (RFC 6710). Profile names the rules by which
// the levels are understood (§9.2), such as "MIXER" or "STANAG4406"; if it is
// empty, none is named. Session.Mail may tell another level in its reply.
func MTPriority(profile string) Extension {
	return Extension{Keyword: smtp.ExtMTPriority, Param: profile}
}

// FutureRelease promises that messages are held until the time that MAIL
// gives (RFC 4865). Longer than atMost, in whole seconds, is refused with 501.
// It is for submission servers (§3), and so offered after AUTH only where the
// role asks for AUTH.
func FutureRelease(atMost time.Duration) Extension {
	atMost = min(max(atMost, time.Second), 999999999*time.Second).Truncate(time.Second)
	return Extension{
		Keyword: smtp.ExtFutureRelease,
		Offer: func(c *Conn) (string, bool) {
			// The minute, and not the second, so that connections can share an
			// offer.
			last := time.Now().Add(atMost).UTC().Truncate(time.Minute)
			i := c.Info()
			return strconv.FormatInt(int64(atMost/time.Second), 10) + " " + last.Format(time.RFC3339),
				i.Role != Submission || i.Identity != ""
		},
		check: func(p *smtp.MailParams) error {
			if p.HoldOutlastsBy(time.Now()) { // §5.2.2
				return &smtp.Error{Reply: heldTooLong, Scope: smtp.ScopeMessage}
			}
			return nil
		},
	}
}

// NoSoliciting announces classes of solicitations that are not wanted here:
// names like "net.example:ADV". A message that says SOLICIT with one of them
// is refused with 550 (RFC 3865). Without classes only the parameter is
// accepted, for the Session to judge.
func NoSoliciting(classes ...string) Extension {
	return Extension{
		Keyword: smtp.ExtNoSoliciting,
		Param:   strings.Join(classes, ","),
		check: func(p *smtp.MailParams) error {
			for class := range strings.SplitSeq(p.Solicit, ",") {
				for _, unwanted := range classes {
					if strings.EqualFold(class, unwanted) {
						return &smtp.Error{Reply: notSolicited, Scope: smtp.ScopeMessage}
					}
				}
			}
			return nil
		},
	}
}

// ETRN lets a client that is connected only now and then ask for the mail that
// waits for it (RFC 1985). Start returns when the sending has been begun, not
// when it has ended: the zero Reply is 250, and 251, 252, 253 and an error with
// 458 or 459 are those of §5.3. Whether the client may start the queue is for
// start to judge (§6).
func ETRN(start func(ctx context.Context, c *Conn, s Session, node smtp.Etrn) (smtp.Reply, error)) Extension {
	return Extension{
		Keyword: smtp.ExtEtrn,
		Verbs: map[smtp.Verb]VerbFunc{
			smtp.ETRN: func(ctx context.Context, c *Conn, s Session, arg string) (smtp.Reply, error) {
				node, err := smtp.ParseEtrn(arg)
				if err != nil {
					return smtp.Reply{}, err
				}
				r, err := start(ctx, c, s, node)
				if r.IsZero() && err == nil {
					r = replyQueueStarted
				}
				return r, err
			},
		},
	}
}
