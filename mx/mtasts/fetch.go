package mtasts

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/internal/web"
)

// A Fetcher gets policies from the web servers of their domains (RFC 8461 §3.3).
// The zero value is ready to use. It is safe for concurrent use.
//
// Redirects are not followed, nothing is cached, and no proxy is asked, whatever
// the environment says. Response and policy are bounded in size.
type Fetcher struct {
	// Resolver finds the addresses of mta-sts.DOMAIN. If nil, a zero dns.Std.
	Resolver dns.Resolver

	// Allow says which addresses may be asked. Whoever owns a domain chooses
	// them, and could else make us talk to hosts of our own network. If nil,
	// those of the public internet: not of loopback, private networks or links.
	Allow func(netip.Addr) bool

	// RootCAs are who vouches for the servers. If nil, whom the system trusts.
	RootCAs *x509.CertPool

	// Timeout bounds the whole. If zero, one minute.
	Timeout time.Duration

	// Dial connects to an address and port 443. If nil, a net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Fetch gets the policy of a domain in A-labels. The error is an [*Error], or
// the context's if that has ended.
func (f *Fetcher) Fetch(ctx context.Context, domain string) (*Policy, error) {
	name, ok := canonical(domain)
	if !ok {
		return nil, &Error{Domain: domain, Reason: FetchFailed, Err: errors.New("not a domain name")}
	}
	limited, cancel := context.WithTimeout(ctx, cmp.Or(f.Timeout, time.Minute)) // §3.3
	defer cancel()
	policy, reason, err := f.fetch(limited, name)
	switch {
	case err == nil:
		return policy, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return nil, &Error{Domain: name, Reason: reason, Err: err}
}

func (f *Fetcher) fetch(ctx context.Context, domain string) (*Policy, Reason, error) {
	req, err := http.NewRequest(http.MethodGet, "https://mta-sts."+domain+"/.well-known/mta-sts.txt", nil) // §3.2
	if err != nil {
		return nil, FetchFailed, err
	}
	req.Header.Set("User-Agent", "Postrider")
	req.Header.Set("Accept", "text/plain")
	client := web.Client{Resolver: f.Resolver, Allow: f.Allow, RootCAs: f.RootCAs, Dial: f.Dial, MaxBody: maxPolicySize}
	resp, err := client.Do(ctx, req)
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(err, &untrusted):
		return nil, WebPKIInvalid, err
	case err != nil:
		return nil, FetchFailed, err
	case resp.Status != http.StatusOK: // §3.3
		return nil, FetchFailed, fmt.Errorf("the web server answers with status %d", resp.Status)
	}
	// Anybody may put pictures or pages on many a web server. Parameters, even
	// malformed ones, do not matter.
	kind := resp.Header.Get("Content-Type")
	if media, _, _ := mime.ParseMediaType(kind); media != "text/plain" { // §3.2
		return nil, FetchFailed, fmt.Errorf("content of type %.60q", kind)
	}
	policy, err := parsePolicy(string(resp.Body)) // the size has been bounded
	if err != nil {
		return nil, PolicyInvalid, err
	}
	return policy, "", nil
}
