package dsn

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/leaktest"
	"github.com/postrider/postrider/smtp"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) { os.Exit(leaktest.Main(m)) }

var (
	arrived = time.Date(2026, 2, 3, 10, 11, 12, 0, time.UTC)
	tried   = arrived.Add(4 * time.Hour)
)

func composer() *Composer {
	return &Composer{Hostname: "mx.example.org", Now: func() time.Time { return tried.Add(time.Second) }}
}

const simple = "Message-ID: <1@example.org>\r\nFrom: Alice <alice@example.org>\r\nSubject: Lunch\r\n\r\nAt noon?\r\n"

func message(t testing.TB, from, content string) *Message {
	t.Helper()
	env, err := smtp.NewEnvelope(from)
	if err != nil {
		t.Fatal(err)
	}
	env.MailParams.UTF8 = !env.From.IsASCII()
	return &Message{Envelope: env, Content: smtp.BytesContent([]byte(content)), Arrival: arrived}
}

// recipient is one whose delivery failed.
func recipient(t testing.TB, addr string) Recipient {
	t.Helper()
	to, err := smtp.ParseForwardPath(addr)
	if err != nil {
		t.Fatal(err)
	}
	r := NewRecipient(smtp.Recipient{To: to})
	r.Action, r.LastAttempt = Failed, tried
	r.RemoteMTA = DNS("mx.example.net")
	r.Diagnostic = Diagnostic(smtp.Reply{Code: 550, Enhanced: smtp.Enh(1, 1), Text: "no such user"})
	return r
}

func compose(t testing.TB, c *Composer, m *Message, to ...Recipient) *Notification {
	t.Helper()
	n, err := c.Compose(m, to...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func read(t testing.TB, c smtp.Content) []byte {
	t.Helper()
	r, err := c.Open()
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return b
}

// parts is a notification taken apart by the standard library.
type parts struct {
	header mail.Header
	kinds  []string // of the parts: type and encoding
	bodies [][]byte // as they stand there
	params []map[string]string
}

func takeApart(t testing.TB, octets []byte) parts {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(octets))
	if err != nil {
		t.Fatalf("%v in\n%s", err, octets)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" {
		t.Fatalf("%s, %v", kind, err)
	}
	p := parts{header: m.Header}
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		part, err := r.NextRawPart()
		if err == io.EOF {
			return p
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, octets)
		}
		kind, params, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		if e := part.Header.Get("Content-Transfer-Encoding"); e != "" {
			kind += " " + e
		}
		p.kinds = append(p.kinds, kind)
		p.params = append(p.params, params)
		p.bodies = append(p.bodies, body)
	}
}

// sound fails if a notification is not what it says of itself.
func sound(t testing.TB, n *Notification) []byte {
	t.Helper()
	octets := read(t, n.Content)
	if again := read(t, n.Content); !bytes.Equal(octets, again) {
		t.Fatal("the content is not the same when read again")
	}
	if int64(len(octets)) != n.Content.Size {
		t.Errorf("%d octets, and Size says %d", len(octets), n.Content.Size)
	}
	examined, err := smtp.BytesContent(octets).Examine()
	if err != nil || examined.Kind != n.Content.Kind {
		t.Errorf("Kind is %b, and should be %b (%v) in\n%s", n.Content.Kind, examined.Kind, err, octets)
	}
	if n.Content.Kind&(smtp.KindBareLineEnd|smtp.KindLongLine|smtp.KindNUL) != 0 {
		t.Errorf("Kind %b in\n%q", n.Content.Kind, octets)
	}
	if want := n.Content.Kind.Has(smtp.Kind8Bit); want != (n.Envelope.MailParams.Body == smtp.Body8BitMIME) {
		t.Errorf("BODY=%s", n.Envelope.MailParams.Body)
	}
	if !n.Envelope.MailParams.UTF8 && (n.Envelope.NeedsUTF8() || n.Content.Kind.Has(smtp.KindUTF8Header)) {
		t.Error("SMTPUTF8 is missing")
	}
	if !n.Envelope.From.IsNull() || len(n.Envelope.Recipients) != 1 {
		t.Errorf("envelope %+v", n.Envelope)
	}
	if err := n.Envelope.Validate(); err != nil {
		t.Error(err)
	}
	p := takeApart(t, octets)
	is8Bit := false
	for i, kind := range p.kinds {
		is8Bit = is8Bit || strings.HasSuffix(kind, " 8bit")
		var e smtp.Examiner
		e.Write(p.bodies[i])
		if e.Kind().Has(smtp.Kind8Bit) && !strings.HasSuffix(kind, " 8bit") {
			t.Errorf("8-bit octets in %s", kind)
		}
	}
	if is8Bit != (p.header.Get("Content-Transfer-Encoding") == "8bit") { // RFC 2045 §6.4
		t.Error("the encoding of the whole is not that of its parts")
	}
	return octets
}

var random = regexp.MustCompile(`[A-Z2-7]{26}`)

// golden compares with a file in testdata, in which what is random is replaced and
// lines end in LF.
func golden(t *testing.T, name string, octets []byte) {
	t.Helper()
	ids := map[string]string{}
	got := random.ReplaceAllStringFunc(string(octets), func(s string) string {
		if ids[s] == "" {
			ids[s] = fmt.Sprintf("RANDOM-%d", len(ids)+1)
		}
		return ids[s]
	})
	got = strings.ReplaceAll(got, "\r\n", "\n")
	path := filepath.Join("testdata", name+".eml")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("not as in %s:\n%s", path, got)
	}
}
