//go:build interop

package interop

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Exit codes of examples/send.
const (
	sent      = 0
	permanent = 69
	temporary = 75
	failed    = -1 // either of the two
)

const (
	author    = "sender@example.org"
	one       = "one@" + mailDomain
	two       = "two@" + mailDomain
	rejected  = "reject@" + mailDomain
	postponed = "tempfail@" + mailDomain
)

// send runs examples/send with that message on standard input.
func send(t *testing.T, message []byte, port int, args ...string) result {
	t.Helper()
	argv := append([]string{sendProgram, "-addr", address(port), "-file", "-", "-timeout", "20s"}, args...)
	return run(t, nil, message, argv...)
}

// envelope is the arguments for a message from author.
func envelope(to ...string) []string {
	args := []string{"-from", author}
	for _, rcpt := range to {
		args = append(args, "-to", rcpt)
	}
	return args
}

func (r result) want(t *testing.T, code int, texts ...string) {
	t.Helper()
	ok := r.code == code || code == failed && (r.code == permanent || r.code == temporary)
	for _, text := range texts {
		ok = ok && strings.Contains(r.stderr, text)
	}
	if !ok {
		t.Fatalf("want exit %d and %q in stderr, got %v", code, texts, r)
	}
}

// caFile writes the certificate authority where programs outside of a root
// find it.
func caFile(t *testing.T, certs certificates) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(name, certs.ca, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestSend(t *testing.T) {
	for _, server := range mailServers {
		t.Run(server.name, func(t *testing.T) {
			certs := newCertificates(t)
			s := server.start(t, certs)
			ca := caFile(t, certs)
			login := []string{"-ca", ca, "-user", user, "-pass", password}
			for _, mode := range []struct {
				name string
				port int
				with string // protocol in the server's Received field, RFC 3848
				args []string
			}{
				{"plain", s.plain, "ESMTP", []string{"-tls", "none"}},
				{"opportunistic", s.plain, "ESMTPS", []string{"-tls", "opportunistic"}},
				{"starttls", s.plain, "ESMTPS", []string{"-tls", "starttls", "-ca", ca}},
				{"starttls-name", s.plain, "ESMTPS", []string{"-tls", "starttls", "-ca", ca, "-servername", serverName}},
				{"insecure", s.plain, "ESMTPS", []string{"-tls", "starttls", "-insecure"}},
				{"implicit", s.implicit, "ESMTPS", []string{"-tls", "implicit", "-ca", ca}},
				{"auth", s.submit, "ESMTPSA", append([]string{"-tls", "starttls"}, login...)},
				{"auth-plain", s.submit, "ESMTPSA", append([]string{"-tls", "starttls", "-mech", "PLAIN"}, login...)},
				{"auth-login", s.submit, "ESMTPSA", append([]string{"-tls", "starttls", "-mech", "LOGIN"}, login...)},
				{"auth-implicit", s.implicit, "ESMTPSA", append([]string{"-tls", "implicit"}, login...)},
			} {
				t.Run(mode.name, func(t *testing.T) {
					subject := server.name + " " + mode.name
					msg := message(subject)
					args := append(append(envelope(one, two), "-trace"), mode.args...)
					send(t, msg, mode.port, args...).want(t, sent)
					for _, box := range []string{"one", "two"} {
						got := s.delivered(t, box, subject)
						sameBytes(t, withCRLF(t, original(t, got)), msg)
						if !regexp.MustCompile(`(?i)with ` + mode.with + `\b`).Match(got) {
							t.Errorf("not received with %s:\n%.600s", mode.with, got)
						}
					}
				})
			}
			t.Run("refusals", func(t *testing.T) { testSendRefusals(t, s, server.name, ca) })
			t.Run("large", func(t *testing.T) {
				subject := server.name + " large"
				msg := append(message(subject), bytes.Repeat([]byte(strings.Repeat("0123456789abcdef", 4)+"\r\n"), 80_000)...)
				send(t, msg, s.plain, append(envelope(one), "-tls", "starttls", "-ca", ca)...).want(t, sent)
				sameBytes(t, withCRLF(t, original(t, s.delivered(t, "one", subject))), msg)
			})
			t.Run("many", func(t *testing.T) {
				args := append(envelope(two), "-tls", "starttls", "-ca", ca, "-count", "40", "-conns", "4", "-size", "3000")
				run(t, nil, nil, append([]string{sendProgram, "-addr", address(s.plain)}, args...)...).want(t, sent)
				s.eventually(t, "40 messages", func() bool { return s.stored(t, "two", 3000) == 40 })
			})
		})
	}
}

// testSendRefusals sends what s refuses, in part or whole.
func testSendRefusals(t *testing.T, s *mailServer, name, ca string) {
	tls := []string{"-tls", "starttls", "-ca", ca}
	for _, test := range []struct {
		name      string
		to        []string
		code      int
		stderr    []string
		delivered bool
	}{
		{"one-of-two", []string{rejected, one}, permanent, []string{rejected, "550"}, true},
		{"last-of-two", []string{one, rejected}, permanent, []string{rejected, "550"}, true},
		{"one-for-now", []string{one, postponed}, temporary, []string{postponed, "451"}, true},
		{"all", []string{rejected}, permanent, []string{rejected, "550"}, false},
		{"all-for-now", []string{postponed}, temporary, []string{postponed, "451"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			subject := name + " refused " + test.name
			msg := message(subject)
			send(t, msg, s.plain, append(envelope(test.to...), tls...)...).want(t, test.code, test.stderr...)
			if test.delivered {
				sameBytes(t, withCRLF(t, original(t, s.delivered(t, "one", subject))), msg)
			}
		})
	}
	msg := plainMessage(name + " refused")
	t.Run("wrong-password", func(t *testing.T) {
		args := append(envelope(one), "-user", user, "-pass", "wrong")
		send(t, msg, s.submit, append(args, tls...)...).want(t, permanent, "535")
	})
	t.Run("no-password", func(t *testing.T) {
		send(t, msg, s.submit, append(envelope(one), tls...)...).want(t, permanent, "5")
	})
	t.Run("unknown-authority", func(t *testing.T) {
		send(t, msg, s.plain, append(envelope(one), "-tls", "starttls")...).want(t, failed, "certificate")
	})
	t.Run("unknown-authority-implicit", func(t *testing.T) {
		send(t, msg, s.implicit, append(envelope(one), "-tls", "implicit")...).want(t, failed, "certificate")
	})
	t.Run("wrong-name", func(t *testing.T) {
		args := append(envelope(one), "-servername", "mx.example.com")
		send(t, msg, s.plain, append(args, tls...)...).want(t, failed, "certificate")
	})
	if s.find(t, "one", name+" refused") != nil {
		t.Error("a message came through that was refused")
	}
}

// Addresses beyond ASCII need a server with SMTPUTF8; the content alone does not.
func TestSendSMTPUTF8(t *testing.T) {
	for _, server := range mailServers {
		t.Run(server.name, func(t *testing.T) {
			certs := newCertificates(t)
			s := server.start(t, certs)
			subject := server.name + " utf8"
			msg := message(subject)
			r := send(t, msg, s.plain, "-from", "отправитель@example.org", "-to", one, "-tls", "none", "-trace")
			if server.name == "opensmtpd" { // has no SMTPUTF8
				r.want(t, permanent, "SMTPUTF8")
				return
			}
			r.want(t, sent)
			got := s.delivered(t, "one", subject)
			sameBytes(t, withCRLF(t, original(t, got)), msg)
			if !bytes.Contains(got, []byte("<отправитель@example.org>")) {
				t.Errorf("no such Return-Path:\n%.600s", got)
			}
		})
	}
}

// smtp-sink can be made to lack extensions and to fail at any command.
func TestSendToSMTPSink(t *testing.T) {
	full, ascii := message("smtp-sink"), plainMessage("smtp-sink")
	for _, test := range []struct {
		name    string
		options []string
		message []byte
		args    []string
		code    int
		stderr  string
		stored  bool
	}{
		{"plain", nil, full, nil, sent, "", true},
		{"opportunistic", nil, full, []string{"-tls", "opportunistic"}, sent, "", true},
		{"no-pipelining", []string{"-p"}, full, nil, sent, "", true},
		{"no-enhanced-codes", []string{"-E"}, full, nil, sent, "", true},
		{"helo", []string{"-e"}, ascii, nil, sent, "", true},
		{"pix", []string{"-P"}, ascii, nil, sent, "", true},
		{"lmtp", []string{"-L"}, full, []string{"-lmtp"}, sent, "", true},
		{"no-starttls", nil, full, []string{"-tls", "starttls"}, failed, "STARTTLS", false},
		{"no-8bitmime", []string{"-8"}, full, nil, permanent, "8BITMIME", false},
		{"ascii-without-8bitmime", []string{"-8"}, ascii, nil, sent, "", true},
		{"refused-connection", []string{"-f", "CONNECT"}, full, nil, permanent, "500 5.3.0", false},
		{"refused-ehlo", []string{"-f", "EHLO"}, ascii, nil, sent, "", true},
		{"refused-mail", []string{"-f", "MAIL"}, full, nil, permanent, "500 5.3.0", false},
		{"refused-rcpt", []string{"-f", "RCPT"}, full, nil, permanent, "500 5.3.0", false},
		{"refused-data", []string{"-f", "DATA"}, full, nil, permanent, "500 5.3.0", false},
		{"refused-content", []string{"-f", "."}, full, nil, permanent, "500 5.3.0", false},
		{"refused-content-lmtp", []string{"-L", "-f", "."}, full, []string{"-lmtp"}, permanent, "500 5.3.0", false},
		{"later-mail", []string{"-r", "MAIL"}, full, nil, temporary, "450 4.3.0", false},
		{"later-rcpt", []string{"-r", "RCPT"}, full, nil, temporary, "450 4.3.0", false},
		{"later-data", []string{"-r", "DATA"}, full, nil, temporary, "450 4.3.0", false},
		{"later-content", []string{"-r", "."}, full, nil, temporary, "450 4.3.0", false},
		{"later-content-lmtp", []string{"-L", "-r", "."}, full, []string{"-lmtp"}, temporary, "450 4.3.0", false},
		{"421-at-mail", []string{"-Q", "MAIL"}, full, nil, temporary, "421", false},
		{"421-at-content", []string{"-Q", "."}, full, nil, temporary, "421", false},
		{"cut-at-connect", []string{"-q", "CONNECT"}, full, nil, temporary, "", false},
		{"cut-at-ehlo", []string{"-q", "EHLO"}, full, nil, temporary, "", false},
		{"cut-at-mail", []string{"-q", "MAIL"}, full, nil, temporary, "", false},
		{"cut-at-rcpt", []string{"-q", "RCPT"}, full, nil, temporary, "", false},
		{"cut-at-data", []string{"-q", "DATA"}, full, nil, temporary, "", false},
		{"cut-at-content", []string{"-q", "."}, full, nil, temporary, "", false},
		// The reply may be lost with what the server did not read.
		{"550-within-content", []string{"-A", "0"}, full, nil, failed, "", false},
		{"cut-at-quit", []string{"-q", "QUIT"}, full, nil, sent, "", true},
		{"slow-reader", []string{"-H", "1", "-T", "2000"}, full, nil, sent, "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // the slow ones only wait
			s := startSMTPSink(t, test.options...)
			args := append(envelope(one, two), test.args...)
			if !strings.Contains(strings.Join(test.args, " "), "-tls") {
				args = append(args, "-tls", "none")
			}
			send(t, test.message, s.port, args...).want(t, test.code, test.stderr)
			if !test.stored {
				return
			}
			all := s.transactions(t)
			if len(all) != 1 {
				t.Fatalf("%d transactions stored, want 1", len(all))
			}
			sameBytes(t, withCRLF(t, original(t, all[0])), test.message)
			for _, rcpt := range []string{one, two} {
				if !bytes.Contains(all[0], []byte("X-Rcpt-Args: <"+rcpt+">")) {
					t.Errorf("no RCPT for %s", rcpt)
				}
			}
		})
	}
}

