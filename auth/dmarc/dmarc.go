// Package dmarc finds out whether the domain that a message names in From has
// authorized it, and what that domain would have done if not (RFC 9989). It
// stands on the results of SPF and DKIM, which the caller brings.
//
//	v := &dmarc.Verifier{Resolver: resolver}
//	res := v.Verify(ctx, dmarc.Request{
//		From: []string{"Alice <alice@example.org>"},
//		SPF:  dmarc.Identifier{Verdict: authres.Pass, Domain: "bounce.example.org"},
//	})
//
// The package also has aggregate reports (RFC 9990): [Aggregator] makes them,
// [Report] writes them, [ParseReport] reads those of others.
package dmarc

import (
	"context"
	"time"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/internal/from"
	"github.com/postrider/postrider/mx/dns"
)

// A Verifier evaluates messages. It is safe for concurrent use. The zero value
// works but for Resolver.
type Verifier struct {
	Resolver dns.Resolver // who is asked. If nil, every question fails for now

	// PublicSuffix finds organizational domains by the public suffix list, as
	// RFC 7489 did, and not by walking the tree of the DNS. It takes the list
	// that golang.org/x/net had when the program was built, asks fewer
	// questions, and knows nothing of psd tags.
	PublicSuffix bool

	// MaxWalks limits the walks up the tree for one message. Each asks 8
	// questions at most (§4.10). If zero, 10: the author domain, the SPF domain
	// and 8 signatures. Domains past the limit are not aligned.
	MaxWalks int

	// Timeout limits the time that is spent on questions about one message: in
	// Verify, or from Begin on, and again in Lookup.Evaluate, which may come much
	// later. If zero, 20 seconds.
	Timeout time.Duration
}

// A Request is what there is to know of a message.
type Request struct {
	// From has the values of all its From fields: what follows the colon, as it
	// came.
	From []string

	SPF  Identifier   // of the reverse-path, or of HELO if that is null (§3.2.4); never of HELO otherwise
	DKIM []Identifier // of each signature, with the domain of its d tag
}

// An Identifier is a domain with what authentication has found out about it
// (§3.2.1). The zero value means that it was not tried.
type Identifier struct {
	Verdict authres.Verdict
	Domain  string
}

// A FromProblem says why From does not tell who wrote a message. Such a message
// has no result, whatever policy there is, so a server that wants DMARC to
// protect its users refuses it (§11.5). An empty one means that there is none.
type FromProblem string

// The problems with From.
const (
	FromMissing   = FromProblem(from.Missing)        // there is none
	FromRepeated  = FromProblem(from.Repeated)       // there are several (RFC 5322 §3.6)
	FromTooLong   = FromProblem(from.TooLong)        // more than 64 KiB
	FromControl   = FromProblem(from.Control)        // has a bare CR or LF, a NUL or another control character
	FromMalformed = FromProblem(from.Malformed)      // is not what RFC 5322 §3.4 allows
	FromAmbiguous = FromProblem(from.Ambiguous)      // is shown differently by different mail readers
	FromNoDomain  = FromProblem(from.NoDomain)       // names no domain that could have a policy
	FromDomains   = FromProblem(from.SeveralDomains) // names mailboxes of more than one domain

	// Of the header section as a whole, for whoever reads it: another From may
	// be hidden in it.
	HeaderMalformed FromProblem = "CR, LF or NUL by itself in the header section"
	HeaderTooLarge  FromProblem = "header section too large"
)

// A Result says what came of a message.
type Result struct {
	// Verdict is Pass or Fail; None when there is no policy, or From has a
	// problem; TempError when the DNS did not answer, now or for SPF or DKIM,
	// and that might have made the difference; PermError when the record has no
	// valid policy.
	Verdict authres.Verdict

	Domain      string      // the author domain: that of From, in lower case and A-labels
	FromProblem FromProblem // why there is no Domain. Empty if there is
	OrgDomain   string      // the organizational domain of Domain. Empty if not known

	Record       *Record // the policy record that applies, nil if there is none
	PolicyDomain string  // where it was found: Domain, OrgDomain or the public suffix above that
	Policy       Policy  // what it says for Domain: its p, sp or np. Empty without a record
	Testing      bool    // it says t=y: not to apply Policy but what is one level lower

	// Disposition is what the domain's owner asks for: Policy, with Testing
	// regarded, if the Verdict is Fail, otherwise None. It is advice; a receiver
	// should not refuse a message for it alone (§5.4).
	Disposition Policy

	AlignedSPF  bool // SPF passed for a domain that is aligned with Domain
	AlignedDKIM bool // so did a signature

	// Method says how OrgDomain was found, for reports.
	Method DiscoveryMethod

	Problem string // what went wrong, for people. Has nothing that strangers wrote but names of domains. May be empty
	Err     error  // why the Verdict is TempError, if the DNS did not answer us
}

// A DiscoveryMethod is how a policy was found (RFC 9990 §3.1.1.5).
type DiscoveryMethod string

// The methods.
const (
	TreeWalk DiscoveryMethod = "treewalk"
	PSL      DiscoveryMethod = "psl" // public suffix list
)

// Verify evaluates a message. All failures are in the Result.
func (v *Verifier) Verify(ctx context.Context, r Request) Result {
	l := v.newLookup(ctx, r.From)
	defer l.cancel()
	l.discover()
	return l.evaluate(r.SPF, r.DKIM)
}

// AuthRes returns the result for an Authentication-Results field.
func (r Result) AuthRes() authres.Result {
	res := authres.Result{Method: "dmarc", Verdict: r.Verdict, Reason: r.Problem}
	if r.Domain != "" {
		res.Properties = append(res.Properties, authres.Property{Type: "header", Name: "from", Value: r.Domain})
	}
	if p := r.requested(); p != "" {
		res.Properties = append(res.Properties, authres.Property{Type: "policy", Name: "dmarc", Value: string(p)}) // §9.1
	}
	return res
}

// requested is the policy after t has been regarded.
func (r Result) requested() Policy {
	if r.Testing && r.Policy != "" {
		return r.Policy.lower()
	}
	return r.Policy
}
