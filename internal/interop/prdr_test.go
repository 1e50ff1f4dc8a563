//go:build interop

package interop

import (
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// Exim answers after the data for each recipient: one is refused, the others
// have the message.
func TestPRDRToExim(t *testing.T) {
	certs := newCertificates(t)
	s := startExim(t, certs)
	for _, name := range []string{"data", "bdat"} {
		t.Run(name, func(t *testing.T) {
			chunking := name == "bdat"
			var seen events
			c := &client.Client{Addr: address(s.plain), TLSConfig: certs.client(t), Chunking: chunking,
				Timeouts: client.EveryTimeout(30 * time.Second), Trace: seen.trace()}
			defer c.Close()
			subject := "prdr to exim by " + name
			msg := message(subject)
			env := newEnvelope(t, one, two, "late@"+mailDomain)
			env.MailParams.PRDR = true
			res, err := c.Send(t.Context(), env, smtp.BytesContent(msg))
			if err != nil {
				t.Fatal(err)
			}
			end := smtp.Verb("")
			if chunking {
				end = smtp.BDAT
			}
			refused(t, res.Recipients[2], end, 552, "5.2.2")
			for i, box := range []string{"one", "two"} {
				if r := res.Recipients[i]; !r.Delivered() {
					t.Errorf("%s: %v", r.To, r.Err)
				}
				sameBytes(t, withCRLF(t, original(t, s.delivered(t, box, subject))), msg)
			}
			if s.find(t, "late", subject) != nil {
				t.Error("delivered although refused")
			}
			all := strings.Join(seen.all, "\n")
			if !strings.Contains(all, " PRDR") || !strings.Contains(all, "S: 353 ") {
				t.Error(all)
			}
		})
	}
}

// Exim's client takes each reply of our server for the recipient it belongs to.
func TestPRDRFromExim(t *testing.T) {
	k := keep(t, &keeper{Server: server.Server{Extensions: []server.Extension{server.PRDR}}}, listenTCP(t))
	s := startEximWith(t, newCertificates(t), eximOptions{relay: port(k.addr), transport: "hosts_try_prdr = *"})
	const subject = "prdr from exim"
	msg := message(subject)
	send(t, msg, s.plain, "-from", two, "-tls", "none",
		"-to", "late@"+relayDomain, "-to", "first@"+relayDomain, "-to", "last@"+relayDomain).want(t, sent)
	got := k.message(t, subject)
	sameBytes(t, original(t, got.data), msg)
	if !got.MailParams.PRDR || len(got.Recipients) != 2 || got.Recipients[0].To.Local != "first" || got.Recipients[1].To.Local != "last" {
		t.Errorf("%+v", got.Envelope)
	}
	s.logged(t, "=> first@"+relayDomain)
	s.logged(t, "> last@"+relayDomain)
	s.logged(t, "** late@"+relayDomain, "552 5.2.2 the mailbox is full")
	if report := s.delivered(t, "two", "Mail delivery failed: returning message to sender"); strings.Contains(string(report), "last@") {
		t.Errorf("the report is about others too:\n%s", report)
	}
	if len(k.about(subject)) != 1 {
		t.Errorf("delivered %d times", len(k.about(subject)))
	}
}
