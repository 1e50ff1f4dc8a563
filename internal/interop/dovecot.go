//go:build interop

package interop

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	dovecotAccount  = 60007 // see run
	dovecotMailPass = "a mailbox"
)

// The accounts below have maildirs in /var/mail; that of full@ cannot be
// written to, which Dovecot finds out after the data.
const dovecotConfig = `
dovecot_config_version = 2.4.1
dovecot_storage_version = 2.4.1
protocols = lmtp imap submission
listen = 127.0.0.1
hostname = mx.example.net
log_path = /var/log/dovecot.log
base_dir = /run/dovecot
state_dir = /run/dovecot
auth_mechanisms = plain login cram-md5 oauthbearer xoauth2 scram-sha-1 scram-sha-1-plus scram-sha-256 scram-sha-256-plus
auth_failure_delay = 0
login_trusted_networks = {TRUSTED}
ssl = yes
ssl_server_cert_file = /etc/tls/cert.pem
ssl_server_key_file = /etc/tls/key.pem
mail_driver = maildir
mail_home = /var/mail/%{user | username}
mail_path = ~/Maildir
mail_uid = vmail
mail_gid = vmail
namespace inbox {
  inbox = yes
}
passdb passwd-file {
  passwd_file_path = /etc/dovecot/users
}
oauth2 {
  introspection_mode = local
  username_attribute = sub
}
oauth2_local_validation {
  dict fs {
    fs posix {
      prefix = /etc/dovecot/keys/
    }
  }
}
passdb oauth2 {
  mechanisms_filter = oauthbearer xoauth2
}
userdb passwd-file {
  passwd_file_path = /etc/dovecot/users
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service imap-login {
  inet_listener imap {
    port = {IMAP}
  }
  inet_listener imaps {
    port = 0
  }
}
service submission-login {
  inet_listener submission {
    port = {SUBMISSION}
  }
  inet_listener submissions {
    port = {SUBMISSIONS}
  }
}
service lmtp {
  unix_listener lmtp {
    mode = 0666
  }
  inet_listener lmtp {
    port = {LMTP}
  }
}
submission_relay_host = 127.0.0.1
submission_relay_port = {RELAY}
submission_backend_capabilities = 8bitmime binarymime chunking dsn
submission_relay_trusted = yes
`

const dovecotUsers = `
postbote:{PLAIN}correct horse::::::
one@example.net:{PLAIN}a mailbox::::::
two@example.net:{PLAIN}a mailbox::::::
full@example.net:{PLAIN}a mailbox::::::
sender@example.org:{PLAIN}a mailbox::::::
one@relay.example:{PLAIN}a mailbox::::::
`

// dovecot is Dovecot with LMTP, IMAP and submission.
type dovecot struct {
	*root
	*process
	imap, lmtp              int // ports
	submission, submissions int // ports; the second with TLS from the first octet
	socket                  string
}

// dovecotOptions are what differs between tests.
type dovecotOptions struct {
	trusted string // the networks that may say XCLIENT
	relay   string // the port that submission hands mail to
	more    string // configuration
}

func startDovecot(t *testing.T, certs certificates, o dovecotOptions) *dovecot {
	t.Helper()
	d := &dovecot{root: newRoot(t, "dovecot"), imap: freePort(t), lmtp: freePort(t),
		submission: freePort(t), submissions: freePort(t)}
	config := dovecotConfig + o.more
	for name, value := range map[string]string{"TRUSTED": o.trusted,
		"IMAP": fmt.Sprint(d.imap), "LMTP": fmt.Sprint(d.lmtp), "RELAY": cmp.Or(o.relay, "1"),
		"SUBMISSION": fmt.Sprint(d.submission), "SUBMISSIONS": fmt.Sprint(d.submissions)} {
		config = strings.ReplaceAll(config, "{"+name+"}", value)
	}
	d.write(t, "etc/dovecot/dovecot.conf", []byte(config), 0o644)
	d.write(t, "etc/dovecot/users", []byte(dovecotUsers), 0o600)
	d.chown(t, "etc/dovecot/users", dovecotAccount)
	d.write(t, "etc/dovecot/keys/default/HS256/default", []byte(base64.StdEncoding.EncodeToString(dovecotTokenKey)), 0o644)
	d.write(t, "etc/tls/cert.pem", certs.cert, 0o644)
	d.write(t, "etc/tls/key.pem", certs.key, 0o600)
	d.mkdir(t, 0, 0o755, "run/dovecot", "var/log")
	d.mkdir(t, vmail, 0o755, "var/mail")
	d.mkdir(t, 0, 0o700, "var/mail/full")
	d.socket = d.path("run/dovecot/lmtp")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("dovecot.log:\n%s", readFile(d.path("var/log/dovecot.log")))
		}
	})
	d.run(t)
	return d
}

// run starts Dovecot, again if it was stopped.
func (d *dovecot) run(t *testing.T) {
	t.Helper()
	d.process = start(t, d.root, "/usr/sbin/dovecot", "-F")
	d.listening(t, d.imap, d.lmtp, d.submission, d.submissions)
}

// dovecotTokenKey is what the tokens that Dovecot believes are made with.
var dovecotTokenKey = []byte("thirty-two octets, for HMAC-SHA2")

// dovecotToken is a JSON Web Token (RFC 7519) that lets name in for an hour.
func dovecotToken(name string) string {
	encode := base64.RawURLEncoding.EncodeToString
	now := time.Now().Unix()
	text := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." +
		encode(fmt.Appendf(nil, `{"sub":%q,"iat":%d,"exp":%d}`, name, now, now+3600))
	mac := hmac.New(sha256.New, dovecotTokenKey)
	mac.Write([]byte(text))
	return text + "." + encode(mac.Sum(nil))
}

// delivered returns the message with that subject in a user's mailbox, which
// is there when LMTP has said so.
func (d *dovecot) delivered(t *testing.T, address, subject string) []byte {
	t.Helper()
	for _, data := range imapInbox(t, d.imap, address, dovecotMailPass) {
		if bytes.Contains(data, []byte("\nSubject: "+subject+"\r\n")) {
			return data
		}
	}
	t.Fatalf("no message for %s about %s", address, subject)
	return nil
}

// logged waits for a line of Dovecot's log that has all of the texts.
func (d *dovecot) logged(t *testing.T, texts ...string) string {
	t.Helper()
	return d.process.logged(t, d.path("var/log/dovecot.log"), texts)
}
