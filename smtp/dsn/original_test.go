package dsn

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"mime/quotedprintable"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/postrider/postrider/smtp"
)

// How the message goes back, by what is in it, by who sent it, and by what the
// notification may have.
func TestOriginalForms(t *testing.T) {
	const (
		ascii   = "Subject: a\r\n\r\nbody\r\n"
		body8   = "Subject: a\r\n\r\n\xfc\r\n"
		header8 = "Subject: ü\r\n\r\nbody\r\n"
		latin1  = "Subject: \xfc\r\n\r\nbody\r\n"
		bareLF  = "Subject: a\n\nbody\n"
		bareCR  = "Subject: a\r\n\r\nbo\rdy\r\n"
		nul     = "Subject: a\r\n\r\nbo\x00dy\r\n"
		noEnd   = "Subject: a\r\n\r\nbody"
		badHead = "Subject: a\x00\rb\r\n\r\nbody\r\n"
	)
	long := "Subject: a\r\n\r\n" + strings.Repeat("x", 999) + "\r\n"
	longHead := "Subject: " + strings.Repeat("x", 999) + "\r\n\r\nbody\r\n"
	const (
		rfc822  = "message/rfc822"
		global  = "message/global"
		headers = "text/rfc822-headers"
		gHeads  = "message/global-headers"
		qp      = " quoted-printable"
		b64     = " base64"
		bit8    = " 8bit"
	)
	for _, test := range []struct {
		content        string
		utf8, only7Bit bool   // the message had SMTPUTF8; SevenBit
		full, hdrs     string // what the third part is
		header         string // what it holds if it is the header section
	}{
		{ascii, false, false, rfc822, headers, "Subject: a\r\n"},
		{ascii, true, true, rfc822, headers, "Subject: a\r\n"},
		{body8, false, false, rfc822 + bit8, headers, "Subject: a\r\n"}, // RFC 2046 §5.2.1
		{body8, true, false, rfc822 + bit8, headers, "Subject: a\r\n"},
		{body8, false, true, headers, headers, "Subject: a\r\n"},                // RFC 6522 §3
		{body8, true, true, global + b64, headers, "Subject: a\r\n"},            // RFC 6532 §3.7
		{header8, true, false, global + bit8, gHeads + bit8, "Subject: ü\r\n"},  // RFC 6533 §4.5
		{header8, true, true, global + b64, gHeads + qp, "Subject: ü\r\n"},      // RFC 6533 §4.5
		{header8, false, false, headers + qp, headers + qp, "Subject: ü\r\n"},   // RFC 6522 §4
		{header8, false, true, headers + qp, headers + qp, "Subject: ü\r\n"},    // RFC 6522 §4
		{latin1, false, false, headers + qp, headers + qp, "Subject: \xfc\r\n"}, // RFC 6522 §4
		{latin1, true, false, headers + qp, headers + qp, "Subject: \xfc\r\n"},  // no UTF-8
		{bareLF, false, false, headers, headers, "Subject: a\r\n"},
		{bareLF, true, false, global + b64, headers, "Subject: a\r\n"},
		{bareCR, false, false, headers, headers, "Subject: a\r\n"},
		{bareCR, true, false, global + b64, headers, "Subject: a\r\n"},
		{nul, false, false, headers, headers, "Subject: a\r\n"},
		{nul, true, false, global + b64, headers, "Subject: a\r\n"},
		{noEnd, false, false, headers, headers, "Subject: a\r\n"},
		{noEnd, true, false, global + b64, headers, "Subject: a\r\n"},
		{long, false, false, headers, headers, "Subject: a\r\n"},
		{long, true, false, global + b64, headers, "Subject: a\r\n"},
		{longHead, false, false, headers + qp, headers + qp, longHead[:9+999+2]},
		{longHead, true, false, global + b64, headers + qp, longHead[:9+999+2]},
		{badHead, false, false, headers + qp, headers + qp, "Subject: a\x00?b\r\n"},
		{"Subject: only\r\n", false, false, rfc822, headers, "Subject: only\r\n"},
		{"\r\nbody\r\n", false, false, rfc822, "", ""},
		{"", false, false, rfc822, "", ""},
	} {
		for _, ret := range []smtp.Ret{smtp.RetFull, smtp.RetHeaders} {
			m := message(t, "alice@example.org", test.content)
			m.Envelope.MailParams.UTF8, m.Envelope.MailParams.Ret = test.utf8, ret
			c := composer()
			c.SevenBit = test.only7Bit
			name := fmt.Sprintf("%.40q utf8=%t 7bit=%t %s", test.content, test.utf8, test.only7Bit, ret)
			want := test.full
			if ret == smtp.RetHeaders {
				want = test.hdrs
			}
			holds, returned := test.content, smtp.RetFull
			if strings.Contains(want, "headers") {
				holds, returned = test.header, smtp.RetHeaders
			} else if want == "" {
				returned = ""
			}

			n := compose(t, c, m, recipient(t, "b@example.net"))
			p := takeApart(t, sound(t, n))
			got, body := "", ""
			if len(p.kinds) > 2 {
				got, body = p.kinds[2], decode(t, p.kinds[2], p.bodies[2])
			}
			if got != want || n.Report.Returned != returned {
				t.Errorf("%s: %q and %q, want %q", name, got, n.Report.Returned, want)
			} else if want != "" && body != holds {
				t.Errorf("%s: %q came back, want %q", name, body, holds)
			}
			if needs := strings.HasPrefix(want, global) && strings.HasSuffix(want, bit8); needs != n.Envelope.MailParams.UTF8 {
				t.Errorf("%s: SMTPUTF8 is %t", name, n.Envelope.MailParams.UTF8)
			}
			back, err := Parse(bytes.NewReader(read(t, n.Content)))
			if err != nil || !reflect.DeepEqual(*back, n.Report) {
				t.Errorf("%s: read %+v, %v", name, back, err)
			}
		}
	}
}

