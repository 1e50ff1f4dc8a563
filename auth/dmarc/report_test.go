package dmarc_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"io"
	"net/netip"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dmarc"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func gzipped(t testing.TB, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipped(t testing.TB, files ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for range files {
		f, err := w.Create("report.xml")
		if err != nil {
			t.Fatal(err)
		}
		f.Write(files[0])
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var rfc9990 = dmarc.Report{
	Version: "1.0", OrgName: "Receiver & Sons", Email: "dmarc@receiver.example", ExtraContact: "https://receiver.example/dmarc",
	ID: "3v98abbp8ya9n3va8yr8oa3ya", Begin: 302832000, End: 302918399, Errors: []string{"sp: invalid value"}, Generator: "reporter 1.2",
	Policy: dmarc.PublishedPolicy{Domain: "example.com", Method: dmarc.TreeWalk, Record: dmarc.Record{
		Policy: dmarc.Quarantine, SubdomainPolicy: dmarc.None, NonexistentPolicy: dmarc.Reject, DKIM: dmarc.Strict, FailureOptions: "1:d", Testing: true,
	}},
	Rows: []dmarc.Row{{
		SourceIP: netip.MustParseAddr("192.0.2.123"), Count: 123, Disposition: dmarc.Passed, DKIM: authres.Pass, SPF: authres.Fail,
		HeaderFrom: "example.com", EnvelopeFrom: "example.com",
		DKIMResults: []dmarc.DKIMResult{{Domain: "example.com", Selector: "abc123", Result: authres.Pass}},
		SPFResults:  []dmarc.SPFResult{{Domain: "example.com", Result: authres.Fail}},
	}, {
		SourceIP: netip.MustParseAddr("2001:db8::1"), Count: 1, Disposition: dmarc.NoAction, DKIM: authres.Fail, SPF: authres.Fail,
		Reasons:    []dmarc.Reason{{Type: dmarc.ReasonMailingList, Comment: "a list we know"}, {Type: dmarc.ReasonTestMode}},
		HeaderFrom: "sub.example.com", EnvelopeTo: "receiver.example",
	}},
}

var rfc7489 = dmarc.Report{
	OrgName: "Büro", Email: "noreply@receiver.example", ID: "17.example.com:1", Begin: 1700000000, End: 1700086399, Errors: []string{"one", "two"},
	Policy: dmarc.PublishedPolicy{Domain: "example.com", Record: dmarc.Record{
		Policy: dmarc.Reject, DKIM: dmarc.Relaxed, SPF: dmarc.Relaxed, FailureOptions: "0",
	}},
	Rows: []dmarc.Row{{
		SourceIP: netip.MustParseAddr("192.0.2.1"), Count: 2, Disposition: dmarc.NoAction, DKIM: authres.Pass, SPF: authres.Fail,
		Reasons: []dmarc.Reason{{Type: "sampled_out"}}, HeaderFrom: "example.com",
		DKIMResults: []dmarc.DKIMResult{{Domain: "example.com", Result: authres.Pass}},
		SPFResults: []dmarc.SPFResult{
			{Domain: "example.com", Scope: "mfrom", Result: authres.Fail},
			{Domain: "mx.example.com", Scope: "helo", Result: authres.TempError},
			{Domain: "mx.example.com", Result: authres.PermError},
		},
	}},
}

func TestParseReport(t *testing.T) {
	for name, want := range map[string]dmarc.Report{"rfc9990.xml": rfc9990, "rfc7489.xml": rfc7489} {
		text := read(t, name)
		for form, packed := range map[string][]byte{"plain": text, "gzip": gzipped(t, text), "zip": zipped(t, text)} {
			got, err := dmarc.ParseReport(bytes.NewReader(packed), dmarc.ReportLimits{})
			if err != nil {
				t.Errorf("%s, %s: %v", name, form, err)
			} else if !reflect.DeepEqual(*got, want) {
				t.Errorf("%s, %s:\n got %+v\nwant %+v", name, form, *got, want)
			}
		}
	}
}

