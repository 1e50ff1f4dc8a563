//go:build interop

package interop

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// binaryMessage has a body without lines: every octet, NUL and stray CR and LF
// included, and what would end it if it went by DATA.
func binaryMessage(subject string) []byte {
	msg := []byte(header(subject, "binary"))
	for i := range 256 {
		msg = append(msg, byte(i), byte(255-i))
	}
	msg = append(msg, "\r\n.\r\n\n.\n\r.\r\r\n.\n"...)
	return append(msg, bytes.Repeat([]byte{0, 13, 10, 13, 255}, 100_000)...)
}

// Dovecot's submission server takes BODY=BINARYMIME (RFC 3030 §3) from our
// client, in chunks, and gives it on to our server in chunks of its own. On the
// way it puts a CR before every LF that stands alone; all else is as it was.
func TestBinaryMIMEThroughDovecot(t *testing.T) {
	k := keep(t, &keeper{Server: server.Server{Extensions: []server.Extension{server.BinaryMIME, server.DSN}}}, listenTCP(t))
	certs := newCertificates(t)
	d := startDovecot(t, certs, dovecotOptions{relay: port(k.addr)})
	var seen events
	c := &client.Client{Addr: address(d.submission), TLSConfig: certs.client(t), Auth: client.PasswordAuth(user, password),
		Timeouts: client.EveryTimeout(30 * time.Second), Trace: seen.trace()}
	defer c.Close()
	const subject = "binary"
	msg := binaryMessage(subject)
	env := newEnvelope(t, one, two)
	env.Recipients[0].RcptParams.Notify = smtp.NotifyNever
	if res, err := c.Send(t.Context(), env, smtp.BytesContent(msg)); err != nil || res.Delivered() != 2 {
		t.Fatalf("%+v, %v", res, err)
	}
	got := k.message(t, subject)
	sameBytes(t, original(t, got.data), bytes.ReplaceAll(withLF(msg), []byte("\n"), []byte("\r\n")))
	if got.MailParams.Body != smtp.BodyBinaryMIME || got.Recipients[0].RcptParams.Notify != smtp.NotifyNever {
		t.Errorf("%+v", got.Envelope)
	}
	if all := strings.Join(seen.all, "\n"); !strings.Contains(all, "BODY=BINARYMIME") || !strings.Contains(all, "C: BDAT ") {
		t.Error(all)
	}
}
