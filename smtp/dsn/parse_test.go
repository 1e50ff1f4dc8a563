package dsn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/postrider/postrider/smtp"
)

// Notifications as other programs write them, and as they get mangled.
func TestParseOthers(t *testing.T) {
	at := func(s string) time.Time {
		parsed, err := time.Parse(time.DateTime, s)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	status := func(s string) Status {
		parsed, ok := ParseStatus(s)
		if !ok {
			t.Fatal(s)
		}
		return parsed
	}
	dns := DNS
	rfc822 := func(s string) Typed { return Typed{"rfc822", s} }
	said := func(s string) Typed { return Typed{"smtp", s} }
	here := at("2026-02-03 09:11:12")
	const id = "<abc@desk.sender.example>"
	bob, carol := rfc822("bob@there.example"), rfc822("carol@there.example")
	for name, want := range map[string]struct {
		Report
		id string // of the message
	}{
		"postfix-failed": {Report{
			ReportingMTA: dns("mail.sender.example"), Arrival: here, Returned: smtp.RetFull,
			Fields: []Field{{"X-Postfix-Queue-ID", "7C2E12A09F"}, {"X-Postfix-Sender", "rfc822; alice@sender.example"}},
			Recipients: []Recipient{
				{Original: rfc822("bobby@sender.example"), Final: bob, Action: Failed, Status: status("5.1.1"), RemoteMTA: dns("mx.there.example"),
					Diagnostic: said("550 5.1.1 <bob@there.example>: no mailbox of that name")},
				{Original: carol, Final: carol, Action: Failed, Status: status("5.7.1"), RemoteMTA: dns("mx.there.example"),
					Diagnostic: said("554-5.7.1 refused 554-5.7.1 for a reason that takes three lines 554 5.7.1 to tell")},
			}}, id},
		"postfix-delayed": {Report{
			EnvelopeID: "id with spaces", ReportingMTA: dns("mail.sender.example"), Arrival: here, Returned: smtp.RetHeaders,
			Recipients: []Recipient{{Final: bob, Action: Delayed, Status: status("4.4.1"),
				Diagnostic: Typed{"x-postfix", "connect to mx.there.example[192.0.2.25]:25: Connection timed out"},
				RetryUntil: at("2026-02-08 09:11:12")}}}, id},
		"postfix-utf8": {Report{
			ReportingMTA: dns("mail.sender.example"), Returned: smtp.RetHeaders,
			Recipients: []Recipient{{Original: Typed{"utf-8", "例え+x@there.example"}, Final: Typed{"utf-8", "例え@there.example"},
				Action: Failed, Status: status("5.6.7"), Diagnostic: Typed{"x-postfix", "SMTPUTF8 is required, für 例え"}}}}, ""},
		"sendmail": {Report{
			EnvelopeID: "QQ314159", ReportingMTA: dns("old.sender.example"), ReceivedFrom: dns("desk.sender.example"), Arrival: here, Returned: smtp.RetHeaders,
			Fields: []Field{{"Deliver-By-Date", "Wed, 4 Feb 2026 10:11:12 +0100"}},
			Recipients: []Recipient{
				{Original: bob, Final: bob, Action: Failed, Status: status("5.1.1"), RemoteMTA: dns("mx.there.example"),
					Diagnostic: said("550-5.1.1 nobody\n550-5.1.1 of that name\n550 5.1.1 lives here"), LastAttempt: at("2026-02-03 09:11:14")},
				{Final: rfc822("dave@sender.example"), Action: Relayed, Status: status("2.1.5"), RemoteMTA: dns("inner.sender.example"),
					Diagnostic: said("250 Ok"), LastAttempt: at("2026-02-03 09:11:13"), Fields: []Field{{"X-Actual-Recipient", "RFC822; dave@inner.sender.example"}}},
				{Final: rfc822("all@sender.example"), Action: Expanded, Status: status("2.0.0")},
			}}, id},
		"exim": {Report{
			ReportingMTA: dns("ex.sender.example"), Returned: smtp.RetFull,
			Recipients: []Recipient{
				{Final: bob, Action: Failed, Status: status("5.0.0"), RemoteMTA: dns("mx.there.example"), Diagnostic: said("550-no such person\n550 here")},
				{Final: carol, Action: Failed, Status: status("5.0.0")},
			}}, id},
		"exim-old": {Report{Recipients: []Recipient{
			{Final: bob, Action: Failed}, {Final: rfc822(`"a,b"@there.example`), Action: Failed}}}, ""},
		"exchange": {Report{
			ReportingMTA: dns("EX01.corp.example"), ReceivedFrom: dns("mail.sender.example"), Arrival: here, Returned: smtp.RetFull,
			Recipients: []Recipient{{Original: rfc822("bob@corp.example"), Final: rfc822("bob@corp.example"), Action: Failed, Status: status("5.1.10"),
				Diagnostic: said("550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient bob@corp.example not found by SMTP address lookup"),
				Fields:     []Field{{"X-Display-Name", "Bob B. (Corp)"}}}}}, id},
		"gmail": {Report{
			ReportingMTA: dns("big.example"), ReceivedFrom: dns("alice@sender.example"), Arrival: here, Returned: smtp.RetFull,
			Fields: []Field{{"X-Original-Message-ID", id}},
			Recipients: []Recipient{{Final: bob, Action: Failed, Status: status("5.1.1"), LastAttempt: at("2026-02-03 09:11:13"),
				RemoteMTA: dns("mx.there.example. (192.0.2.25, the server for the domain there.example.)"),
				Diagnostic: said("550-5.1.1 The account does not exist. Please check the address\n550-5.1.1 for typing errors. Learn more at\n" +
					"550 5.1.1 https://there.example/?p=NoSuchUser a1-b2.3 - gsmtp")}}}, id},
		"qmail": {Report{
			ReportingMTA: dns("q.sender.example"), Returned: smtp.RetFull,
			Recipients: []Recipient{
				{Final: bob, Action: Failed, Status: status("5.1.1"), Diagnostic: said("550 5.1.1 nobody of that name")},
				{Final: rfc822("carol@sender.example"), Action: Failed, Status: status("5.1.1"),
					Diagnostic: Typed{"x-qmail", "Sorry, no mailbox here by that name. (#5.1.1)"}},
			}}, id},
		"list-footer": {Report{ReportingMTA: dns("mail.sender.example"), Returned: smtp.RetHeaders,
			Recipients: []Recipient{{Final: bob, Action: Failed, Status: status("5.2.2")}}}, id},
		"blank-lines": {Report{ReportingMTA: dns("mail.sender.example"), Arrival: here, Recipients: []Recipient{
			{Final: bob, Action: Failed, Status: status("5.1.1"), Fields: []Field{{"X-Own", "one"}}},
			{Final: carol, Action: Failed, Status: status("5.2.2")}}}, ""},
		"no-blank-lines": {Report{ReportingMTA: dns("mail.sender.example"), Recipients: []Recipient{
			{Final: bob, Action: Failed, Status: status("5.1.1")}, {Final: carol, Action: Failed, Status: status("5.2.2")}}}, ""},
		"encoded": {Report{ReportingMTA: dns("mail.sender.example"), Returned: smtp.RetHeaders,
			Recipients: []Recipient{{Final: bob, Action: Failed, Status: status("5.1.1")}}}, id},
		"sloppy": {Report{ReportingMTA: dns("mail.sender.example"), Recipients: []Recipient{
			{Original: bob, Final: bob, Action: Failed, Status: status("5.1.1"), Diagnostic: said("550 5.1.1 kein Postfach für Bob")},
			{Final: carol, Action: Failed, Status: status("4.4.7")},
			{Final: rfc822("dave@there.example")},
			{Final: rfc822("eve@there.example"), Action: Delivered, Status: status("2.0.0")},
		}}, ""},
		"cut-off": {Report{ReportingMTA: dns("mail.sender.example"),
			Recipients: []Recipient{{Final: bob, Action: Failed}}}, ""},
		"bare-status": {Report{ReportingMTA: dns("mail.sender.example"),
			Recipients: []Recipient{{Final: bob, Action: Delivered, Status: status("2.1.5")}}}, ""},
		"original-first": {Report{ReportingMTA: dns("mail.sender.example"),
			Recipients: []Recipient{{Final: bob, Action: Failed, Status: status("5.0.0")}}}, ""},
	} {
		b, err := os.ReadFile(filepath.Join("testdata", "others", name+".eml"))
		if err != nil {
			t.Fatal(err)
		}
		for end, b := range map[string][]byte{"LF": b, "CRLF": bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))} {
			got, err := Parse(bytes.NewReader(b))
			if err != nil {
				t.Errorf("%s %s: %v", name, end, err)
				continue
			}
			if got.MessageID() != want.id || want.id != "" && got.Get("SUBJECT") == "" {
				t.Errorf("%s %s: header %q", name, end, got.Header)
			}
			got.Header = nil
			if !reflect.DeepEqual(*got, want.Report) {
				t.Errorf("%s %s:\n%+v, want\n%+v", name, end, *got, want.Report)
			}
		}
	}
}

