//go:build interop

package interop

import (
	"strings"
	"testing"
)

const opensmtpdConfig = `
pki server cert "/etc/tls/cert.pem"
pki server key "/etc/tls/key.pem"
table accounts { postbote = "{HASH}" }
table mailboxes { "one@example.net" = "vmail", "two@example.net" = "vmail" }
filter refuse phase rcpt-to match rcpt-to { "reject@example.net" } reject "550 5.1.1 nobody of that name"
filter tempfail phase rcpt-to match rcpt-to { "tempfail@example.net" } reject "451 4.3.0 come back later"
filter checks chain { refuse, tempfail }

listen on 127.0.0.1 port {PLAIN} tls pki server hostname mx.example.net filter checks
listen on 127.0.0.1 port {IMPLICIT} smtps pki server auth-optional <accounts> hostname mx.example.net filter checks
listen on 127.0.0.1 port {SUBMIT} tls-require pki server auth <accounts> hostname mx.example.net filter checks

action mailbox maildir "/var/mail/%{rcpt.user}" virtual <mailboxes>
match from any for domain "example.net" action mailbox
`

// startOpenSMTPD starts OpenSMTPD in the foreground.
func startOpenSMTPD(t *testing.T, certs certificates) *mailServer {
	t.Helper()
	s := newMailServer(t, "opensmtpd", "", certs)
	hash := run(t, s.root, []byte(password+"\n"), "/usr/libexec/opensmtpd/encrypt")
	if hash.code != 0 {
		t.Fatalf("encrypt: %v", hash)
	}
	config := strings.ReplaceAll(opensmtpdConfig, "{HASH}", strings.TrimSpace(hash.stdout))
	s.write(t, "etc/smtpd.conf", s.fill(config), 0o600)
	s.write(t, "etc/ssl/certs/ca-certificates.crt", certs.ca, 0o644) // it does not start without
	s.mkdir(t, 0, 0o711, "var/spool/smtpd")
	s.mkdir(t, 0, 0o755, "var/lib/opensmtpd/empty")
	s.run(t, "/usr/sbin/smtpd", "-d")
	return s
}
