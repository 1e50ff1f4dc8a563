package tlsrpt_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/costtest"
	"github.com/postrider/postrider/mx/tlsrpt"
)

// full has something of everything, after the example of RFC 8460 Appendix B.
func full() *tlsrpt.Report {
	return &tlsrpt.Report{
		Organization: "Company-X",
		Contact:      "sts-reporting@company-x.example",
		ID:           "5065427c@company-x.example",
		Start:        time.Date(2016, 4, 1, 0, 0, 0, 0, time.UTC),
		End:          time.Date(2016, 4, 1, 23, 59, 59, 0, time.UTC),
		Policies: []tlsrpt.PolicyReport{{
			Policy: tlsrpt.Policy{
				Type:    tlsrpt.STS,
				Strings: []string{"version: STSv1", "mode: testing", "mx: *.mail.company-y.example", "max_age: 86400"},
				Domain:  "company-y.example",
				MXHosts: []string{"*.mail.company-y.example"},
			},
			Successful: 5326,
			Failed:     303,
			Failures: []tlsrpt.Failure{{
				Result:    tlsrpt.CertificateExpired,
				SendingIP: netip.MustParseAddr("2001:db8:abcd:12::1"),
				Host:      "mx1.mail.company-y.example",
				Count:     100,
			}, {
				Result:         tlsrpt.StartTLSNotSupported,
				SendingIP:      netip.MustParseAddr("::ffff:198.51.100.62"),
				Host:           "mx2.mail.company-y.example",
				Hello:          "<mx2>",
				ReceivingIP:    netip.MustParseAddr("203.0.113.56"),
				Count:          203,
				AdditionalInfo: "https://reports.company-x.example/report_info?id=5065427c&x#StarttlsNotSupported",
				Reason:         "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED",
			}},
		}, {
			Policy:     tlsrpt.Policy{Domain: "company-y.example"},
			Successful: 1,
		}},
	}
}

const fullJSON = `{"organization-name":"Company-X",` +
	`"date-range":{"start-datetime":"2016-04-01T00:00:00Z","end-datetime":"2016-04-01T23:59:59Z"},` +
	`"contact-info":"sts-reporting@company-x.example","report-id":"5065427c@company-x.example","policies":[` +
	`{"policy":{"policy-type":"sts","policy-string":["version: STSv1","mode: testing","mx: *.mail.company-y.example","max_age: 86400"],` +
	`"policy-domain":"company-y.example","mx-host":["*.mail.company-y.example"]},` +
	`"summary":{"total-successful-session-count":5326,"total-failure-session-count":303},"failure-details":[` +
	`{"result-type":"certificate-expired","sending-mta-ip":"2001:db8:abcd:12::1","receiving-mx-hostname":"mx1.mail.company-y.example","failed-session-count":100},` +
	`{"result-type":"starttls-not-supported","sending-mta-ip":"198.51.100.62","receiving-mx-hostname":"mx2.mail.company-y.example",` +
	`"receiving-mx-helo":"<mx2>","receiving-ip":"203.0.113.56","failed-session-count":203,` +
	`"additional-information":"https://reports.company-x.example/report_info?id=5065427c&x#StarttlsNotSupported",` +
	`"failure-reason-code":"X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED"}]},` +
	`{"policy":{"policy-type":"no-policy-found","policy-domain":"company-y.example"},` +
	`"summary":{"total-successful-session-count":1,"total-failure-session-count":0}}]}` + "\n"

func TestWrite(t *testing.T) {
	var plain, packed bytes.Buffer
	if err := full().WriteJSON(&plain); err != nil || plain.String() != fullJSON {
		t.Errorf("%v\n%s\nwant\n%s", err, plain.String(), fullJSON)
	}
	if err := full().WriteGzip(&packed); err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(&packed)
	if err != nil {
		t.Fatal(err)
	}
	plain.Reset()
	if _, err := plain.ReadFrom(z); err != nil || plain.String() != fullJSON {
		t.Errorf("%v\n%s", err, plain.String())
	}
	// Fractions and zones are nobody's business.
	r := full()
	r.Start = r.Start.Add(time.Millisecond).In(time.FixedZone("", 3600))
	plain.Reset()
	if r.WriteJSON(&plain); plain.String() != fullJSON {
		t.Error(plain.String())
	}
	plain.Reset()
	if (&tlsrpt.Report{}).WriteJSON(&plain); !strings.Contains(plain.String(), `"policies":[]`) { // §4
		t.Error(plain.String())
	}
}