func TestParseWhatIsNone(t *testing.T) {
	files, err := filepath.Glob("testdata/none/*.eml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := Parse(bytes.NewReader(b)); r != nil || !errors.Is(err, ErrNotReport) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	for _, s := range []string{"", "\n", "\r\n\r\n", ":", "Content-Type: multipart/report; boundary=b\n\n--b--"} {
		if r, err := Parse(strings.NewReader(s)); r != nil || !errors.Is(err, ErrNotReport) {
			t.Errorf("%q: %+v, %v", s, r, err)
		}
	}
}

// An error of the reader is not taken for the end of the message.
func TestParseReadError(t *testing.T) {
	broken := errors.New("connection lost")
	b := read(t, compose(t, composer(), message(t, "alice@example.org", simple), recipient(t, "b@example.net")).Content)
	end := bytes.Index(b, []byte("At noon")) // the body of the original is not looked at
	for i := range end {
		r, err := Parse(io.MultiReader(bytes.NewReader(b[:i]), iotest.ErrReader(broken)))
		if i < end-len("\r\n") && (r != nil || !errors.Is(err, broken)) {
			t.Fatalf("after %d octets: %+v, %v", i, r, err)
		}
	}
}

// It reads no further than it has to, however much follows.
func TestParseStops(t *testing.T) {
	n := compose(t, composer(), message(t, "alice@example.org", simple), recipient(t, "b@example.net"))
	b := read(t, n.Content)
	head, _, _ := bytes.Cut(b, []byte("At noon"))
	rest := &endless{line: []byte("x\r\n")}
	r, err := Parse(io.MultiReader(bytes.NewReader(head), rest))
	if err != nil || r.MessageID() != "<1@example.org>" {
		t.Errorf("%+v, %v", r, err)
	}
}

