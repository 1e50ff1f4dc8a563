package auth

import (
	"slices"
	"strings"

	"github.com/postrider/postrider/auth/authres"
)

// trustedSealer returns the domain of the last seal if it is trusted and says
// that DMARC passed for the author domain, which fails now (RFC 8617 §7.2.1).
// The last is enough: its seal vouches for all that stand before it.
func (v *Verifier) trustedSealer(r *Result) string {
	n := len(r.ARC.Chain)
	if r.DMARC.Verdict != authres.Fail || r.ARC.Verdict != authres.Pass || n == 0 {
		return ""
	}
	last := &r.ARC.Chain[n-1]
	if !last.FromSigned {
		return ""
	}
	trusted := func(domain string) bool { return strings.EqualFold(domain, last.Seal.Domain) }
	if !slices.ContainsFunc(v.TrustedSealers, trusted) {
		return ""
	}
	for _, found := range last.AuthRes.Results {
		if found.Method != "dmarc" {
			continue
		}
		ofAuthor := func(p authres.Property) bool {
			return p.Type == "header" && p.Name == "from" && strings.EqualFold(p.Value, r.DMARC.Domain)
		}
		if found.Verdict == authres.Pass && slices.ContainsFunc(found.Properties, ofAuthor) {
			return last.Seal.Domain
		}
		return ""
	}
	return ""
}
