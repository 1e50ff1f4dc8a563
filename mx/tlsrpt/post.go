package tlsrpt

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/postrider/postrider/mx/dns"
	"github.com/postrider/postrider/mx/internal/web"
)

// A Poster delivers reports to web servers (RFC 8460 §5.4). The zero value is
// ready to use. It is safe for concurrent use. Redirects are not followed, and no
// proxy is asked.
type Poster struct {
	// Resolver finds the addresses. If nil, a zero dns.Std.
	Resolver dns.Resolver

	// Allow says which addresses may be asked. Whoever owns a domain chooses
	// them, and could else make us talk to hosts of our own network. If nil,
	// those of the public internet: not of loopback, private networks or links.
	Allow func(netip.Addr) bool

	// RootCAs are who vouches for the servers. If nil, whom the system trusts.
	RootCAs *x509.CertPool

	// Timeout bounds the whole. If zero, one minute.
	Timeout time.Duration

	// Dial connects to an address. If nil, a net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Post delivers a report, compressed. An error may pass: for up to a day a report
// should be tried again, each time after a longer while (RFC 8460 §5.5).
func (p *Poster) Post(ctx context.Context, to URI, r *Report) error {
	if !to.HTTPS() {
		return fmt.Errorf("tlsrpt: %.80q is no https URI", to)
	}
	var body bytes.Buffer
	if err := r.WriteGzip(&body); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(p.Timeout, time.Minute))
	defer cancel()
	req, err := http.NewRequest(http.MethodPost, string(to), &body)
	if err != nil {
		return fmt.Errorf("tlsrpt: %w", err)
	}
	req.Header.Set("User-Agent", "Postrider")
	req.Header.Set("Content-Type", MediaTypeGzip)
	client := web.Client{Resolver: p.Resolver, Allow: p.Allow, RootCAs: p.RootCAs, Dial: p.Dial, MaxBody: -1} // what they say besides the status does not matter
	resp, err := client.Do(ctx, req)
	if err != nil {
		return fmt.Errorf("tlsrpt: %s: %w", req.URL.Host, err)
	}
	if resp.Status < 200 || resp.Status > 299 { // §5.4
		return fmt.Errorf("tlsrpt: %s: status %d", req.URL.Host, resp.Status)
	}
	return nil
}
