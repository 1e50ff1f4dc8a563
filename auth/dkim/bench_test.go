package dkim_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	peer "github.com/emersion/go-msgauth/dkim"

	"github.com/postrider/postrider/auth/authres"
	"github.com/postrider/postrider/auth/dkim"
	"github.com/postrider/postrider/mx/dns/dnstest"
)

// benchCases are signed messages of sizes that occur: text in lines of 70
// columns, base64 in lines of 76, and HTML whose white space is indentation.
var benchCases = []struct {
	name string
	line string
	size int
}{
	{"1KB", text70, 1 << 10},
	{"10KB", text70, 10 << 10},
	{"1MB-text", text70, 1 << 20},
	{"1MB-base64", base64Line, 1 << 20},
	{"1MB-html", htmlLines, 1 << 20},
}

const text70 = "It was a bright cold day in April, and the clocks were striking ten;\r\n"

var base64Line = strings.Repeat("VGhlIHF1aWNrIGJy", 5)[:76] + "\r\n"

const htmlLines = "<table  border=\"0\">\r\n\t<tr>\r\n\t\t<td  class=\"x\"> Some text,  with a few words </td>\r\n\t</tr>\r\n</table>\r\n"

// A benchMessage is a signed message with what the floor needs.
type benchMessage struct {
	text      []byte
	canonical []byte // the body
	key       *rsa.PrivateKey
	record    string
	digest    []byte
	signature []byte
}

func newBenchMessage(tb testing.TB, line string, size, signatures int) *benchMessage {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		tb.Fatal(err)
	}
	m := &benchMessage{key: key, record: "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)}
	body := strings.Repeat(line, size/len(line))
	m.canonical = []byte(craftBody("relaxed", body))
	m.text = []byte(benchHeader + body)
	for range signatures {
		var out bytes.Buffer
		err := peer.Sign(&out, bytes.NewReader(m.text), &peer.SignOptions{
			Domain: "example.org", Selector: "june", Signer: key,
			HeaderCanonicalization: "relaxed", BodyCanonicalization: "relaxed",
			HeaderKeys: []string{"From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "From", "Subject"},
		})
		if err != nil {
			tb.Fatal(err)
		}
		m.text = out.Bytes()
	}
	digest := sha256.Sum256([]byte("a header"))
	m.digest = digest[:]
	if m.signature, err = rsa.SignPKCS1v15(nil, key, crypto.SHA256, m.digest); err != nil {
		tb.Fatal(err)
	}
	return m
}

const benchHeader = "Received: from mail.example.org (mail.example.org [192.0.2.1])\r\n" +
	"\tby mx.example.net with ESMTPS id 4Yh2kX1z for <bob@example.net>;\r\n\tTue, 2 Jun 2026 10:11:13 +0200\r\n" +
	"Date: Tue, 2 Jun 2026 10:11:12 +0200\r\nFrom: Alice Winter <alice@example.org>\r\n" +
	"To: Bob Summer <bob@example.net>\r\nSubject: Minutes of the May meeting\r\n" +
	"Message-ID: <20260602081112.1@example.org>\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"

// floor does what cannot be done without: it hashes the canonical body and
// verifies one signature.
func (m *benchMessage) floor(tb testing.TB) {
	sum := sha256.Sum256(m.canonical)
	if sum[0] == m.digest[0] && sum[1] == m.digest[1] && sum[2] == m.digest[2] {
		tb.Fatal("not to be optimized away")
	}
	if err := rsa.VerifyPKCS1v15(&m.key.PublicKey, crypto.SHA256, m.digest, m.signature); err != nil {
		tb.Fatal(err)
	}
}

func (m *benchMessage) verifier() *dkim.Verifier {
	return &dkim.Verifier{Resolver: dnstest.MustParse(`june._domainkey.example.org TXT ` + dnstest.Quote(m.record))}
}

func (m *benchMessage) ours(tb testing.TB, v *dkim.Verifier) {
	c := v.Begin(tb.Context())
	for rest := m.text; len(rest) > 0; { // in the pieces in which a server reads
		n := min(len(rest), 32<<10)
		c.Write(rest[:n])
		rest = rest[n:]
	}
	for _, r := range c.Finish(tb.Context()) {
		if r.Verdict != authres.Pass {
			tb.Fatal(r)
		}
	}
}

func (m *benchMessage) peer(tb testing.TB) {
	found, err := peer.VerifyWithOptions(bytes.NewReader(m.text), &peer.VerifyOptions{
		LookupTXT: func(string) ([]string, error) { return []string{m.record}, nil },
	})
	if err != nil || len(found) == 0 || found[0].Err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkVerify shows what verification costs beside the floor and the peer.
func BenchmarkVerify(b *testing.B) {
	for _, bb := range benchCases {
		m := newBenchMessage(b, bb.line, bb.size, 1)
		v := m.verifier()
		for name, run := range map[string]func(){
			"floor": func() { m.floor(b) }, "ours": func() { m.ours(b, v) }, "go-msgauth": func() { m.peer(b) },
		} {
			b.Run(bb.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					run()
				}
			})
		}
	}
}

// BenchmarkVerifyRatio takes the three in turns and reports the medians of
// their times as multiples of the floor's: what else the machine does hits
// them alike.
func BenchmarkVerifyRatio(b *testing.B) {
	for _, signatures := range []int{1, 2} {
		for _, bb := range benchCases {
			b.Run(fmt.Sprintf("%s/%d", bb.name, signatures), func(b *testing.B) {
				m := newBenchMessage(b, bb.line, bb.size, signatures)
				v := m.verifier()
				var floor, ours, peers []time.Duration
				for b.Loop() {
					floor = append(floor, timed(func() { m.floor(b) }))
					ours = append(ours, timed(func() { m.ours(b, v) }))
					peers = append(peers, timed(func() { m.peer(b) }))
				}
				unit := float64(median(floor))
				b.ReportMetric(unit/1e3, "floor-µs")
				b.ReportMetric(float64(median(ours))/unit, "ours/floor")
				b.ReportMetric(float64(median(peers))/unit, "go-msgauth/floor")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func timed(run func()) time.Duration {
	start := time.Now()
	run()
	return time.Since(start)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
