//go:build interop

package interop

import (
	"testing"
	"time"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// Of these extensions Debian has no peer that acts on them. Python's smtplib,
// which has its own code for EHLO, MAIL and RCPT, passes on what it is given.
func TestReceiveExtensionParameters(t *testing.T) {
	certs := newCertificates(t)
	k := keep(t, &keeper{Server: server.Server{TLSConfig: certs.server(t), Extensions: []server.Extension{
		server.RequireTLS, server.MTPriority("MIXER"), server.FutureRelease(time.Hour),
		server.NoSoliciting(), server.RRVS, server.DeliverBy(0), server.DSN, server.SMTPUTF8,
	}}}, listenTCP(t))
	r := newRoot(t, "tools")
	r.write(t, caPath, certs.ca, 0o644)
	const subject = "parameters"
	msg := message(subject)
	argv, _ := smtplib(t, r, submission{port: portOf(k.addr), tls: "starttls", from: author, to: []string{one}, message: msg})
	res := run(t, r, nil, append(argv, "--mail-option=REQUIRETLS", "--mail-option=MT-PRIORITY=-3",
		"--mail-option=HOLDFOR=600", "--mail-option=SOLICIT=net.example:ADV", "--mail-option=BY=900;NT",
		"--mail-option=BODY=8BITMIME", "--rcpt-option=RRVS=2025-04-03T23:01:00Z;C")...)
	if res.code != 0 {
		t.Fatal(res)
	}
	got := k.message(t, subject)
	sameBytes(t, got.data, msg)
	p := got.MailParams
	level, given := p.Priority.Level()
	if !p.RequireTLS || !given || level != -3 || p.Hold.For != 10*time.Minute || p.Solicit != "net.example:ADV" ||
		p.By != (smtp.DeliverBy{Within: 15 * time.Minute, Mode: smtp.DeliverNotify, Trace: true}) {
		t.Errorf("%+v", p)
	}
	want := smtp.RRVS{Since: time.Date(2025, 4, 3, 23, 1, 0, 0, time.UTC), Action: smtp.RRVSContinue}
	if rrvs := got.Recipients[0].RcptParams.RRVS; rrvs == nil || !rrvs.Since.Equal(want.Since) || rrvs.Action != want.Action {
		t.Errorf("%+v", rrvs)
	}
}