func TestSendManyToSMTPSink(t *testing.T) {
	s := startSMTPSink(t)
	const count, size = 300, 4096
	r := run(t, nil, nil, append([]string{sendProgram, "-addr", address(s.port), "-tls", "none",
		"-count", strconv.Itoa(count), "-conns", "5", "-size", strconv.Itoa(size)}, envelope(one)...)...)
	r.want(t, sent)
	all := s.transactions(t)
	if len(all) != count {
		t.Errorf("%d messages stored, want %d", len(all), count)
	}
	if hellos := strings.Count(s.out.String(), "EHLO"); hellos > 2*5 { // once seen, once answered
		t.Errorf("%d lines about EHLO for 5 connections", hellos)
	}
}

func TestSendUnreachable(t *testing.T) {
	send(t, plainMessage("nobody"), freePort(t), append(envelope(one), "-tls", "none")...).want(t, temporary, "refused")
}

// Over the size that Postfix announces (10,240,000 octets), nothing is sent.
func TestSendTooLarge(t *testing.T) {
	s := startPostfix(t, newCertificates(t))
	msg := append(plainMessage("too large"), bytes.Repeat([]byte("0123456789abcdef\r\n"), 600_000)...)
	send(t, msg, s.plain, append(envelope(one), "-tls", "none")...).want(t, permanent, "")
}
