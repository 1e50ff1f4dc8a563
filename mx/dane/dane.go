// Package dane authenticates mail servers by records in the DNS (DANE, RFC 6698,
// RFC 7671) in the way that SMTP does between MTAs (RFC 7672).
//
// [Lookup] finds the TLSA records of a host, [Records] says what they demand, and
// a [Verifier] holds a certificate against them. All rests on DNSSEC: a resolver
// that cannot tell which answers are authenticated finds no records here.
package dane

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/postrider/postrider/mx/dns"
)

// A Host is a host to which mail goes, with what the DNS has said of it so far.
type Host struct {
	// Name is the host's name as the MX record, or whoever chose the host, gives
	// it. It must have been obtained in a way that can be trusted: DANE says that a
	// host is who it claims to be, not that it is the right one (RFC 7672 §2.2.1).
	Name string
	// Canonical is the name that has the addresses, if Name is an alias. If empty,
	// Name itself.
	Canonical string
	// Secure says that DNSSEC has authenticated the addresses, and each alias on
	// the way to them.
	Secure bool
	// Port is the TCP port to connect to. If zero, 25.
	Port uint16
}

// Records are the TLSA records of a host, authenticated by DNSSEC. That there are
// any obliges to TLS (RFC 7672 §2.2).
type Records struct {
	// Base is the TLSA base domain: the name that the server is asked for in the
	// handshake, and that its certificate may have to hold (RFC 7672 §2.2.3). It is
	// in lower case, without a final dot.
	Base string
	// Usable are the records to hold a certificate against. If empty, TLS is
	// obligatory all the same, but no record says with whom (RFC 7672 §2.2).
	Usable []dns.TLSARecord
	// Unusable counts the records that no certificate can be held against.
	Unusable int
}

// Lookup finds the TLSA records of a host. It returns nil where the host does not
// use DANE, or no one can tell in a way to be trusted: it is then as if DANE did
// not exist.
//
// An error means that it is not known whether the host uses DANE. It must not be
// connected to for now (RFC 7672 §2.1.2). It holds a *dns.Error, or the context's
// error, and is temporary.
func Lookup(ctx context.Context, r dns.Resolver, h Host) (*Records, error) {
	bases, err := h.bases(ctx, r)
	if err != nil {
		return nil, err
	}
	port := uint64(h.Port)
	if port == 0 {
		port = 25
	}
	for _, base := range bases {
		name := "_" + strconv.FormatUint(port, 10) + "._tcp." + base + "." // RFC 6698 §3
		if !dns.ValidName(name) {
			continue
		}
		answer, err := r.Resolve(ctx, name, dns.TLSA)
		if err != nil {
			return nil, fmt.Errorf("dane: %w", err) // RFC 7672 §2.1.2
		}
		if answer.Secure && len(answer.TLSA) > 0 { // RFC 7672 §2.2.3: the first that has any
			usable := Usable(answer.TLSA)
			return &Records{Base: base, Usable: usable, Unusable: unusable(answer.TLSA)}, nil
		}
	}
	return nil, nil
}

// bases returns the candidates for the TLSA base domain, the best first.
func (h Host) bases(ctx context.Context, r dns.Resolver) ([]string, error) {
	name, canonical := plain(h.Name), plain(h.Canonical)
	alias := canonical != "" && canonical != name
	switch {
	case !dns.ValidName(name): // an address literal
		return nil, nil
	case h.Secure && alias: // RFC 7672 §2.2.2
		return []string{canonical, name}, nil
	case h.Secure:
		return []string{name}, nil
	case !alias: // RFC 7672 §2.1.2: servers of zones that are not signed may fail when asked for TLSA
		return nil, nil
	}
	// The zone of the alias may be signed though its target's is not: then the host
	// uses DANE by its own name (RFC 7672 §2.2.2).
	answer, err := r.Resolve(ctx, name+".", dns.CNAME)
	if err != nil {
		return nil, fmt.Errorf("dane: %w", err)
	}
	if !answer.Secure || len(answer.Names) == 0 {
		return nil, nil
	}
	return []string{name}, nil
}

// plain returns a name in lower case without its final dot.
func plain(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
