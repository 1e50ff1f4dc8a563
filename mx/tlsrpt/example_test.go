package tlsrpt_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/postrider/postrider/mx/dns/dnstest"
	"github.com/postrider/postrider/mx/internal/webtest"
	"github.com/postrider/postrider/mx/tlsrpt"
)

func ExampleCollector() {
	var c tlsrpt.Collector
	policy := tlsrpt.Policy{Type: tlsrpt.TLSA, Strings: []string{"3 1 1 1f850a337e6db9c6"}, Domain: "example.org"}
	june := time.Date(2024, 6, 1, 12, 0, 0, 0, time.UTC)
	c.Add(tlsrpt.Session{Time: june, Policy: policy, Host: "mx.example.org"})
	c.Add(tlsrpt.Session{Time: june, Policy: policy, Host: "mx.example.org", Result: tlsrpt.TLSAInvalid})

	// Some hours after midnight in UTC:
	reports := c.Reports(june.Add(16*time.Hour), tlsrpt.Report{Organization: "Example", Contact: "tlsrpt@example.com"})
	for _, r := range reports {
		for _, p := range r.Policies {
			fmt.Println(r.Start.Format(time.DateOnly), p.Policy.Domain, p.Policy.Type, p.Successful, p.Failed, p.Failures[0].Result)
		}
	}
	// Output: 2024-06-01 example.org tlsa 1 1 tlsa-invalid
}

func ExampleSession() {
	s := tlsrpt.Session{
		Policy: tlsrpt.Policy{
			Type:    tlsrpt.STS,
			Strings: []string{"version: STSv1", "mode: testing", "mx: *.example.org", "max_age: 86400"},
			Domain:  "example.org",
			MXHosts: []string{"*.example.org"},
		},
		SendingIP:   netip.MustParseAddr("192.0.2.1"),
		Host:        "mx.example.org",
		ReceivingIP: netip.MustParseAddr("198.51.100.25"),
	}
	s.Result, s.Reason = tlsrpt.ResultOf(x509.HostnameError{Certificate: new(x509.Certificate), Host: "mx.example.org"})
	fmt.Println(s.Result)
	fmt.Println(s.Reason)
	// Output:
	// certificate-host-mismatch
	// the certificate is for another name
}

func ExamplePolicy() {
	var c tlsrpt.Collector
	// A connection to which no policy applied is reported too.
	fmt.Println(c.Add(tlsrpt.Session{Policy: tlsrpt.Policy{Domain: "example.org"}}))
	// Output: true
}

func ExamplePolicyType() {
	fmt.Println(tlsrpt.TLSA, tlsrpt.STS, tlsrpt.NoPolicyFound)
	// Output: tlsa sts no-policy-found
}

func ExampleResultType() {
	result, reason := tlsrpt.ResultOf(x509.UnknownAuthorityError{})
	fmt.Println(result == tlsrpt.CertificateNotTrusted, reason)
	// Output: true the certificate is of an unknown authority
}

// example is a report as a Collector makes it.
var example = tlsrpt.Report{
	Organization: "Example",
	Contact:      "tlsrpt@example.com",
	ID:           "20240601@example.com",
	Start:        time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC),
	End:          time.Date(2024, 6, 1, 23, 59, 59, 0, time.UTC),
	Policies:     []tlsrpt.PolicyReport{{Policy: tlsrpt.Policy{Domain: "example.org"}, Successful: 3}},
}

func ExampleReport() {
	r := example
	name, err := r.FileName()
	fmt.Println(name, err)
	r.WriteJSON(os.Stdout)
	// Output:
	// example.com!example.org!1717200000!1717286399!20240601.json.gz <nil>
	// {"organization-name":"Example","date-range":{"start-datetime":"2024-06-01T00:00:00Z","end-datetime":"2024-06-01T23:59:59Z"},"contact-info":"tlsrpt@example.com","report-id":"20240601@example.com","policies":[{"policy":{"policy-type":"no-policy-found","policy-domain":"example.org"},"summary":{"total-successful-session-count":3,"total-failure-session-count":0}}]}
}

func ExamplePolicyReport() {
	p := tlsrpt.PolicyReport{Policy: tlsrpt.Policy{Domain: "example.org"}, Successful: 97, Failed: 3}
	fmt.Printf("%d %%\n", 100*p.Failed/(p.Successful+p.Failed))
	// Output: 3 %
}

func ExampleFailure() {
	f := tlsrpt.Failure{Result: tlsrpt.StartTLSNotSupported, Host: "mx.example.org", Count: 3}
	fmt.Println(f.Count, f.Result, f.Host)
	// Output: 3 starttls-not-supported mx.example.org
}

func ExampleReportLimits() {
	report := `{"policies":[{},{},{}]}`
	_, err := tlsrpt.ParseReport(strings.NewReader(report), tlsrpt.ReportLimits{MaxPolicies: 2})
	fmt.Println(err)
	// Output: tlsrpt: report is too large
}

func ExampleParseReport() {
	var file bytes.Buffer // that came with a message, or was posted
	example.WriteGzip(&file)
	r, err := tlsrpt.ParseReport(&file, tlsrpt.ReportLimits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Organization, r.Policies[0].Successful)
	// Output: Example 3
}

func ExampleMail() {
	m := &tlsrpt.Mail{
		Report:    &example,
		To:        []string{"reports@example.org"},
		Date:      time.Date(2024, 6, 2, 3, 0, 0, 0, time.UTC),
		MessageID: "20240602@example.com",
	}
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		fmt.Println(err)
		return
	}
	lines := bufio.NewScanner(&b)
	for range 10 {
		lines.Scan()
		fmt.Println(lines.Text())
	}
	// Output:
	// From: <tlsrpt@example.com>
	// To: <reports@example.org>
	// Date: Sun, 02 Jun 2024 03:00:00 +0000
	// Message-ID: <20240602@example.com>
	// Subject: Report Domain: example.org
	//  Submitter: example.com
	//  Report-ID: <20240601@example.com>
	// TLS-Report-Domain: example.org
	// TLS-Report-Submitter: example.com
	// TLS-Required: No
}

func ExamplePoster() {
	ca := webtest.NewCA() // the internet has others
	srv := webtest.Serve(ca.Issue(nil, "reports.example.org"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		report, err := tlsrpt.ParseReport(r.Body, tlsrpt.ReportLimits{})
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		io.WriteString(w, "thank you")
		fmt.Println("from", report.Organization)
	}))
	defer srv.Close()
	zone := dnstest.MustParse("reports.example.org A 192.0.2.80")

	poster := &tlsrpt.Poster{Resolver: zone, RootCAs: ca.Pool(), Dial: srv.Dial}
	fmt.Println(poster.Post(context.Background(), "https://reports.example.org/tlsrpt", &example))
	// Output:
	// from Example
	// <nil>
}

func ExampleRecord() {
	zone := dnstest.MustParse(`_smtp._tls.example.org TXT "v=TLSRPTv1; rua=mailto:reports@example.org"`)
	for _, domain := range []string{"example.org", "example.net"} {
		record, err := tlsrpt.LookupRecord(context.Background(), zone, domain)
		fmt.Println(record.RUA, err)
	}
	// Output:
	// [mailto:reports@example.org] <nil>
	// [] tlsrpt: the domain does not ask for reports
}

func ExampleURI() {
	for _, u := range []tlsrpt.URI{"mailto:reports@example.org", "https://example.org/tlsrpt"} {
		mailbox, ok := u.Mailbox()
		fmt.Println(mailbox, ok, u.HTTPS())
	}
	// Output:
	// reports@example.org true false
	//  false true
}
