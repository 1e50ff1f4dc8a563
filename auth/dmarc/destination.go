package dmarc

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/postrider/postrider/mx/dns"
)

// Destinations returns where aggregate reports about a policy domain may be
// sent: those of its rua that are mailto URIs at its own organizational domain,
// or at another's that agrees to get reports about it (RFC 9990 §4). Whoever
// agrees may name other mailboxes at the same host instead.
//
// The error is not nil when the DNS did not answer about some of them; those are
// left out, and may be asked about again. Timeout bounds the whole.
func (v *Verifier) Destinations(ctx context.Context, domain string, rua []URI) ([]URI, error) {
	domain = asciiName(domain)
	if domain == "" {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(v.Timeout, 20*time.Second))
	defer cancel()
	t := &tree{v: v, ctx: ctx, limit: 1 + maxURIs}
	var list []URI
	var failures []error
	for _, u := range rua[:min(len(rua), maxURIs)] {
		m, ok := u.Mailbox()
		if !ok {
			continue
		}
		agreed, err := t.destination(domain, asciiName(m.Domain), u)
		if err != nil {
			failures = append(failures, err)
		}
		for _, u := range agreed {
			if !slices.Contains(list, u) {
				list = append(list, u)
			}
		}
	}
	return list, errors.Join(failures...)
}

// destination returns what stands for one URI at a host.
func (t *tree) destination(domain, host string, u URI) ([]URI, error) {
	own, err := t.sameOrganization(domain, host)
	switch {
	case err != nil:
		return nil, err
	case own:
		return []URI{u}, nil
	}
	name := domain + "._report._dmarc." + host
	if !dns.ValidName(name) {
		return nil, nil // §4, step 4
	}
	answer, err := t.resolve(name, dns.TXT)
	if err != nil {
		return nil, err
	}
	agreed := false
	var instead []URI
	for _, text := range answer.TXT {
		record, err := ParseRecord(text)
		if err == ErrNotDMARC {
			continue
		}
		agreed = true
		for _, other := range record.RUA {
			if m, ok := other.Mailbox(); !ok || asciiName(m.Domain) != host {
				return nil, nil // step 9: neither the one nor the other
			}
			instead = append(instead, other)
		}
	}
	if agreed && instead == nil {
		instead = []URI{u}
	}
	return instead[:min(len(instead), maxURIs)], nil
}

func (t *tree) sameOrganization(a, b string) (bool, error) {
	if a == b {
		return true, nil
	}
	if top(a) != top(b) {
		return false, nil
	}
	orgA, err := t.organizational(a)
	if err != nil {
		return false, err
	}
	orgB, err := t.organizational(b)
	return err == nil && orgA == orgB, err
}
