package dns

import (
	"context"
	"errors"
	"net"
)

// Std asks the standard library's resolver, and so whatever the operating
// system is set up to ask, its file of hosts included. The zero value is ready
// to use. It is a [Resolver], and safe for concurrent use.
//
// What the standard library does not tell, an Answer of Std does not hold:
// NXDomain is false whether the name exists or not, TTL is 0, Secure is false,
// Canonical is the name asked for and Chain is nil. Records whose names are
// malformed are left out. CNAME and TLSA, and PTR of names other than those
// that ReverseName returns, are errors that hold [errors.ErrUnsupported].
// [Stub] has none of these limits.
type Std struct {
	Resolver *net.Resolver // whom to ask. If nil, net.DefaultResolver
}

// Resolve asks the standard library. The name is never completed by a search
// list.
func (s Std) Resolve(ctx context.Context, name string, t Type) (Answer, error) {
	if !fits(name) {
		return nowhere(name), nil
	}
	if err := ctx.Err(); err != nil {
		return Answer{}, interrupted(name, t, err)
	}
	a := Answer{Canonical: rooted(name)}
	err := s.look(ctx, &a, t)
	if err == nil || !a.Empty() {
		return a, nil
	}
	failed := &Error{Name: name, Type: t, Err: err}
	var d *net.DNSError
	var unsuitable *net.AddrError
	switch {
	case ended(ctx) != nil:
		return Answer{}, interrupted(name, t, ended(ctx))
	case errors.As(err, &unsuitable): // the file of hosts has an address of the other family
		return a, nil
	case !errors.As(err, &d):
	case d.IsNotFound:
		return a, nil
	case d.IsTimeout:
		failed.Timeout = true
	case d.IsTemporary && d.Err == "server misbehaving": // how the library words SERVFAIL
		failed.RCode = ServFail
	}
	return Answer{}, failed
}

// look fills in the records. It may return some and an error.
func (s Std) look(ctx context.Context, a *Answer, t Type) (err error) {
	r := s.Resolver
	if r == nil {
		r = net.DefaultResolver
	}
	switch t {
	case A:
		a.Addrs, err = r.LookupNetIP(ctx, "ip4", a.Canonical)
		for i, addr := range a.Addrs {
			a.Addrs[i] = addr.Unmap()
		}
	case AAAA:
		a.Addrs, err = r.LookupNetIP(ctx, "ip6", a.Canonical)
	case MX:
		var hosts []*net.MX
		hosts, err = r.LookupMX(ctx, a.Canonical)
		for _, h := range hosts {
			a.MX = append(a.MX, MXRecord{h.Pref, rooted(h.Host)})
		}
	case NS:
		var hosts []*net.NS
		hosts, err = r.LookupNS(ctx, a.Canonical)
		for _, h := range hosts {
			a.Names = append(a.Names, rooted(h.Host))
		}
	case TXT:
		a.TXT, err = r.LookupTXT(ctx, a.Canonical)
	case PTR:
		addr, ok := reverseAddr(a.Canonical)
		if !ok {
			return errors.ErrUnsupported
		}
		a.Names, err = r.LookupAddr(ctx, addr.String())
		for i, name := range a.Names {
			a.Names[i] = rooted(name)
		}
	default:
		return errors.ErrUnsupported
	}
	return err
}
