package main

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestQuickstart(t *testing.T) {
	began := time.Now()
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	// The program promises two seconds; a busy machine is given more.
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	text := out.String()
	at := 0
	for _, want := range []string{
		`S: 220 mail\.example\.org ESMTP`, `C: EHLO \S+`, `S: 250-PIPELINING`, `S: 250 STARTTLS`,
		`C: STARTTLS`, `S: 220 2\.0\.0 .*`, ` +\(TLS from here on\)`,
		`S: 250 AUTH PLAIN LOGIN`, `C: AUTH PLAIN \*\*\*`, `S: 235 2\.7\.0 .*`,
		`C: MAIL FROM:<ann@example\.org>.*`, `C: RCPT TO:<bob@example\.org>`, `C: RCPT TO:<nobody@example\.org>`, `C: DATA`,
		`S: 250 2\.1\.0 .*`, `S: 250 2\.1\.5 .*`, `S: 550 5\.1\.1 no such mailbox here`, `S: 354 .*`,
		`C: \(\d+ octets of the message\)`, `C: \.`, `S: 250 2\.0\.0 .*`, `C: QUIT`, `S: 221 .*`, ``, `Outcome:`,
		`<bob@example\.org> delivered: true, the server said 250 2\.0\.0 .*`,
		`<nobody@example\.org> delivered: false, the server said 550 5\.1\.1 no such mailbox here`, ``, `Received:`,
	} {
		found := regexp.MustCompile(`(?m)^` + want + `$`).FindStringIndex(text[at:])
		if found == nil {
			t.Fatalf("no line %q behind octet %d:\n%s", want, at, text)
		}
		at += found[1]
	}
	if strings.Contains(text, "secret") || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte("\x00ann\x00secret"))) {
		t.Errorf("the password is shown:\n%s", text)
	}
	checkMessage(t, strings.TrimPrefix(text[at:], "\n"))
}

// checkMessage checks that what was received is a whole message.
func checkMessage(t *testing.T, received string) {
	m, err := mail.ReadMessage(strings.NewReader(received))
	if err != nil {
		t.Fatalf("%v:\n%s", err, received)
	}
	found := m.Header.Get("Authentication-Results")
	for _, want := range []string{"mail.example.org;", "spf=pass smtp.mailfrom=ann@example.org", "dkim=pass header.d=example.org", "dmarc=pass header.from=example.org"} {
		if !strings.Contains(found, want) {
			t.Errorf("Authentication-Results: %q has no %q", found, want)
		}
	}
	if got := m.Header.Get("Received"); !strings.Contains(got, "by mail.example.org with ESMTPSA") {
		t.Errorf("Received: %q", got)
	}
	if subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil || subject != "Grüße, Bob" {
		t.Errorf("Subject: %q, %v", subject, err)
	}
	if _, err := m.Header.Date(); err != nil {
		t.Error(err)
	}
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var body io.Reader = p
		if p.Header.Get("Content-Transfer-Encoding") == "base64" {
			body = base64.NewDecoder(base64.StdEncoding, p)
		}
		data, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, p.FileName()+"|"+string(data))
	}
	if len(parts) != 2 || parts[0] != "|Schöne Grüße, the numbers are attached.\r\n" ||
		!strings.HasPrefix(parts[1], "numbers.csv|month,messages\n") {
		t.Errorf("parts %q", parts)
	}
}
