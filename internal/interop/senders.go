//go:build interop

package interop

import (
	"cmp"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// submission is a message to be handed to examples/sink by a sender.
type submission struct {
	port     int
	tls      string // "", "starttls" or "implicit"
	mech     string // "" for no AUTH
	user     string // if not the usual one
	password string // or a token
	cert     bool   // present the client certificate
	lmtp     bool
	from     string
	to       []string
	message  []byte
}

// Where programs find the authority of certificates, and a client's own.
const (
	caPath   = "/tmp/ca.pem"
	certPath = "/tmp/client.pem"
	keyPath  = "/tmp/client.key"
)

// A sender is a program that sends mail, found in the root "tools".
type sender struct {
	name    string
	tls     bool // knows TLS and AUTH
	lmtp    bool
	several bool   // takes several recipients
	lmtpOne bool   // but not with LMTP
	adds    string // at the end of the message
	command func(*testing.T, *root, submission) (argv []string, stdin []byte)
}

var senders = []sender{
	{name: "swaks", tls: true, lmtp: true, several: true, command: swaks},
	{name: "swaks-pipelining", several: true, command: swaksPipelining},
	{name: "msmtp", tls: true, lmtp: true, several: true, command: msmtp},
	{name: "curl", tls: true, several: true, command: curl},
	// smtplib's LMTP reads one reply after the data, however many recipients.
	{name: "smtplib", tls: true, lmtp: true, several: true, lmtpOne: true, command: smtplib},
	{name: "smtp-source", lmtp: true, adds: "\r\n", command: smtpSource},
}

// swaks takes a lone dot in the last line for the end of data, so it is given
// the octets for the wire and told to leave them alone.
func swaks(t *testing.T, r *root, s submission) ([]string, []byte) {
	r.write(t, "tmp/message", append(dotStuffed(s.message), ".\r\n"...), 0o644)
	argv := []string{"/usr/bin/swaks", "--server", "127.0.0.1", "--port", strconv.Itoa(s.port),
		"--timeout", "20", "--helo", "swaks.example.org",
		"--from", s.from, "--to", strings.Join(s.to, ","), "--data", "@/tmp/message", "--no-data-fixup"}
	switch s.tls {
	case "starttls":
		argv = append(argv, "--tls", "--tls-verify", "--tls-ca-path", caPath)
	case "implicit":
		argv = append(argv, "--tls-on-connect", "--tls-verify", "--tls-ca-path", caPath)
	}
	if s.mech != "" {
		argv = append(argv, "--auth", s.mech, "--auth-user", cmp.Or(s.user, user), "--auth-password", s.password)
	}
	if s.lmtp {
		argv = append(argv, "--protocol", "LMTP")
	}
	return argv, nil
}

func swaksPipelining(t *testing.T, r *root, s submission) ([]string, []byte) {
	argv, stdin := swaks(t, r, s)
	return append(argv, "--pipeline"), stdin
}

func msmtp(t *testing.T, r *root, s submission) ([]string, []byte) {
	var config strings.Builder
	set := func(name, value string) { fmt.Fprintf(&config, "%s %s\n", name, value) }
	set("account", "default")
	set("host", "127.0.0.1")
	set("port", strconv.Itoa(s.port))
	set("domain", "msmtp.example.org")
	set("timeout", "20")
	set("set_msgid_header", "off")
	switch s.tls {
	case "":
		set("tls", "off")
	case "starttls":
		set("tls", "on")
		set("tls_starttls", "on")
		set("tls_trust_file", caPath)
	case "implicit":
		set("tls", "on")
		set("tls_starttls", "off")
		set("tls_trust_file", caPath)
	}
	if s.cert {
		set("tls_cert_file", certPath)
		set("tls_key_file", keyPath)
	}
	if s.mech != "" {
		set("auth", strings.ToLower(s.mech))
		set("user", user)
		set("password", `"`+s.password+`"`)
	}
	if s.lmtp {
		set("protocol", "lmtp")
	}
	r.write(t, "tmp/msmtprc", []byte(config.String()), 0o600)
	argv := []string{"/usr/bin/msmtp", "-C", "/tmp/msmtprc", "-f", s.from, "--"}
	return append(argv, s.to...), withLF(s.message)
}

func curl(t *testing.T, r *root, s submission) ([]string, []byte) {
	r.write(t, "tmp/message", s.message, 0o644)
	scheme := "smtp"
	argv := []string{"/usr/bin/curl", "--silent", "--show-error", "--verbose", "--max-time", "30",
		"--mail-from", s.from, "--upload-file", "/tmp/message"}
	for _, to := range s.to {
		argv = append(argv, "--mail-rcpt", to)
	}
	switch s.tls {
	case "starttls":
		argv = append(argv, "--ssl-reqd", "--cacert", caPath)
	case "implicit":
		scheme = "smtps"
		argv = append(argv, "--cacert", caPath)
	}
	if s.cert {
		argv = append(argv, "--cert", certPath, "--key", keyPath)
	}
	if s.mech != "" {
		argv = append(argv, "--login-options", "AUTH="+s.mech)
	}
	switch s.mech {
	case "":
	case "OAUTHBEARER", "XOAUTH2":
		argv = append(argv, "--user", user, "--oauth2-bearer", s.password)
	case "EXTERNAL":
		argv = append(argv, "--user", user+":")
	default:
		argv = append(argv, "--user", user+":"+s.password)
	}
	return append(argv, "--mail-rcpt-allowfails",
		fmt.Sprintf("%s://127.0.0.1:%d/curl.example.org", scheme, s.port)), nil
}

//go:embed testdata/submit.py
var submitPy []byte

func smtplib(t *testing.T, r *root, s submission) ([]string, []byte) {
	r.write(t, "tmp/submit.py", submitPy, 0o644)
	r.write(t, "tmp/message", s.message, 0o644)
	argv := []string{"/usr/bin/python3", "-IB", "/tmp/submit.py", "--port", strconv.Itoa(s.port),
		"--sender", s.from, "--tls", s.tls, "--ca", caPath}
	for _, to := range s.to {
		argv = append(argv, "--to", to)
	}
	if s.mech != "" {
		argv = append(argv, "--user", cmp.Or(s.user, user), "--password", s.password, "--mech", s.mech)
	}
	if s.lmtp {
		argv = append(argv, "--lmtp")
	}
	return append(argv, "/tmp/message"), nil
}

// smtp-source stops at the first reply that it does not expect.
func smtpSource(t *testing.T, r *root, s submission) ([]string, []byte) {
	r.write(t, "tmp/message", withLF(s.message), 0o644)
	argv := []string{"/usr/sbin/smtp-source", "-M", "smtp-source.example.org",
		"-f", s.from, "-t", s.to[0], "-F", "/tmp/message"}
	if s.lmtp {
		argv = append(argv, "-L")
	}
	return append(argv, address(s.port)), nil
}
