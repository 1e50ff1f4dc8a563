//go:build interop

package interop

import "testing"

const eximAccount = 60004 // see run

const eximConfig = `
primary_hostname = mx.example.net
local_interfaces = 127.0.0.1
daemon_smtp_ports = {PLAIN} : {IMPLICIT} : {SUBMIT}
tls_on_connect_ports = {IMPLICIT}
tls_advertise_hosts = *
tls_certificate = /etc/tls/cert.pem
tls_privatekey = /etc/tls/key.pem
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
acl_smtp_data = accept

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
  require domains = example.net
          verify = recipient
  accept

begin routers
mailbox:
  driver = accept
  domains = example.net
  local_parts = one : two
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
`

// startExim starts Exim's daemon in the foreground.
func startExim(t *testing.T, certs certificates) *mailServer {
	t.Helper()
	s := newMailServer(t, "exim", "var/log/exim4-mainlog", certs)
	s.write(t, "etc/exim4/exim4.conf", s.fill(eximConfig), 0o644)
	s.chown(t, "etc/tls/key.pem", eximAccount)
	s.mkdir(t, eximAccount, 0o750, "var/spool/exim4", "var/log")
	s.run(t, "/usr/sbin/exim4", "-bdf", "-q30m")
	return s
}
