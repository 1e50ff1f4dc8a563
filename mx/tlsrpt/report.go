package tlsrpt

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"time"
)

// A Report tells a domain what came of a day's connections (RFC 8460 §4).
type Report struct {
	Organization string    // who reports
	Contact      string    // the address of who is responsible. Its domain is the submitter
	ID           string    // unique
	Start, End   time.Time // of the period, which should be a day in UTC (§4.1). Written in whole seconds

	// Policies are those that were applied. All are of one domain.
	Policies []PolicyReport
}

// A PolicyReport counts the connections to which one policy was applied.
type PolicyReport struct {
	Policy     Policy
	Successful uint64    // connections that satisfied it
	Failed     uint64    // and that did not
	Failures   []Failure // how. A connection may have failed in several ways, and not all need be here
}

// A Failure counts connections that failed in the same way.
type Failure struct {
	Result         ResultType
	SendingIP      netip.Addr // invalid if not known, or if there was no connection
	Host           string     // the host's name in the MX record
	Hello          string     // what it calls itself
	ReceivingIP    netip.Addr
	Count          uint64
	AdditionalInfo string // a URI
	Reason         string // a code or a text
}

// The forms of RFC 8460 §4.4.
type (
	reportJSON struct {
		Organization string             `json:"organization-name,omitempty"`
		DateRange    dateRangeJSON      `json:"date-range"`
		Contact      string             `json:"contact-info"`
		ID           string             `json:"report-id"`
		Policies     []policyReportJSON `json:"policies"`
	}
	dateRangeJSON struct {
		Start time.Time `json:"start-datetime"`
		End   time.Time `json:"end-datetime"`
	}
	policyReportJSON struct {
		Policy   policyJSON    `json:"policy"`
		Summary  summaryJSON   `json:"summary"`
		Failures []failureJSON `json:"failure-details,omitempty"`
	}
	policyJSON struct {
		Type    PolicyType `json:"policy-type"`
		Strings []string   `json:"policy-string,omitempty"`
		Domain  string     `json:"policy-domain"`
		MXHosts []string   `json:"mx-host,omitempty"`
	}
	summaryJSON struct {
		Successful uint64 `json:"total-successful-session-count"`
		Failed     uint64 `json:"total-failure-session-count"`
	}
	failureJSON struct {
		Result         ResultType `json:"result-type"`
		SendingIP      netip.Addr `json:"sending-mta-ip,omitzero"`
		Host           string     `json:"receiving-mx-hostname,omitempty"`
		Hello          string     `json:"receiving-mx-helo,omitempty"`
		ReceivingIP    netip.Addr `json:"receiving-ip,omitzero"`
		Count          uint64     `json:"failed-session-count"`
		AdditionalInfo string     `json:"additional-information,omitempty"`
		Reason         string     `json:"failure-reason-code,omitempty"`
	}
)

// MarshalJSON writes the report as an object of RFC 8460 §4.4.
func (r Report) MarshalJSON() ([]byte, error) { return json.Marshal(r.form()) }

func (r *Report) form() reportJSON {
	policies := make([]policyReportJSON, len(r.Policies)) // §4: an array always
	for i := range r.Policies {
		policies[i] = r.Policies[i].form()
	}
	return reportJSON{
		Organization: r.Organization,
		DateRange:    dateRangeJSON{r.Start.UTC().Truncate(time.Second), r.End.UTC().Truncate(time.Second)},
		Contact:      r.Contact,
		ID:           r.ID,
		Policies:     policies,
	}
}

func (p *PolicyReport) form() policyReportJSON {
	policy := policyJSON(p.Policy)
	policy.Type = cmp.Or(policy.Type, NoPolicyFound)
	failures := make([]failureJSON, len(p.Failures))
	for i, f := range p.Failures {
		failures[i] = failureJSON(f)
		failures[i].SendingIP, failures[i].ReceivingIP = plain(f.SendingIP), plain(f.ReceivingIP)
	}
	return policyReportJSON{policy, summaryJSON{p.Successful, p.Failed}, failures}
}

// plain is the address in the form that everybody reads.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }
