package dsn

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtp"
)

// Whatever a remote server, a sender or an application says, it stays in its place
// and within its bounds; and what is written is what is read.
func TestNothingBreaksOut(t *testing.T) {
	long := strings.Repeat("y", 5000)
	for _, evil := range []string{
		"a\r\nBcc: victim@example.com\r\n\r\nbody", "a\nFinal-Recipient: rfc822; x@y", "a\r\n\r\nFinal-Recipient: rfc822; x@y",
		"a\rb", "a\x00b", "a\x1b[31mb", "a\u202eb", "a\u2028b", "\xff\xfe", "a\xc3", "--\r\n--", "\t a \t",
		"550 x", "550-x", "550-x\n550 y", "550 x\n\n\n551 y", "a; b; c", "(a", "\"", "<a@b>", "<", "=?utf-8?q?=0D=0ABcc:?=",
		long, strings.Repeat("550 ", 1000), strings.Repeat("a ", 3000), strings.Repeat("ü", 3000), strings.Repeat("+\\=", 1000),
		strings.Repeat("x\n", 3000), strings.Repeat("550-x\n", 3000), strings.Repeat(" ", 3000) + "x", `\x{41}`, `\x{0D}\x{0A}X: y`, ";", " ", "",
	} {
		for _, from := range []string{"alice@example.org", "jörg@example.org"} {
			for _, only7Bit := range []bool{false, true} {
				m := message(t, from, "Message-ID: <a>\r\n <b>\r\nSubject: x\r\n\r\n")
				m.Envelope.MailParams.EnvID = evil
				m.ReceivedFrom = Typed{evil, evil}
				m.Fields = []Field{{"X-A", evil}, {evil, "x"}, {"Final-Recipient", "rfc822; x@y"}, {"reporting-mta", "dns; x"}, {"X-\u00fc", "x"}, {"", "x"}}
				r := recipient(t, "b@example.net")
				r.Original = Typed{"utf-8", evil}
				r.RemoteMTA = DNS(evil)
				r.Diagnostic = Typed{"SMTP", evil}
				r.LogID = evil
				r.Fields = []Field{{"X-B", evil}, {evil, "x"}, {"Action", "delivered"}, {strings.Repeat("x", 2000), "x"}}
				s := recipient(t, "c@example.net")
				s.Final = Typed{evil, "a" + evil}
				s.Diagnostic = Typed{"x-" + evil, evil}
				u := recipient(t, "d@example.net")
				u.Diagnostic = Diagnostic(smtp.Reply{Code: 550, Text: evil, Raw: "550-" + evil + "\r\n550 " + evil})
				c := composer()
				c.SevenBit = only7Bit
				n := compose(t, c, m, r, s, u)
				octets := sound(t, n)
				p := takeApart(t, octets)
				if len(p.header) != 9 && len(p.header) != 10 || len(p.header["Bcc"]) > 0 || p.header.Get("In-Reply-To") != "" || len(p.bodies) != 3 {
					t.Errorf("%.40q: header %q", evil, p.header)
				}
				if got := bytes.Count(p.bodies[1], []byte("\r\n\r\n")); got != 3 {
					t.Errorf("%.40q: %d groups in\n%s", evil, got, p.bodies[1])
				}
				for _, field := range []string{"Final-Recipient:", "Action: failed\r\n", "Status:"} {
					if got := bytes.Count(p.bodies[1], []byte("\r\n"+field)); got != 3 {
						t.Errorf("%.40q: %s %d times in\n%s", evil, field, got, p.bodies[1])
					}
				}
				header, _, _ := bytes.Cut(octets, []byte("\r\n\r\n"))
				for _, part := range [][]byte{header, p.bodies[0], p.bodies[1]} {
					if i := bytes.IndexFunc(part, func(r rune) bool {
						return r < ' ' && r != '\t' && r != '\r' && r != '\n' || r == 0x7f
					}); i >= 0 {
						t.Errorf("%.40q: octet %x in\n%s", evil, part[i], part)
					}
				}
				got, err := Parse(bytes.NewReader(octets))
				if err != nil || !reflect.DeepEqual(*got, n.Report) {
					t.Errorf("%.40q:\nread    %+v, %v\nwritten %+v", evil, got, err, n.Report)
				}
				if len(octets) > 60000 {
					t.Errorf("%.40q: %d octets", evil, len(octets))
				}
			}
		}
	}
}

