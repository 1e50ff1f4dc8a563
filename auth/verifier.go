package auth

import (
	"cmp"
	"context"
	"io"
	"net/netip"
	"time"

	"github.com/postrider/postrider/auth/arc"
	"github.com/postrider/postrider/auth/dkim"
	"github.com/postrider/postrider/auth/dmarc"
	"github.com/postrider/postrider/auth/spf"
	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/smtp"
)

// A Verifier finds out who vouches for a message. It is safe for concurrent
// use; its fields must not be changed once it is used.
type Verifier struct {
	// Resolver is asked for everything that is published. If nil, a dns.Std.
	// A dns.Cache in front of it saves most of the queries.
	Resolver dns.Resolver

	// AuthServID names this host in the fields it writes, and in those that it
	// believes (RFC 8601 §2.5). It is needed for Result.Header, which is empty
	// without it.
	AuthServID string

	// Timeout bounds what Check.Finish waits for; each lookup that has not
	// ended by then counts as a temporary error. A quarter of it is kept for what
	// DMARC asks when it is known which domains are authentic. If zero, 20
	// seconds.
	Timeout time.Duration

	// TrustedSealers are domains whose word is taken for what a message was
	// before they changed it: when DMARC fails, but the ARC chain is whole, the
	// last seal is one of theirs and says that DMARC passed, then
	// Result.Disposition is none (RFC 8617 §7.2). The verdicts stay as they
	// are. If empty, ARC is reported and has no other effect.
	TrustedSealers []string

	// HonorReject takes a policy of reject by its word: Result.Disposition may be
	// reject, and Result.Refusal refuses for it. RFC 9989 §7.4 forbids that to a
	// server that knows nothing else of the message: mailing lists change messages,
	// and it is their readers who would not get them. If false, the Disposition is
	// quarantine then, as §7.4 asks.
	HonorReject bool

	// What each method leaves to its user. Where they have no Resolver of
	// their own they ask the one above.
	SPF   spf.Verifier
	DKIM  dkim.Verifier
	DMARC dmarc.Verifier
	ARC   arc.Verifier
}

// A Peer is who sends: what a connection tells before its first message.
type Peer struct {
	IP    netip.Addr // the client's. If it is the zero Addr, SPF and iprev are not tried
	Hello string     // the name given with EHLO or HELO
}

// methods returns the verifiers with what they lack, on a heap object of their
// own so that a Verifier needs no preparation.
func (v *Verifier) methods() *methods {
	m := &methods{resolver: v.Resolver, spf: v.SPF, dkim: v.DKIM, dmarc: v.DMARC, arc: v.ARC}
	if m.resolver == nil {
		m.resolver = &dns.Std{}
	}
	for _, r := range []*dns.Resolver{&m.spf.Resolver, &m.dkim.Resolver, &m.dmarc.Resolver, &m.arc.Resolver} {
		if *r == nil {
			*r = m.resolver
		}
	}
	m.spf.Hostname = cmp.Or(m.spf.Hostname, v.AuthServID)
	return m
}

// methods are the verifiers of one connection.
type methods struct {
	resolver dns.Resolver
	spf      spf.Verifier
	dkim     dkim.Verifier
	dmarc    dmarc.Verifier
	arc      arc.Verifier
}

// Begin starts what can be found out about a client before its first message:
// the names of its address and the SPF of its HELO name, in the background
// until they are known, ctx ends or Connection.Close is called.
func (v *Verifier) Begin(ctx context.Context, peer Peer) *Connection {
	ctx, cancel := context.WithCancel(ctx)
	c := &Connection{v: v, m: v.methods(), peer: peer, cancel: cancel}
	c.iprev = start(ctx, &c.running, func(ctx context.Context) IPRev { return reverse(ctx, c.m.resolver, peer.IP) })
	c.hello = start(ctx, &c.running, func(ctx context.Context) spf.Result {
		return c.m.spf.VerifyHello(ctx, c.request())
	})
	return c
}

// Verify reads a message and tells who vouches for it: Begin, Message and
// Finish in one call. The error is r's or the context's.
func (v *Verifier) Verify(ctx context.Context, peer Peer, from smtp.ReversePath, r io.Reader) (*Result, error) {
	c := v.Begin(ctx, peer)
	defer c.Close()
	return c.Message(ctx, from).readFrom(ctx, r)
}

// Verify reads a message that was received earlier and tells who vouches for
// it, with a zero Verifier: the reverse-path is that of the message's
// Return-Path field (RFC 5321 §4.4), or the null one without such a field.
// The error is r's or the context's.
func Verify(ctx context.Context, peer Peer, r io.Reader) (*Result, error) {
	var v Verifier
	c := v.Begin(ctx, peer)
	defer c.Close()
	k := c.newCheck(ctx)
	k.returnPath = true
	return k.readFrom(ctx, r)
}
