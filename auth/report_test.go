package auth_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"net/netip"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth"
	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dmarc"
	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/smtp"
)

// A domain is told daily what was sent in its name.
func ExampleResult_Observation() {
	v := &auth.Verifier{Resolver: dnstest.MustParse(`
		example.org        TXT "v=spf1 ip4:192.0.2.1 -all"
		_dmarc.example.org TXT "v=DMARC1; p=reject; rua=mailto:dmarc@example.org"`)}
	var counts dmarc.Aggregator
	for _, ip := range []string{"192.0.2.1", "192.0.2.1", "203.0.113.9"} {
		peer := auth.Peer{IP: netip.MustParseAddr(ip), Hello: "mail.example.org"}
		result, err := v.Verify(context.Background(), peer, smtp.ReversePath{}, strings.NewReader("From: ann@example.org\r\n\r\nHi\r\n"))
		if err != nil {
			log.Fatal(err)
		}
		counts.Add(result.Observation())
	}
	for _, report := range counts.Reports(dmarc.Report{OrgName: "Example Net", Email: "dmarc@example.net", Begin: 1795305600, End: 1795391999}) {
		for _, row := range report.Rows {
			fmt.Println(report.Policy.Domain, row.SourceIP, row.Count, row.Disposition)
		}
	}
	// Output:
	// example.org 192.0.2.1 2 quarantine
	// example.org 203.0.113.9 1 quarantine
}

func TestObservation(t *testing.T) {
	v := &auth.Verifier{HonorReject: true, Resolver: zone(t, "_dmarc.example.net TXT \"v=DMARC1; p=reject; rua=mailto:d@example.net\"")}
	message := signed(t, in(t, plain, "ann@example.org", "ann@example.net"), "example.net")
	r, err := v.Verify(t.Context(), peer, mailbox(t, "bounce@example.org"), strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	o := r.Observation()
	if o.SourceIP != peer.IP || o.EnvelopeFrom != "example.org" || len(o.SPF) != 1 || o.SPF[0] != (dmarc.SPFResult{Domain: "example.org", Scope: "mfrom", Result: authres.Pass}) ||
		len(o.DKIM) != 1 || o.DKIM[0] != (dmarc.DKIMResult{Domain: "example.net", Selector: "key", Result: authres.Pass}) || o.Result.Verdict != authres.Pass || o.Disposition != "" {
		t.Errorf("%+v", o)
	}
	var counts dmarc.Aggregator
	if !counts.Add(o) {
		t.Error("not counted")
	}
	var xml bytes.Buffer
	if err := counts.Reports(dmarc.Report{OrgName: "x", Email: "x@example.com", Begin: 1, End: 2})[0].WriteXML(&xml); err != nil {
		t.Fatal(err)
	}
	if got, err := dmarc.ParseReport(&xml, dmarc.ReportLimits{}); err != nil || len(got.Rows) != 1 || len(got.Rows[0].DKIMResults) != 1 {
		t.Errorf("%+v, %v", got, err)
	}

	r.TrustedSealer = "example.net"
	if o := r.Observation(); o.Disposition != dmarc.NoAction || len(o.Reasons) != 1 || o.Reasons[0].Type != dmarc.ReasonTrustedForwarder {
		t.Errorf("%+v", o)
	}
	if o := new(auth.Result).Observation(); o.SPF != nil || o.DKIM != nil {
		t.Errorf("%+v", o)
	}
}
