//go:build interop

package interop

import (
	"fmt"
	"testing"
)

const postfixAccount = 60001 // see run

const postfixMain = `
compatibility_level = 3.6
myhostname = mx.example.net
mydestination =
mynetworks = 192.0.2.1/32
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
biff = no
maillog_file = /var/log/mail.log
smtputf8_enable = yes

virtual_mailbox_domains = example.net
virtual_mailbox_base = /var/mail
virtual_mailbox_maps = inline:{ {one@example.net = one/}, {two@example.net = two/},
    {reject@example.net = reject/}, {tempfail@example.net = tempfail/} }
virtual_uid_maps = static:60003
virtual_gid_maps = static:60003
smtpd_recipient_restrictions =
    check_recipient_access inline:{
        {reject@example.net = 550 5.1.1 nobody of that name},
        {tempfail@example.net = 451 4.3.0 come back later} },
    reject_unauth_destination

smtpd_tls_security_level = may
smtpd_tls_cert_file = /etc/tls/cert.pem
smtpd_tls_key_file = /etc/tls/key.pem
smtpd_tls_auth_only = yes
smtpd_tls_session_cache_database =

smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = /etc/postfix/sasl
`

const postfixMaster = `
127.0.0.1:{PLAIN}    inet n - n - - smtpd
127.0.0.1:{IMPLICIT} inet n - n - - smtpd
    -o smtpd_tls_wrappermode=yes -o smtpd_sasl_auth_enable=yes
127.0.0.1:{SUBMIT}   inet n - n - - smtpd
    -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes
    -o smtpd_client_restrictions=permit_sasl_authenticated,reject
pickup    unix n - n 60 1 pickup
cleanup   unix n - n -  0 cleanup
qmgr      unix n - n 300 1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n -  - trivial-rewrite
bounce    unix - - n -  0 bounce
defer     unix - - n -  0 bounce
trace     unix - - n -  0 bounce
verify    unix - - n -  1 verify
proxymap  unix - - n -  - proxymap
error     unix - - n -  - error
retry     unix - - n -  - error
discard   unix - - n -  - discard
virtual   unix - n n -  - virtual
smtp      unix - - n -  - smtp
lmtp      unix - - n -  - lmtp
anvil     unix - - n -  1 anvil
postlog   unix-dgram n - n - 1 postlogd
`

// The realm is the default of Postfix: none, so the name goes with the host's.
const postfixSASL = `
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: /etc/sasldb2
mech_list: PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256
`

// startPostfix starts Postfix's master in the foreground.
func startPostfix(t *testing.T, certs certificates) *mailServer {
	t.Helper()
	return startPostfixWith(t, certs, "", "")
}

// startPostfixWith starts Postfix with more lines in main.cf and master.cf.
func startPostfixWith(t *testing.T, certs certificates, main, master string) *mailServer {
	t.Helper()
	s := newMailServer(t, "postfix", "var/log/mail.log", certs)
	s.write(t, "etc/postfix/main.cf", s.fill(postfixMain+main), 0o644)
	s.write(t, "etc/postfix/master.cf", s.fill(postfixMaster+master), 0o644)
	s.write(t, "etc/tls/ca.pem", certs.ca, 0o644)
	s.write(t, "etc/postfix/dynamicmaps.cf", nil, 0o644)
	s.write(t, "etc/postfix/sasl/smtpd.conf", []byte(postfixSASL), 0o644)
	// What postfix-install and "postfix check" would make.
	for _, dir := range []string{"active", "bounce", "corrupt", "defer", "deferred", "flush",
		"hold", "incoming", "private", "saved", "trace"} {
		s.mkdir(t, postfixAccount, 0o700, "var/spool/postfix/"+dir)
	}
	s.mkdir(t, postfixAccount, 0o755, "var/spool/postfix/public", "var/spool/postfix/maildrop",
		"var/lib/postfix")
	s.mkdir(t, 0, 0o755, "var/spool/postfix", "var/spool/postfix/pid", "var/log")

	made := run(t, s.root, []byte(password), "/usr/sbin/saslpasswd2", "-p", "-c",
		"-f", "/etc/sasldb2", "-u", serverName, user)
	if made.code != 0 {
		t.Fatalf("saslpasswd2: %v", made)
	}
	s.chown(t, "etc/sasldb2", postfixAccount)
	s.run(t, "/usr/lib/postfix/sbin/master", "-d", "-c", "/etc/postfix")
	return s
}

// relayTo is configuration for Postfix to hand mail for a domain to nexthop.
func relayTo(domain, nexthop string) string {
	return fmt.Sprintf("relay_domains = %[1]s\ntransport_maps = inline:{ {%[1]s = %[2]s} }\n", domain, nexthop)
}

// logged waits for a line of the server's log that has all of the texts.
func (s *mailServer) logged(t *testing.T, texts ...string) string {
	t.Helper()
	return s.process.logged(t, s.path(s.log), texts)
}
