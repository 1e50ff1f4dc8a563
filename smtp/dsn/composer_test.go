package dsn

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/smtp"
)

// What each kind of notification looks like; the files are for reading, too.
func TestGolden(t *testing.T) {
	full := func(t *testing.T, m *Message) Recipient {
		m.Envelope.MailParams.EnvID = "QQ 314159"
		m.ReceivedFrom = Peer("client.example.org", netip.MustParseAddr("192.0.2.1"))
		m.Fields = []Field{{"X-Queue-Id", "4711"}}
		r := recipient(t, "bob@example.net")
		r.Original = Typed{"rfc822", "bobby@example.org"}
		r.LogID = "log 1"
		r.Fields = []Field{{"X-Attempts", "3"}}
		return r
	}
	for _, test := range []struct {
		name string
		from string
		text string
		set  func(t *testing.T, c *Composer, m *Message) []Recipient
	}{
		{"failed", "alice@example.org", simple, func(t *testing.T, c *Composer, m *Message) []Recipient {
			r := full(t, m)
			r.Diagnostic = Diagnostic(smtp.Reply{Code: 550, Enhanced: smtp.Enh(1, 1),
				Text: "no such user, as far as can be told from the list of all the users of this host\nask somebody else"})
			return []Recipient{r}
		}},
		{"delayed", "alice@example.org", simple, func(t *testing.T, c *Composer, m *Message) []Recipient {
			r := full(t, m)
			r.Notify = smtp.NotifyDelay
			r.Action, r.RetryUntil = Delayed, arrived.Add(5*24*time.Hour)
			r.RemoteMTA = Typed{}
			r.Diagnostic = Diagnostic(smtp.Reply{Code: 451, Enhanced: smtp.Enh(4, 1), Text: "connection timed out"})
			return []Recipient{r}
		}},
		{"delivered", "alice@example.org", simple, func(t *testing.T, c *Composer, m *Message) []Recipient {
			r := full(t, m)
			r.Notify = smtp.NotifySuccess
			r.Action = Delivered
			r.Diagnostic = Diagnostic(smtp.Reply{Code: 250, Enhanced: smtp.Enh(1, 5), Text: "saved"})
			return []Recipient{r}
		}},
		{"relayed", "alice@example.org", simple, func(t *testing.T, c *Composer, m *Message) []Recipient {
			r := full(t, m)
			r.Notify = smtp.NotifySuccess
			r.Action = Relayed
			r.Diagnostic = Diagnostic(smtp.Reply{Code: 250, Text: "queued"})
			return []Recipient{r}
		}},
		{"expanded", "alice@example.org", simple, func(t *testing.T, c *Composer, m *Message) []Recipient {
			r := full(t, m)
			r.Notify = smtp.NotifySuccess
			r.Action, r.RemoteMTA, r.Diagnostic = Expanded, Typed{}, Typed{}
			return []Recipient{r}
		}},
		{"mixed", "alice@example.org", simple, func(t *testing.T, c *Composer, m *Message) []Recipient {
			a, b, d, e := recipient(t, "a@example.net"), recipient(t, "b@example.net"), recipient(t, "d@example.net"), recipient(t, "e@example.net")
			b.Action, b.Notify, b.Diagnostic = Relayed, smtp.NotifySuccess, Diagnostic(smtp.Reply{Code: 250, Text: "queued"})
			d.Notify = smtp.NotifyNever
			return []Recipient{a, b, d, e}
		}},
		{"utf8", "jörg@example.org", "Subject: Grüße\r\nMessage-ID: <ü@example.org>\r\n\r\nüü\r\n", func(t *testing.T, c *Composer, m *Message) []Recipient {
			r := recipient(t, "例え@example.net")
			r.Diagnostic = Diagnostic(smtp.Reply{Code: 550, Enhanced: smtp.Enh(1, 1), Text: "unbekannt: 例え"})
			return []Recipient{r}
		}},
		{"utf8-7bit", "alice@bücher.example", "Subject: Grüße\r\n\r\nüü\r\n", func(t *testing.T, c *Composer, m *Message) []Recipient {
			c.SevenBit = true
			r := recipient(t, "例え@example.net")
			r.Diagnostic = Diagnostic(smtp.Reply{Code: 550, Enhanced: smtp.Enh(1, 1), Text: "unbekannt: 例え"})
			return []Recipient{r}
		}},
		{"headers-7bit", "alice@example.org", "Subject: Gr\xfc\xdfe\r\n\r\n\xfc\r\n", func(t *testing.T, c *Composer, m *Message) []Recipient {
			m.Envelope.MailParams.Ret = smtp.RetHeaders
			return []Recipient{recipient(t, "b@example.net")}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, m := composer(), message(t, test.from, test.text)
			n := compose(t, c, m, test.set(t, c, m)...)
			golden(t, test.name, sound(t, n))
		})
	}
}

