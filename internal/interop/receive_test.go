//go:build interop

package interop

import (
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// receiveMode is a way to reach the sink and what that needs of a sender.
type receiveMode struct {
	name string
	port int
	tls  string
	mech string
	lmtp bool
}

func (s *sink) modes() []receiveMode {
	return []receiveMode{
		{"plain", s.mx, "", "", false},
		{"starttls", s.mx, "starttls", "", false},
		{"starttls-auth-plain", s.mx, "starttls", "PLAIN", false},
		{"implicit", s.implicit, "implicit", "", false},
		{"implicit-auth-login", s.implicit, "implicit", "LOGIN", false},
		{"submission-plain", s.submit, "starttls", "PLAIN", false},
		{"submission-login", s.submit, "starttls", "LOGIN", false},
		{"lmtp", s.lmtp, "", "", true},
	}
}

func TestReceive(t *testing.T) {
	s := startSink(t)
	for _, by := range senders {
		t.Run(by.name, func(t *testing.T) {
			for _, mode := range s.modes() {
				if mode.tls != "" && !by.tls || mode.lmtp && !by.lmtp {
					continue
				}
				t.Run(mode.name, func(t *testing.T) {
					subject := by.name + " " + mode.name
					msg := message(subject)
					sub := submission{
						message: msg, port: mode.port, tls: mode.tls, mech: mode.mech, password: password, lmtp: mode.lmtp,
						from: by.name + "-" + mode.name + "@example.org",
						to:   []string{one},
					}
					if by.several && !(mode.lmtp && by.lmtpOne) {
						sub.to = append(sub.to, "Two.Upper@"+mailDomain)
					}
					r := s.take(t, by, sub)
					if r.code != 0 {
						t.Fatal(r)
					}
					all := s.from(t, sub.from)
					if len(all) != 1 {
						t.Fatalf("%d messages in the spool, want 1\n%v", len(all), r)
					}
					got := all[0]
					sameBytes(t, got.Data, append(msg, by.adds...))
					if !slices.Equal(got.To, sub.to) {
						t.Errorf("to %q, want %q", got.To, sub.to)
					}
					if got.TLS != (mode.tls != "") {
						t.Errorf("tls: %v", got.TLS)
					}
					want := ""
					if mode.mech != "" {
						want = user
					}
					if got.Auth != want {
						t.Errorf("auth: %q, want %q", got.Auth, want)
					}
				})
			}
		})
	}
}

// What the sink refuses reaches the user of the sender, and nothing reaches
// the spool.
func TestReceiveRefused(t *testing.T) {
	s := startSink(t, "-max-size", "300000")
	ordinary := message("refused")
	marked := append([]byte("X-Sink-Reject: yes\r\n"), ordinary...)
	large := message("too large")
	for len(large) < 400_000 {
		large = append(large, "0123456789abcdef0123456789abcdef0123456789abcdef\r\n"...)
	}
	for _, test := range []struct {
		name    string
		message []byte
		sub     submission
		code    string // of the reply that the sender passes on
	}{
		{"recipient", ordinary, submission{port: s.mx, to: []string{rejected}}, "550"},
		{"recipient-for-now", ordinary, submission{port: s.mx, to: []string{postponed}}, "451"},
		{"recipient-lmtp", ordinary, submission{port: s.lmtp, lmtp: true, to: []string{rejected}}, "550"},
		{"content", marked, submission{port: s.mx, to: []string{one}}, "554"},
		{"content-tls", marked, submission{port: s.implicit, tls: "implicit", to: []string{one}}, "554"},
		{"content-lmtp", marked, submission{port: s.lmtp, lmtp: true, to: []string{one}}, "554"},
		{"too-large", large, submission{port: s.mx, to: []string{one}}, "552"},
		{"no-auth", ordinary, submission{port: s.submit, to: []string{one}}, "530"},
		{"no-auth-tls", ordinary, submission{port: s.submit, tls: "starttls", to: []string{one}}, "530"},
		{"wrong-password", ordinary, submission{port: s.submit, tls: "starttls", mech: "PLAIN", password: "wrong", to: []string{one}}, "535"},
		{"wrong-password-login", ordinary, submission{port: s.implicit, tls: "implicit", mech: "LOGIN", password: "wrong", to: []string{one}}, "535"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, by := range senders {
				if test.sub.tls != "" && !by.tls || test.sub.lmtp && !by.lmtp {
					continue
				}
				t.Run(by.name, func(t *testing.T) {
					test.sub.from = by.name + "-" + test.name + "@example.org"
					test.sub.message = test.message
					r := s.take(t, by, test.sub)
					if r.code == 0 || !strings.Contains(r.output(), test.code) {
						t.Errorf("want a failure and %s, got %v", test.code, r)
					}
					if all := s.from(t, test.sub.from); len(all) != 0 {
						t.Errorf("accepted: %+v", all)
					}
				})
			}
		})
	}
}

