package tlsrpt_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/mx/tlsrpt"
)

var (
	noon     = time.Date(2024, 6, 1, 12, 0, 0, 0, time.UTC)
	template = tlsrpt.Report{Organization: "Example", Contact: "tlsrpt@example.com"}
	sts      = tlsrpt.Policy{Type: tlsrpt.STS, Domain: "example.org", Strings: []string{"version: STSv1", "mode: testing", "mx: mx.example.org", "max_age: 86400"}, MXHosts: []string{"mx.example.org"}}
	tlsa     = tlsrpt.Policy{Type: tlsrpt.TLSA, Domain: "example.org", Strings: []string{"3 1 1 00"}}
	none     = tlsrpt.Policy{Domain: "example.org"}
)

func failed(p tlsrpt.Policy, result tlsrpt.ResultType, host string) tlsrpt.Session {
	return tlsrpt.Session{
		Time: noon, Policy: p, Result: result, Host: host,
		SendingIP: netip.MustParseAddr("192.0.2.1"), ReceivingIP: netip.MustParseAddr("192.0.2.25"), Reason: "because",
	}
}

// describe is what was counted, a line for each policy and each failure.
func describe(reports []tlsrpt.Report) string {
	var b strings.Builder
	for _, r := range reports {
		fmt.Fprintf(&b, "%s..%s\n", r.Start.Format(time.DateTime), r.End.Format(time.DateTime))
		for _, p := range r.Policies {
			fmt.Fprintf(&b, "%s %s +%d -%d\n", p.Policy.Domain, p.Policy.Type, p.Successful, p.Failed)
			for _, f := range p.Failures {
				fmt.Fprintf(&b, "  %d %s %s %s %s %s %s\n", f.Count, f.Result, f.SendingIP, f.Host, f.Hello, f.ReceivingIP, f.Reason)
			}
		}
	}
	return b.String()
}

func want(t *testing.T, reports []tlsrpt.Report, lines ...string) {
	t.Helper()
	if got, want := describe(reports), strings.Join(lines, "\n")+"\n"; got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

func TestCollector(t *testing.T) {
	var c tlsrpt.Collector
	add := func(s tlsrpt.Session) {
		t.Helper()
		if !c.Add(s) {
			t.Errorf("%+v was not counted", s)
		}
	}
	for range 3 {
		add(tlsrpt.Session{Time: noon, Policy: sts})
	}
	for range 2 {
		add(failed(sts, tlsrpt.CertificateExpired, "mx.example.org"))
	}
	add(failed(sts, tlsrpt.CertificateExpired, "MX.Example.Org.")) // the same
	add(failed(sts, tlsrpt.StartTLSNotSupported, "mx.example.org"))
	mapped := failed(sts, tlsrpt.StartTLSNotSupported, "mx.example.org")
	mapped.SendingIP = netip.MustParseAddr("::ffff:192.0.2.1") // the same
	add(mapped)
	other := failed(sts, tlsrpt.CertificateExpired, "mx.example.org")
	other.ReceivingIP, other.Hello = netip.MustParseAddr("2001:db8::25"), "mx"
	add(other)
	add(failed(tlsa, tlsrpt.TLSAInvalid, "mx.example.org"))
	add(tlsrpt.Session{Time: noon, Policy: none})
	upper := none
	upper.Type, upper.Domain = tlsrpt.NoPolicyFound, "EXAMPLE.org."
	add(tlsrpt.Session{Time: noon, Policy: upper}) // the same
	// A policy that could not be fetched belongs to no connection.
	add(tlsrpt.Session{Time: noon, Policy: tlsrpt.Policy{Type: tlsrpt.STS, Domain: "example.net"}, Result: tlsrpt.STSPolicyFetchError})
	// Other days.
	add(tlsrpt.Session{Time: time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC), Policy: none})
	add(tlsrpt.Session{Time: time.Date(2024, 6, 1, 23, 59, 59, 999, time.UTC), Policy: none})
	add(tlsrpt.Session{Time: time.Date(2024, 6, 1, 1, 0, 0, 0, time.FixedZone("", 2*3600)), Policy: none}) // May, in UTC
	add(tlsrpt.Session{Time: time.Date(2024, 6, 2, 0, 0, 0, 0, time.UTC), Policy: none})

	may := []string{"2024-05-31 00:00:00..2024-05-31 23:59:59", "example.org no-policy-found +1 -0"}
	june1 := []string{
		"2024-06-01 00:00:00..2024-06-01 23:59:59",
		"example.net sts +0 -1",
		"  1 sts-policy-fetch-error invalid IP   invalid IP ",
		"2024-06-01 00:00:00..2024-06-01 23:59:59",
		"example.org no-policy-found +4 -0",
		"example.org sts +3 -6",
		"  3 certificate-expired 192.0.2.1 mx.example.org  192.0.2.25 because",
		"  2 starttls-not-supported 192.0.2.1 mx.example.org  192.0.2.25 because",
		"  1 certificate-expired 192.0.2.1 mx.example.org mx 2001:db8::25 because",
		"example.org tlsa +0 -1",
		"  1 tlsa-invalid 192.0.2.1 mx.example.org  192.0.2.25 because",
	}
	june2 := []string{"2024-06-02 00:00:00..2024-06-02 23:59:59", "example.org no-policy-found +1 -0"}

	want(t, c.Snapshot(template), slices.Concat(may, june1, june2)...)
	if got := c.Reports(time.Date(2024, 5, 31, 23, 59, 59, 0, time.UTC), template); got != nil {
		t.Errorf("before the end of the day:\n%s", describe(got))
	}
	want(t, c.Reports(time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC), template), may...)
	reports := c.Reports(time.Date(2024, 6, 2, 12, 0, 0, 0, time.UTC), template)
	want(t, reports, june1...)
	want(t, c.Snapshot(template), june2...)

	ids := map[string]bool{}
	for _, r := range reports {
		if r.Organization != "Example" || r.Contact != "tlsrpt@example.com" || !strings.HasSuffix(r.ID, "@example.com") {
			t.Errorf("%+v", r)
		}
		ids[r.ID] = true
	}
	if len(ids) != 2 {
		t.Errorf("IDs are not unique: %v", ids)
	}
	// Nothing is counted as used that is not there any more.
	c.Reports(time.Date(2024, 6, 3, 0, 0, 0, 0, time.UTC), template)
	if n := reflect.ValueOf(&c).Elem().FieldByName("bytes").Int(); n != 0 {
		t.Errorf("%d octets are left", n)
	}
}

func TestCollectorUsesTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // at midnight UTC 2000-01-01
		var c tlsrpt.Collector
		c.Add(tlsrpt.Session{Policy: none})
		time.Sleep(24 * time.Hour)
		used := template
		used.ID, used.Policies = "1", []tlsrpt.PolicyReport{{}} // of another report, perhaps
		want(t, c.Reports(time.Now(), used), "2000-01-01 00:00:00..2000-01-01 23:59:59", "example.org no-policy-found +1 -0")
	})
}

func TestCollectorOfWhatIsNoDomain(t *testing.T) {
	var c tlsrpt.Collector
	for _, domain := range []string{"", ".", "[192.0.2.1]", "a/b", "a!b", "a b", "a\r\nb", "a..b", strings.Repeat("a.", 200)} {
		if c.Add(tlsrpt.Session{Policy: tlsrpt.Policy{Domain: domain}}) {
			t.Errorf("%q was counted", domain)
		}
	}
	if c.Add(tlsrpt.Session{Policy: none, Time: time.Unix(-1, 0)}) {
		t.Error("a time before 1970 was counted")
	}
	if reports := c.Snapshot(template); reports != nil {
		t.Errorf("%+v", reports)
	}
	if !c.Add(tlsrpt.Session{Policy: tlsrpt.Policy{Domain: "b\u00fccher.example"}}) || c.Snapshot(template)[0].Policies[0].Policy.Domain != "xn--bcher-kva.example" { // §4.4
		t.Error("U-labels were not converted")
	}
}

// Past the limit failures are told apart by their type only, and none is lost.
func TestFailuresAreBounded(t *testing.T) {
	c := tlsrpt.Collector{MaxFailures: 3}
	for i := range 10 {
		c.Add(failed(sts, tlsrpt.ValidationFailure, fmt.Sprintf("mx%d.example.org", i)))
		c.Add(failed(sts, "x-"+tlsrpt.ResultType(strings.Repeat("y", i)), "mx.example.org"))
	}
	reports := c.Snapshot(template)
	var total uint64
	for _, f := range reports[0].Policies[0].Failures {
		total += f.Count
	}
	if n := len(reports[0].Policies[0].Failures); n != 4 || total != 20 || reports[0].Policies[0].Failed != 20 {
		t.Errorf("%s", describe(reports))
	}
}