func decode(t *testing.T, kind string, body []byte) string {
	t.Helper()
	var r io.Reader = bytes.NewReader(body)
	switch {
	case strings.HasSuffix(kind, "base64"):
		r = base64.NewDecoder(base64.StdEncoding, r)
	case strings.HasSuffix(kind, "quoted-printable"):
		r = quotedprintable.NewReader(r)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// How much comes back: RET, what kind of notification it is, how large the message is.
func TestHowMuchComesBack(t *testing.T) {
	large := "Subject: large\r\n\r\n" + strings.Repeat("0123456789\r\n", 1000)
	for _, test := range []struct {
		name    string
		content string
		set     func(c *Composer, m *Message, r *Recipient)
		want    smtp.Ret
	}{
		{"RFC 6522 §3: in the absence of RET", simple, func(c *Composer, m *Message, r *Recipient) {}, smtp.RetFull},
		{"our own default", simple, func(c *Composer, m *Message, r *Recipient) { c.Ret = smtp.RetHeaders }, smtp.RetHeaders},
		{"FULL against our default", simple, func(c *Composer, m *Message, r *Recipient) {
			c.Ret, m.Envelope.MailParams.Ret = smtp.RetHeaders, smtp.RetFull
		}, smtp.RetFull},
		{"HDRS", simple, func(c *Composer, m *Message, r *Recipient) { m.Envelope.MailParams.Ret = smtp.RetHeaders }, smtp.RetHeaders},
		{"RFC 3461 §4.3: no failure", simple, func(c *Composer, m *Message, r *Recipient) {
			m.Envelope.MailParams.Ret, r.Action, r.Notify = smtp.RetFull, Delivered, success
		}, smtp.RetHeaders},
		{"RFC 8689 §5: REQUIRETLS", simple, func(c *Composer, m *Message, r *Recipient) {
			m.Envelope.MailParams.Ret, m.Envelope.MailParams.RequireTLS = smtp.RetFull, true
		}, smtp.RetHeaders},
		{"RFC 3461 §6.2: too long", large, func(c *Composer, m *Message, r *Recipient) {
			m.Envelope.MailParams.Ret, c.MaxReturn = smtp.RetFull, int64(len(large)-1)
		}, smtp.RetHeaders},
		{"just short enough", large, func(c *Composer, m *Message, r *Recipient) { c.MaxReturn = int64(len(large)) }, smtp.RetFull},
		{"no limit", large, func(c *Composer, m *Message, r *Recipient) { c.MaxReturn = -1 }, smtp.RetFull},
		{"unknown size", large, func(c *Composer, m *Message, r *Recipient) { c.MaxReturn, m.Content.Size = 100, -1 }, smtp.RetHeaders},
		{"unknown size", large, func(c *Composer, m *Message, r *Recipient) { m.Content.Size = -1 }, smtp.RetFull},
		{"default limit", large + large + large + large + large + large, func(c *Composer, m *Message, r *Recipient) {}, smtp.RetHeaders},
		{"read once, short", large, func(c *Composer, m *Message, r *Recipient) {
			m.Content = smtp.ReaderContent(strings.NewReader(large))
		}, smtp.RetFull},
		{"read once, long", large, func(c *Composer, m *Message, r *Recipient) {
			c.MaxReturn = -1
			m.Content = smtp.ReaderContent(strings.NewReader(strings.Repeat(large, 10)))
		}, smtp.RetHeaders},
		{"no content", "", func(c *Composer, m *Message, r *Recipient) { m.Content = smtp.Content{} }, ""},
		{"header too long for us", large, func(c *Composer, m *Message, r *Recipient) { c.MaxHeader = 10 }, ""},
	} {
		c, m, r := composer(), message(t, "alice@example.org", test.content), recipient(t, "b@example.net")
		test.set(c, m, &r)
		n := compose(t, c, m, r)
		octets := sound(t, n)
		if n.Report.Returned != test.want {
			t.Errorf("%s: %q, want %q", test.name, n.Report.Returned, test.want)
		}
		got, err := Parse(bytes.NewReader(octets))
		if err != nil || got.Returned != test.want {
			t.Errorf("%s: read %q, %v", test.name, got.Returned, err)
		}
		if want := test.want == smtp.RetFull; bytes.Contains(octets, []byte("At noon?")) != (want && test.content == simple) {
			t.Errorf("%s: the body", test.name)
		}
	}
}

// A message that is returned is not held in memory, and is read anew each time.
func TestOriginalIsStreamed(t *testing.T) {
	const size = 8 << 20
	opened, closed := 0, 0
	line := []byte(strings.Repeat("x", 62) + "\r\n")
	content := smtp.Content{Size: size, Open: func() (io.ReadCloser, error) {
		opened++
		head := []byte("Subject: " + strings.Repeat("y", 64-13) + "\r\n\r\n")
		return &counted{io.LimitReader(io.MultiReader(bytes.NewReader(head), &endless{line: line}), size), &closed}, nil
	}}
	for _, utf8 := range []bool{false, true} {
		m := message(t, "alice@example.org", "")
		m.Content = content
		m.Envelope.MailParams.UTF8 = utf8
		if utf8 { // in base64
			m.Content.Size, m.Content.Kind = size-1, smtp.KindExamined|smtp.KindBareLineEnd
			inner := content.Open
			m.Content.Open = func() (io.ReadCloser, error) {
				r, err := inner()
				return &counted{io.LimitReader(r, size-1), &closed}, err
			}
		}
		c := composer()
		c.MaxReturn = -1
		n := compose(t, c, m, recipient(t, "b@example.net"))
		if n.Report.Returned != smtp.RetFull {
			t.Fatal(n.Report.Returned)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, err := n.Content.Open()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.Copy(struct{ io.Writer }{io.Discard}, r)
		if err != nil || got != n.Content.Size {
			t.Errorf("%d octets of %d, %v", got, n.Content.Size, err)
		}
		r.Close()
		runtime.ReadMemStats(&after)
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 256<<10 {
			t.Errorf("reading %d octets took %d octets of memory", n.Content.Size, allocated)
		}
	}
	if opened != closed {
		t.Errorf("opened %d times, closed %d times", opened, closed)
	}
}

type endless struct {
	line []byte
	rest []byte
}

func (e *endless) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(e.rest) == 0 {
			e.rest = e.line
		}
		c := copy(p[n:], e.rest)
		e.rest = e.rest[c:]
		n += c
	}
	return n, nil
}

type counted struct {
	io.Reader
	closed *int
}

func (c *counted) Close() error { *c.closed++; return nil }

func TestBase64Size(t *testing.T) {
	for n := range int64(400) {
		b := read(t, base64Content(smtp.BytesContent(bytes.Repeat([]byte{'x'}, int(n)))))
		if int64(len(b)) != base64Size(n) {
			t.Errorf("%d octets are %d, not %d", n, len(b), base64Size(n))
		}
		for line := range strings.SplitSeq(string(b), "\r\n") {
			if len(line) > 76 {
				t.Errorf("line of %d octets", len(line))
			}
		}
	}
}

func TestMaxHeader(t *testing.T) {
	c := composer()
	c.MaxHeader = 100
	text := ""
	for i := range 20 {
		text += fmt.Sprintf("X-Field-%02d: value\r\n", i)
	}
	n := compose(t, c, message(t, "alice@example.org", text+"\r\nbody\r\n"), recipient(t, "b@example.net"))
	p := takeApart(t, sound(t, n))
	if got := string(p.bodies[2]); got != text[:100/19*19] || n.Report.Returned != smtp.RetHeaders {
		t.Errorf("%q", got)
	}
}
