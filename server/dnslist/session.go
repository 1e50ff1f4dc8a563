package dnslist

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

type handler struct {
	next server.Handler
	o    *Options
}

func (h *handler) NewSession(ctx context.Context, c *server.Conn) (server.Session, error) {
	if h.o.At == AtConnect {
		check := &session{conn: c, o: h.o}
		if err := check.refuse(ctx, smtp.ForwardPath{}); err != nil {
			return nil, err
		}
	}
	s, err := h.next.NewSession(ctx, c)
	if err != nil || s == nil || h.o.At == AtConnect {
		return s, err
	}
	return &session{Session: s, conn: c, o: h.o}, nil
}

type session struct {
	server.Session
	conn *server.Conn
	o    *Options
	from smtp.ReversePath

	checked bool // in this transaction
	refusal error
}

// Unwrap keeps what is optional on the inner session reachable.
func (s *session) Unwrap() server.Session { return s.Session }

func (s *session) Mail(ctx context.Context, from smtp.ReversePath, p *smtp.MailParams) (smtp.Reply, error) {
	s.from, s.checked, s.refusal = from, false, nil
	if s.o.At == AtMail {
		if err := s.refuse(ctx, smtp.ForwardPath{}); err != nil {
			return smtp.Reply{}, err
		}
	}
	return s.Session.Mail(ctx, from, p)
}

func (s *session) Rcpt(ctx context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
	if s.o.At == AtRcpt && !isPostmaster(to.Local) { // §4.5.1
		if err := s.refuse(ctx, to); err != nil {
			return smtp.Reply{}, err
		}
	}
	return s.Session.Rcpt(ctx, to, p)
}

// refuse returns the error with which the client is refused, nil if it is not.
func (s *session) refuse(ctx context.Context, to smtp.ForwardPath) error {
	if exempt, err := s.exempt(ctx, to); exempt || err != nil {
		return err
	}
	if !s.checked {
		who := subject{ip: s.conn.RemoteIP(), hello: s.conn.Hello(), from: s.from}
		r := s.o.check(ctx, who)
		if s.o.Report != nil {
			s.o.Report(ctx, s.conn, r)
		}
		s.checked, s.refusal = true, s.o.reply(who, r)
	}
	return s.refusal
}

func (s *session) exempt(ctx context.Context, to smtp.ForwardPath) (bool, error) {
	state := s.conn.TLS()
	switch {
	case s.conn.Identity() != "", !public(s.conn.RemoteIP()):
		return true, nil
	case state != nil && len(state.VerifiedChains) > 0:
		return true, nil
	case s.o.Exempt == nil:
		return false, nil
	}
	exempt, err := s.o.Exempt(ctx, s.conn, s.from, to)
	if err != nil {
		err = fmt.Errorf("dnslist: %w", err)
	}
	return exempt, err
}

var (
	deferredReply    = smtp.Reject(451, smtp.Enh(7, 1), "cannot ask DNS lists about you at this time, try again later")
	deferredGreeting = smtp.Reject(421, smtp.Enh(7, 1), "cannot ask DNS lists about you at this time, try again later")
)

// reply returns what a client is told, nil if it is accepted.
func (o *Options) reply(who subject, r Result) error {
	switch {
	case r.Action == Accept:
		return nil
	case r.Action == Defer && o.At == AtConnect:
		return deferredGreeting
	case r.Action == Defer:
		return deferredReply
	}
	code := 550
	if o.At == AtConnect {
		code = 554 // RFC 5321 §3.1
	}
	return smtp.Reject(code, smtp.Enh(7, 1), o.text(who, r))
}

// text names the list that weighs the most.
func (o *Options) text(who subject, r Result) string {
	var worst Outcome
	for _, out := range r.Outcomes {
		if out.Listed && out.List.Weight > worst.List.Weight {
			worst = out
		}
	}
	var text string
	switch worst.List.Of {
	case Hello:
		text = "the name you said hello with"
	case Sender:
		text = "the sender's domain"
	default:
		text = "your address " + who.ip.String()
	}
	text += " is listed by " + cmp.Or(worst.List.Title, worst.List.Zone)
	if worst.Reason != "" {
		text += ": " + worst.Reason
	}
	return text
}

// isPostmaster compares as ASCII does: other letters that fold to these are of
// another length.
func isPostmaster(local string) bool {
	return len(local) == len("postmaster") && strings.EqualFold(local, "postmaster")
}
