//go:build interop

package interop

import (
	"strconv"
	"strings"
	"testing"
)

const sendmailConfig = "" +
	"VERSIONID(`interop')\n" +
	"OSTYPE(`linux')\n" +
	"define(`confDOMAIN_NAME', `mx.example.net')\n" +
	"define(`confDONT_PROBE_INTERFACES', `True')\n" +
	"define(`confDONT_BLAME_SENDMAIL', `AssumeSafeChown')\n" +
	"define(`confDELIVER_BY_MIN', `60')\n" +
	"define(`confTO_IDENT', `0')\n" +
	"define(`confPID_FILE', `/run/sendmail.pid')\n" +
	"define(`ALIAS_FILE', `')\n" +
	"define(`STATUS_FILE', `/var/log/statistics')\n" +
	"define(`SMART_HOST', `esmtp:[127.0.0.1]')\n" +
	"define(`ESMTP_MAILER_ARGS', `TCP $h {RELAY}')\n" +
	"FEATURE(`promiscuous_relay')\n" +
	"FEATURE(`accept_unresolvable_domains')\n" +
	"FEATURE(`no_default_msa')\n" +
	"FEATURE(`nocanonify')\n" +
	"DAEMON_OPTIONS(`Name=MTA, Addr=127.0.0.1, Port={PORT}')\n" +
	"MAILER(`smtp')\n"

// sendmail is a Sendmail that hands all mail on.
type sendmail struct {
	*root
	*process
	port int
}

// startSendmail starts Sendmail in the foreground. It sends what it gets to the
// port relay.
func startSendmail(t *testing.T, relay string) *sendmail {
	t.Helper()
	s := &sendmail{root: newRoot(t, "sendmail"), port: freePort(t)}
	config := strings.NewReplacer("{RELAY}", relay, "{PORT}", strconv.Itoa(s.port)).Replace(sendmailConfig)
	s.write(t, "etc/mail/sendmail.mc", []byte(config), 0o644)
	s.mkdir(t, 0, 0o755, "var/log")
	s.mkdir(t, 0, 0o700, "var/spool/mqueue")
	made := run(t, s.root, nil, "/usr/bin/m4", "-D_CF_DIR_=/usr/share/sendmail/cf/",
		"/usr/share/sendmail/cf/m4/cf.m4", "/etc/mail/sendmail.mc")
	s.write(t, "etc/mail/sendmail.cf", []byte(made.stdout), 0o644)
	s.process = start(t, s.root, "/usr/libexec/sendmail/sendmail", "-bD", "-q1h", "-X/var/log/traffic")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("traffic:\n%.4000s", readFile(s.path("var/log/traffic")))
		}
	})
	s.listening(t, s.port)
	return s
}
