// Package dnslist holds middleware for package server that asks DNS lists about
// clients: block lists and allow lists of addresses and of names (RFC 5782).
//
//	srv.Handler = dnslist.Middleware(dnslist.Options{
//		Lists: []dnslist.List{{Zone: "dnsbl.example"}, {Zone: "dnswl.example", Allow: true}},
//	})(handler)
//
// A list is believed as far as it behaves like one. Answers outside of
// 127.0.0.0/8 come from a domain that has changed hands or from a resolver that
// makes up answers; 127.0.0.1 and 127.255.255.0/24 are how lists say that they
// do not answer this resolver; and a list that has entered what no list may
// contain (RFC 5782 §5) has entered everything. All of these count as failures,
// as does a list that does not answer in time: they list nobody.
package dnslist

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// Options say which lists are asked, when, and what follows.
type Options struct {
	// Lists are asked at the same time.
	Lists []List

	// At is when the lists are asked and a client is refused. If zero, at RCPT.
	At Stage

	// Threshold is the score from which a client is refused: the sum of the
	// weights of the lists it is in. If zero or negative, 1.
	Threshold int

	// DeferOnFailure puts a client off with 451 4.7.1 when lists have failed
	// that could have brought it to the threshold. If false, it is accepted.
	// Whatever this says, a client is put off and not refused when lists have
	// failed that could have saved it.
	DeferOnFailure bool

	// Timeout is the time that all the lists together have. Those that have not
	// answered by then have failed. A list that lets three clients in a row wait
	// is not asked for a minute, and counts as failed. If zero, 5 seconds.
	Timeout time.Duration

	// Resolver is asked for the entries. It should remember answers: a message
	// of several recipients asks once, the next one asks again. If nil, a
	// dns.Cache in front of a dns.Stub.
	Resolver dns.Resolver

	// Exempt says who is not checked. It is asked after the exemptions that are
	// always made, see Middleware. From and to are zero before they are known.
	// If nil, nobody else.
	Exempt func(ctx context.Context, c *server.Conn, from smtp.ReversePath, to smtp.ForwardPath) (bool, error)

	// Report is told the result of each check, in the connection's goroutine. If
	// nil, nobody is, and lists that fail are not noticed.
	Report func(ctx context.Context, c *server.Conn, r Result)
}

// A Stage is a moment in the life of a connection.
type Stage uint8

// The stages.
const (
	AtRcpt    Stage = iota // RCPT is refused with 550 5.7.1: mail for postmaster passes (RFC 5321 §4.5.1)
	AtMail                 // MAIL is refused with 550 5.7.1
	AtConnect              // the connection is refused with 554; for lists of addresses, where nobody authenticates
)

// A List is one zone of the DNS. Each is asked about one thing; one that has
// addresses and names is two Lists.
type List struct {
	// Zone is the domain below which the entries are.
	Zone string

	// Title is what clients are told that the list is called. If empty, Zone:
	// set it where the zone's name holds a key that only its subscriber may know.
	Title string

	// Of is what is looked up. If zero, the client's address.
	Of Subject

	// Codes are the values of A records that count; others are as good as no
	// entry. If empty, all of 127.0.0.0/8 but for those that say that a list
	// does not answer.
	Codes []netip.Prefix

	// Weight is what an entry adds to the score. It may be negative. If zero, 1.
	Weight int

	// Allow makes this an allow list: who is in it is accepted, whatever the
	// others say.
	Allow bool

	// Reason adds to the reply what the list has in its TXT record, without what
	// is not printable ASCII and at most 200 octets of it.
	Reason bool

	rest *rest
}

// A Subject is what a List has entries of.
type Subject uint8

// The subjects.
const (
	Address Subject = iota // the client's IP address (RFC 5782 §2)
	Hello                  // the domain name of HELO or EHLO (RFC 5782 §3)
	Sender                 // the domain of the reverse-path (RFC 5782 §3)
)

// Middleware returns middleware that checks clients against the lists.
//
// Not checked are clients that have authenticated or have shown a certificate
// that the server has verified; those without an address, as on a unix socket;
// and those whose address is not public, which no list can know. Neither are
// names that are not fully qualified, and address literals.
//
// It panics if a Zone is not a domain name, and if a list of names is to be
// asked AtConnect, when there are none.
func Middleware(o Options) func(server.Handler) server.Handler {
	if o.Threshold <= 0 {
		o.Threshold = 1
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Resolver == nil {
		o.Resolver = &dns.Cache{Resolver: new(dns.Stub)}
	}
	o.Lists = slices.Clone(o.Lists)
	for i := range o.Lists {
		l := &o.Lists[i]
		if l.Zone = strings.TrimSuffix(l.Zone, "."); !dns.ValidName(l.Zone) {
			panic(fmt.Sprintf("dnslist: %q is not a domain name", l.Zone))
		}
		if l.Of != Address && o.At == AtConnect {
			panic(fmt.Sprintf("dnslist: %s is a list of names, and there is none at connect", l.Zone))
		}
		if l.Weight == 0 {
			l.Weight = 1
		}
		l.rest = new(rest)
	}
	return func(next server.Handler) server.Handler { return &handler{next, &o} }
}
