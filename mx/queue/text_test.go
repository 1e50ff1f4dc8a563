package queue

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

func textTime(nano int) time.Time { return time.Date(2026, 3, 1, 10, 0, 0, nano, time.UTC) }

func mustMail(t testing.TB, arg string) smtp.Envelope {
	t.Helper()
	var e smtp.Envelope
	var err error
	if e.From, err = smtp.ParseMail(arg, everyExtension, &e.MailParams); err != nil {
		t.Fatalf("%s: %v", arg, err)
	}
	return e
}

func mustRcpt(t testing.TB, arg string) Recipient {
	t.Helper()
	var r Recipient
	var err error
	if r.To, err = smtp.ParseRcpt(arg, everyExtension, &r.RcptParams); err != nil {
		t.Fatalf("%s: %v", arg, err)
	}
	return r
}

// messages are what an envelope and a message can have, each written and read
// again.
func messages(t testing.TB) []Message {
	messages := []Message{{}}
	for _, arg := range []string{
		"FROM:<>", "FROM:<a@b.example>", `FROM:<"a b\"\\>"@b.example>`, `FROM:<""@b.example>`, "FROM:<a@[192.0.2.1]>",
		"FROM:<a@[IPv6:2001:db8::1]>", "FROM:<ü@bücher.example> SMTPUTF8", "FROM:<a@b> SMTPUTF8",
		"FROM:<a@b> SIZE=9223372036854775807", "FROM:<a@b> BODY=7BIT", "FROM:<a@b> BODY=8BITMIME", "FROM:<a@b> BODY=BINARYMIME",
		"FROM:<a@b> AUTH=<>", "FROM:<a@b> AUTH=a+2Bb@c", "FROM:<a@b> RET=HDRS ENVID=x+2By+3D", "FROM:<a@b> RET=FULL",
		"FROM:<a@b> REQUIRETLS PRDR", "FROM:<a@b> MT-PRIORITY=-9", "FROM:<a@b> MT-PRIORITY=0", "FROM:<a@b> SOLICIT=net.example:ADV",
		"FROM:<a@b> BY=120;R", "FROM:<a@b> BY=0;NT", "FROM:<a@b> BY=-999999999;N", "FROM:<a@b> BY=10;R HOLDFOR=10",
		"FROM:<a@b> HOLDFOR=999999999", "FROM:<a@b> HOLDUNTIL=2030-12-31T23:59:59Z",
	} {
		messages = append(messages, Message{Envelope: mustMail(t, arg)})
	}
	with := func(change func(m *Message)) {
		m := Message{Envelope: mustMail(t, "FROM:<a@b>")}
		change(&m)
		messages = append(messages, m)
	}
	// The application has made these: with fractions of a second, without SMTPUTF8.
	with(func(m *Message) {
		m.Envelope.MailParams.By = smtp.DeliverBy{Within: 10*time.Second - 1, Mode: smtp.DeliverReturn}
		m.Envelope.MailParams.Hold = smtp.Hold{For: 9*time.Second + 5}
	})
	with(func(m *Message) { m.Envelope.MailParams.Hold.Until = textTime(1) })
	with(func(m *Message) { m.Envelope.From.Local = "ü" })
	with(func(m *Message) {
		m.Envelope.MailParams.Other = []smtp.Param{{Name: "X-EMPTY"}, {Name: "x-lower", Value: "ü,a=b"}}
	})
	with(func(m *Message) { m.Envelope.MailParams.Other = []smtp.Param{{Name: "SIZE", Value: "1"}, {}} })
	with(func(m *Message) {
		for i := range smtp.MaxParams { // beside one of the table
			m.Envelope.MailParams.Other = append(m.Envelope.MailParams.Other, smtp.Param{Name: "X" + strings.Repeat("Y", i)})
		}
		m.Envelope.MailParams.Size = 1
	})
	for _, s := range hostileTexts {
		with(func(m *Message) { m.Data = s })
		with(func(m *Message) { m.ReceivedFrom = dsn.Typed{Type: s, Text: s} })
	}
	with(func(m *Message) { m.ReceivedFrom.Text = "x; y" })
	with(func(m *Message) { m.TLSOptional = true; m.Data = strings.Repeat("\x00", maxData) })
	return messages
}

