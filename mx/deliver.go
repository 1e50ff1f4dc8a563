package mx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/smtp"
)

// Deliver takes a message to the hosts of a domain, one after the other, and says
// what became of it for each recipient, in the envelope's order: the caller groups
// recipients by domain. There is always a Result for each. The error is nil if one
// recipient at least has the message, and else the one that gives the most hope.
//
// All recipients share one copy, as far as the server takes them (RFC 5321
// §4.5.3.1.10, RFC 9422). What is to blame on the way to a server, or on a server
// as such, leads to the next address: no connection, a greeting or EHLO that is
// refused, 421, TLS that does not prove what the Policy asks for, a connection that
// is lost before the end of the data, a message that this server cannot take as it
// is. What a server says of a recipient or of the message is final for this call,
// and so is a 421 in the middle of the data.
// So is an outcome that is Unknown: the message goes nowhere else until the caller
// sends it again. Only if every host that was tried has failed for good, is a
// recipient Failed.
//
// A content that can be read only once is closed in any case. When ctx ends,
// Deliver returns at once and what is left is Deferred; a Read of the content, which
// it cannot end, it waits for.
func (c *Client) Deliver(ctx context.Context, domain string, m *Message) ([]Result, error) {
	c.setUp()
	d := &delivery{c: c, domain: domain, m: m, began: time.Now()}
	var cancel context.CancelFunc
	d.ctx, cancel = context.WithTimeout(ctx, orDefault(c.Timeout, time.Hour, forever))
	defer cancel()
	d.results = make([]Result, len(m.Envelope.Recipients))
	d.pending = make([]int, len(d.results))
	for i := range d.results {
		d.results[i].Recipient = m.Envelope.Recipients[i].To
		d.pending[i] = i
	}
	d.run()
	d.close()
	if t := c.Trace; t != nil && t.Done != nil {
		t.Done(ctx, domain, d.results)
	}
	return d.results, d.err()
}

// A delivery is one call of Deliver.
type delivery struct {
	c       *Client
	ctx     context.Context // ends with the Timeout
	domain  string
	m       *Message
	began   time.Time
	route   *Route
	hop     *NextHop // never nil
	results []Result
	pending []int // the places of the recipients that no server has decided on

	addrs    int // that may still be tried
	sessions int
	tried    []string
	used     bool // the content has been read for one of them
}

func (d *delivery) run() {
	c := d.c
	if err := d.prepare(); err != nil {
		d.giveUp(err)
		return
	}
	err := d.findRoute()
	if t := c.Trace; t != nil && t.Routed != nil {
		t.Routed(d.ctx, d.domain, d.route, err)
	}
	if err != nil {
		d.giveUp(err)
		return
	}
	release, err := c.limits().Acquire(d.ctx, d.route.Site())
	if err != nil {
		d.giveUp(busy.at(d.route.Domain, "", err))
		return
	}
	if release != nil {
		defer release()
	}
	d.addrs, d.sessions = orDefault(c.MaxAddrs, 5, unlimited), orDefault(c.MaxSessions, 2, unlimited)
	hosts := d.route.Hosts
	for len(hosts) > 0 && d.mayGoOn() {
		n := 1
		for n < len(hosts) && hosts[n].Preference == hosts[0].Preference {
			n++
		}
		if !d.tryAll(hosts[:n], len(hosts) > n) {
			return
		}
		hosts = hosts[n:]
	}
	if d.ctx.Err() != nil {
		d.giveUp(d.ctx.Err())
	}
}

// prepare looks at the message, once for all hosts.
func (d *delivery) prepare() error {
	m := *d.m
	d.m, d.hop = &m, &NextHop{}
	if len(m.Envelope.Recipients) == 0 {
		return badMessage.at(d.domain, "", errNoRecipients)
	}
	if err := m.Envelope.Validate(); err != nil {
		refused := badMessage.at(d.domain, "", err)
		if wrong, ok := errors.AsType[*smtp.SyntaxError](err); ok {
			refused.Reply = wrong.Reply()
		}
		return refused
	}
	if m.Content.Open == nil {
		return badMessage.at(d.domain, "", errNoContent)
	}
	var err error
	if m.Content, err = m.Content.Examine(); err != nil {
		return localFailure.at(d.domain, "", err)
	}
	return nil
}

// close closes a content that can be read only once and was not sent: nobody else
// will.
func (d *delivery) close() {
	if content := d.m.Content; !content.Reusable() {
		if r, err := content.Open(); err == nil {
			r.Close()
		}
	}
}

