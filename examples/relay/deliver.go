package main

import (
	"net"
	"net/netip"
	"slices"

	"github.com/postrider/postrider/mx"
	"github.com/postrider/postrider/mx/queue"
	queuemetrics "github.com/postrider/postrider/mx/queue/prommetrics"
	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

// setUp puts together what brings mail out of the store.
func (r *relay) setUp(store queue.Store, counted *queuemetrics.Metrics) {
	r.verifier.Resolver, r.verifier.AuthServID = r.resolver, r.hostname
	r.client.Hello, r.client.NextHop = r.hostname, r.nextHop
	r.client.Router = &mx.Router{Resolver: r.resolver, Hostnames: []string{r.hostname}} // our own name is no better host (RFC 5321 §5.1)
	if r.insecureLocal {
		r.client.Router.Usable = netip.Addr.IsValid
	}
	r.client.Limiter = &mx.SiteLimiter{PerSite: -1} // the runner limits, and does not wait with a message in its hands
	r.runner.Store, r.runner.Destination = store, r.destination
	r.runner.Deliverer = queue.Dispatch(r.destination, r.deliverer)
	r.runner.Notifications = &dsn.Composer{Hostname: r.hostname, NotifyDelay: true}
	r.runner.Logger, r.runner.Trace = r.log, counted.Trace(queue.LogTrace(r.log))
}

// Destinations that are no domain's: those are in lower case.
const local, smarthost = "LOCAL", "SMARTHOST"

// destination is what a message's recipients are put together by: those with the
// same share one copy, are tried together and wait for each other.
func (r *relay) destination(to smtp.ForwardPath) string {
	switch {
	case r.isLocal(to.Domain):
		return local
	case r.hops[smarthost] != nil:
		return smarthost
	}
	return smtp.CanonicalDomain(to.Domain)
}

// deliverer is for queue.Dispatch.
func (r *relay) deliverer(destination string) queue.Deliverer {
	if destination == local && r.maildir != nil {
		return r.maildir
	}
	return &r.client
}

// nextHop is for mx.Client.NextHop. Nil is where the DNS says.
func (r *relay) nextHop(destination string, _ *mx.Message) *mx.NextHop { return r.hops[destination] }

// hop is the next hop at an address: with TLS if it can be had, since whoever runs
// the relay runs that host too, or has a contract with who does.
func hop(addr string, lmtp bool) *mx.NextHop {
	if host, port, err := net.SplitHostPort(addr); err == nil {
		addr = "[" + host + "]:" + port // this host, and not the MX of its name
	}
	return &mx.NextHop{Hosts: []string{addr}, LMTP: lmtp, Policy: &mx.Policy{Level: mx.LevelMay}}
}

func (r *relay) isLocal(domain string) bool {
	return slices.Contains(r.domains, smtp.CanonicalDomain(domain))
}
