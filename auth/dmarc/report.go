package dmarc

import (
	"encoding/xml"
	"net/netip"
	"strings"

	"github.com/postrider/postrider/auth/authres"
)

// A Report tells a domain's owner what a receiver saw of mail that used the
// domain (RFC 9990 §3.1.1): one policy domain, one period.
type Report struct {
	Version      string   `xml:"version,omitempty"` // "1.0". If empty, it is left out
	OrgName      string   `xml:"report_metadata>org_name"`
	Email        string   `xml:"report_metadata>email"` // whom to ask
	ExtraContact string   `xml:"report_metadata>extra_contact_info,omitempty"`
	ID           string   `xml:"report_metadata>report_id"`        // unique among reports to one domain (§3.5.1)
	Begin        int64    `xml:"report_metadata>date_range>begin"` // of the period, in seconds since 1970 UTC
	End          int64    `xml:"report_metadata>date_range>end"`
	Errors       []string `xml:"report_metadata>error,omitempty"`     // what was wrong with the record. Written as one
	Generator    string   `xml:"report_metadata>generator,omitempty"` // name and version of the program

	Policy PublishedPolicy `xml:"policy_published"`
	Rows   []Row           `xml:"record"`
}

// A PublishedPolicy is the record that a report is about.
type PublishedPolicy struct {
	Domain string          // where it was found
	Method DiscoveryMethod // how. If empty, it is left out
	Record Record          // its policies, alignment modes, t and fo. A report has no more of it
}

// A Row counts the messages that came from one address with the same results:
// a record element of a report.
type Row struct {
	SourceIP    netip.Addr      `xml:"row>source_ip"`
	Count       uint64          `xml:"row>count"`
	Disposition Action          `xml:"row>policy_evaluated>disposition"`
	DKIM        authres.Verdict `xml:"row>policy_evaluated>dkim"` // Pass when an aligned signature passed, or else Fail
	SPF         authres.Verdict `xml:"row>policy_evaluated>spf"`  // Pass when SPF passed and was aligned, or else Fail
	Reasons     []Reason        `xml:"row>policy_evaluated>reason"`

	HeaderFrom   string       `xml:"identifiers>header_from"`           // the author domain
	EnvelopeFrom string       `xml:"identifiers>envelope_from"`         // of the reverse-path. Empty if that was null
	EnvelopeTo   string       `xml:"identifiers>envelope_to,omitempty"` // of the recipient
	DKIMResults  []DKIMResult `xml:"auth_results>dkim"`                 // at most 100
	SPFResults   []SPFResult  `xml:"auth_results>spf"`
}

// An Action is what was done with messages.
type Action string

// The actions.
const (
	NoAction    Action = "none"
	Passed      Action = "pass" // nothing, for the message passed. Without a policy to apply it is NoAction
	Quarantined Action = "quarantine"
	Rejected    Action = "reject"
)

// A Reason says why an Action is not what the policy asks for (§3.1.6).
type Reason struct {
	Type    string `xml:"type"` // a word of the RFC
	Comment string `xml:"comment,omitempty"`
}

// The types of a Reason.
const (
	ReasonLocalPolicy      = "local_policy"
	ReasonMailingList      = "mailing_list"
	ReasonOther            = "other"
	ReasonTestMode         = "policy_test_mode" // t=y
	ReasonTrustedForwarder = "trusted_forwarder"
)

// A DKIMResult is what came of one signature, whether aligned or not.
type DKIMResult struct {
	Domain   string          `xml:"domain"`
	Selector string          `xml:"selector"`
	Result   authres.Verdict `xml:"result"`
	Human    string          `xml:"human_result,omitempty"` // for people
}

// An SPFResult is what came of SPF, whether aligned or not.
type SPFResult struct {
	Domain string          `xml:"domain"`
	Scope  string          `xml:"scope,omitempty"` // "mfrom"; "helo" in reports of the old form
	Result authres.Verdict `xml:"result"`
	Human  string          `xml:"human_result,omitempty"` // for people
}

// policyXML is the policy_published element.
type policyXML struct {
	Domain  string          `xml:"domain"`
	Method  DiscoveryMethod `xml:"discovery_method,omitempty"`
	P       Policy          `xml:"p"`
	SP      Policy          `xml:"sp"`
	NP      Policy          `xml:"np,omitempty"`
	FO      string          `xml:"fo,omitempty"`
	DKIM    Alignment       `xml:"adkim"`
	SPF     Alignment       `xml:"aspf"`
	Testing string          `xml:"testing"`
}

// MarshalXML writes the element, with the defaults of tags that the record does
// not have.
func (p PublishedPolicy) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	r := p.Record
	x := policyXML{Domain: p.Domain, Method: p.Method, P: None, FO: r.FailureOptions, DKIM: Relaxed, SPF: Relaxed, Testing: "n"}
	if r.Policy != "" {
		x.P = r.Policy
	}
	x.SP, x.NP = x.P, r.NonexistentPolicy
	if r.SubdomainPolicy != "" {
		x.SP = r.SubdomainPolicy
	}
	if x.NP == "" {
		x.NP = x.SP
	}
	if r.DKIM == Strict {
		x.DKIM = Strict
	}
	if r.SPF == Strict {
		x.SPF = Strict
	}
	if r.Testing {
		x.Testing = "y"
	}
	return e.EncodeElement(x, start)
}

// UnmarshalXML reads the element. Words that no record can have are left out.
func (p *PublishedPolicy) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	var x policyXML
	if err := d.DecodeElement(&x, &start); err != nil {
		return err
	}
	*p = PublishedPolicy{Domain: x.Domain, Method: DiscoveryMethod(strings.ToLower(string(x.Method)))}
	r := &p.Record
	choose(&r.Policy, string(x.P), None, Quarantine, Reject)
	choose(&r.SubdomainPolicy, string(x.SP), None, Quarantine, Reject)
	choose(&r.NonexistentPolicy, string(x.NP), None, Quarantine, Reject)
	choose(&r.DKIM, string(x.DKIM), Relaxed, Strict)
	choose(&r.SPF, string(x.SPF), Relaxed, Strict)
	r.Testing = equalFold(x.Testing, "y")
	if validFailureOptions(x.FO) {
		r.FailureOptions = strings.ToLower(x.FO)
	}
	return nil
}