// A domain may change its policy with every lookup, or have a very large one.
func TestPoliciesAreBounded(t *testing.T) {
	var c tlsrpt.Collector
	counted := 0
	for i := range 100 {
		p := sts
		p.Strings = []string{fmt.Sprint(i)}
		if c.Add(tlsrpt.Session{Time: noon, Policy: p}) {
			counted++
		}
	}
	if counted != 16 || len(c.Snapshot(template)[0].Policies) != 16 {
		t.Errorf("%d policies of a domain", counted)
	}

	large := tlsrpt.Policy{Type: tlsrpt.STS, Domain: "large.example"}
	for range 1000 {
		large.Strings = append(large.Strings, "m: "+strings.Repeat("\u00fc", 1000))
		large.MXHosts = append(large.MXHosts, strings.Repeat("x", 1000))
	}
	c.Add(tlsrpt.Session{Time: noon, Policy: large})
	p := c.Snapshot(template)[1].Policies[0].Policy
	if len(p.Strings) != 100 || len(p.MXHosts) != 100 || p.Strings[0] != "m: "+strings.Repeat("\u00fc", 254) || len(p.MXHosts[0]) != 512 {
		t.Errorf("%d strings, the first of %d octets", len(p.Strings), len(p.Strings[0]))
	}
}

func TestMemoryIsBounded(t *testing.T) {
	c := tlsrpt.Collector{MaxBytes: 4600}
	domains := 0
	for i := range 100 {
		if c.Add(tlsrpt.Session{Time: noon, Policy: tlsrpt.Policy{Domain: fmt.Sprintf("%d.example.org", i)}}) {
			domains++
		}
	}
	if domains < 5 || domains > 10 {
		t.Errorf("%d domains in 4600 octets", domains)
	}
	// What is there is still counted, although there is no room to say how.
	for range 10 {
		if !c.Add(failed(tlsrpt.Policy{Domain: "0.example.org"}, tlsrpt.DANERequired, "mx.example.org")) {
			t.Error("not counted")
		}
	}
	if n := reflect.ValueOf(&c).Elem().FieldByName("bytes").Int(); n > 4600 {
		t.Errorf("%d octets", n)
	}
	if p := c.Snapshot(template)[0].Policies[0]; p.Failed != 10 || p.Successful != 1 || p.Failures != nil {
		t.Errorf("%+v", p)
	}
}

// What a host says of itself may be anything.
func TestTextsAreBounded(t *testing.T) {
	var c tlsrpt.Collector
	s := failed(sts, tlsrpt.ValidationFailure, strings.Repeat("h", 5000))
	s.Hello, s.Reason, s.AdditionalInfo = "\xff\x00\""+strings.Repeat("x", 5000), strings.Repeat("r", 5000), strings.Repeat("u", 5000)
	c.Add(s)
	r := c.Snapshot(template)[0]
	f := r.Policies[0].Failures[0]
	if len(f.Host) != 512 || len(f.Hello) > 520 || len(f.Reason) != 512 || len(f.AdditionalInfo) != 2048 {
		t.Errorf("%+v", f)
	}
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	again, err := tlsrpt.ParseReport(&b, tlsrpt.ReportLimits{})
	if err != nil || again.Policies[0].Failures[0] != f {
		t.Errorf("%+v, %v", again, err)
	}
}

// A program may end in the middle of a day.
func TestRestore(t *testing.T) {
	var c, again tlsrpt.Collector
	for range 3 {
		c.Add(tlsrpt.Session{Time: noon, Policy: sts})
		c.Add(failed(tlsa, tlsrpt.TLSAInvalid, "mx.example.org"))
	}
	for _, r := range c.Snapshot(template) {
		var b bytes.Buffer
		if err := r.WriteGzip(&b); err != nil {
			t.Fatal(err)
		}
		saved, err := tlsrpt.ParseReport(&b, tlsrpt.ReportLimits{})
		if err != nil || !again.Restore(saved) {
			t.Fatalf("%+v, %v", saved, err)
		}
	}
	again.Add(failed(tlsa, tlsrpt.TLSAInvalid, "mx.example.org"))
	want(t, again.Snapshot(template),
		"2024-06-01 00:00:00..2024-06-01 23:59:59",
		"example.org sts +3 -0",
		"example.org tlsa +0 -4",
		"  4 tlsa-invalid 192.0.2.1 mx.example.org  192.0.2.25 because")
	if again.Restore(&tlsrpt.Report{Start: noon, Policies: []tlsrpt.PolicyReport{{}}}) {
		t.Error("a report of no domain was counted")
	}
}

func TestCollectorIsConcurrent(t *testing.T) {
	var c tlsrpt.Collector
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 100 {
				c.Add(failed(sts, tlsrpt.ValidationFailure, fmt.Sprintf("mx%d.example.org", i)))
				c.Snapshot(template)
			}
		})
	}
	wg.Wait()
	if p := c.Reports(noon.Add(24*time.Hour), template)[0].Policies[0]; p.Failed != 400 || len(p.Failures) != 4 {
		t.Errorf("%+v", p)
	}
}