// Lines are folded where that is possible.
func TestLinesAreFolded(t *testing.T) {
	r := recipient(t, "b@example.net")
	r.Diagnostic = Diagnostic(smtp.Reply{Code: 550, Text: strings.Repeat("word ", 100) + "\n" + strings.Repeat("550 ", 100)})
	r.RemoteMTA.Text += " (" + strings.Repeat("comment ", 30) + ")"
	n := compose(t, composer(), message(t, "alice@example.org", simple), r)
	octets := sound(t, n)
	for line := range strings.SplitSeq(string(octets), "\r\n") {
		if len(line) > 78 {
			t.Errorf("%d octets: %s", len(line), line)
		}
	}
	got, err := Parse(bytes.NewReader(octets))
	if err != nil || !reflect.DeepEqual(*got, n.Report) {
		t.Errorf("%+v, %v", got, err)
	}
	if reply, ok := got.Recipients[0].Diagnostic.Reply(); !ok || strings.Count(reply.Text, "\n") != 1 {
		t.Errorf("%+v", reply)
	}
}

func TestManyRecipients(t *testing.T) {
	r := recipient(t, "b@example.net")
	r.Original = Typed{"rfc822", strings.Repeat("x", 5000)}
	r.Diagnostic.Text = strings.Repeat("550-"+strings.Repeat("x", 200)+"\n", 100)
	many := make([]Recipient, 1000) // server.Limits.MaxRecipients
	for i := range many {
		many[i] = r
	}
	n := compose(t, composer(), message(t, "alice@example.org", simple), many...)
	got, err := Parse(bytes.NewReader(sound(t, n)))
	if err != nil || len(got.Recipients) != 1000 || got.Truncated || got.MessageID() == "" {
		t.Errorf("%d recipients, %t, %v", len(got.Recipients), got.Truncated, err)
	}
}

// Of a value with more lines than are kept the rest is left out, wherever it is cut.
func TestEndlessValues(t *testing.T) {
	for _, line := range []string{" ", "\t", " 550-x", "\t550 x", " 550-" + strings.Repeat("x", 100)} {
		for first := range len(line) + 2 {
			value := "smtp; 550-" + strings.Repeat("x", first) + strings.Repeat("\n"+line, maxValue/len(line)+3)
			for _, name := range []string{"Diagnostic-Code", "Remote-MTA", "Status", "X-A"} {
				r, err := Parse(strings.NewReader("Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822; a@b\n" + name + ": " + value + "\nAction: failed\n"))
				if err != nil || len(r.Recipients) != 1 || r.Recipients[0].Action != Failed {
					t.Errorf("%s %q: %+v, %v", name, line, r, err)
				}
			}
			for _, left := range []int{maxParsed, 200 + first} {
				fields, _ := newLines(strings.NewReader("X: "+value), &room{left: left}).fields()
				if n := len(fields[0].Value); n > min(left, maxValue) {
					t.Errorf("%q: %d octets kept", line, n)
				}
				diagnostic{new(Typed)}.parse(fields[0].Value)
			}
		}
	}
}

