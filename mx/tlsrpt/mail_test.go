package tlsrpt_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/mx/tlsrpt"
)

func TestMail(t *testing.T) {
	r := full()
	r.Policies[0].Failures[1].Reason = strings.Repeat("long ", 100)
	var b bytes.Buffer
	m := tlsrpt.Mail{Report: r, To: []string{"a@company-y.example", `"b c"@company-y.example`}, Date: time.Date(2016, 4, 2, 3, 4, 5, 0, time.UTC), MessageID: "1@company-x.example"}
	n, err := m.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("%d, %v", n, err)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(b.String(), "\r\n"), "\r\n") {
		if len(line) > 110 || strings.ContainsAny(line, "\r\n") || strings.TrimRight(line, " ") != line { // the file's name does not fit into 78
			t.Errorf("line %q", line)
		}
		for _, c := range line {
			if c > '~' {
				t.Errorf("line %q is not ASCII", line)
			}
		}
	}
	msg, err := mail.ReadMessage(&b)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"From":                 "<sts-reporting@company-x.example>",
		"To":                   `<a@company-y.example>, <"b c"@company-y.example>`,
		"Date":                 "Sat, 02 Apr 2016 03:04:05 +0000",
		"Message-Id":           "<1@company-x.example>",
		"Subject":              "Report Domain: company-y.example Submitter: company-x.example Report-ID: <5065427c@company-x.example>", // §5.3
		"Tls-Report-Domain":    "company-y.example",                                                                                     // §5.3
		"Tls-Report-Submitter": "company-x.example",                                                                                     // §5.3
		"Tls-Required":         "No",                                                                                                    // RFC 8689 §5
		"Auto-Submitted":       "auto-generated",
		"Mime-Version":         "1.0",
	} {
		if got := msg.Header[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	media, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || media != "multipart/report" || params["report-type"] != "tlsrpt" { // §5.3
		t.Fatalf("%s %v %v", media, params, err)
	}
	parts := multipart.NewReader(msg.Body, params["boundary"])
	human, err := parts.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(human)
	if err != nil || human.Header.Get("Content-Type") != "text/plain; charset=us-ascii" || !strings.Contains(string(text), "sts: 5326 successful, 303 failed\r\nno-policy-found: 1 successful, 0 failed") {
		t.Errorf("%v %s %v", human.Header, text, err)
	}
	machine, err := parts.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	if kind := machine.Header.Get("Content-Type"); kind != "application/tlsrpt+gzip" { // §5.3
		t.Error(kind)
	}
	if name := machine.FileName(); name != "company-x.example!company-y.example!1459468800!1459555199!5065427c.json.gz" { // §5.1
		t.Error(name)
	}
	got, err := tlsrpt.ParseReport(base64.NewDecoder(base64.StdEncoding, machine), tlsrpt.ReportLimits{})
	if err != nil || got.ID != r.ID || !reflect.DeepEqual(got.Policies[0].Policy, r.Policies[0].Policy) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := parts.NextPart(); err != io.EOF {
		t.Errorf("after the report: %v", err)
	}
}

// However long the report is, its end is there.
func TestMailHasAllOfTheReport(t *testing.T) {
	for n := range 26 {
		r := full()
		r.Organization = rand.Text()[:n]
		var b bytes.Buffer
		if _, err := (&tlsrpt.Mail{Report: r, To: []string{"a@company-y.example"}}).WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		_, attachment, _ := strings.Cut(b.String(), ".json.gz\"\r\n\r\n")
		attachment, _, _ = strings.Cut(attachment, "\r\n--")
		for line := range strings.SplitSeq(attachment, "\r\n") {
			if len(line) > 76 { // RFC 2045 §6.8
				t.Errorf("line %q", line)
			}
		}
		got, err := tlsrpt.ParseReport(base64.NewDecoder(base64.StdEncoding, strings.NewReader(attachment)), tlsrpt.ReportLimits{})
		if err != nil || got.Organization != r.Organization {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestMailDefaults(t *testing.T) {
	var ids []string
	for range 2 {
		var b bytes.Buffer
		m := tlsrpt.Mail{Report: full(), From: "noreply@mail.company-x.example", To: []string{"a@company-y.example"}}
		if _, err := m.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		msg, err := mail.ReadMessage(&b)
		if err != nil {
			t.Fatal(err)
		}
		date, err := msg.Header.Date()
		if err != nil || time.Since(date).Abs() > time.Minute || msg.Header.Get("From") != "<noreply@mail.company-x.example>" {
			t.Errorf("%v", msg.Header)
		}
		id := msg.Header.Get("Message-ID")
		if !strings.HasSuffix(id, "@mail.company-x.example>") {
			t.Errorf("Message-ID %s", id)
		}
		ids = append(ids, id)
	}
	if ids[0] == ids[1] {
		t.Errorf("Message-ID %s twice", ids[0])
	}
}

func TestMailCannotBeBrokenOutOf(t *testing.T) {
	for name, m := range map[string]tlsrpt.Mail{
		"nobody":      {},
		"to":          {To: []string{"a@b.example>\r\nBcc: <c@d.example"}},
		"not to":      {To: []string{"hello"}},
		"from":        {To: []string{"a@b.example"}, From: "a@b.example\r\nX: y"},
		"message ID":  {To: []string{"a@b.example"}, MessageID: "a@b>\r\nX: <y"},
		"message ID ": {To: []string{"a@b.example"}, MessageID: "a"},
		"message-ID":  {To: []string{"a@b.example"}, MessageID: `"a"@b.example`}, // RFC 5322 §3.6.4 knows no quotes
	} {
		m.Report = full()
		var b bytes.Buffer
		if _, err := m.WriteTo(&b); err == nil || b.Len() > 0 {
			t.Errorf("%s: %v: %s", name, err, b.String())
		}
	}
	r := full()
	r.ID = "a\r\nb"
	if _, err := (&tlsrpt.Mail{Report: r, To: []string{"a@b.example"}}).WriteTo(io.Discard); err == nil {
		t.Error("a report whose ID has a line end was written")
	}
	r = full()
	r.Policies[0].Policy.Type = "a\r\nb\u00fc" + tlsrpt.PolicyType(strings.Repeat("x", 100))
	var b bytes.Buffer
	if _, err := (&tlsrpt.Mail{Report: r, To: []string{"a@b.example"}}).WriteTo(&b); err != nil || !strings.Contains(b.String(), "\r\na??b?xxx") {
		t.Errorf("%v: %s", err, b.String())
	}
}

func TestMailToWhomCannotTakeIt(t *testing.T) {
	m := tlsrpt.Mail{Report: full(), To: []string{"a@b.example"}}
	broken := errors.New("broken")
	if _, err := m.WriteTo(writerFunc(func([]byte) (int, error) { return 0, broken })); err != broken {
		t.Error(err)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
