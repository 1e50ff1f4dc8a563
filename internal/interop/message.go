//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// firstField begins every message sent here, and nothing that a server or a
// sender puts in front of it.
const firstField = "X-Interop-First: yes"

// message returns a complete message that holds everything that is easily
// damaged on the way, as it goes over the wire before dot-stuffing.
func message(subject string) []byte {
	body := "Grüße, привет, こんにちは: text of eight bits.\r\n" +
		".\r\n..\r\n...\r\n. dot and space\r\n.text behind a dot\r\n" +
		"\r\n\r\n\r\n\r\n" +
		"From here on\ttabs and trailing blanks \t \r\n" +
		"QUIT\r\nRSET\r\n" +
		strings.Repeat("x", 900) + "\r\n" +
		"." + strings.Repeat("y", 899) + "\r\n"
	var b bytes.Buffer
	b.WriteString(header(subject, "8bit"))
	b.WriteString(body)
	for i := 0; b.Len() < 200<<10; i++ {
		fmt.Fprintf(&b, "%06d %s\r\n", i, strings.Repeat("abcdefgh", i%11))
	}
	b.WriteString("\r\n.\r\n") // the last line is a lone dot
	return b.Bytes()
}

// plainMessage returns a short message of seven bits.
func plainMessage(subject string) []byte {
	return []byte(header(subject, "7bit") + "One line.\r\n.\r\n\r\nAnother.\r\n")
}

func header(subject, encoding string) string {
	return firstField + "\r\n" +
		"Date: Mon, 02 Nov 2026 10:00:00 +0000\r\n" +
		"From: Sender <sender@example.org>\r\n" +
		"To: One <one@example.net>,\r\n\tTwo <two@example.net>\r\n" +
		"Message-ID: <" + strings.ReplaceAll(subject, " ", "-") + "@example.org>\r\n" +
		"Subject: " + subject + "\r\n" +
		"MIME-Version: 1.0\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\n" +
		"Content-Transfer-Encoding: " + encoding + "\r\n\r\n"
}

// dotStuffed is the message as it goes over the wire, without the last dot.
func dotStuffed(message []byte) []byte {
	return bytes.ReplaceAll(append([]byte("\n"), message...), []byte("\n."), []byte("\n.."))[1:]
}

// withLF is the message as a file of the operating system.
func withLF(message []byte) []byte { return bytes.ReplaceAll(message, []byte("\r\n"), []byte("\n")) }

// withCRLF is a message read from such a file. A CR in it was put there by
// somebody on the way.
func withCRLF(t *testing.T, stored []byte) []byte {
	t.Helper()
	if bytes.ContainsRune(stored, '\r') {
		t.Errorf("the stored message has a CR")
	}
	return bytes.ReplaceAll(stored, []byte("\n"), []byte("\r\n"))
}

// original cuts off the trace fields that a server put in front.
func original(t *testing.T, received []byte) []byte {
	t.Helper()
	at := bytes.Index(received, []byte(firstField))
	if at < 0 || at > 0 && received[at-1] != '\n' {
		t.Errorf("the first field is not in the message:\n%.500s", received)
		return received
	}
	return received[at:]
}

// sameBytes reports where two messages part.
func sameBytes(t *testing.T, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	around := func(b []byte) []byte { return b[max(0, at-40):min(len(b), at+40)] }
	t.Errorf("the message differs from octet %d on (%d octets came, %d were sent)\ngot  %q\nwant %q",
		at, len(got), len(want), around(got), around(want))
}