// One refused recipient does not harm the other.
func TestReceiveOneRefused(t *testing.T) {
	s := startSink(t)
	for _, by := range senders {
		if !by.several || by.name == "msmtp" { // msmtp gives up at the first refusal
			continue
		}
		for i, to := range [][]string{{rejected, one}, {one, rejected}, {postponed, one, rejected, two}} {
			t.Run(fmt.Sprintf("%s/%s", by.name, strings.Join(to, ",")), func(t *testing.T) {
				msg := message("one refused")
				from := fmt.Sprintf("%s-%d@example.org", by.name, i)
				r := s.take(t, by, submission{message: msg, port: s.mx, from: from, to: to})
				all := s.from(t, from)
				if len(all) != 1 {
					t.Fatalf("%d messages in the spool, want 1\n%v", len(all), r)
				}
				sameBytes(t, all[0].Data, msg)
				want := slices.DeleteFunc(slices.Clone(to), func(rcpt string) bool { return rcpt == rejected || rcpt == postponed })
				if !slices.Equal(all[0].To, want) {
					t.Errorf("to %q, want %q", all[0].To, want)
				}
			})
		}
	}
}

// smtp-source can keep several sessions busy at once.
func TestReceiveMany(t *testing.T) {
	s := startSink(t)
	for _, test := range []struct {
		name string
		port int
		args []string
	}{
		{"connection-each", s.mx, nil},
		{"connections-kept", s.mx, []string{"-d"}},
		{"lmtp", s.lmtp, []string{"-L", "-d"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			const count, rcpts = 200, 5
			from := test.name + "@example.org"
			argv := []string{"/usr/sbin/smtp-source", "-m", fmt.Sprint(count), "-s", "10", "-r", fmt.Sprint(rcpts),
				"-l", "5000", "-f", from, "-t", one, "-M", "smtp-source.example.org"}
			r := run(t, s.root, nil, append(append(argv, test.args...), address(test.port))...)
			if r.code != 0 {
				t.Fatal(r)
			}
			all := s.from(t, from)
			if len(all) != count {
				t.Fatalf("%d messages in the spool, want %d", len(all), count)
			}
			for _, e := range all {
				if len(e.To) != rcpts || len(e.Data) < 5000 {
					t.Fatalf("%d recipients, %d octets", len(e.To), len(e.Data))
				}
			}
		})
	}
}

// smtplib passes on MAIL and RCPT parameters as they are.
func TestReceiveParameters(t *testing.T) {
	s := startSink(t)
	msg := message("parameters")
	sub := submission{message: msg, port: s.mx, from: "отправитель@example.org", to: []string{"получатель@пример.example"}}
	argv, _ := smtplib(t, s.root, sub)
	argv = append(argv, "--mail-option=SMTPUTF8", "--mail-option=BODY=8BITMIME",
		"--mail-option=RET=HDRS", "--mail-option=ENVID=QQ+2B314159",
		"--rcpt-option=NOTIFY=SUCCESS,FAILURE", "--rcpt-option=ORCPT=rfc822;two@example.net")
	if r := run(t, s.root, nil, argv...); r.code != 0 {
		t.Fatal(r)
	}
	all := s.from(t, sub.from)
	if len(all) != 1 || !reflect.DeepEqual(all[0].To, sub.to) {
		t.Fatalf("in the spool: %+v", all)
	}
	sameBytes(t, all[0].Data, msg)
	mail, rcpt := fmt.Sprint(all[0].MailParams), fmt.Sprint(all[0].RcptParams)
	for _, want := range []string{"SMTPUTF8", "8BITMIME", "HDRS", "314159"} {
		if !strings.Contains(strings.ToUpper(mail), want) {
			t.Errorf("mail_params without %s: %s", want, mail)
		}
	}
	for _, want := range []string{"SUCCESS", "FAILURE", "TWO@EXAMPLE.NET"} {
		if !strings.Contains(strings.ToUpper(rcpt), want) {
			t.Errorf("rcpt_params without %s: %s", want, rcpt)
		}
	}
}

// Several messages and a null reverse-path on one connection.
func TestReceiveAgain(t *testing.T) {
	s := startSink(t)
	msg := message("again")
	argv, _ := smtplib(t, s.root, submission{message: msg, port: s.mx, tls: "starttls", to: []string{one}})
	if r := run(t, s.root, nil, append(argv, "--count", "3")...); r.code != 0 {
		t.Fatal(r)
	}
	all := s.from(t, "")
	if len(all) != 3 {
		t.Fatalf("%d messages in the spool, want 3", len(all))
	}
	for _, e := range all {
		sameBytes(t, e.Data, msg)
	}
}

// SIGTERM: an idle client is told 421 and the process is soon gone.
func TestReceiveShutdown(t *testing.T) {
	s := startSink(t)
	conn, err := net.Dial("tcp", address(s.mx))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(eventTime))
	greeting := make([]byte, 512)
	if n, err := conn.Read(greeting); err != nil || !strings.HasPrefix(string(greeting[:n]), "220 ") {
		t.Fatalf("greeting: %q, %v", greeting[:n], err)
	}
	s.cmd.Process.Signal(syscall.SIGTERM)
	rest, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(rest), "421 ") {
		t.Errorf("after SIGTERM: %q, %v", rest, err)
	}
	select {
	case <-s.done:
	case <-time.After(25 * time.Second):
		t.Fatal("still there 25 s after SIGTERM")
	}
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit %d\n%s", code, s.out)
	}
}
