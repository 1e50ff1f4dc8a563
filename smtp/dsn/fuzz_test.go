package dsn

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/smtp"
)

// Whatever is put in, what comes out is a message of the form that it says it has,
// with three parts, in bounds, and is read as what was written.
func FuzzCompose(f *testing.F) {
	f.Add(simple, "550 5.1.1 no such user", "bob@example.net", uint8(0))
	f.Add("Subject: ü\r\n\r\nü", "550-one\n550 two ü", "ü@example.net", uint8(1))
	f.Add("Subject: \xfc\r\n\r\n\x00\r\n.\r\n", "smtp; x\r\nAction: delivered", `"a b\"@x`, uint8(3))
	f.Add("A:b\n\n--\n", "421 "+strings.Repeat("x ", 400), `\x{41}`, uint8(6))
	f.Add("\r\n\r\n", strings.Repeat("550-a\n", 400), "<a>", uint8(12))
	f.Add("From x\r\n a\r\nMessage-ID:\r\n <a@b>\r\n\tc\r\n: d\r\ne : f", "\xff\x80", "a\tb", uint8(31))
	f.Add("A\rb: c\r\r\n\r\n\x00", "", "a@b", uint8(1)) // a CR in the name of a field
	f.Add("0", "550-a\n", "< < >>", uint8(19))
	f.Add("0", "550 a", "<"+strings.Repeat("a", 798)+">b", uint8(1)) // what is cut ends in a bracket
	f.Add("0", "550 ü", `\X{41}`, uint8(9))
	f.Fuzz(func(t *testing.T, content, said, addr string, flags uint8) {
		from := "alice@example.org"
		if flags&1 != 0 {
			from = "jörg@example.org"
		}
		m := message(t, from, content)
		c := composer()
		c.SevenBit = flags&2 != 0
		if flags&4 != 0 {
			m.Envelope.MailParams.Ret = smtp.RetHeaders
		}
		m.Envelope.MailParams.UTF8 = m.Envelope.MailParams.UTF8 || flags&8 != 0
		m.Envelope.MailParams.EnvID = addr
		m.ReceivedFrom = Typed{addr, said}
		m.Fields = []Field{{addr, said}, {"X-A", said}}
		r := recipient(t, "b@example.net")
		r.Original = Typed{"utf-8", addr}
		r.Final = Typed{"rfc822", addr}
		r.Diagnostic = Typed{"smtp", said}
		r.LogID = said
		r.Fields = m.Fields
		s := recipient(t, "c@example.net")
		s.Diagnostic = Diagnostic(smtp.Reply{Code: 450, Text: said})
		if reply, err := smtp.ParseReply(said); err == nil {
			s.Diagnostic = Diagnostic(reply)
		}
		if flags&16 != 0 {
			s.Action, s.Notify = Delivered, success
			s.RemoteMTA = Typed{said, addr}
		}
		n, err := c.Compose(m, r, s)
		if err != nil {
			address{&r.Final}.tidy()
			if !r.Final.IsZero() {
				t.Errorf("%q: %v", addr, err)
			}
			return
		}
		octets := sound(t, n)
		p := takeApart(t, octets)
		if want := 2 + min(1, len(n.Report.Returned)); len(p.bodies) != want {
			t.Errorf("%d parts", len(p.bodies))
		}
		if n.Report.Returned == smtp.RetFull && !strings.HasSuffix(p.kinds[2], "base64") && string(p.bodies[2]) != content {
			t.Errorf("%q came back", p.bodies[2])
		}
		got, err := Parse(bytes.NewReader(octets))
		if err != nil || !reflect.DeepEqual(*got, n.Report) {
			t.Errorf("read    %+v, %v\nwritten %+v\n%s", got, err, n.Report, octets)
		}
	})
}

// Whatever is read: nothing panics, what comes out is clean, bounded and the same
// however it arrives, with LF as with CRLF.
func FuzzParse(f *testing.F) {
	samples, err := filepath.Glob("testdata/*/*.eml")
	if err != nil || len(samples) == 0 {
		f.Fatal(samples, err)
	}
	for _, name := range samples {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(bytes.NewReader(b))
		again, againErr := Parse(iotest.OneByteReader(bytes.NewReader(b)))
		if !reflect.DeepEqual(r, again) || err != againErr {
			t.Errorf("%+v, %v\nand in pieces %+v, %v", r, err, again, againErr)
		}
		if err != nil {
			if !errors.Is(err, ErrNotReport) {
				t.Error(err)
			}
			return
		}
		for _, s := range texts(r) {
			if !utf8.ValidString(s) || clean(s) != s || strings.ContainsAny(s, "\r\t") {
				t.Errorf("%q", s)
			}
		}
		for i := range r.Recipients {
			to := r.Recipients[i]
			if to.Final.IsZero() {
				t.Errorf("%+v", to)
			}
			if to.Action == 0 {
				continue
			}
			// What was read can be written, and is then read again.
			to.Notify = success | failure | delay
			n := compose(t, composer(), message(t, "jörg@example.org", simple), to)
			got, err := Parse(bytes.NewReader(read(t, n.Content)))
			if to.Notify = 0; to.Action != Delayed {
				to.RetryUntil = time.Time{}
			}
			if to.Status.IsZero() {
				to.Status = n.Report.Recipients[0].Status
			}
			if err != nil || !reflect.DeepEqual(got.Recipients[0], to) {
				t.Errorf("read again %+v, %v\nof %+v", got.Recipients, err, to)
			}
		}
	})
}

// texts returns every string of a report, a line at a time.
func texts(r *Report) (all []string) {
	typed := func(t Typed) { all = append(append(all, t.Type), strings.Split(t.Text, "\n")...) }
	fields := func(fields []Field) {
		for _, f := range fields {
			all = append(all, f.Name, f.Value)
		}
	}
	all = append(all, r.EnvelopeID)
	typed(r.ReportingMTA)
	typed(r.Gateway)
	typed(r.ReceivedFrom)
	fields(r.Fields)
	fields(r.Header)
	for _, to := range r.Recipients {
		all = append(all, to.LogID)
		typed(to.Original)
		typed(to.Final)
		typed(to.RemoteMTA)
		typed(to.Diagnostic)
		fields(to.Fields)
	}
	return all
}
