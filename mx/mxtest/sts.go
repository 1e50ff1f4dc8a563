package mxtest

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/mx/mtasts"
)

// STS publishes a policy of MTA-STS for a domain (RFC 8461): a record in the DNS,
// and a page on the host mta-sts.DOMAIN, which is made with the options and
// returned; with Web it serves something else in the place of the policy. For a
// domain that has one the policy takes the place of the old, with another id.
func (n *Internet) STS(domain string, policy mtasts.Policy, options ...func(*Host)) *Host {
	name := "mta-sts." + strings.ToLower(strings.TrimSuffix(domain, ".")) // §3.3
	h := n.find(name)
	switch {
	case h == nil:
		h = n.Host(name, append([]func(*Host){withPolicy}, options...)...)
	case len(options) > 0:
		panic("mxtest: there is a host " + name + " already")
	}
	h.mu.Lock()
	h.policy = policy.String()
	h.mu.Unlock()
	n.mu.Lock()
	n.policies++
	id := strconv.Itoa(n.policies)
	n.mu.Unlock()
	n.Zone.Remove("_mta-sts."+domain, dns.TXT)
	n.Records("_mta-sts." + domain + " TXT " + dnstest.Quote(mtasts.Record{ID: id}.String())) // §3.1
	return h
}

// withPolicy makes a host serve its policy.
func withPolicy(h *Host) {
	h.Pages = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/.well-known/mta-sts.txt" { // §3.3
			http.NotFound(w, r)
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, h.policy)
	})
}

func (n *Internet) find(name string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range n.hosts {
		if h.Name == name {
			return h
		}
	}
	return nil
}
