package middleware

import (
	"context"
	"fmt"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// RecipientsOptions say for whom mail is taken. The zero value takes it for
// nobody but postmaster.
type RecipientsOptions struct {
	// Domains are the local domains, in A- or U-labels or as address literals.
	// The case does not matter. Subdomains are domains of their own.
	Domains []string
	// Local says whether a domain is local that is not in Domains. If nil, it
	// is not.
	Local func(ctx context.Context, domain string) (bool, error)
	// Addresses are the recipients there are in the local domains, without
	// regard to case. An address in a domain that is not local has no effect.
	Addresses []string
	// Exists says whether there is a recipient that is not in Addresses. It is
	// asked for local domains only. If nil, there is none; but if Addresses is
	// empty too, local domains have every recipient.
	Exists func(ctx context.Context, to smtp.ForwardPath) (bool, error)
	// Relay says whether a client may send to domains that are not local. If
	// nil, none may.
	Relay func(c *server.Conn) bool
}

// Recipients returns middleware that takes mail for listed recipients only.
// A recipient in a domain that is not local gets 550 5.7.1 (RFC 5321 §3.6.2:
// the server declines to relay), one that is not there in a local domain
// 550 5.1.1 (§3.3). Postmaster is taken for every local domain, and without a
// domain too (§4.5.1).
//
// It panics if one of Addresses is not an address.
func Recipients(o RecipientsOptions) func(server.Handler) server.Handler {
	l := &allowList{RecipientsOptions: o, domains: make(map[string]bool), addresses: make(map[string]bool)}
	for _, d := range o.Domains {
		l.domains[smtp.CanonicalDomain(d)] = true
	}
	for _, a := range o.Addresses {
		env, err := smtp.NewEnvelope("", a)
		if err != nil {
			panic(fmt.Sprintf("middleware: %q is not an address: %v", a, err))
		}
		l.addresses[folded(env.Recipients[0].To.Mailbox)] = true
	}
	return wrap(func(w wrapped) server.Session { return &listed{w, l} })
}

var (
	relayDenied   = smtp.Reject(550, smtp.Enh(7, 1), "relaying denied")
	noSuchMailbox = smtp.Reject(550, smtp.Enh(1, 1), "no such mailbox here")
)

type allowList struct {
	RecipientsOptions
	domains   map[string]bool
	addresses map[string]bool
}

type listed struct {
	wrapped
	list *allowList
}

func (s *listed) Rcpt(ctx context.Context, to smtp.ForwardPath, p *smtp.RcptParams) (smtp.Reply, error) {
	if err := s.list.check(ctx, s.conn, to); err != nil {
		return smtp.Reply{}, err
	}
	return s.Session.Rcpt(ctx, to, p)
}

func (l *allowList) check(ctx context.Context, c *server.Conn, to smtp.ForwardPath) error {
	if to.IsPostmaster() {
		return nil // §4.1.1.3
	}
	local := l.domains[smtp.CanonicalDomain(to.Domain)]
	if !local && l.Local != nil {
		var err error
		if local, err = l.Local(ctx, to.Domain); err != nil {
			return fmt.Errorf("middleware: is %q local: %w", to.Domain, err)
		}
	}
	switch {
	case !local && l.Relay != nil && l.Relay(c):
		return nil
	case !local:
		return relayDenied // §3.6.2
	case isPostmaster(to.Local): // §4.5.1
		return nil
	case l.addresses[folded(to.Mailbox)]:
		return nil
	case l.Exists == nil && len(l.addresses) == 0:
		return nil
	case l.Exists == nil:
		return noSuchMailbox
	}
	ok, err := l.Exists(ctx, to)
	switch {
	case err != nil:
		return fmt.Errorf("middleware: is there %v: %w", to, err)
	case !ok:
		return noSuchMailbox // §3.3
	}
	return nil
}
