package dmarc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dmarc"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

var sample = dmarc.Report{
	Version: "1.0",
	OrgName: "Receiver",
	Email:   "dmarc@receiver.example",
	ID:      "4711",
	Begin:   1700000000,
	End:     1700086400,
	Policy:  dmarc.PublishedPolicy{Domain: "example.org", Record: dmarc.Record{Policy: dmarc.Reject}},
	Rows: []dmarc.Row{{
		SourceIP:    netip.MustParseAddr("192.0.2.1"),
		Count:       3,
		Disposition: dmarc.Passed,
		DKIM:        authres.Pass,
		SPF:         authres.Fail,
		HeaderFrom:  "example.org",
		DKIMResults: []dmarc.DKIMResult{{Domain: "example.org", Selector: "s1", Result: authres.Pass}},
		SPFResults:  []dmarc.SPFResult{{Domain: "list.example.net", Scope: "mfrom", Result: authres.Pass}},
	}},
}

func ExampleReport() {
	name, err := sample.FileName("mx.receiver.example")
	fmt.Println(name, err)
	subject, err := sample.Subject("mx.receiver.example")
	fmt.Println(subject, err)

	var attachment bytes.Buffer
	if err := sample.WriteGzip(&attachment); err != nil {
		fmt.Println(err)
	}
	r, err := dmarc.ParseReport(&attachment, dmarc.ReportLimits{})
	fmt.Println(r.OrgName, r.Policy.Domain, len(r.Rows), err)
	// Output:
	// mx.receiver.example!example.org!1700000000!1700086400!4711.xml.gz <nil>
	// Report Domain: example.org Submitter: mx.receiver.example Report-ID: <4711> <nil>
	// Receiver example.org 1 <nil>
}

func ExampleRow() {
	for _, row := range sample.Rows {
		fmt.Println(row.Count, "messages from", row.SourceIP, "with", row.HeaderFrom, "DKIM", row.DKIM, "SPF", row.SPF)
	}
	// Output: 3 messages from 192.0.2.1 with example.org DKIM pass SPF fail
}

func ExamplePublishedPolicy() {
	p := dmarc.PublishedPolicy{Domain: "example.org", Method: dmarc.TreeWalk, Record: dmarc.Record{Policy: dmarc.Reject}}
	fmt.Println(p.Domain, p.Method, p.Record)
	// Output: example.org treewalk v=DMARC1; p=reject
}

func ExampleDKIMResult() {
	d := sample.Rows[0].DKIMResults[0]
	fmt.Println(d.Domain, d.Selector, d.Result)
	// Output: example.org s1 pass
}

func ExampleSPFResult() {
	s := sample.Rows[0].SPFResults[0]
	fmt.Println(s.Domain, s.Scope, s.Result)
	// Output: list.example.net mfrom pass
}

func ExampleReportLimits() {
	_, err := dmarc.ParseReport(strings.NewReader("<feedback>"+strings.Repeat("<record/>", 20)), dmarc.ReportLimits{MaxRows: 10})
	fmt.Println(errors.Is(err, dmarc.ErrReportTooLarge))
	// Output: true
}

func ExampleAggregator() {
	ctx := context.Background()
	v := &dmarc.Verifier{Resolver: dnstest.MustParse(`
		_dmarc.example.org TXT "v=DMARC1; p=reject; rua=mailto:dmarc@example.org"
	`)}
	var counts dmarc.Aggregator

	for range 3 { // whenever a message has been received
		res := v.Verify(ctx, dmarc.Request{From: []string{"a@example.org"}})
		counts.Add(dmarc.Observation{Result: res, SourceIP: netip.MustParseAddr("192.0.2.1")})
	}

	// Once a day.
	for _, r := range counts.Reports(dmarc.Report{OrgName: "Receiver", Email: "dmarc@receiver.example", Begin: 1700000000, End: 1700086400}) {
		to, err := v.Destinations(ctx, r.Policy.Domain, r.Policy.Record.RUA)
		fmt.Println(r.Policy.Domain, "row of", r.Rows[0].Count, "to", to, err)
	}
	// Output: example.org row of 3 to [mailto:dmarc@example.org] <nil>
}

func ExampleObservation() {
	v := &dmarc.Verifier{Resolver: dnstest.MustParse(`_dmarc.example.org TXT "v=DMARC1; p=reject; rua=mailto:dmarc@example.org"`)}
	o := dmarc.Observation{
		Result:       v.Verify(context.Background(), dmarc.Request{From: []string{"a@example.org"}}),
		SourceIP:     netip.MustParseAddr("2001:db8::1"),
		EnvelopeFrom: "list.example.net",
		Disposition:  dmarc.NoAction, // although the policy is reject
		Reasons:      []dmarc.Reason{{Type: dmarc.ReasonMailingList}},
	}
	fmt.Println(new(dmarc.Aggregator).Add(o))
	// Output: true
}

func ExampleReason() {
	fmt.Println(dmarc.Reason{Type: dmarc.ReasonTrustedForwarder, Comment: "our own list"})
	// Output: {trusted_forwarder our own list}
}

func ExampleAction() {
	r := sample
	r.Rows = []dmarc.Row{{SourceIP: netip.MustParseAddr("192.0.2.1"), Count: 1, Disposition: dmarc.Quarantined, HeaderFrom: "example.org"}}
	var text strings.Builder
	if err := r.WriteXML(&text); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	for line := range strings.Lines(text.String()) {
		if strings.Contains(line, "disposition") {
			fmt.Println(strings.TrimSpace(line))
		}
	}
	// Output: <disposition>quarantine</disposition>
}