func TestTypedReply(t *testing.T) {
	for _, test := range []struct{ kind, text, want string }{
		{"smtp", "550 5.1.1 no such user", "550 5.1.1 no such user"},
		{"smtp", "550-5.1.1 one\n550 5.1.1 two", "550 5.1.1 one / two"},
		{"smtp", "550-5.1.1 one 550-5.1.1 two 550 5.1.1 three", "550 5.1.1 one / two / three"}, // Postfix
		{"smtp", "550-one\n550-two", "550 one / two"},
		{"smtp", "550-see 551 or 550", "550 see 551 or 550"},
		{"smtp", "550", "550"},
		{"smtp", "550 one\n551 two", "550 one / 551 two"},
		{"smtp", "5.1.1 no such user", ""},
		{"smtp", "600 x", ""},
		{"smtp", "", ""},
		{"x-unix", "550 x", ""},
	} {
		reply, ok := Typed{test.kind, test.text}.Reply()
		if got := reply.String(); got != test.want || ok != (test.want != "") {
			t.Errorf("%s; %q: %q, %t", test.kind, test.text, got, ok)
		}
	}
	for _, reply := range []smtp.Reply{
		{Code: 550, Enhanced: smtp.Enh(1, 1), Text: "no such user"}, {Code: 550, Text: "one\ntwo\nthree"}, {Code: 421, Enhanced: smtp.Enh(0, 0), Text: ""},
	} {
		got, ok := Diagnostic(reply).Reply()
		if got.Raw = ""; !ok || got != reply {
			t.Errorf("%+v is %+v", reply, got)
		}
	}
	raw := "550-only the first line has\r\n550-5.1.1 a code\r\n550 here"
	reply, err := smtp.ParseReply(raw)
	if got := Diagnostic(reply); err != nil || got.Text != strings.ReplaceAll(raw, "\r\n", "\n") { // RFC 3461 §9.2
		t.Errorf("%q", got.Text)
	}
}

func TestTyped(t *testing.T) {
	if m, ok := (Typed{"rfc822", "a@b.example"}).Mailbox(); !ok || m.String() != "a@b.example" {
		t.Error(m, ok)
	}
	if m, ok := (Typed{"utf-8", "ü@b.example"}).Mailbox(); !ok || m.Local != "ü" {
		t.Error(m, ok)
	}
	for _, bad := range []Typed{{"x400", "a@b.example"}, {"rfc822", "a b"}, {"rfc822", ""}, {}} {
		if m, ok := bad.Mailbox(); ok {
			t.Errorf("%v: %v", bad, m)
		}
	}
	for typed, want := range map[Typed]string{
		{"dns", "mx.example.org"}:             "mx.example.org",
		{"dns", "mx.example.org (192.0.2.1)"}: "mx.example.org",
		{"dns", "mx.example.org(x)"}:          "mx.example.org",
		{"x400", "mx"}:                        "",
		{}:                                    "",
	} {
		if got := typed.Host(); got != want {
			t.Errorf("%v: %q", typed, got)
		}
	}
}

func TestParseStatus(t *testing.T) {
	for s, want := range map[string]string{
		"5.1.1": "5.1.1", " 4.4.7 (timeout)": "4.4.7", "5.7.606;x": "5.7.606", "2.0.0": "2.0.0",
		"3.1.1": "", "5.1": "", "550": "", "": "", "5.01.1": "", "5.1.1.1": "", "x5.1.1": "", "5.1000.1": "",
	} {
		got, ok := ParseStatus(s)
		if got.String() != want || ok != (want != "") || got.IsZero() == ok {
			t.Errorf("%q: %v, %t", s, got, ok)
		}
	}
}

func TestParseDate(t *testing.T) {
	for s, want := range map[string]string{
		"Tue, 3 Feb 2026 10:11:12 +0000":        "2026-02-03 10:11:12",
		"Tue, 03 Feb 2026 10:11:12 +0100 (CET)": "2026-02-03 09:11:12",
		"3 Feb 2026 10:11 -0500":                "2026-02-03 15:11:00",
		"Tue,  3 Feb 2026 10:11:12 GMT":         "2026-02-03 10:11:12",
		"Tue, 3 Feb 2026 10:11:12 PST":          "2026-02-03 18:11:12",
		"3 Feb 26 10:11:12 +0000":               "2026-02-03 10:11:12",
		"Tue Feb  3 10:11:12 2026":              "2026-02-03 10:11:12",
		"2026-02-03T10:11:12Z":                  "2026-02-03 10:11:12",
		"Tue, 3 Feb 2026 10:11:12":              "2026-02-03 10:11:12",
		"":                                      "", "yesterday": "", "Tue, 31 Feb 2026 10:11:12 +0000": "",
		"Tue, 3 Feb 0001 10:11:12 +0000": "", strings.Repeat("9", 1000): "", ",": "", "x y z": "",
	} {
		got := ""
		if d := parseDate(s); !d.IsZero() {
			got = d.Format("2006-01-02 15:04:05")
		}
		if got != want {
			t.Errorf("%.40q: %s", s, got)
		}
	}
}
