package queue

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/postrider/postrider/smtp"
	"github.com/postrider/postrider/smtp/dsn"
)

// FuzzMessageText reads texts and writes what they say again.
func FuzzMessageText(f *testing.F) {
	for _, m := range messages(f) {
		text, err := m.MarshalText()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var m, again Message
		if m.UnmarshalText(text) != nil {
			return
		}
		written, err := m.MarshalText()
		if err != nil {
			t.Fatalf("%q reads %+v: %v", text, m, err)
		}
		checkText(t, written)
		if err := again.UnmarshalText(written); err != nil || !reflect.DeepEqual(again, m) {
			t.Errorf("%q reads\n%+v, written %q,\n%+v, %v", text, m, written, again, err)
		}
	})
}

// FuzzRecipientsText does the same, and to a stranger's reply.
func FuzzRecipientsText(f *testing.F) {
	all := recipients(f)
	for i := range all {
		text, err := all[i : i+1].MarshalText()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	text, _ := all.MarshalText()
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		var rs, again Recipients
		if rs.UnmarshalText(text) != nil {
			return
		}
		written, err := rs.MarshalText()
		if err != nil {
			t.Fatalf("%q reads %+v: %v", text, rs, err)
		}
		checkText(t, written)
		if err := again.UnmarshalText(written); err != nil || !reflect.DeepEqual(again, rs) {
			t.Errorf("%q reads\n%+v, written %q,\n%+v, %v", text, rs, written, again, err)
		}
	})
}

// FuzzTextOfFields goes the other way: whatever stands in the fields is written so
// that it reads the same, or not at all.
func FuzzTextOfFields(f *testing.F) {
	f.Add("a", "b.example", "X", "y", "dns", "host", "450 busy", "text", int64(90), int64(5), 450, uint16(1))
	for _, s := range hostileTexts {
		f.Add(s, s, s, s, s, s, s, s, int64(-1), int64(1<<62), -1, uint16(0xffff))
	}
	f.Fuzz(func(t *testing.T, local, domain, name, value, kind, host, raw, text string, within, until int64, code int, bits uint16) {
		has := func(bit uint16) bool { return bits&(1<<bit) != 0 }
		m := Message{ReceivedFrom: dsn.Typed{Type: kind, Text: text}, TLSOptional: has(0), Data: value}
		m.Envelope.From.Mailbox = smtp.Mailbox{Local: local, Domain: domain}
		p := &m.Envelope.MailParams
		p.UTF8, p.RequireTLS, p.PRDR, p.Other = has(1), has(2), has(3), []smtp.Param{{Name: name, Value: value}, {Name: name}}
		if has(4) {
			p.By = smtp.DeliverBy{Within: time.Duration(within), Mode: smtp.DeliverMode("RN"[bits>>5&1]), Trace: has(6)}
		}
		if has(7) {
			p.Hold.Until = time.Unix(until, within).UTC()
		} else if has(8) {
			p.Hold.For = time.Duration(until)
		}
		if has(9) {
			p.EnvID, p.Auth, p.Solicit, p.Priority = text, host, kind, smtp.NewPriority(code)
		}
		written, err := m.AppendText([]byte("kept"))
		written, kept := bytes.CutPrefix(written, []byte("kept"))
		if !kept {
			t.Fatalf("%q", written)
		}
		var again Message
		if err == nil {
			checkText(t, written)
			if err := again.UnmarshalText(written); err != nil || !reflect.DeepEqual(again, m) {
				t.Errorf("%+v is written\n%s, which reads\n%+v, %v", m, written, again, err)
			}
		}

		r := Recipient{Last: time.Unix(within, until).UTC(), Local: has(0), Host: host}
		r.To.Mailbox = m.Envelope.From.Mailbox
		r.RcptParams.Notify, r.RcptParams.Other = smtp.Notify(bits>>8&15), p.Other
		if has(1) {
			r.RcptParams.ORcpt = smtp.ORcpt{Type: kind, Address: text}
		}
		if has(2) {
			r.RcptParams.RRVS = &smtp.RRVS{Since: r.Last, Action: smtp.RRVSAction("\x00RC"[int(bits>>3)%3])}
		}
		if r.Reply, err = smtp.ParseReply(raw); err != nil || has(5) {
			r.Reply = smtp.Reply{Code: code, Enhanced: smtp.Enh(int(within%1000), int(until%1000)), Text: text, Raw: raw}
		}
		rs := Recipients{r, r}
		if written, err = rs.MarshalText(); err != nil {
			return
		}
		checkText(t, written)
		var got Recipients
		if err := got.UnmarshalText(written); err != nil || !reflect.DeepEqual(got, rs) {
			t.Errorf("%+v is written\n%s, which reads\n%+v, %v", rs, written, got, err)
		}
	})
}

func BenchmarkMessageText(b *testing.B) {
	m := Message{Envelope: mustMail(b, "FROM:<ann@example.org> SIZE=4096 BODY=8BITMIME")}
	m.ReceivedFrom = dsn.Typed{Type: "dns", Text: "mx.example.net (192.0.2.1)"}
	benchmarkText(b, &m, new(Message))
}

func BenchmarkRecipientsText(b *testing.B) {
	b.Run("new", func(b *testing.B) {
		benchmarkText(b, &Recipients{mustRcpt(b, "TO:<bob@example.com>")}, new(Recipients))
	})
	b.Run("tried", func(b *testing.B) {
		r := mustRcpt(b, "TO:<bob@example.com> NOTIFY=FAILURE ORCPT=rfc822;bob@example.com")
		r.Last, r.Host = textTime(123456789), "mx.example.com"
		r.Reply, _ = smtp.ParseReply("450-4.2.1 busy\r\n450 4.2.1 later")
		benchmarkText(b, &Recipients{r}, new(Recipients))
	})
	b.Run("1000", func(b *testing.B) {
		benchmarkText(b, new(Recipients(slices.Repeat([]Recipient{mustRcpt(b, "TO:<bob@example.com>")}, 1000))), new(Recipients))
	})
}

func benchmarkText(b *testing.B, from interface{ AppendText([]byte) ([]byte, error) }, to interface{ UnmarshalText([]byte) error }) {
	text, err := from.AppendText(nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, 2*len(text))
		for b.Loop() {
			from.AppendText(buf)
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := to.UnmarshalText(text); err != nil {
				b.Fatal(err)
			}
		}
	})
}