func TestWrittenIsReadBack(t *testing.T) {
	want := full()
	want.Policies[0].Failures[1].SendingIP = netip.MustParseAddr("198.51.100.62")
	want.Policies[1].Policy.Type = tlsrpt.NoPolicyFound
	for _, write := range []func(r *tlsrpt.Report, b *bytes.Buffer) error{
		func(r *tlsrpt.Report, b *bytes.Buffer) error { return r.WriteJSON(b) },
		func(r *tlsrpt.Report, b *bytes.Buffer) error { return r.WriteGzip(b) },
	} {
		var b bytes.Buffer
		if err := write(full(), &b); err != nil {
			t.Fatal(err)
		}
		got, err := tlsrpt.ParseReport(&b, tlsrpt.ReportLimits{})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestFileNameAndSubject(t *testing.T) {
	const bad = ""
	for _, tt := range []struct {
		name    string
		change  func(r *tlsrpt.Report)
		file    string
		subject string
	}{
		{"§5.1, §5.3", func(r *tlsrpt.Report) {},
			"company-x.example!company-y.example!1459468800!1459555199!5065427c.json.gz",
			"Report Domain: company-y.example Submitter: company-x.example Report-ID: <5065427c@company-x.example>"},
		{"§5.1 unique-id", func(r *tlsrpt.Report) { r.ID = "5065427c-23d3" },
			"company-x.example!company-y.example!1459468800!1459555199.json.gz",
			"Report Domain: company-y.example Submitter: company-x.example Report-ID: <5065427c-23d3@company-x.example>"},
		{"A-labels", func(r *tlsrpt.Report) {
			r.Contact, r.Policies[0].Policy.Domain = "a@b\u00fccher.example", "B\u00fccher.Example."
		},
			"xn--bcher-kva.example!xn--bcher-kva.example!1459468800!1459555199!5065427c.json.gz",
			"Report Domain: xn--bcher-kva.example Submitter: xn--bcher-kva.example Report-ID: <5065427c@company-x.example>"},
		{"§5.3 an ID with a space", func(r *tlsrpt.Report) { r.ID = "5065427c x" }, "company-x.example!company-y.example!1459468800!1459555199.json.gz", bad},
		{"§5.3 an ID that breaks out", func(r *tlsrpt.Report) { r.ID = "a>\r\nBcc: <b" }, "company-x.example!company-y.example!1459468800!1459555199.json.gz", bad},
		{"§5.3 no ID", func(r *tlsrpt.Report) { r.ID = "" }, "company-x.example!company-y.example!1459468800!1459555199.json.gz", bad},
		{"a contact that is none", func(r *tlsrpt.Report) { r.Contact = "company-x.example" }, bad, bad},
		{"a contact at an address", func(r *tlsrpt.Report) { r.Contact = "a@[192.0.2.1]" }, bad, bad},
		{"no policy", func(r *tlsrpt.Report) { r.Policies = nil }, bad, bad},
		{"no domain", func(r *tlsrpt.Report) { r.Policies[0].Policy.Domain = "a\r\nb" }, bad, bad},
		{"a domain that is a path", func(r *tlsrpt.Report) { r.Policies[0].Policy.Domain = "../a" }, bad, bad},
		{"no period", func(r *tlsrpt.Report) { r.Start = time.Time{} }, bad, bad},
		{"a period backwards", func(r *tlsrpt.Report) { r.End = r.Start.Add(-time.Second) }, bad, bad},
	} {
		r := full()
		tt.change(r)
		if got, err := r.FileName(); got != tt.file || (err == nil) != (tt.file != bad) {
			t.Errorf("%s: file %q, %v", tt.name, got, err)
		}
		if got, err := r.Subject(); got != tt.subject || (err == nil) != (tt.subject != bad) {
			t.Errorf("%s: subject %q, %v", tt.name, got, err)
		}
	}
}

func TestParseReport(t *testing.T) {
	const range_ = `"date-range":{"start-datetime":"2016-04-01T00:00:00Z","end-datetime":"2016-04-01T23:59:59Z"}`
	policies := func(s string) string { return `{` + range_ + `,"policies":[` + s + `]}` }
	day := func(p ...tlsrpt.PolicyReport) *tlsrpt.Report {
		return &tlsrpt.Report{Start: full().Start, End: full().End, Policies: p}
	}
	for _, tt := range []struct {
		name, text string
		want       *tlsrpt.Report // nil: an error
	}{
		{"the least", `{"policies":[]}`, &tlsrpt.Report{}},
		{"§4.4 unknown members", `{"x":{"y":[1,{"z":null}],"w":"}"},"policies":[{"v":1,"policy":{"u":[]},"summary":{"s":true}}],"t":[]}`, &tlsrpt.Report{Policies: []tlsrpt.PolicyReport{{}}}},
		{"nulls", `{"organization-name":null,"date-range":null,"policies":[{"policy":null,"summary":null,"failure-details":null},null]}`, &tlsrpt.Report{Policies: []tlsrpt.PolicyReport{{}, {}}}},
		{"nulls further down", policies(`{"policy":{"policy-string":null,"mx-host":[null]},"summary":{"total-failure-session-count":null},"failure-details":[{"sending-mta-ip":null},null]}`),
			day(tlsrpt.PolicyReport{Policy: tlsrpt.Policy{MXHosts: []string{""}}, Failures: []tlsrpt.Failure{{}, {}}})},
		{"a string for a list", policies(`{"policy":{"policy-string":"version: STSv1","mx-host":"*.example"}}`),
			day(tlsrpt.PolicyReport{Policy: tlsrpt.Policy{Strings: []string{"version: STSv1"}, MXHosts: []string{"*.example"}}})},
		{"an empty string for a list", policies(`{"policy":{"mx-host":""}}`), day(tlsrpt.PolicyReport{})},
		{"numbers in quotes", policies(`{"summary":{"total-successful-session-count":"5","total-failure-session-count":6e0}}`), day(tlsrpt.PolicyReport{Successful: 5, Failed: 6})},
		{"addresses", policies(`{"failure-details":[{"sending-mta-ip":"[2001:db8::1]","receiving-ip":"unknown"}]}`),
			day(tlsrpt.PolicyReport{Failures: []tlsrpt.Failure{{SendingIP: netip.MustParseAddr("2001:db8::1")}}})},
		{"other times", `{"date-range":{"start-datetime":"2016-04-01","end-datetime":"2016-04-01T23:59:59"},"policies":[]}`, &tlsrpt.Report{Start: full().Start, End: full().End}},
		{"a time in a zone", `{"date-range":{"start-datetime":"2016-04-01T02:00:00+02:00","end-datetime":"2016-04-01 23:59:59.0Z"},"policies":[]}`, &tlsrpt.Report{Start: full().Start, End: full().End}},
		{"other types", policies(`{"policy":{"policy-type":"dane-2"},"failure-details":[{"result-type":"x"}]}`), day(tlsrpt.PolicyReport{Policy: tlsrpt.Policy{Type: "dane-2"}, Failures: []tlsrpt.Failure{{Result: "x"}}})},
		{"a byte order mark", "\ufeff" + `{"policies":[]}`, &tlsrpt.Report{}},
		{"white space", "\r\n{\t\"policies\" : [ ] }\r\n", &tlsrpt.Report{}},

		{"nothing", "", nil},
		{"no JSON", "hello", nil},
		{"HTML", "<html>", nil},
		{"no object", "[]", nil},
		{"no object", "1", nil},
		{"null", "null", nil},
		{"no policies", "{}", nil},
		{"cut short", `{"policies":[]`, nil},
		{"cut short", `{"policies":[{`, nil},
		{"cut short", `{"policies":[{"policy":`, nil},
		{"something behind", `{"policies":[]}{}`, nil},
		{"an object for a list", `{"policies":{}}`, nil},
		{"a list for an object", policies(`[]`), nil},
		{"a number for a string", `{"report-id":1,"policies":[]}`, nil},
		{"an object for a string", `{"report-id":{},"policies":[]}`, nil},
		{"an object in a list of strings", policies(`{"policy":{"mx-host":[{}]}}`), nil},
		{"a negative count", policies(`{"summary":{"total-successful-session-count":-1}}`), nil},
		{"a fraction", policies(`{"summary":{"total-successful-session-count":1.5}}`), nil},
		{"a huge count", policies(`{"summary":{"total-successful-session-count":1e300}}`), nil},
		{"a count past 53 bits", policies(`{"summary":{"total-successful-session-count":9007199254740993000}}`), nil},
		{"true for a count", policies(`{"failure-details":[{"failed-session-count":true}]}`), nil},
		{"no time", `{"date-range":{"start-datetime":"yesterday"},"policies":[]}`, nil},
		{"a comma too many", `{"policies":[],}`, nil},
		{"gzip of nothing", "\x1f\x8b", nil},
		{"half of gzip", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00", nil},
	} {
		got, err := tlsrpt.ParseReport(strings.NewReader(tt.text), tlsrpt.ReportLimits{})
		if (err != nil) != (tt.want == nil) || err == nil && !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, %v, want %+v", tt.name, got, err, tt.want)
		}
		if err != nil && (!strings.HasPrefix(err.Error(), "tlsrpt: ") || got != nil) {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
}

// What costs memory or time is counted before it does.
func TestParseReportIsBounded(t *testing.T) {
	zeros := func(n int) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write([]byte(`{"organization-name":"`))
		block := bytes.Repeat([]byte{'0'}, 1<<16)
		for range n >> 16 {
			z.Write(block)
		}
		z.Close()
		return b.String()
	}
	repeat := func(s string, n int) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }
	failures := `{"failure-details":[` + repeat(`{}`, 10) + `]}`
	for _, tt := range []struct {
		name, text string
		limits     tlsrpt.ReportLimits
		ok         bool
	}{
		{"a small file that is large", zeros(1 << 25), tlsrpt.ReportLimits{}, false},
		{"as much as may be", fullJSON, tlsrpt.ReportLimits{MaxSize: int64(len(fullJSON))}, true},
		{"more", fullJSON, tlsrpt.ReportLimits{MaxSize: int64(len(fullJSON)) - 1}, false},
		{"policies", `{"policies":[` + repeat(`{}`, 10) + `]}`, tlsrpt.ReportLimits{MaxPolicies: 10}, true},
		{"policies", `{"policies":[` + repeat(`{}`, 11) + `]}`, tlsrpt.ReportLimits{MaxPolicies: 10}, false},
		{"policies by default", `{"policies":[` + repeat(`null`, 10_001) + `]}`, tlsrpt.ReportLimits{}, false},
		{"failures", `{"policies":[` + repeat(failures, 2) + `]}`, tlsrpt.ReportLimits{MaxFailures: 20}, true},
		{"failures", `{"policies":[` + repeat(failures, 2) + `]}`, tlsrpt.ReportLimits{MaxFailures: 19}, false},
		{"failures by default", `{"policies":[{"failure-details":[` + repeat(`{}`, 100_001) + `]}]}`, tlsrpt.ReportLimits{}, false},
		{"strings", `{"policies":[{"policy":{"mx-host":["","",""],"policy-string":"x"}}]}`, tlsrpt.ReportLimits{MaxStrings: 4}, true},
		{"strings", `{"policies":[{"policy":{"mx-host":["","",""],"policy-string":"x"}}]}`, tlsrpt.ReportLimits{MaxStrings: 3}, false},
		{"depth", `{"policies":[],"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, tlsrpt.ReportLimits{}, true},
		{"depth", `{"policies":[],"x":` + strings.Repeat(`{"y":`, 101), tlsrpt.ReportLimits{}, false},
		{"strings by default", `{"policies":[{"policy":{"mx-host":[` + repeat(`""`, 100_001) + `]}}]}`, tlsrpt.ReportLimits{}, false},
	} {
		_, err := tlsrpt.ParseReport(strings.NewReader(tt.text), tt.limits)
		if tt.ok && err != nil || !tt.ok && err != tlsrpt.ErrReportTooLarge {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// White space, however it arrives, is not gone through again and again.
func TestParseReportTakesItsTime(t *testing.T) {
	const size = 4 << 20
	for _, text := range []string{strings.Repeat(" ", size), `{"x":[` + strings.Repeat("\n", size)} {
		// Quadratic cost is ten seconds and more.
		costtest.AtMost(t, 1000, fmt.Sprintf("%.10q", text), func() {
			if _, err := tlsrpt.ParseReport(slowReader{strings.NewReader(text)}, tlsrpt.ReportLimits{}); err == nil {
				t.Error("no error")
			}
		})
	}
}

// A slowReader gives little at a time, as a connection does.
type slowReader struct{ io.Reader }

func (r slowReader) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 512)]) }

// What a report has said does not get into a log raw, or at length.
func TestParseReportErrors(t *testing.T) {
	evil := `"a\n\u001b[31m` + strings.Repeat("x", 1000) + `"`
	for _, value := range []string{evil, strings.Repeat("9", 100_000), strings.Repeat("9", 1000) + "e999", "[" + evil + "]"} {
		for _, text := range []string{
			`%s`, `{"policies":%s}`, `{"policies":[%s]}`, `{"date-range":%s}`, `{"date-range":{"end-datetime":%s}}`,
			`{"policies":[{"summary":{"total-failure-session-count":%s}}]}`, `{"policies":[{"failure-details":%s}]}`,
		} {
			text = strings.ReplaceAll(text, "%s", value)
			_, err := tlsrpt.ParseReport(strings.NewReader(text), tlsrpt.ReportLimits{})
			if err == nil || len(err.Error()) > 200 || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("%.60s: %.300q", text, err)
			}
		}
	}
}

// Report implements json.Marshaler for those who put it into something else.
func TestMarshal(t *testing.T) {
	got, err := json.Marshal(struct{ Report tlsrpt.Report }{tlsrpt.Report{ID: "a"}})
	if err != nil || !strings.Contains(string(got), `"report-id":"a"`) {
		t.Errorf("%s, %v", got, err)
	}
}
