//go:build interop

package interop

import (
	"cmp"
	"strings"
	"testing"
)

const eximAccount = 60004 // see run

const eximConfig = `
primary_hostname = mx.example.net
local_interfaces = 127.0.0.1
daemon_smtp_ports = {PLAIN} : {IMPLICIT} : {SUBMIT}
tls_on_connect_ports = {IMPLICIT}
tls_advertise_hosts = *
tls_certificate = /etc/tls/cert.pem
tls_privatekey = /etc/tls/key.pem
tls_try_verify_hosts = *
tls_verify_certificates = /etc/tls/ca.pem
auth_advertise_hosts = ${if def:tls_in_cipher {*}{}}
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim4-%slog
rfc1413_query_timeout = 0s
host_lookup =
keep_environment =
never_users =
smtputf8_advertise_hosts = *
message_size_limit = 20M
smtp_accept_queue_per_connection = 0
acl_smtp_mail = acl_mail
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data
prdr_enable = true
acl_smtp_data_prdr = acl_data_prdr
{MAIN}

begin acl
acl_mail:
  deny    condition = ${if eq{$received_port}{{SUBMIT}}}
          !authenticated = *
          message = 530 5.7.0 authentication required
  accept
acl_rcpt:
  deny    local_parts = reject
          message = 550 5.1.1 nobody of that name
  defer   local_parts = tempfail
          message = 451 4.3.0 come back later
  require domains = example.net : relay.example
          verify = recipient
  accept
acl_data_prdr:
  deny    domains = example.net
          local_parts = late
          message = 552 5.2.2 the mailbox is full
  accept
acl_data:
  accept

begin routers
relay:
  driver = manualroute
  domains = relay.example
  transport = relay
  route_data = 127.0.0.1
  self = send
mailbox:
  driver = accept
  domains = example.net
  local_parts = one : two : late
  transport = mailbox

begin transports
mailbox:
  driver = appendfile
  maildir_format
  directory = /var/mail/$local_part_data
  create_directory
  user = vmail
  group = vmail
  envelope_to_add
  return_path_add
  delivery_date_add
relay:
  driver = smtp
  port = {RELAY}
  hosts_require_tls =
  tls_verify_certificates = /etc/tls/ca.pem
  {TRANSPORT}

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${if and{{eq{$auth2}{postbote}}{eq{$auth3}{correct horse}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${if and{{eq{$auth1}{postbote}}{eq{$auth2}{correct horse}}}}
  server_set_id = $auth1
cram:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${if eq{$auth1}{postbote}{correct horse}fail}
  server_set_id = $auth1
  {CRAM}
external:
  driver = external
  public_name = EXTERNAL
  server_advertise_condition = $tls_in_certificate_verified
  server_param2 = ${certextract {subject,CN}{$tls_in_peercert}}
  server_condition = ${if eq{$auth2}{postbote}}
  server_set_id = $auth2
  {EXTERNAL}
`

// eximOptions are what differs between tests.
type eximOptions struct {
	main      string // lines of the main section
	relay     string // the port that mail for relayDomain goes to
	transport string // lines of the transport for it
	cram      string // lines for the client's side of CRAM-MD5
	external  string // and of EXTERNAL
}

// startExim starts Exim's daemon in the foreground.
func startExim(t *testing.T, certs certificates) *mailServer {
	t.Helper()
	return startEximWith(t, certs, eximOptions{})
}

func startEximWith(t *testing.T, certs certificates, o eximOptions) *mailServer {
	t.Helper()
	s := newMailServer(t, "exim", "var/log/exim4-mainlog", certs)
	config := strings.NewReplacer("{MAIN}", o.main, "{RELAY}", cmp.Or(o.relay, "1"), "{TRANSPORT}", o.transport,
		"{CRAM}", o.cram, "{EXTERNAL}", o.external).Replace(eximConfig)
	s.write(t, "etc/exim4/exim4.conf", s.fill(config), 0o644)
	s.write(t, "etc/tls/ca.pem", certs.ca, 0o644)
	s.write(t, "etc/tls/client.pem", certs.clientCert, 0o644)
	s.write(t, "etc/tls/client.key", certs.clientKey, 0o600)
	s.chown(t, "etc/tls/key.pem", eximAccount)
	s.chown(t, "etc/tls/client.key", eximAccount)
	s.mkdir(t, eximAccount, 0o750, "var/spool/exim4", "var/log")
	s.run(t, "/usr/sbin/exim4", "-bdf", "-q30m")
	return s
}