// Parse gives what the Composer says that it has written.
func TestRoundTrip(t *testing.T) {
	r := recipient(t, "bob@example.net")
	r.Original = Typed{"X-Foo", "A (b)  c;d"}
	r.LogID = "id  1"
	r.Fields = []Field{{"X-A", "one two"}, {"X-B", ""}}
	for _, from := range []string{"alice@example.org", "jörg@example.org"} {
		for _, only7Bit := range []bool{false, true} {
			c, m := composer(), message(t, from, simple)
			c.SevenBit = only7Bit
			m.Envelope.MailParams.EnvID = "a  b + c"
			m.Fields = []Field{{"X-M", strings.Repeat("long ", 60)}}
			m.ReceivedFrom = Typed{"X-Y", "z"}
			u := recipient(t, "ü+=@bücher.example")
			u.Original = Typed{"utf-8", `"a b\"@例え.example`}
			n := compose(t, c, m, r, u)
			got, err := Parse(bytes.NewReader(sound(t, n)))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(*got, n.Report) {
				t.Errorf("read    %+v\nwritten %+v", *got, n.Report)
			}
			want := r
			want.Notify, want.Status, want.Original.Type = 0, Status{5, smtp.Enh(1, 1)}, "x-foo"
			if !reflect.DeepEqual(got.Recipients[0], want) {
				t.Errorf("read %+v\nof   %+v", got.Recipients[0], want)
			}
			if got.Recipients[1].Original != u.Original || got.Recipients[1].Final != u.Final {
				t.Errorf("%+v", got.Recipients[1])
			}
			if got.EnvelopeID != "a  b + c" || !got.Arrival.Equal(arrived) || got.MessageID() != "<1@example.org>" {
				t.Errorf("%+v", got)
			}
			if reply, ok := got.Recipients[0].Diagnostic.Reply(); !ok || reply.Text != "no such user" || reply.EnhancedString() != "5.1.1" {
				t.Errorf("%+v", reply)
			}
		}
	}
}

// Will-Retry-Until is for delays only (RFC 3464 §2.3.9).
func TestRetryUntil(t *testing.T) {
	for a := Failed; a <= Expanded; a++ {
		r := recipient(t, "b@example.net")
		r.Action, r.Notify, r.RetryUntil = a, success|failure|delay, tried
		n := compose(t, composer(), message(t, "alice@example.org", simple), r)
		if got := bytes.Contains(sound(t, n), []byte("\r\nWill-Retry-Until: Tue, 3 Feb 2026 14:11:12 +0000\r\n")); got != (a == Delayed) {
			t.Errorf("%v: %t", a, got)
		}
	}
}

// What the sender has asked for about TLS holds for the notification, too (RFC 8689
// §5, §6).
func TestTLSRequired(t *testing.T) {
	for _, test := range []struct {
		field   string
		require bool
		want    string
	}{
		{"TLS-Required: No", false, "No"}, {"tls-required:  no ", false, "No"}, {"TLS-Required: Yes", false, ""},
		{"TLS-Required: No\r\n x", false, ""}, {"TLS-Required: No", true, ""}, {"X: y", false, ""},
	} {
		m := message(t, "alice@example.org", test.field+"\r\n\r\n")
		m.Envelope.MailParams.RequireTLS = test.require
		n := compose(t, composer(), m, recipient(t, "b@example.net"))
		if got := takeApart(t, sound(t, n)).header.Get("TLS-Required"); got != test.want {
			t.Errorf("%q, REQUIRETLS %t: %q", test.field, test.require, got)
		}
		if n.Envelope.MailParams.RequireTLS != test.require {
			t.Errorf("%q: %+v", test.field, n.Envelope.MailParams)
		}
	}
}

func TestEnvelope(t *testing.T) {
	m := message(t, "alice@example.org", simple)
	m.Envelope.MailParams = smtp.MailParams{
		Size: 5, Body: smtp.Body8BitMIME, Auth: "<>", Ret: smtp.RetFull, EnvID: "x", PRDR: true,
		RequireTLS: true, Priority: smtp.NewPriority(4), Solicit: "net.example:ADV",
		By: smtp.DeliverBy{Within: time.Hour, Mode: smtp.DeliverNotify}, Hold: smtp.Hold{For: time.Minute},
	}
	n := compose(t, composer(), m, recipient(t, "b@example.net"))
	want := smtp.Envelope{
		MailParams: smtp.MailParams{RequireTLS: true, Priority: smtp.NewPriority(4)},
		Recipients: []smtp.Recipient{{To: smtp.ForwardPath{Mailbox: smtp.Mailbox{Local: "alice", Domain: "example.org"}}}},
	}
	if !reflect.DeepEqual(n.Envelope, want) {
		t.Errorf("%+v", n.Envelope)
	}
	sound(t, n)
}

func TestHeader(t *testing.T) {
	c := composer()
	n := compose(t, c, message(t, `"a b"@[192.0.2.1]`, simple), recipient(t, "b@example.net"))
	h := takeApart(t, sound(t, n)).header
	for name, want := range map[string]string{
		"From":           "Mail Delivery System <MAILER-DAEMON@mx.example.org>",
		"Reply-To":       "<postmaster@mx.example.org>",
		"To":             `<"a b"@[192.0.2.1]>`,
		"Date":           "Tue, 3 Feb 2026 14:11:13 +0000",
		"Message-Id":     n.MessageID,
		"In-Reply-To":    "<1@example.org>",
		"References":     "<1@example.org>",
		"Auto-Submitted": "auto-replied",
		"Mime-Version":   "1.0",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if len(h[name]) > 1 {
			t.Errorf("%s: %q", name, h[name])
		}
	}
	c.From = smtp.Mailbox{Local: "bounces", Domain: "bücher.example"}
	h = takeApart(t, sound(t, compose(t, c, message(t, "a@example.org", "\r\n"), recipient(t, "b@example.net")))).header
	if got := h.Get("From"); got != "Mail Delivery System <bounces@xn--bcher-kva.example>" {
		t.Error(got)
	}
	for _, name := range []string{"Reply-To", "In-Reply-To", "References"} {
		if h[name] != nil {
			t.Errorf("%s: %q", name, h[name])
		}
	}
}

// Two notifications have nothing random in common, so nobody who writes to us can
// know a boundary beforehand.
func TestBoundaryIsNotKnown(t *testing.T) {
	m, r := message(t, "alice@example.org", simple), recipient(t, "b@example.net")
	a, b := compose(t, composer(), m, r), compose(t, composer(), m, r)
	inA := random.FindAllString(string(read(t, a.Content)), -1)
	inB := string(read(t, b.Content))
	if len(inA) != 1+1+3+1 { // Message-ID, Content-Type, before and behind the parts
		t.Errorf("%q", inA)
	}
	for _, s := range inA {
		if strings.Contains(inB, s) {
			t.Errorf("%s again", s)
		}
	}
}

func TestReportingMTA(t *testing.T) {
	for host, want := range map[string]Typed{ // RFC 3461 §6.3 b
		"mx.example.org":      {"dns", "mx.example.org"},
		"[192.0.2.1]":         {"dns", "[192.0.2.1]"},
		"bücher.example":      {"dns", "xn--bcher-kva.example"},
		"laptop":              {"x-local-hostname", "laptop"},
		"":                    {"x-local-hostname", "localhost"},
		"192.0.2.1":           {"x-local-hostname", "192.0.2.1"},
		"mx.example.org\r\nX": {},
		"a b":                 {},
	} {
		n, err := (&Composer{Hostname: host}).Compose(message(t, "alice@example.org", simple), recipient(t, "b@example.net"))
		switch {
		case want.IsZero():
			if err == nil || errors.Is(err, ErrUnwanted) {
				t.Errorf("%q: %v", host, err)
			}
		case err != nil:
			t.Errorf("%q: %v", host, err)
		case n.Report.ReportingMTA != want:
			t.Errorf("%q: %v", host, n.Report.ReportingMTA)
		}
	}
}