// What a Report holds is bounded, and it says when it is not all.
func TestParseIsBounded(t *testing.T) {
	top := "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
	group := "Final-Recipient: rfc822; bob@there.example\r\nAction: failed\r\nStatus: 5.1.1\r\n"
	for name, test := range map[string]struct{ once, again string }{
		"recipients":         {top + "Reporting-MTA: dns; x\r\n\r\n", group + "\r\n"},
		"fields":             {top + group, "X-A: b\r\n"},
		"fields of a part":   {top + group + "\r\n--b\r\n", "X-A: b\r\n"},
		"header":             {top + group + "\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\n", "X-A: b\r\n"},
		"header of all":      {"", "X-A: b\r\n"},
		"a value":            {top + group + "X-A: ", "long "},
		"a folded value":     {top + group + "X-A: b\r\n", "\tc\r\n"},
		"a name":             {top + group, "x"},
		"empty lines":        {top + group, "\r\n"},
		"parts":              {top + group, "\r\n--b\r\n\r\n"},
		"preamble":           {"Content-Type: multipart/report; boundary=b\r\n\r\n", "--\r\n"},
		"multiparts":         {"", "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"},
		"qmail's paragraphs": {"\r\nHi. This is the qmail-send program at x.\r\n\r\n", "<a@b>:\r\nno\r\n\r\n"},
		"qmail's paragraph":  {"\r\nHi. This is the qmail-send program at x.\r\n\r\n<a@b>:\r\n", "no\r\n"},
		"text":               {"Subject: x\r\n\r\n", "Hi there\r\n"},
		"failed recipients":  {"X-Failed-Recipients: ", "a@b,"},
	} {
		size := 0
		const all = 8 << 20
		r, err := Parse(io.LimitReader(io.MultiReader(strings.NewReader(test.once), &endless{line: []byte(test.again)}), all))
		if err != nil {
			if !errors.Is(err, ErrNotReport) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		for _, s := range texts(r) {
			size += len(s)
		}
		if size > maxParsed || len(r.Recipients)*recipientCost > maxParsed || (len(r.Fields)+len(r.Header))*fieldCost > maxParsed {
			t.Errorf("%s: %d octets, %d recipients, %d fields", name, size, len(r.Recipients), len(r.Fields))
		}
		switch name {
		case "recipients", "fields", "header", "qmail's paragraphs":
			if !r.Truncated {
				t.Errorf("%s: not truncated", name)
			}
		}
	}
}

// A boundary of another multipart, or what only looks like one, is none.
func TestBoundaries(t *testing.T) {
	for _, test := range []struct{ boundary, line string }{
		{"b", "--bc"}, {"b", "--b---"}, {"b", "-b"}, {"b", " --b"}, {"b", "--"}, {"b", "--B"}, {"b", "x--b"},
		{"bb", "--b"}, {"b", strings.Repeat("x", 5000) + "--b"}, {"b", strings.Repeat("x", 4096) + "--b"},
	} {
		s := fmt.Sprintf("Content-Type: multipart/report; boundary=%[1]q\n\n--%[1]s\nContent-Type: message/delivery-status\n\n"+
			"Final-Recipient: rfc822; a@b\nX-A: b\n%[2]s\nAction: failed\n--%[1]s--\nStatus: 5.1.1\n", test.boundary, test.line)
		r, err := Parse(strings.NewReader(s))
		if err != nil || r.Recipients[0].Action != Failed || !r.Recipients[0].Status.IsZero() {
			t.Errorf("%s and %.20q: %+v, %v", test.boundary, test.line, r, err)
		}
	}
}
