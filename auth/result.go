package auth

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/postrider/postrider/auth/arc"
	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dkim"
	"github.com/postrider/postrider/auth/dmarc"
	"github.com/postrider/postrider/auth/spf"
	"github.com/postrider/postrider/smtp"
)

// A Result is what was found out about a message.
type Result struct {
	AuthServID string // of the Verifier
	UTF8       bool   // Header may have UTF-8: set it if the message came with SMTPUTF8
	Peer       Peer
	From       smtp.ReversePath
	IPRev      IPRev
	HelloSPF   spf.Result // of the HELO name
	SPF        spf.Result // of the reverse-path; of the HELO name if that is null (RFC 7208 §2.4)
	DKIM       []dkim.Result
	ARC        arc.Result
	DMARC      dmarc.Result

	// TrustedSealer is the domain in Verifier.TrustedSealers whose seal says
	// that DMARC passed before it failed. "" if there is none.
	TrustedSealer string

	honorReject bool // of the Verifier
}

// Field returns the findings as a field: iprev, SPF of the HELO name and of the
// reverse-path, DKIM, ARC if there is any, DMARC.
func (r *Result) Field() authres.Field {
	f := authres.Field{AuthServID: r.AuthServID, UTF8: r.UTF8}
	add := func(found authres.Result) {
		if found.Verdict != "" {
			f.Results = append(f.Results, found)
		}
	}
	add(r.IPRev.AuthRes())
	add(r.HelloSPF.AuthRes())
	if r.SPF.Identity != r.HelloSPF.Identity {
		add(r.SPF.AuthRes())
	}
	if len(r.DKIM) == 0 {
		add(authres.Result{Method: "dkim", Verdict: authres.None})
	}
	for i := range r.DKIM {
		add(r.DKIM[i].AuthRes())
	}
	if r.ARC.Verdict != "" && r.ARC.Verdict != authres.None {
		add(r.ARC.AuthRes(r.Peer.IP))
	}
	add(r.DMARC.AuthRes())
	return f
}

// Header returns the Authentication-Results field to put on top of the message,
// with its line ends (RFC 8601 §4.1). Whatever was claimed by HELO, in addresses
// or in the DNS cannot break out of it. It is empty if AuthServID is. Fields
// that claim to be from AuthServID must be taken out first; see authres.Strip.
func (r *Result) Header() string {
	if r.AuthServID == "" {
		return ""
	}
	return r.Field().String()
}

// Disposition is what is to be done with the message: what the author's domain
// asks for, unless a trusted sealer's word counts, and short of reject without
// Verifier.HonorReject.
func (r *Result) Disposition() dmarc.Policy {
	switch {
	case r.TrustedSealer != "":
		return dmarc.None
	case r.DMARC.Disposition == dmarc.Reject && !r.honorReject:
		return dmarc.Quarantine // RFC 9989 §7.4
	}
	return r.DMARC.Disposition
}

// Refusal returns a *smtp.Error with which to refuse the message, or nil. A
// message is to be refused if its From names no author domain, or several, or if
// another From may be hidden in its header section (RFC 9989 §11.5); and if
// Disposition is reject, which takes Verifier.HonorReject. A verdict of temperror or permerror is no reason.
func (r *Result) Refusal() error {
	if r.DMARC.FromProblem != "" {
		return smtp.Reject(550, smtp.Enh(7, 1), "message refused: "+string(r.DMARC.FromProblem))
	}
	if r.Disposition() == dmarc.Reject {
		// RFC 7372 §3.3
		return smtp.Reject(550, smtp.Enh(7, 26), "message refused as "+r.DMARC.PolicyDomain+" asks: neither SPF nor DKIM is aligned with the author domain")
	}
	return nil
}

// Observation returns what a dmarc.Aggregator counts, for the reports that
// domain owners want. Its EnvelopeTo, and a Disposition other than that of the
// Result, are the caller's to set.
func (r *Result) Observation() dmarc.Observation {
	o := dmarc.Observation{
		Result: r.DMARC, SourceIP: r.Peer.IP, EnvelopeFrom: r.From.Domain,
		SPF: []dmarc.SPFResult{{Domain: r.SPF.Domain, Scope: "mfrom", Result: r.SPF.Verdict}},
	}
	if r.SPF.Domain == "" {
		o.SPF = nil
	}
	for i := range r.DKIM {
		s := &r.DKIM[i]
		o.DKIM = append(o.DKIM, dmarc.DKIMResult{Domain: s.Domain, Selector: s.Selector, Result: s.Verdict, Human: s.Reason})
	}
	switch {
	case r.TrustedSealer != "":
		o.Disposition = dmarc.NoAction
		o.Reasons = []dmarc.Reason{{Type: dmarc.ReasonTrustedForwarder, Comment: "arc=pass, sealed by " + r.TrustedSealer}}
	case r.Disposition() != r.DMARC.Disposition:
		o.Disposition = dmarc.Action(r.Disposition())
		o.Reasons = []dmarc.Reason{{Type: dmarc.ReasonLocalPolicy, Comment: "no reject for the policy alone"}}
	}
	return o
}

// MarshalJSON returns the verdicts in short, for logs: what was found by each
// method in the words of RFC 8601, and the field that Header returns.
func (r Result) MarshalJSON() ([]byte, error) {
	type signature struct {
		Result    authres.Verdict `json:"result"`
		Domain    string          `json:"domain"`
		Selector  string          `json:"selector"`
		Algorithm string          `json:"algorithm"`
		Reason    string          `json:"reason"`
	}
	type policy struct {
		Result      authres.Verdict `json:"result"`
		Policy      dmarc.Policy    `json:"policy"`
		Disposition dmarc.Policy    `json:"disposition"`
		Domain      string          `json:"domain"`
		OrgDomain   string          `json:"org_domain"`
		AlignedSPF  bool            `json:"aligned_spf"`
		AlignedDKIM bool            `json:"aligned_dkim"`
		FromProblem string          `json:"from_problem,omitempty"`
	}
	signatures := make([]signature, len(r.DKIM))
	for i, s := range r.DKIM {
		signatures[i] = signature{s.Verdict, s.Domain, s.Selector, s.Algorithm, s.Reason}
	}
	d := &r.DMARC
	return json.Marshal(struct {
		SPF      authres.Verdict `json:"spf"`
		HelloSPF authres.Verdict `json:"helo_spf"`
		IPRev    authres.Verdict `json:"iprev"`
		DKIM     []signature     `json:"dkim"`
		ARC      authres.Verdict `json:"arc"`
		DMARC    policy          `json:"dmarc"`
		Header   string          `json:"header"`
	}{
		cmp.Or(r.SPF.Verdict, authres.None), cmp.Or(r.HelloSPF.Verdict, authres.None), cmp.Or(r.IPRev.Verdict, authres.None),
		signatures, cmp.Or(r.ARC.Verdict, authres.None),
		policy{cmp.Or(d.Verdict, authres.None), d.Policy, r.Disposition(), d.Domain, d.OrgDomain, d.AlignedSPF, d.AlignedDKIM, string(d.FromProblem)},
		strings.TrimSuffix(r.Header(), "\r\n"),
	})
}