func TestParseReportRefuses(t *testing.T) {
	sample := string(read(t, "rfc9990.xml"))
	long := strings.Repeat("x", 5000)
	for name, text := range map[string]string{
		"nothing":            "",
		"no XML":             "hello",
		"half of it":         sample[:1000],
		"another document":   "<html></html>",
		"two roots":          "<feedback/><record",
		"not well-formed":    strings.Replace(sample, "</row>", "</rwo>", 1),
		"an entity":          strings.Replace(sample, "Sons", "&sons;", 1),
		"a declaration":      `<!DOCTYPE feedback [<!ENTITY sons SYSTEM "file:///etc/passwd">]>` + strings.TrimPrefix(sample, xml.Header),
		"a charset":          `<?xml version="1.0" encoding="utf-16"?><feedback/>`,
		"no UTF-8":           strings.Replace(sample, "Sons", "S\xfcns", 1),
		"a control":          strings.Replace(sample, "Sons", "S\x01ns", 1),
		"an address":         strings.Replace(sample, "192.0.2.123", "192.0.2.256", 1),
		"a count":            strings.Replace(sample, ">123<", ">-1<", 1),
		"a large count":      strings.Replace(sample, ">123<", ">18446744073709551616<", 1),
		"a date":             strings.Replace(sample, "302832000", "yesterday", 1),
		"a gzip of nothing":  "\x1f\x8b",
		"a gzip, broken":     string(gzipped(t, []byte(sample))[:300]),
		"a zip of nothing":   "PK\x03\x04",
		"a zip, broken":      string(zipped(t, []byte(sample))[:300]),
		"a zip of two files": string(zipped(t, []byte(sample), []byte(sample))),
		"a gzip in a gzip":   string(gzipped(t, gzipped(t, []byte(sample)))),
	} {
		_, err := dmarc.ParseReport(strings.NewReader(text), dmarc.ReportLimits{})
		if name == "two roots" {
			if err != nil {
				t.Errorf("%s: %v", name, err) // what follows is nobody's
			}
		} else if err == nil || errors.Is(err, dmarc.ErrReportTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, tt := range map[string]struct {
		text   string
		limits dmarc.ReportLimits
	}{
		"a long text":             {strings.Replace(sample, "Sons", long, 1), dmarc.ReportLimits{}},
		"a long attribute":        {strings.Replace(sample, "<row>", "<row x='"+long+"'>", 1), dmarc.ReportLimits{}},
		"deep":                    {"<feedback>" + strings.Repeat("<x>", 20), dmarc.ReportLimits{}},
		"deep, where skipped":     {strings.Replace(sample, "not one of ours", strings.Repeat("<x>", 20), 1), dmarc.ReportLimits{}},
		"many rows":               {sample, dmarc.ReportLimits{MaxRows: 1}},
		"large":                   {sample, dmarc.ReportLimits{MaxSize: 2000}},
		"large in a gzip":         {string(gzipped(t, []byte(sample))), dmarc.ReportLimits{MaxSize: 2000}},
		"large in a zip":          {string(zipped(t, []byte(sample))), dmarc.ReportLimits{MaxSize: 2000}},
		"a large zip":             {string(zipped(t, []byte(sample))), dmarc.ReportLimits{MaxCompressed: 500}},
		"large in small elements": {string(gzipped(t, append([]byte("<feedback>"), bytes.Repeat([]byte("<x/>"), 1<<20)...))), dmarc.ReportLimits{MaxSize: 1 << 20}},
		"a gzip bomb":             {string(gzipped(t, append([]byte("<feedback>"), bytes.Repeat([]byte(" "), 4<<20)...))), dmarc.ReportLimits{}},
		"a zip bomb":              {string(zipped(t, append([]byte("<feedback>"), bytes.Repeat([]byte(" "), 4<<20)...))), dmarc.ReportLimits{}},
	} {
		if _, err := dmarc.ParseReport(strings.NewReader(tt.text), tt.limits); !errors.Is(err, dmarc.ErrReportTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := dmarc.ParseReport(strings.NewReader(sample), dmarc.ReportLimits{MaxRows: 2, MaxDepth: 6, MaxText: 40, MaxSize: int64(len(sample))}); err != nil {
		t.Errorf("at the limits: %v", err)
	}
}

// Nothing is held in memory before it is known to be within the limits.
func TestBombsCostNoMemory(t *testing.T) {
	for name, bomb := range map[string][]byte{
		"a text":      append([]byte("<feedback>"), bytes.Repeat([]byte(" "), 4<<20)...),
		"an element":  append([]byte("<feedback "), bytes.Repeat([]byte("x"), 4<<20)...),
		"an entity":   append([]byte("<feedback>&"), bytes.Repeat([]byte("x"), 4<<20)...),
		"a comment":   append([]byte("<feedback><!--"), bytes.Repeat([]byte("x"), 4<<20)...),
		"a directive": append([]byte("<!"), bytes.Repeat([]byte("x"), 4<<20)...),
	} {
		packed := gzipped(t, bomb)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := dmarc.ParseReport(bytes.NewReader(packed), dmarc.ReportLimits{})
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; err == nil || n > 1<<20 {
			t.Errorf("%s: %d octets, %v", name, n, err)
		}
	}
}

// Empty elements take more memory than octets.
func TestElementBombs(t *testing.T) {
	for name, bomb := range map[string][2]string{
		"results":        {"<feedback><record><auth_results>", "<spf/>"},
		"reasons":        {"<feedback><record><row><policy_evaluated>", "<reason/>"},
		"errors":         {"<feedback><report_metadata>", "<error/>"},
		"unknown":        {"<feedback><x>", "<y/>"},
		"in many places": {"<feedback>", "<x>" + strings.Repeat("<y/>", 500) + "</x>"},
		"in many rows":   {"<feedback>", "<record><auth_results>" + strings.Repeat("<spf/>", 500) + "</auth_results></record>"},
	} {
		packed := gzipped(t, []byte(bomb[0]+strings.Repeat(bomb[1], 4<<20/len(bomb[1]))))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := dmarc.ParseReport(bytes.NewReader(packed), dmarc.ReportLimits{MaxRows: 1000})
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, dmarc.ErrReportTooLarge) || n > 16<<20 {
			t.Errorf("%s: %d octets, %v", name, n, err)
		}
	}
	row := "<record><auth_results>" + strings.Repeat("<dkim><domain/><selector/><result/><human_result/></dkim>", 100) + "</auth_results></record>"
	for n, rows := range map[int]int{1: 1, 2: 2} {
		if _, err := dmarc.ParseReport(strings.NewReader("<feedback>"+strings.Repeat(row, n)+"</feedback>"), dmarc.ReportLimits{MaxRows: rows}); err != nil {
			t.Errorf("%d rows with as many signatures as there may be: %v", n, err)
		}
	}
}

func TestWriteReport(t *testing.T) {
	for name, want := range map[string]dmarc.Report{"rfc9990": rfc9990, "rfc7489": rfc7489} {
		var plain, packed bytes.Buffer
		if err := errors.Join(want.WriteXML(&plain), want.WriteGzip(&packed)); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(plain.String(), xml.Header+`<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">`) {
			t.Errorf("%s begins with %.200q", name, plain.String())
		}
		if n := strings.Count(plain.String(), "xmlns"); n != 1 {
			t.Errorf("%s: %d declarations of a namespace", name, n)
		}
		// Defaults are filled in.
		want.Rows = append([]dmarc.Row(nil), want.Rows...)
		r := &want.Policy.Record
		if name == "rfc9990" {
			r.SPF = dmarc.Relaxed
			want.Rows[1].SPFResults = []dmarc.SPFResult{{Domain: "sub.example.com", Scope: "mfrom", Result: authres.None}}
		} else {
			r.SubdomainPolicy, r.NonexistentPolicy = dmarc.Reject, dmarc.Reject
			want.Errors = []string{"one; two"}
		}
		for _, in := range []io.Reader{&plain, &packed} {
			got, err := dmarc.ParseReport(in, dmarc.ReportLimits{})
			if err != nil || !reflect.DeepEqual(*got, want) {
				t.Errorf("%s: %v\n got %+v\nwant %+v", name, err, got, want)
			}
		}
	}
}

// The order of elements is that of the schema where it has one.
func TestReportXML(t *testing.T) {
	var b strings.Builder
	if err := rfc9990.WriteXML(&b); err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, element := range strings.Fields(`feedback version report_metadata org_name email extra_contact_info report_id date_range begin end
		/date_range error generator /report_metadata policy_published domain discovery_method p sp np fo adkim aspf testing /policy_published
		record row source_ip count policy_evaluated disposition dkim spf /policy_evaluated /row identifiers header_from envelope_from /identifiers
		auth_results dkim domain selector result /dkim spf domain result /spf /auth_results /record
		record row source_ip count policy_evaluated disposition dkim spf reason type comment /reason reason type /reason /policy_evaluated /row
		identifiers header_from envelope_from envelope_to /identifiers auth_results spf domain scope result /spf /auth_results /record /feedback`) {
		i := strings.Index(b.String()[at:], "<"+element)
		if i < 0 {
			t.Fatalf("no %s in\n%s", element, b.String()[at:])
		}
		at += i + len(element)
	}
}

// Whatever the strings, what is written is XML.
func TestReportIsXML(t *testing.T) {
	evil := "a\x00b\xff</org_name><x y=\"'&amp;]]>\u2028\ufffe\r\n"
	r := dmarc.Report{
		Version: evil, OrgName: evil, Email: evil, ExtraContact: evil, ID: evil, Errors: []string{evil, evil}, Generator: evil,
		Policy: dmarc.PublishedPolicy{Domain: evil, Method: dmarc.DiscoveryMethod(evil), Record: dmarc.Record{Policy: dmarc.Policy(evil), FailureOptions: evil}},
		Rows: []dmarc.Row{{
			Disposition: dmarc.Action(evil), DKIM: authres.Verdict(evil), Reasons: []dmarc.Reason{{evil, evil}},
			HeaderFrom: evil, EnvelopeFrom: evil, EnvelopeTo: evil,
			DKIMResults: []dmarc.DKIMResult{{evil, evil, authres.Verdict(evil), evil}}, SPFResults: []dmarc.SPFResult{{evil, evil, authres.Verdict(evil), evil}},
		}},
	}
	var b bytes.Buffer
	if err := r.WriteXML(&b); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b.Bytes(), []byte("<x")) {
		t.Errorf("broken out of:\n%s", b.Bytes())
	}
	got, err := dmarc.ParseReport(&b, dmarc.ReportLimits{})
	if err != nil || !strings.HasPrefix(got.OrgName, "a\ufffdb\ufffd</org_name>") {
		t.Errorf("%v %+v", err, got)
	}
	if err := new(dmarc.Report).WriteXML(&b); err == nil {
		t.Error("a report without rows was written")
	}
}

type brokenWriter int

func (w *brokenWriter) Write(p []byte) (int, error) {
	if *w -= brokenWriter(len(p)); *w < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestReportWriterFails(t *testing.T) {
	for _, room := range []brokenWriter{0, 10, 100, 500} {
		w := room
		if err := rfc9990.WriteXML(&w); err == nil {
			t.Errorf("no error after %d octets", room)
		}
		w = room
		if err := rfc9990.WriteGzip(&w); err == nil {
			t.Errorf("gzip: no error after %d octets", room)
		}
	}
}

func TestReportNames(t *testing.T) {
	for _, tt := range []struct {
		domain, id, receiver string
		begin, end           int64
		file, subject        string
	}{
		{"example.com", "a.b@c.example", "mail.receiver.example", 1013662812, 1013749130, // the RFC's examples
			"mail.receiver.example!example.com!1013662812!1013749130.xml.gz",
			"Report Domain: example.com Submitter: mail.receiver.example Report-ID: <a.b@c.example>"},
		{"Bücher.example", "abc123", "RECEIVER.example.", 0, 0,
			"receiver.example!xn--bcher-kva.example!0!0!abc123.xml.gz",
			"Report Domain: xn--bcher-kva.example Submitter: receiver.example Report-ID: <abc123>"},
		{"example.com", "", "receiver.example", 1, 2, "receiver.example!example.com!1!2.xml.gz", ""},
		{"example.com", "a b", "receiver.example", 1, 2, "receiver.example!example.com!1!2.xml.gz", ""},
		{"example.com", "a\r\nb", "receiver.example", 1, 2, "receiver.example!example.com!1!2.xml.gz", ""},
		{"example.com", `"a"`, "receiver.example", 1, 2, "receiver.example!example.com!1!2.xml.gz", ""},
		{"example.com", "a@", "receiver.example", 1, 2, "receiver.example!example.com!1!2.xml.gz", ""},
		{"example.com", "a@b@c", "receiver.example", 1, 2, "receiver.example!example.com!1!2.xml.gz", ""},
		{"example.com", "a>b", "receiver.example", 1, 2, "receiver.example!example.com!1!2.xml.gz", ""},
		{"example.com", "ü", "receiver.example", 1, 2, "receiver.example!example.com!1!2.xml.gz", ""},
		{"exa/mple.com", "a", "receiver.example", 1, 2, "", ""},
		{"../etc", "a", "receiver.example", 1, 2, "", ""},
		{"", "a", "receiver.example", 1, 2, "", ""},
		{"example.com", "a", "recei!ver.example", 1, 2, "", ""},
		{"example.com", "a", "receiver.example\r\n", 1, 2, "", ""},
		{"example.com", "a", "", 1, 2, "", ""},
		{"example.com", "a", "receiver.example", 2, 1, "", ""},
		{"example.com", "a", "receiver.example", -1, 1, "", ""},
	} {
		r := dmarc.Report{ID: tt.id, Begin: tt.begin, End: tt.end, Policy: dmarc.PublishedPolicy{Domain: tt.domain}}
		if got, err := r.FileName(tt.receiver); got != tt.file || (err == nil) != (tt.file != "") {
			t.Errorf("%q %q %q: %q %v", tt.domain, tt.id, tt.receiver, got, err)
		}
		if got, err := r.Subject(tt.receiver); got != tt.subject || (err == nil) != (tt.subject != "") {
			t.Errorf("%q %q %q: %q %v", tt.domain, tt.id, tt.receiver, got, err)
		}
	}
}

func FuzzParseReport(f *testing.F) {
	for _, name := range []string{"rfc9990.xml", "rfc7489.xml"} {
		text := read(f, name)
		f.Add(text)
		f.Add(gzipped(f, text))
		f.Add(zipped(f, text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		limits := dmarc.ReportLimits{MaxSize: 1 << 20, MaxCompressed: 1 << 16}
		r, err := dmarc.ParseReport(bytes.NewReader(text), limits)
		if err != nil || len(r.Rows) == 0 {
			return
		}
		var b bytes.Buffer
		if err := r.WriteXML(&b); err != nil {
			t.Fatal(err)
		}
		again, err := dmarc.ParseReport(&b, dmarc.ReportLimits{MaxText: 1 << 20})
		if err != nil {
			t.Fatalf("%v\n%q", err, text)
		}
		var c bytes.Buffer
		if err := again.WriteXML(&c); err != nil {
			t.Fatal(err)
		}
		if third, err := dmarc.ParseReport(&c, dmarc.ReportLimits{MaxText: 1 << 20}); err != nil || !reflect.DeepEqual(again, third) {
			t.Errorf("%v\n%+v\n%+v", err, again, third)
		}
	})
}