var hostileTexts = []string{
	"dns", "a b", ` " `, `"quoted"`, "a\nb: c", "a\r\nRCPT TO:<x@y>\n", "\x00", "\xff\xfe", "日本語 😀", "\u2028\ufffd", "x; y", "; ", "'); DROP TABLE items; --", "`", `\`, "\x7f",
}

func TestMessageText(t *testing.T) {
	for _, m := range messages(t) {
		text, err := m.MarshalText()
		if err != nil {
			t.Errorf("%+v: %v", m, err)
			continue
		}
		checkText(t, text)
		got := Message{Envelope: smtp.Envelope{From: smtp.ReversePath{Mailbox: smtp.Mailbox{Local: "old"}}}, Data: "old", TLSOptional: true}
		if err := got.UnmarshalText(text); err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%s reads\n%+v, want\n%+v, %v", text, got, m, err)
		}
	}
}

func TestMessageTextKeeps(t *testing.T) {
	m := Message{ID: 1, Arrived: textTime(0), Size: 2, Kind: smtp.Kind8Bit}
	m.Envelope = mustMail(t, "FROM:<a@b>")
	m.Envelope.Recipients = []smtp.Recipient{{}}
	text, err := m.AppendText([]byte("before"))
	if string(text) != "beforeMAIL FROM:<a@b>\n" || err != nil {
		t.Fatalf("%q, %v", text, err)
	}
	got := Message{ID: 1, Arrived: textTime(0), Size: 2, Kind: smtp.Kind8Bit, Data: "old"}
	got.Envelope.Recipients = m.Envelope.Recipients
	if err := got.UnmarshalText(text[len("before"):]); err != nil || !reflect.DeepEqual(got, m) {
		t.Errorf("%+v, %v", got, err)
	}
}

func recipients(t testing.TB) Recipients {
	var rs Recipients
	for _, arg := range []string{
		"TO:<a@b.example>", "TO:<postmaster>", "TO:<PostMaster>", `TO:<"a b"@b.example>`, "TO:<ü@bücher.example>", "TO:<a@[IPv6:2001:db8::1]>",
		"TO:<a@b> NOTIFY=NEVER", "TO:<a@b> NOTIFY=SUCCESS,FAILURE,DELAY", "TO:<a@b> ORCPT=rfc822;a+2B@b", "TO:<a@b> ORCPT=utf-8;ü@b",
		"TO:<a@b> ORCPT=utf-8;a\\x{FC}@b", "TO:<a@b> ORCPT=x;", "TO:<a@b> RRVS=2014-04-03T23:01:00Z", "TO:<a@b> RRVS=2014-04-03T23:01:00Z;C",
	} {
		rs = append(rs, mustRcpt(t, arg))
	}
	with := func(change func(r *Recipient)) {
		r := mustRcpt(t, "TO:<a@b>")
		change(&r)
		rs = append(rs, r)
	}
	with(func(r *Recipient) { r.RcptParams.RRVS = &smtp.RRVS{Since: textTime(1), Action: smtp.RRVSReject} })
	with(func(r *Recipient) {
		r.RcptParams.Other = []smtp.Param{{Name: "XRCPTFORWARD", Value: "=+"}, {Name: "x"}}
	})
	for _, raw := range []string{"450 4.2.1 busy", "450-4.2.1 one\r\n450-4.2.1 \r\n450 4.2.1 three", "550-5.1.1 a\r\n550 5.7.1 b", "421", "550 4.2.1 ü\xff\x00"} {
		with(func(r *Recipient) {
			var err error
			if r.Reply, err = smtp.ParseReply(raw); err != nil {
				t.Fatal(err)
			}
			r.Last, r.Host = textTime(123456789), "mx.example.org"
		})
	}
	with(func(r *Recipient) {
		r.Reply, r.Local = smtp.Reply{Code: 451, Enhanced: smtp.Enh(4, 999), Text: "one\ntwo"}, true
	})
	with(func(r *Recipient) { r.Reply = smtp.Reply{Code: -1, Text: "550 x", Raw: "550 y"} })
	with(func(r *Recipient) { r.Reply = smtp.Reply{Raw: "no reply\n"} })
	with(func(r *Recipient) { r.Reply = smtp.Reply{Code: 250, Text: "x", Raw: "250 x\r\n"} })
	for _, s := range hostileTexts {
		with(func(r *Recipient) { r.Host = s; r.Reply.Text = s })
	}
	return rs
}

func TestRecipientsText(t *testing.T) {
	all := recipients(t)
	sets := []Recipients{nil, all}
	for i := range all {
		sets = append(sets, all[i:i+1:i+1])
	}
	for _, rs := range sets {
		text, err := rs.MarshalText()
		if err != nil {
			t.Errorf("%+v: %v", rs, err)
			continue
		}
		checkText(t, text)
		got := Recipients{{Host: "old"}}
		if err := got.UnmarshalText(text); err != nil || !reflect.DeepEqual(got, rs) {
			t.Errorf("%s reads\n%+v, want\n%+v, %v", text, got, rs, err)
		}
	}
}

// TestTextOfTimes: a time is the same instant, whatever its place.
func TestTextOfTimes(t *testing.T) {
	at := time.Now().In(time.FixedZone("", 3600+1)) // no RFC 3339 offset
	rs := Recipients{mustRcpt(t, "TO:<a@b>")}
	rs[0].Last, rs[0].RcptParams.RRVS = at, &smtp.RRVS{Since: at}
	text, err := rs.MarshalText()
	var got Recipients
	if err != nil || got.UnmarshalText(text) != nil || !got[0].Last.Equal(at) || !got[0].RcptParams.RRVS.Since.Equal(at) {
		t.Errorf("%s reads %+v, %v", text, got, err)
	}
}

// TestTextGolden: texts stay in databases from one version to the next.
func TestTextGolden(t *testing.T) {
	m := Message{Envelope: mustMail(t, "FROM:<ann@example.org> SIZE=4096 BODY=8BITMIME RET=HDRS BY=120;RT HOLDFOR=60"), TLSOptional: true, Data: "a\nb"}
	m.Envelope.MailParams.Other = []smtp.Param{{Name: "XQUEUE", Value: "slow"}}
	m.ReceivedFrom = dsn.Typed{Type: "dns", Text: "mx.example.net (192.0.2.1)"}
	const want = `MAIL FROM:<ann@example.org> SIZE=4096 BODY=8BITMIME RET=HDRS
by: 2m0s;RT
hold-for: 1m0s
param: XQUEUE=slow
received-from: dns; mx.example.net (192.0.2.1)
tls-optional: yes
data: "a\nb"
`
	if text, err := m.MarshalText(); string(text) != want || err != nil {
		t.Errorf("%s, %v", text, err)
	}
	rs := Recipients{mustRcpt(t, "TO:<bob@example.com> NOTIFY=FAILURE"), mustRcpt(t, "TO:<ü@example.com> RRVS=2014-04-03T23:01:00Z;C")}
	rs[0].Last, rs[0].Host = textTime(5e8), "mx.example.com"
	rs[0].Reply, _ = smtp.ParseReply("450-4.2.1 busy\r\n450 4.2.1 later")
	rs[1].Reply, rs[1].Local = smtp.Reply{Code: 451, Enhanced: smtp.Enh(4, 1), Text: "no route"}, true
	const wantRecipients = `RCPT TO:<bob@example.com> NOTIFY=FAILURE
last: 2026-03-01T10:00:00.5Z
reply: "450-4.2.1 busy\r\n450 4.2.1 later"
host: mx.example.com
RCPT TO:<ü@example.com>
rrvs: 2014-04-03T23:01:00Z;C
reply-code: 451
reply-enhanced: x.4.1
reply-text: no route
local: yes
`
	if text, err := rs.MarshalText(); string(text) != wantRecipients || err != nil {
		t.Errorf("%s, %v", text, err)
	}
}

func TestTextThatCannotBeWritten(t *testing.T) {
	for what, change := range map[string]func(m *Message){
		"address":   func(m *Message) { m.Envelope.From.Local = "a\r\nb" },
		"BODY":      func(m *Message) { m.Envelope.MailParams.Body = "9BIT" },
		"RET":       func(m *Message) { m.Envelope.MailParams.Ret = "X" },
		"ENVID":     func(m *Message) { m.Envelope.MailParams.EnvID = "ü" },
		"AUTH":      func(m *Message) { m.Envelope.MailParams.Auth = "x" },
		"SIZE":      func(m *Message) { m.Envelope.MailParams.Size = -1 },
		"priority":  func(m *Message) { m.Envelope.MailParams.Priority = smtp.NewPriority(10) },
		"SOLICIT":   func(m *Message) { m.Envelope.MailParams.Solicit = " " },
		"BY":        func(m *Message) { m.Envelope.MailParams.By = smtp.DeliverBy{Within: 1, Mode: 'X'} },
		"no mode":   func(m *Message) { m.Envelope.MailParams.By = smtp.DeliverBy{Trace: true} },
		"two holds": func(m *Message) { m.Envelope.MailParams.Hold = smtp.Hold{For: time.Second, Until: textTime(0)} },
		"hold":      func(m *Message) { m.Envelope.MailParams.Hold.For = math.MinInt64 },
		"year":      func(m *Message) { m.Envelope.MailParams.Hold.Until = textTime(0).AddDate(9000, 0, 0) },
		"param":     func(m *Message) { m.Envelope.MailParams.Other = []smtp.Param{{Name: "a=b"}} },
		"params":    func(m *Message) { m.Envelope.MailParams.Other = make([]smtp.Param, smtp.MaxParams+1) },
		"Data":      func(m *Message) { m.Data = strings.Repeat("x", maxData+1) },
		"long":      func(m *Message) { m.ReceivedFrom.Text = strings.Repeat("x", maxText) },
	} {
		var m Message
		change(&m)
		if text, err := m.AppendText([]byte("kept")); err == nil || string(text) != "kept" {
			t.Errorf("%s: %.80s, %v", what, text, err)
		}
	}
	for what, change := range map[string]func(r *Recipient){
		"address": func(r *Recipient) { r.To.Domain = "" },
		"NOTIFY":  func(r *Recipient) { r.RcptParams.Notify = smtp.NotifyNever | smtp.NotifyDelay },
		"ORCPT":   func(r *Recipient) { r.RcptParams.ORcpt = smtp.ORcpt{Type: "rfc822", Address: "\n"} },
		"RRVS":    func(r *Recipient) { r.RcptParams.RRVS = &smtp.RRVS{Since: textTime(0), Action: 'X'} },
		"no RRVS": func(r *Recipient) { r.RcptParams.RRVS = &smtp.RRVS{} },
		"year":    func(r *Recipient) { r.Last = textTime(0).AddDate(-3000, 0, 0) },
		"param":   func(r *Recipient) { r.RcptParams.Other = []smtp.Param{{Name: "="}} },
		"long":    func(r *Recipient) { r.Host = strings.Repeat("x", maxText) },
	} {
		r := mustRcpt(t, "TO:<a@b>")
		change(&r)
		if text, err := (Recipients{mustRcpt(t, "TO:<a@b>"), r}).AppendText([]byte("kept")); err == nil || string(text) != "kept" {
			t.Errorf("%s: %.80s, %v", what, text, err)
		}
	}
}

func TestTextThatCannotBeRead(t *testing.T) {
	for _, text := range []string{
		"", "\n", "x", "RCPT TO:<a@b>\n", "MAIL FROM:<a@b\n", "MAIL FROM:<a@b> X=1\n", "mail FROM:<a@b>\n", "MAIL FROM:<ü@b>\n",
		"MAIL FROM:<>\nx\n", "MAIL FROM:<>\nx:y\n", "MAIL FROM:<>\nX: y\n", "MAIL FROM:<>\n: y\n", "MAIL FROM:<>\n\n", "MAIL FROM:<>\nMAIL FROM:<>\n",
		"MAIL FROM:<>\ndata: a\ndata: b\n", "MAIL FROM:<>\ndata: \"a\n", "MAIL FROM:<>\ndata: \"a\"b\n", "MAIL FROM:<>\ntls-optional: no\n",
		"MAIL FROM:<>\nby: 1s;X\n", "MAIL FROM:<>\nby: 1s\n", "MAIL FROM:<>\nby: x;R\n", "MAIL FROM:<>\nhold-for: x\n", "MAIL FROM:<>\nhold-for: -1s\n",
		"MAIL FROM:<>\nhold-until: 2026\n", "MAIL FROM:<>\nhold-for: 1s\nhold-until: 2026-03-01T10:00:00Z\n", "MAIL FROM:<>\nsmtputf8: yes\n",
		"MAIL FROM:<>\nreceived-from: dns\n", "MAIL FROM:<>\nparam: x=\n", "MAIL FROM:<>\n" + strings.Repeat("param: x\n", smtp.MaxParams+1),
		"MAIL FROM:<>\ndata: " + strings.Repeat("x", maxData+1) + "\n", "MAIL FROM:<>\nx: " + strings.Repeat("x", maxText),
	} {
		var m Message
		if err := m.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%.80q reads %+v", text, m)
		}
	}
	for _, text := range []string{
		"\n", "x", "MAIL FROM:<a@b>\n", "RCPT TO:<>\n", "RCPT TO:<a@b> X=1\n", "last: x\nRCPT TO:<a@b>\n", "RCPT TO:<a@b>\nx\n", "RCPT TO:<a@b>\n\nRCPT TO:<a@b>\n",
		"RCPT TO:<a@b>\nhost: a\nhost: b\n", "RCPT TO:<a@b>\nlast: yesterday\n", "RCPT TO:<a@b>\nreply: x\n", "RCPT TO:<a@b>\nreply: 450-x\n",
		"RCPT TO:<a@b>\nreply-code: x\n", "RCPT TO:<a@b>\nreply-enhanced: 5.1.1\n", "RCPT TO:<a@b>\nreply-enhanced: x.1\n",
		"RCPT TO:<a@b>\nlocal: 1\n", "RCPT TO:<a@b>\nrrvs: x\n", "RCPT TO:<a@b>\nrrvs: 2026-03-01T10:00:00Z;X\n", "RCPT TO:<a@b>\nrrvs: 2026-03-01T10:00:00Z;\n",
		"RCPT TO:<a@b>\nx: " + strings.Repeat("x", maxText),
	} {
		var rs Recipients
		if err := rs.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%.80q reads %+v", text, rs)
		}
	}
}

// TestTextOfLaterVersion: lines that are not known are passed over.
func TestTextOfLaterVersion(t *testing.T) {
	var m Message
	if err := m.UnmarshalText([]byte("MAIL FROM:<a@b>\nlater-1: a: b\nlater-1: \ndata: x\n")); err != nil || m.Data != "x" {
		t.Errorf("%+v, %v", m, err)
	}
	var rs Recipients
	if err := rs.UnmarshalText([]byte("RCPT TO:<a@b>\nlater: \"\nhost: x\nRCPT TO:<c@d>\n")); err != nil || len(rs) != 2 || rs[0].Host != "x" {
		t.Errorf("%+v, %v", rs, err)
	}
}

// checkText fails unless every database and every terminal takes the text.
func checkText(t *testing.T, text []byte) {
	t.Helper()
	for _, line := range strings.SplitAfter(string(text), "\n") {
		if line != "" && !strings.HasSuffix(line, "\n") || strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
			t.Errorf("line %q", line)
		}
	}
}
