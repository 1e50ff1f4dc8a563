package mtasts_test

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/internal/webtest"
	"github.com/postrider/postrider/mx/mtasts"
)

// world is the DNS and the web, as far as the domains below example.org are
// concerned. It may be changed while it is asked.
type world struct {
	t   *testing.T
	ca  *webtest.CA
	srv *webtest.Server
	log strings.Builder

	mu      sync.Mutex
	ids     map[string]string // by domain; "" is NODATA
	ttl     time.Duration
	dnsErr  error
	policy  string
	status  int           // of the web server
	delay   time.Duration // before it answers
	lookups int           // of records
	fetches []string      // the domains, in order
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, ca: webtest.NewCA(), ids: map[string]string{}, policy: policyText, status: http.StatusOK}
	w.serve("example.org")
	return w
}

// serve starts the web server of domains.
func (w *world) serve(domains ...string) {
	names := make([]string, len(domains))
	for i, domain := range domains {
		names[i] = "mta-sts." + domain
	}
	w.srv = webtest.Serve(w.ca.Issue(nil, names...), w)
	w.t.Cleanup(w.srv.Close)
}

func (w *world) cache(store mtasts.Store) *mtasts.Cache {
	return &mtasts.Cache{
		Resolver: w,
		Fetcher:  &mtasts.Fetcher{RootCAs: w.ca.Pool(), Dial: w.srv.Dial},
		Store:    store,
		Logger:   slog.New(slog.NewTextHandler(&w.log, nil)),
	}
}

// set changes the world.
func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) Resolve(ctx context.Context, name string, typ dns.Type) (dns.Answer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	domain, isRecord := strings.CutPrefix(strings.TrimSuffix(name, "."), "_mta-sts.")
	switch {
	case !isRecord && typ == dns.A:
		return dns.Answer{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}, nil
	case !isRecord:
		return dns.Answer{}, nil
	}
	w.lookups++
	if w.dnsErr != nil {
		return dns.Answer{}, &dns.Error{Name: name, Type: typ, Err: w.dnsErr}
	}
	if w.ids[domain] == "" {
		return dns.Answer{TTL: w.ttl}, nil
	}
	return dns.Answer{TTL: w.ttl, TXT: []string{"v=STSv1; id=" + w.ids[domain] + ";"}}, nil
}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	policy, status, delay := w.policy, w.status, w.delay
	w.fetches = append(w.fetches, strings.TrimPrefix(r.Host, "mta-sts."))
	w.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return
	}
	rw.Header().Set("Content-Type", "text/plain")
	rw.WriteHeader(status)
	rw.Write([]byte(policy))
}

// asked returns how many records were looked up, and policies fetched, since the
// last time.
func (w *world) asked() (lookups, fetches int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lookups, fetches = w.lookups, len(w.fetches)
	w.lookups, w.fetches = 0, nil
	return lookups, fetches
}

var errDNS = errors.New("no servers could be reached")

// want looks up the policy of a domain and compares what there is to know in a
// word: origin, mode, id, reason, and how many records and policies were asked
// for.
func (w *world) want(c *mtasts.Cache, domain string, origin mtasts.Origin, id string, reason mtasts.Reason, lookups, fetches int) mtasts.Result {
	w.t.Helper()
	res, err := c.Lookup(w.t.Context(), domain)
	l, f := w.asked()
	if err != nil || res.Origin != origin || res.ID != id || res.Reason != reason || l != lookups || f != fetches {
		w.t.Errorf("%s: %v, id %q, reason %q, %d lookups, %d fetches (%v, %v); want %v, id %q, reason %q, %d lookups, %d fetches",
			domain, res.Origin, res.ID, res.Reason, l, f, res.Err, err, origin, id, reason, lookups, fetches)
	}
	if (res.Policy == nil) != (origin == mtasts.Absent) || (res.Err == nil) != (reason == "") {
		w.t.Errorf("%s: %+v does not fit together", domain, res)
	}
	return res
}

// octets returns a fetcher whose web server answers with octets.
func octets(t *testing.T, ca *webtest.CA, cert tls.Certificate, response string) *mtasts.Fetcher {
	srv := webtest.ServeOctets(cert, response)
	t.Cleanup(srv.Close)
	return &mtasts.Fetcher{Resolver: everywhere{}, RootCAs: ca.Pool(), Dial: srv.Dial}
}

// everywhere says that each host is at the same address.
type everywhere struct{}

func (everywhere) Resolve(_ context.Context, _ string, t dns.Type) (dns.Answer, error) {
	if t != dns.A {
		return dns.Answer{}, nil
	}
	return dns.Answer{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}, nil
}
