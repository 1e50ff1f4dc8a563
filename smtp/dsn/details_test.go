package dsn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtp"
)

func TestClean(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "abc ü 例え": "abc ü 例え", "a\tb": "a b", "\x00\x1f\x7f": "???", "\u0080\u009f\u00a0": "??\u00a0",
		"\xff\xc3": "??", "\u2028\u2029\u202a\u202e\u202f": "????\u202f", "\u2066\u2069": "??", "\ufffd": "?", "\u200d": "\u200d",
	} {
		if got := clean(s); got != want || clean(got) != got {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func TestParseAction(t *testing.T) {
	for s, want := range map[string]Action{
		"failed": Failed, "FAILED": Failed, "failure (x)": Failed, "fail": Failed, "delayed": Delayed, "delivered (to mailbox)": Delivered,
		"relayed": Relayed, "expanded": Expanded, "": 0, "sent": 0, " failed": 0, "fai": 0,
	} {
		if got := parseAction(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
	if Action(200).String() != "" || Action(0).String() != "" || Expanded.String() != "expanded" {
		t.Error(Action(200), Action(0), Expanded)
	}
}

func TestEncodedWords(t *testing.T) {
	for _, s := range []string{
		"plain", "Grüße", "=?utf-8?q?x?=", "a =?b", "a_b ü ?=", strings.Repeat("ü", 100), strings.Repeat("word ", 40) + "ü", "例え 例え", "  a   ü\r\nb ",
	} {
		encoded := encodedWords(s)
		if !isASCII(encoded) || strings.ContainsAny(encoded, "\r\n") {
			t.Errorf("%q: %q", s, encoded)
		}
		for word := range strings.FieldsSeq(encoded) {
			if strings.HasPrefix(word, "=?") && len(word) > 66 { // and a name of 10 octets in front
				t.Errorf("%q: word of %d octets", s, len(word))
			}
		}
		got, err := new(mime.WordDecoder).DecodeHeader(encoded)
		if err != nil || got != plain(s) {
			t.Errorf("%q: %q is %q, %v", s, encoded, got, err)
		}
	}
}

func TestMessageID(t *testing.T) {
	for s, want := range map[string]string{
		"<a@b>": "<a@b>", " <a@b> ": "<a@b>", "": "", "<>": "", "a@b": "", "<a b>": "", "<a><b>": "", "<a@b> (x)": "", "<ü@b>": "",
		"<a\x00>": "", "<" + strings.Repeat("a", 898) + ">": "<" + strings.Repeat("a", 898) + ">", "<" + strings.Repeat("a", 899) + ">": "",
	} {
		r := Report{Header: []Field{{"message-id", s}, {"Message-ID", "<second@b>"}}}
		if got := r.MessageID(); got != want {
			t.Errorf("%q: %q", s, got)
		}
	}
}

func TestPeer(t *testing.T) {
	for want, got := range map[string]Typed{
		"dns; a.example (192.0.2.1)": Peer("a.example", netip.MustParseAddr("192.0.2.1")),
		"dns; a.example (fe80::1)":   Peer("a.example", netip.MustParseAddr("fe80::1%eth0")),
		"dns; unknown (192.0.2.1)":   Peer("", netip.MustParseAddr("192.0.2.1")),
		"dns; a.example":             Peer("a.example", netip.Addr{}),
		"":                           DNS(""),
	} {
		if got.String() != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
}

func TestLanguage(t *testing.T) {
	for language, want := range map[string]string{"de-AT": "de-AT", "": "", "a b": "", strings.Repeat("x", 41): ""} {
		c := composer()
		c.Text = func(*Report) Text { return Text{Subject: "s", Body: "b", Language: language} }
		octets := sound(t, compose(t, c, message(t, "alice@example.org", simple), recipient(t, "b@example.net")))
		_, got, _ := strings.Cut(string(octets), "\r\nContent-Language: ")
		got, _, _ = strings.Cut(got, "\r\n")
		if got != want {
			t.Errorf("%q: %q", language, got)
		}
	}
}

// Those who sent without SMTPUTF8 get no message/global… and no SMTPUTF8.
func TestNotForEverybody(t *testing.T) {
	for _, from := range []string{"alice@example.org", "jörg@example.org"} {
		n := compose(t, composer(), message(t, from, simple), recipient(t, "ü@example.net"))
		p := takeApart(t, sound(t, n))
		want := "message/delivery-status"
		if from != "alice@example.org" {
			want = "message/global-delivery-status 8bit"
		}
		if p.kinds[1] != want || n.Envelope.MailParams.UTF8 != (from != "alice@example.org") {
			t.Errorf("%s: %s, SMTPUTF8 %t", from, p.kinds[1], n.Envelope.MailParams.UTF8)
		}
	}
}

// An address that looks encoded stays what it is, in either form.
func TestAddressThatLooksEncoded(t *testing.T) {
	for _, from := range []string{"alice@example.org", "jörg@example.org"} {
		a, b, c := recipient(t, "a@example.net"), recipient(t, "ü@example.net"), recipient(t, "c@example.net")
		a.Final = Typed{"utf-8", `\x{41}ü@example.net`}
		b.Original = Typed{"utf-8", `"\x{41} ü"@example.net`}
		c.Final = Typed{"rfc822", "ö@example.net"} // not for ASCII
		n := compose(t, composer(), message(t, from, simple), a, b, c)
		got, err := Parse(bytes.NewReader(sound(t, n)))
		if err != nil || got.Recipients[0].Final != a.Final || got.Recipients[1].Original != b.Original ||
			got.Recipients[2].Final != (Typed{"utf-8", "ö@example.net"}) || !reflect.DeepEqual(*got, n.Report) {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

// Of a message that is known to be too long, only the header section is read.
func TestLongMessageIsNotRead(t *testing.T) {
	m := message(t, "alice@example.org", "")
	head := []byte("Subject: long\r\n\r\n")
	octets := 0
	m.Content = smtp.Content{Size: 1 << 40, Open: func() (io.ReadCloser, error) {
		r := io.MultiReader(bytes.NewReader(head), &endless{line: []byte("x\r\n")})
		return io.NopCloser(io.TeeReader(r, writerFunc(func(p []byte) { octets += len(p) }))), nil
	}}
	n := compose(t, composer(), m, recipient(t, "b@example.net"))
	if n.Report.Get("Subject") != "long" || n.Report.Returned != smtp.RetHeaders || octets > 64<<10 {
		t.Errorf("%d octets read, %+v", octets, n.Report)
	}
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

// A value that is cut is not cut within a character.
func TestLongValues(t *testing.T) {
	for i := range 4 {
		s := strings.Repeat("x", i) + strings.Repeat("例", maxValue)
		r, err := Parse(strings.NewReader("Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822; a@b\nX-A: " + s + "\n"))
		if err != nil || !strings.HasPrefix(s, strings.ReplaceAll(r.Recipients[0].Fields[0].Value, " ", "")) {
			t.Errorf("%+v, %v", r, err)
		}
		fields := parseFields(strings.NewReader("X-A: " + s + "\r\n"))
		if got := fields[0].Value; !strings.HasPrefix(s, got) || len(got) > maxValue || len(got) < maxValue-3 {
			t.Errorf("%d octets, %.20q … %.20q", len(got), got, got[len(got)-10:])
		}
	}
}

func TestMultiparts(t *testing.T) {
	const group = "Final-Recipient: rfc822; a@b\nAction: failed\n"
	for name, test := range map[string]struct{ text, want string }{
		"the same boundary within": {"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=b\n\n" +
			"--b\n\nx\n--b--\n--b\nContent-Type: message/delivery-status\n\n" + group, "a@b"},
		"a boundary that has ended": {"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=c\n\n" +
			"--c\n\nx\n--c--\nepilogue\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n--c\n" + group + "--b--\n", "a@b"},
		"one that has not": {"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=c\n\n" +
			"--c\n\nx\n--b\nContent-Type: message/delivery-status\n\n" + group + "--b--\n", "a@b"},
		"two reports": {"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n" + group +
			"--b\nContent-Type: message/delivery-status\n\nFinal-Recipient: rfc822; c@d\n--b--\n", "a@b"},
		"given twice": {"Content-Type: message/delivery-status\n\nReporting-MTA: dns; x\nReporting-MTA: dns; y\n" + group +
			"Status: 5.1.1\nStatus: 5.2.2\n", "a@b 5.1.1"},
		"a boundary too long": {"Content-Type: multipart/report; boundary=" + strings.Repeat("b", 300) + "\n\n--" + strings.Repeat("b", 300) +
			"\nContent-Type: message/delivery-status\n\n" + group, ""},
		"recipients with and without an original": {"Content-Type: message/delivery-status\n\n" + group +
			"\nOriginal-Recipient: rfc822; o@p\nFinal-Recipient: rfc822; c@d\nAction: failed\n\nFinal-Recipient: rfc822; e@f\nOriginal-Recipient: rfc822; q@r\n",
			"a@b, c@d of o@p, e@f of q@r"},
		"encoding in capitals": {"Content-Type: message/delivery-status\nContent-Transfer-Encoding: QUOTED-PRINTABLE \n\nFinal-Recipient: rfc822; a=40b\n", "a@b"},
	} {
		r, err := Parse(strings.NewReader(test.text))
		if err != nil && !errors.Is(err, ErrNotReport) {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		if r != nil {
			for _, to := range r.Recipients {
				s := to.Final.Text
				if !to.Original.IsZero() {
					s += " of " + to.Original.Text
				}
				if !to.Status.IsZero() {
					s += fmt.Sprint(" ", to.Status)
				}
				got = append(got, s)
			}
			if mta := r.ReportingMTA.Text; mta != "" && mta != "x" {
				t.Errorf("%s: %s", name, mta)
			}
		}
		if s := strings.Join(got, ", "); s != test.want {
			t.Errorf("%s: %s, want %s", name, s, test.want)
		}
	}
}
