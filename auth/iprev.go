package auth

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/mx/dns"
)

// maxReverseNames bounds the names of one address that are looked up. More is
// not a mail server but somebody who wants others to do lookups.
const maxReverseNames = 10

// IPRev tells whether the names of the client's address lead back to it
// (RFC 8601 §3).
//
// Verdict is Pass if one does, Fail if none does, PermError if the address has
// no name, TempError if the DNS did not answer.
type IPRev struct {
	Verdict authres.Verdict
	Addr    netip.Addr
	Name    string // the name that leads back, without a final dot. "" unless Pass
	Problem string // why it is not Pass
}

// AuthRes returns the result as it stands in Authentication-Results, or the
// zero Result if there was no address to look up.
func (r IPRev) AuthRes() authres.Result {
	if r.Verdict == "" {
		return authres.Result{}
	}
	return authres.Result{
		Method: "iprev", Verdict: r.Verdict, Reason: r.Problem,
		Properties: []authres.Property{{Type: "policy", Name: "iprev", Value: r.Addr.String()}}, // RFC 8601 §2.7.3
	}
}

// reverse looks up the names of addr and then their addresses.
func reverse(ctx context.Context, r dns.Resolver, addr netip.Addr) IPRev {
	addr = addr.Unmap().WithZone("")
	if !addr.IsValid() {
		return IPRev{}
	}
	pointers, err := r.Resolve(ctx, dns.ReverseName(addr), dns.PTR)
	if err != nil {
		return IPRev{authres.TempError, addr, "", "the address's names could not be looked up"}
	}
	names := slices.DeleteFunc(slices.Clone(pointers.Names), func(name string) bool { return !dns.ValidName(name) })
	if len(names) == 0 {
		return IPRev{authres.PermError, addr, "", "the address has no name"}
	}
	t := dns.AAAA
	if addr.Is4() {
		t = dns.A
	}
	unknown := false
	for _, name := range names[:min(len(names), maxReverseNames)] {
		answer, err := r.Resolve(ctx, name, t)
		if err != nil {
			unknown = true
		} else if slices.Contains(answer.Addrs, addr) {
			return IPRev{authres.Pass, addr, strings.TrimSuffix(name, "."), ""}
		}
	}
	if unknown {
		return IPRev{authres.TempError, addr, "", "a name's addresses could not be looked up"}
	}
	return IPRev{authres.Fail, addr, "", "no name of the address leads back to it"}
}
