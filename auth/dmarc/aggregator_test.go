package dmarc_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dmarc"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

const reported = `_dmarc.example.com TXT "v=DMARC1; p=reject; sp=bad; rua=mailto:dmarc@example.com"
	_dmarc.example.net TXT "v=DMARC1; p=quarantine; t=y; rua=mailto:dmarc@example.net"
	_dmarc.example.org TXT "v=DMARC1; p=reject"
	_dmarc.example.edu SERVFAIL
`

func observe(t *testing.T, from, spf, dkim string) dmarc.Observation {
	t.Helper()
	v := dmarc.Verifier{Resolver: dnstest.MustParse(reported)}
	o := dmarc.Observation{SourceIP: netip.MustParseAddr("::ffff:192.0.2.1")}
	o.Result = v.Verify(t.Context(), request(from, spf, dkim))
	for _, id := range ids(dkim) {
		o.DKIM = append(o.DKIM, dmarc.DKIMResult{Domain: id.Domain, Selector: "s", Result: id.Verdict})
	}
	return o
}

func TestAggregator(t *testing.T) {
	var a dmarc.Aggregator
	var wait sync.WaitGroup
	for range 10 {
		wait.Go(func() {
			a.Add(observe(t, "example.com", "", "pass example.com"))
			a.Add(observe(t, "sub.example.com", "pass example.com", ""))
			a.Add(observe(t, "example.net", "", ""))
		})
	}
	wait.Wait()
	other := observe(t, "example.net", "", "")
	other.SourceIP, other.Disposition, other.Reasons = netip.MustParseAddr("2001:db8::1"), dmarc.Rejected, []dmarc.Reason{{Type: dmarc.ReasonLocalPolicy}}
	if !a.Add(other) {
		t.Error("not counted")
	}
	other.Disposition, other.Reasons = "", []dmarc.Reason{{Type: dmarc.ReasonOther}} // the same is done, but for this
	a.Add(other)
	if a.Add(observe(t, "example.com", "temperror example.com", "")) {
		t.Error("a message without a result was counted")
	}
	nowhere := observe(t, "example.com", "", "")
	nowhere.SourceIP = netip.Addr{}
	if a.Add(nowhere) {
		t.Error("a message from no address was counted")
	}
	for _, from := range []string{"example.org", "example.edu", "example.info", "a@b"} { // no rua, no answer, no record, no author
		if a.Add(observe(t, from, "", "")) {
			t.Errorf("%s was counted", from)
		}
	}

	template := dmarc.Report{OrgName: "Receiver", Email: "dmarc@receiver.example", Begin: 1, End: 2, Errors: []string{"few"}}
	reports := a.Reports(template)
	var got []string
	for _, r := range reports {
		got = append(got, fmt.Sprintf("%s %s %d %d %q", r.Policy.Domain, r.Policy.Method, r.Begin, r.End, r.Errors))
		for _, row := range r.Rows {
			got = append(got, fmt.Sprintf("%s %d %s dkim=%s spf=%s %s %v %d", row.SourceIP, row.Count, row.Disposition, row.DKIM, row.SPF, row.HeaderFrom, row.Reasons, len(row.DKIMResults)))
		}
		var b bytes.Buffer
		if err := r.WriteGzip(&b); err != nil {
			t.Error(err)
		}
		if _, err := r.Subject("receiver.example"); err != nil {
			t.Error(err)
		}
	}
	want := []string{
		`example.com treewalk 1 2 ["few" "sp: invalid value"]`,
		"192.0.2.1 10 none dkim=fail spf=pass sub.example.com [] 0",
		"192.0.2.1 10 none dkim=pass spf=fail example.com [] 1",
		`example.net treewalk 1 2 ["few"]`,
		"192.0.2.1 10 none dkim=fail spf=fail example.net [{policy_test_mode }] 0",
		"2001:db8::1 1 none dkim=fail spf=fail example.net [{other }] 0",
		"2001:db8::1 1 reject dkim=fail spf=fail example.net [{local_policy }] 0",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(reports) == 2 && (reports[0].ID == reports[1].ID || reports[0].ID == "") {
		t.Errorf("IDs %q and %q", reports[0].ID, reports[1].ID)
	}
	if again := a.Reports(template); len(again) != 0 {
		t.Errorf("there is still %v", again)
	}
}

func TestAggregatorIsBounded(t *testing.T) {
	a := dmarc.Aggregator{MaxRows: 3}
	o := observe(t, "example.com", "", "")
	for round := range 2 {
		for i := range 5 {
			o.EnvelopeFrom = fmt.Sprintf("%d.example", i)
			if counted := a.Add(o); counted != (i < 3) {
				t.Errorf("round %d, %d: %t", round, i, counted)
			}
		}
	}
	if a.Add(observe(t, "example.net", "", "")) {
		t.Error("another domain's row was counted")
	}
	if r := a.Reports(dmarc.Report{}); len(r) != 1 || len(r[0].Rows) != 3 || r[0].Rows[0].Count != 2 {
		t.Errorf("%+v", r)
	}
	if !a.Add(o) {
		t.Error("there is no room afterwards")
	}
}

// A sender chooses how much there is to say of its messages.
func TestAggregatorOctets(t *testing.T) {
	a := dmarc.Aggregator{MaxOctets: 100_000}
	o := observe(t, "example.com", "", "")
	o.DKIM = []dmarc.DKIMResult{{Domain: strings.Repeat("x", 9_000), Result: authres.Fail}}
	rows := 0
	for i := range 20 {
		o.EnvelopeFrom = fmt.Sprintf("%d.example", i)
		if a.Add(o) {
			rows++
		}
	}
	if rows < 4 || rows > 10 {
		t.Errorf("%d rows", rows)
	}
	o.EnvelopeFrom = "0.example"
	if !a.Add(o) {
		t.Error("a row that there is was not counted")
	}
	a.Reports(dmarc.Report{})
	if !a.Add(o) {
		t.Error("there is no room afterwards")
	}
}

// A message that passes is reported as such where a policy could have been
// applied to it.
func TestAggregatorPassed(t *testing.T) {
	for policy, want := range map[string]dmarc.Action{"none": dmarc.NoAction, "quarantine": dmarc.Passed, "reject": dmarc.Passed} {
		v := dmarc.Verifier{Resolver: dnstest.MustParse(`_dmarc.example.com TXT "v=DMARC1; rua=mailto:a@example.com; p=` + policy + `"`)}
		var a dmarc.Aggregator
		a.Add(dmarc.Observation{SourceIP: netip.MustParseAddr("192.0.2.1"), Result: v.Verify(t.Context(), request("example.com", "pass example.com", ""))})
		if got := a.Reports(dmarc.Report{})[0].Rows[0].Disposition; got != want {
			t.Errorf("p=%s: %s, want %s", policy, got, want)
		}
	}
}

// Of many signatures those are reported that tell most (RFC 9990 §3.1.3).
func TestAggregatorSignatures(t *testing.T) {
	var a dmarc.Aggregator
	o := observe(t, "example.com", "", "fail example.com, pass example.net, pass mail.example.com, pass example.com")
	for range 200 {
		o.DKIM = append(o.DKIM, dmarc.DKIMResult{Domain: "evil.example", Result: authres.Fail})
	}
	before := fmt.Sprint(o.DKIM)
	a.Add(o)
	got := a.Reports(dmarc.Report{})[0].Rows[0].DKIMResults
	var order []string
	for _, d := range got[:4] {
		order = append(order, string(d.Result)+" "+d.Domain)
	}
	if want := "[pass example.com pass mail.example.com pass example.net fail example.com]"; fmt.Sprint(order) != want || len(got) != 100 {
		t.Errorf("%d signatures: %v, want %s", len(got), order, want)
	}
	if fmt.Sprint(o.DKIM) != before {
		t.Error("the caller's signatures were sorted")
	}
}

func TestDestinations(t *testing.T) {
	long := strings.Repeat("x.", 100) + "example.com"
	for _, tt := range []struct {
		name, domain, zone, rua string
		want                    string
		fails                   bool
		queries                 int
	}{
		{"its own", "example.com", "", "mailto:a@example.com", "mailto:a@example.com", false, 0},
		{"a subdomain's", "sub.example.com", exampleCom, "mailto:a@example.com", "mailto:a@example.com", false, 3},
		{"a sibling", "a.example.com", exampleCom, "mailto:a@b.example.com", "mailto:a@b.example.com", false, 4},
		{"another's, that agrees", "blue.example.com", `blue.example.com._report._dmarc.red.example.net TXT "v=DMARC1"`, "mailto:reports@red.example.net", "mailto:reports@red.example.net", false, 1},
		{"another's, that agrees to everything", "blue.example.com", `*._report._dmarc.red.example.net TXT "v=DMARC1;"`, "mailto:reports@red.example.net", "mailto:reports@red.example.net", false, 1},
		{"another's, that does not", "example.com", "", "mailto:a@example.net", "", false, 1},
		{"another's, of the same top", "example.com", "", "mailto:a@evil.com", "", false, 4},
		{"another's, that says something else", "example.com", `example.com._report._dmarc.example.net TXT "v=spf1"`, "mailto:a@example.net", "", false, 1},
		{"one of several", "example.com", `example.com._report._dmarc.example.net TXT "x"
			example.com._report._dmarc.example.net TXT "v=DMARC1"
			example.com._report._dmarc.example.net TXT "v=DMARC1; p=none"`, "mailto:a@example.net", "mailto:a@example.net", false, 1},
		{"other mailboxes", "example.com", `example.com._report._dmarc.example.net TXT "v=DMARC1; rua=mailto:b@example.net,mailto:c@EXAMPLE.net"`, "mailto:a@example.net", "mailto:b@example.net mailto:c@EXAMPLE.net", false, 1},
		{"other hosts", "example.com", `example.com._report._dmarc.example.net TXT "v=DMARC1; rua=mailto:b@example.net,mailto:c@victim.example"`, "mailto:a@example.net", "", false, 1},
		{"other ways", "example.com", `example.com._report._dmarc.example.net TXT "v=DMARC1; rua=https://example.net/"`, "mailto:a@example.net", "", false, 1},
		{"of other schemes", "example.com", "", "https://example.com/ tel:1 mailto:a@example.com", "mailto:a@example.com", false, 0},
		{"no answer", "example.com", "example.com._report._dmarc.example.net TIMEOUT", "mailto:a@example.net mailto:b@example.com", "mailto:b@example.com", true, 1},
		{"no answer from the tree", "example.com", "_dmarc.sub.example.com SERVFAIL", "mailto:a@sub.example.com", "", true, 3},
		{"a name that is too long", long, "", "mailto:a@" + strings.Repeat("y.", 30) + "example.net", "", false, 0},
		{"the same twice", "example.com", `*._report._dmarc.example.net TXT "v=DMARC1; rua=mailto:b@example.net"`, "mailto:a@example.net mailto:c@example.net", "mailto:b@example.net", false, 2},
		{"many", "example.com", "", strings.Repeat("mailto:a@example.net ", 50), "", false, 10},
		{"no domain", "exa mple", "", "mailto:a@example.net", "", false, 0},
	} {
		zone := dnstest.MustParse(tt.zone)
		v := dmarc.Verifier{Resolver: zone}
		var rua, want []dmarc.URI
		for _, u := range strings.Fields(tt.rua) {
			rua = append(rua, dmarc.URI(u))
		}
		for _, u := range strings.Fields(tt.want) {
			want = append(want, dmarc.URI(u))
		}
		got, err := v.Destinations(t.Context(), tt.domain, rua)
		if !reflect.DeepEqual(got, want) || (err != nil) != tt.fails {
			t.Errorf("%s: %q %v, want %q", tt.name, got, err, want)
		}
		if n := len(zone.Queries()); n != tt.queries {
			t.Errorf("%s: %d questions, want %d: %v", tt.name, n, tt.queries, zone.Queries())
		}
	}
}
