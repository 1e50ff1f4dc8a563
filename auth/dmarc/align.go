package dmarc

import "github.com/postrider/postrider/auth/authres"

// alignments compares identifiers with the author domain (§4.10.2), and
// remembers what kept it from an answer.
type alignments struct {
	lookup    *Lookup
	err       error  // the DNS did not answer about an identifier that passed
	undecided string // an aligned domain whose own verdict is temperror
	note      string // a limit was reached
}

// any reports whether one of the identifiers passed and is aligned. Those that
// can be compared without a question come first.
func (a *alignments) any(mode Alignment, ids ...Identifier) bool {
	for _, id := range ids {
		if id.Verdict == authres.Pass && asciiName(id.Domain) == a.lookup.author.Domain {
			return true
		}
	}
	for _, id := range ids {
		if id.Verdict == authres.Pass && a.aligned(mode, id.Domain) {
			return true
		}
	}
	for _, id := range ids {
		if id.Verdict == authres.TempError && a.undecided == "" && a.aligned(mode, id.Domain) {
			a.undecided = asciiName(id.Domain) // §5.3.6: neither pass nor fail
		}
	}
	return false
}

func (a *alignments) aligned(mode Alignment, domain string) bool {
	l := a.lookup
	domain = asciiName(domain)
	switch {
	case domain == "":
		return false
	case domain == l.author.Domain:
		return true
	case mode == Strict || top(domain) != top(l.author.Domain):
		return false
	case l.orgErr != nil:
		a.err = l.orgErr
		return false
	case domain == l.org:
		return true // its own walk asks what the author domain's did
	case !isBelow(domain, l.org):
		return false // its organizational domain is above it, or itself
	}
	org, err := l.organizational(domain)
	switch err {
	case nil:
		return org == l.org
	case errTooManyWalks:
		a.note = err.Error()
	default:
		a.err = err
	}
	return false
}