func TestComposeErrors(t *testing.T) {
	broken := errors.New("the disk is gone")
	good := recipient(t, "b@example.net")
	for name, test := range map[string]func(c *Composer, m *Message, r *Recipient){
		"from": func(c *Composer, m *Message, r *Recipient) {
			c.From = smtp.Mailbox{Local: "a\r\nb", Domain: "example.org"}
		},
		"hostname": func(c *Composer, m *Message, r *Recipient) { c.Hostname = "a..b" },
		"reverse-path": func(c *Composer, m *Message, r *Recipient) {
			m.Envelope.From = smtp.ReversePath{Mailbox: smtp.Mailbox{Local: "a", Domain: "b>\r\nX: y"}}
		},
		"no address": func(c *Composer, m *Message, r *Recipient) { r.Final = Typed{"rfc822", "  "} },
		"open": func(c *Composer, m *Message, r *Recipient) {
			m.Content.Open = func() (io.ReadCloser, error) { return nil, broken }
		},
		"read": func(c *Composer, m *Message, r *Recipient) {
			m.Content.Open = func() (io.ReadCloser, error) { return io.NopCloser(&failing{strings.NewReader("A: b"), broken}), nil }
		},
		"read header": func(c *Composer, m *Message, r *Recipient) {
			m.Envelope.MailParams.Ret = smtp.RetHeaders
			m.Content.Open = func() (io.ReadCloser, error) { return io.NopCloser(&failing{strings.NewReader("A: b"), broken}), nil }
		},
	} {
		c, m, r := composer(), message(t, "alice@example.org", simple), good
		test(c, m, &r)
		n, err := c.Compose(m, r)
		if n != nil || err == nil || errors.Is(err, ErrUnwanted) {
			t.Errorf("%s: %v, %v", name, n, err)
		}
		if (name == "open" || strings.HasPrefix(name, "read")) && !errors.Is(err, broken) {
			if name != "reverse-path" {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// failing reads what is there and then has an error.
type failing struct {
	io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err == io.EOF {
		err = f.err
	}
	return n, err
}

func TestOwnText(t *testing.T) {
	c := composer()
	c.Text = func(r *Report) Text {
		english := English(r)
		return Text{
			Subject:  "Ihre Nachricht konnte nicht zugestellt werden: Grüße und noch viel mehr als in eine Zeile paßt",
			Body:     "Grüß Gott,\r\n\x00\x1b[31mnicht zugestellt  \nan " + r.Recipients[0].Final.Text + "\n\n" + english.Body + "\n\n\n",
			Language: "de",
		}
	}
	octets := sound(t, compose(t, c, message(t, "alice@example.org", simple), recipient(t, "b@example.net")))
	golden(t, "own-text", octets)
	c.Text = func(*Report) Text {
		return Text{Subject: "=?x?= a\r\nX: y", Body: strings.Repeat("x", 2000), Language: "de\r\nX: y"}
	}
	octets = sound(t, compose(t, c, message(t, "alice@example.org", simple), recipient(t, "b@example.net")))
	if bytes.Contains(octets, []byte("\nX:")) || bytes.Contains(octets, []byte("Content-Language")) {
		t.Errorf("%s", octets)
	}
}

// What is written for people tells every recipient, and each reason once.
func TestEnglishGroups(t *testing.T) {
	m := message(t, "alice@example.org", simple)
	a, b, d := recipient(t, "a@example.net"), recipient(t, "b@example.net"), recipient(t, "d@example.net")
	b.Diagnostic = Diagnostic(smtp.Reply{Code: 552, Enhanced: smtp.Enh(2, 2), Text: "full"})
	n := compose(t, composer(), m, a, b, d)
	text := English(&n.Report)
	if text.Subject != sayings[Failed].subject || strings.Count(text.Body, "no such user") != 1 ||
		strings.Index(text.Body, "<d@example.net>") > strings.Index(text.Body, "<b@example.net>") {
		t.Errorf("%s", text.Body)
	}
	var many []Recipient
	for range 1000 {
		r := a
		r.Diagnostic.Text += " " + strings.Repeat("x", len(many))
		many = append(many, r)
	}
	n = compose(t, composer(), m, many...)
	if text := English(&n.Report); strings.Count(text.Body, "<a@example.net>") != maxGroups || len(text.Body) > 60000 {
		t.Errorf("%d octets", len(text.Body))
	}
	for line := range strings.Lines(text.Body) {
		if len(line) > 78 {
			t.Errorf("long line %q", line)
		}
	}
}

func TestAdvice(t *testing.T) {
	seen := map[[2]int]bool{}
	whole := map[int]bool{}
	for _, row := range advices {
		if seen[[2]int{row.subject, row.detail}] || whole[row.subject] {
			t.Errorf("row %d.%d is never reached", row.subject, row.detail)
		}
		seen[[2]int{row.subject, row.detail}] = true
		whole[row.subject] = whole[row.subject] || row.detail == others
	}
	for _, test := range []struct{ code, want string }{
		{"5.1.1", "no such address"}, {"5.1.10", "no mail at all"}, {"5.1.9", "check how the address"},
		{"4.2.2", "full"}, {"5.7.1", "reasons of its own"}, {"5.0.0", ""}, {"5.8.1", ""},
	} {
		s, ok := ParseStatus(test.code)
		if got := advice(s); !ok || !strings.Contains(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s: %q", test.code, got)
		}
	}
}
