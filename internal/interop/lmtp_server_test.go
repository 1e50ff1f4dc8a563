//go:build interop

package interop

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// Postfix hands mail to our server by LMTP. Of four recipients one is refused at
// RCPT and one after the data: Postfix takes each reply for the recipient it
// belongs to, bounces those two and tries neither of the others again.
func TestLMTPFromPostfix(t *testing.T) {
	certs := newCertificates(t)
	tcp := listenTCP(t)
	for _, test := range []struct{ name, nexthop string }{
		{"tcp", "lmtp:[127.0.0.1]:" + port(tcp.Addr().String())},
		{"unix", "lmtp:unix:/run/keeper"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := startPostfixWith(t, certs, relayTo(relayDomain, test.nexthop), "")
			l := tcp
			if test.name == "unix" {
				l = listenUnix(t, filepath.Join(s.dir, "run/keeper"))
			}
			k := keep(t, &keeper{Server: server.Server{Role: server.LMTP}}, l)
			subject := "from postfix by " + test.name
			msg := message(subject)
			r := send(t, msg, s.plain, "-from", two, "-tls", "none",
				"-to", "late@"+relayDomain, "-to", "reject@"+relayDomain, "-to", "first@"+relayDomain, "-to", "last@"+relayDomain)
			r.want(t, sent)
			got := k.message(t, subject)
			sameBytes(t, original(t, got.data), msg)
			var to []string
			for _, r := range got.Recipients {
				to = append(to, r.To.Local)
			}
			slices.Sort(to)
			if strings.Join(to, " ") != "first last" {
				t.Errorf("accepted for %q", to)
			}
			if got.HelloVerb != smtp.LHLO {
				t.Errorf("greeted with %s", got.HelloVerb)
			}
			for local, want := range map[string][]string{
				"first":  {"status=sent", "(250 2.0.0"},
				"last":   {"status=sent", "(250 2.0.0"},
				"reject": {"status=bounced", "dsn=5.1.1", "550 5.1.1 nobody of that name (in reply to RCPT TO command)"},
				"late":   {"status=bounced", "dsn=5.2.2", "552 5.2.2 the mailbox is full (in reply to end of DATA command)"},
			} {
				s.logged(t, append(want, "postfix/lmtp", "to=<"+local+"@"+relayDomain+">")...)
			}
			report := string(s.delivered(t, "two", "Undelivered Mail Returned to Sender"))
			for _, local := range []string{"reject", "late"} {
				if !strings.Contains(report, "Final-Recipient: rfc822; "+local+"@"+relayDomain) {
					t.Errorf("the report is not about %s:\n%s", local, report)
				}
			}
			if n := len(k.about(subject)); n != 1 {
				t.Errorf("delivered %d times", n)
			}
		})
	}
}
