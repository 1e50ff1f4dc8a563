package dmarc

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/postrider/postrider/auth/authres"
)

// maxSignatures is how many signatures a row has (RFC 9990 §3.1.3).
const maxSignatures = 100

// rowOctets is what a row takes beside its texts.
const rowOctets = 512

// An Aggregator counts messages for the reports of one period, in memory. It is
// safe for concurrent use. The zero value is empty.
type Aggregator struct {
	// MaxRows limits the rows of all reports together. Messages that would need
	// another are not counted. If zero, 100,000.
	MaxRows int

	// MaxOctets limits what the rows of all reports together hold: senders choose
	// the names in them. Messages that would need another row are not counted.
	// If zero, 128 MiB.
	MaxOctets int

	mu      sync.Mutex
	reports map[string]*counted // by policy domain
	rows    int
	octets  int
}

// counted is a report in the making.
type counted struct {
	policy PublishedPolicy
	rows   map[string]*Row // by everything but the count
}

// An Observation is a message with its results, to be counted.
type Observation struct {
	Result       Result
	SourceIP     netip.Addr
	EnvelopeFrom string       // the domain of the reverse-path. Empty if that was null
	EnvelopeTo   string       // the domain of the recipient. May be empty
	DKIM         []DKIMResult // of all signatures; the 100 that tell most are reported
	SPF          []SPFResult

	// Disposition is what was done with the message. If empty, what the Result
	// asks for.
	Disposition Action
	Reasons     []Reason // why something else was done
}

// Add counts a message. It reports whether it did: not when the policy wants no
// reports (RFC 9989 §4.7), when the result is neither Pass nor Fail, when there
// is no SourceIP, or past the limits.
func (a *Aggregator) Add(o Observation) bool {
	res := o.Result
	if res.Record == nil || len(res.Record.RUA) == 0 || !o.SourceIP.IsValid() || res.Verdict != authres.Pass && res.Verdict != authres.Fail {
		return false
	}
	row := o.row()
	key := row.key()

	a.mu.Lock()
	defer a.mu.Unlock()
	report := a.reports[res.PolicyDomain]
	if report == nil || report.rows[key] == nil {
		size := rowOctets + 2*len(key) // the row's texts are in its key too
		if a.rows >= cmp.Or(a.MaxRows, 100_000) || size > cmp.Or(a.MaxOctets, 128<<20)-a.octets {
			return false
		}
		a.rows++
		a.octets += size
	}
	if report == nil {
		report = &counted{rows: map[string]*Row{}}
		if a.reports == nil {
			a.reports = map[string]*counted{}
		}
		a.reports[res.PolicyDomain] = report
	}
	report.policy = PublishedPolicy{Domain: res.PolicyDomain, Method: res.Method, Record: *res.Record} // §3.1: the last one seen
	if report.rows[key] == nil {
		report.rows[key] = &row
	}
	report.rows[key].Count++
	return true
}

// Reports returns a report for each policy domain, in their order, and begins
// anew. Each is a copy of the template, which names the reporter and the period,
// with an ID of its own. Where it is to be sent stands in Policy.Record.RUA; see
// [Verifier.Destinations].
func (a *Aggregator) Reports(template Report) []Report {
	a.mu.Lock()
	reports := a.reports
	a.reports, a.rows, a.octets = nil, 0, 0
	a.mu.Unlock()

	var list []Report
	for _, domain := range slices.Sorted(maps.Keys(reports)) {
		c := reports[domain]
		r := template
		r.Version, r.ID, r.Policy = "1.0", rand.Text(), c.policy
		r.Errors = append(slices.Clone(template.Errors), c.policy.Record.Ignored...)
		r.Rows = make([]Row, 0, len(c.rows))
		keys := slices.SortedFunc(maps.Keys(c.rows), func(a, b string) int {
			return cmp.Or(c.rows[a].SourceIP.Compare(c.rows[b].SourceIP), cmp.Compare(a, b))
		})
		for _, key := range keys {
			r.Rows = append(r.Rows, *c.rows[key])
		}
		list = append(list, r)
	}
	return list
}

// row is the one that the message is counted in.
func (o *Observation) row() Row {
	res := o.Result
	row := Row{
		SourceIP:     o.SourceIP.Unmap().WithZone(""),
		Disposition:  o.Disposition,
		DKIM:         passOrFail(res.AlignedDKIM),
		SPF:          passOrFail(res.AlignedSPF),
		Reasons:      slices.Clone(o.Reasons),
		HeaderFrom:   res.Domain,
		EnvelopeFrom: o.EnvelopeFrom,
		EnvelopeTo:   o.EnvelopeTo,
		DKIMResults:  slices.Clone(o.DKIM),
		SPFResults:   slices.Clone(o.SPF),
	}
	if row.Disposition == "" {
		row.Disposition = Action(res.Disposition)
		if res.Verdict == authres.Pass && res.Policy != None {
			row.Disposition = Passed
		}
	}
	if res.Verdict == authres.Fail && res.Testing && res.Policy != None && len(row.Reasons) == 0 && string(row.Disposition) == string(res.Disposition) {
		row.Reasons = []Reason{{Type: ReasonTestMode}}
	}
	slices.SortStableFunc(row.DKIMResults, func(a, b DKIMResult) int {
		return cmp.Compare(a.priority(&res), b.priority(&res))
	})
	if len(row.DKIMResults) > maxSignatures {
		row.DKIMResults = slices.Clone(row.DKIMResults[:maxSignatures])
	}
	return row
}

// key is the same for messages that are counted in one row. The row has no count
// yet.
func (row Row) key() string {
	text, _ := json.Marshal(row) // strings and numbers: it cannot fail
	return string(text)
}

// priority is low for signatures that tell most (§3.1.3).
func (d DKIMResult) priority(res *Result) int {
	domain := asciiName(d.Domain)
	switch {
	case d.Result != authres.Pass:
		return 3
	case domain == res.Domain:
		return 0
	case domain != "" && (domain == res.OrgDomain || isBelow(domain, res.OrgDomain)):
		return 1
	}
	return 2
}

func passOrFail(ok bool) authres.Verdict {
	if ok {
		return authres.Pass
	}
	return authres.Fail
}