var (
	errNoRecipients = errors.New("the message has no recipients")
	errNoContent    = errors.New("the content has no Open function")
)

func (d *delivery) findRoute() (err error) {
	r := d.c.routes()
	if d.c.NextHop != nil {
		if hop := d.c.NextHop(d.domain, d.m); hop != nil {
			d.hop = hop
		}
	}
	switch {
	case d.hop.Auth != nil && d.hop.Credentials == "":
		return localFailure.at(d.domain, "", errNoCredentials)
	case len(d.hop.Hosts) > 0:
		d.route, err = r.Via(d.ctx, d.domain, d.hop.Hosts...)
	default:
		d.route, err = r.Route(d.ctx, d.domain)
	}
	return err
}

// tryAll tries hosts of one preference; false if the route ends with them, since
// one of them is this host.
func (d *delivery) tryAll(hosts []Host, more bool) bool {
	found := make([]addresses, len(hosts))
	if ours := d.lookUpAll(hosts, found); ours != nil {
		d.giveUp(ours)
		return false
	}
	for i, host := range hosts {
		if !d.mayGoOn() {
			return true
		}
		if !found[i].known {
			found[i] = d.lookUp(host)
		}
		d.tryHost(host, found[i], more || i < len(hosts)-1)
	}
	return true
}

// addresses are what is known of those of a host.
type addresses struct {
	known bool
	Addrs
	err error
}

func (d *delivery) lookUp(host Host) addresses {
	find := d.c.routes().Addrs
	if d.route.Explicit {
		find = d.c.routes().anyAddrs
	}
	found, err := find(d.ctx, host.Name)
	if e, ok := err.(*Error); ok {
		e.Domain = d.route.Domain
	}
	return addresses{true, found, err}
}

// lookUpAll returns an error if one of the hosts is this one by its address. It
// looks up all of them if that is to be known: mail must not go to another of the
// same preference either, which may send it here (RFC 5321 §5.1).
func (d *delivery) lookUpAll(hosts []Host, found []addresses) error {
	if d.route.Explicit || len(d.c.routes().LocalAddrs) == 0 {
		return nil
	}
	for i := range hosts {
		found[i] = d.lookUp(hosts[i])
		if e, ok := found[i].err.(*Error); ok && e.Reply == loop.reply() {
			return e
		}
	}
	return nil
}

// tryHost tries the addresses of a host.
func (d *delivery) tryHost(host Host, found addresses, more bool) {
	a := &Attempt{Route: d.route, Host: host, Began: time.Now()}
	if host.isSocket() {
		d.addrs--
		d.try(a, "unix", host.Name, Policy{Level: LevelNone, Source: SourceOperator})
		return
	}
	err := found.err
	var policy Policy
	if err == nil {
		policy, err = d.policy(host, found.Addrs)
	}
	if err != nil {
		a.Policy, a.Err = policy, err
		d.finish(a)
		return
	}
	policy.Level = d.atLeast(policy.Level, host)
	left := d.addrs
	if more && left > 1 {
		left-- // one remains for another host
	}
	for _, addr := range found.Addrs.Addrs {
		to := d.endpoint(host, addr)
		if left == 0 || !d.mayGoOn() {
			return
		}
		if !d.first(to, policy) {
			continue
		}
		d.addrs--
		left--
		d.try(&Attempt{Route: d.route, Host: host}, "tcp", to, policy)
	}
}

// first reports whether an address is tried for the first time: many names may stand
// for one, and it would do no better under another that has no more to prove.
func (d *delivery) first(addr string, policy Policy) bool {
	try := addr + " " + policy.Class()
	if slices.Contains(d.tried, try) {
		return false
	}
	d.tried = append(d.tried, try)
	return true
}

// mayGoOn reports whether another address may be tried.
func (d *delivery) mayGoOn() bool {
	return len(d.pending) > 0 && d.addrs > 0 && d.sessions > 0 && d.again() && d.ctx.Err() == nil
}

// err is the error of Deliver.
func (d *delivery) err() error {
	var best *Result
	for i := range d.results {
		switch r := &d.results[i]; {
		case r.Status >= Delivered:
			return nil
		case best == nil, r.hope() > best.hope():
			best = r
		}
	}
	if best == nil {
		return badMessage.at(d.domain, "", errNoRecipients)
	}
	if _, ok := best.Err.(*Error); ok || best.Host == "" {
		return best.Err
	}
	return fmt.Errorf("mx: %s: %s: %w", d.domain, best.Host, best.Err)
}
