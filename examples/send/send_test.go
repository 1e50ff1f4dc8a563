package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/postrider/postrider/server/smtptest"
)

const message = "Subject: x\r\n\r\n.\r\nHello.\r\n"

// output may be written to by several connections, and read meanwhile.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// sending runs the program to its end.
func sending(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err output
	code = run(t.Context(), args, strings.NewReader(stdin), &out, &err)
	return code, out.String(), err.String()
}

// base are the arguments for a message that nothing is wrong with.
func base(s *smtptest.Server, args ...string) []string {
	return append([]string{"-addr", s.Addr, "-from", "a@example.org", "-to", "b@example.net", "-timeout", "10s"}, args...)
}

func caFile(t *testing.T, s *smtptest.Server) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ca.pem")
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func lfFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "lf")
	if err := os.WriteFile(name, []byte("Subject: LF\n\nThe line ends of this file are LF.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// With every mode of TLS, every mechanism and every source the octets arrive.
func TestDelivered(t *testing.T) {
	file := filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(file, []byte(message), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name      string
		configure func(*smtptest.Server)
		args      []string // CA stands for the file with the authority
		identity  string
	}{
		{"auto", nil, []string{"-ca", "CA"}, ""},
		{"starttls", nil, []string{"-tls", "starttls", "-ca", "CA", "-servername", "mx.example.com"}, ""},
		{"insecure", nil, []string{"-insecure"}, ""},
		{"opportunistic", nil, []string{"-tls", "opportunistic"}, ""},
		{"opportunistic without", smtptest.NoTLS, []string{"-tls", "opportunistic"}, ""},
		{"implicit", smtptest.ImplicitTLS, []string{"-tls", "implicit", "-ca", "CA"}, ""},
		{"none", nil, []string{"-tls", "none"}, ""},
		{"lmtp", smtptest.LMTP, []string{"-lmtp", "-tls", "none"}, ""},
		{"file", nil, []string{"-tls", "none", "-file", file}, ""},
		{"password", smtptest.Submission, []string{"-ca", "CA", "-user", "joe", "-pass", "secret"}, "joe"},
		{"plain", nil, []string{"-ca", "CA", "-user", "joe", "-pass", "secret", "-mech", "PLAIN"}, "joe"},
		{"login", nil, []string{"-ca", "CA", "-user", "joe", "-pass", "secret", "-mech", "login"}, "joe"},
		{"oauthbearer", nil, []string{"-ca", "CA", "-user", "joe", "-pass", "token", "-mech", "OAUTHBEARER"}, "joe"},
		{"xoauth2", nil, []string{"-ca", "CA", "-user", "joe", "-pass", "token", "-mech", "XOAUTH2"}, "joe"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.configure == nil {
				tt.configure = func(*smtptest.Server) {}
			}
			s := smtptest.NewServer(t, tt.configure)
			s.AddAccount("joe", "secret")
			s.AddToken("joe", "token")
			for i, arg := range tt.args {
				if arg == "CA" {
					tt.args[i] = caFile(t, s)
				}
			}
			code, _, stderr := sending(t, message, base(s, append(tt.args, "-helo", "me.example")...)...)
			if code != 0 || !strings.Contains(stderr, "<b@example.net>: 250 2.0.0") {
				t.Fatalf("exit code %d\n%s", code, stderr)
			}
			m := s.Messages()[0]
			if string(m.Data) != message || m.From() != "a@example.org" || m.Hello != "me.example" || m.Identity != tt.identity {
				t.Errorf("%+v", m)
			}
		})
	}
}

func TestExitCodes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fault  smtptest.Fault
		args   []string
		code   int
		stderr string
	}{
		{"unknown user", smtptest.On("RCPT").Reply(550, "5.1.1", "no such user"), nil, 69, "<b@example.net>: smtp: RCPT: 550 5.1.1 no such user"},
		{"one unknown", smtptest.On("RCPT").For("b@example.net").Reply(550, "5.1.1", "no such user"), []string{"-to", "c@example.net"}, 69, "550 5.1.1"},
		{"one later", smtptest.On("RCPT").For("b@example.net").Reply(451, "4.3.0", "later"), []string{"-to", "c@example.net"}, 75, "451 4.3.0"},
		{"later", smtptest.AfterData().Reply(452, "4.3.1", "full"), nil, 75, "452 4.3.1 full"},
		{"never", smtptest.AfterData().Reply(554, "5.7.1", "spam"), nil, 69, "554 5.7.1 spam"},
		{"421", smtptest.On("MAIL").Reply(421, "4.3.2", "bye"), nil, 75, "421 4.3.2 bye"},
		{"greeting", smtptest.OnGreeting().Reply(554, "", "no service"), nil, 69, "554 no service"},
		{"lost", smtptest.AfterData().Drop(), nil, 75, "unknown"},
		{"cut", smtptest.On("DATA").Drop(), nil, 75, "DATA"},
		{"timeout", smtptest.On("MAIL").Delay(1 << 40), []string{"-timeout", "50ms"}, 75, "timeout"},
		{"wrong password", smtptest.On("VRFY").Drop(), []string{"-user", "joe", "-pass", "wrong", "-mech", "PLAIN"}, 69, "535 5.7.8"},
		{"LF alone", smtptest.On("VRFY").Drop(), []string{"-file", "LF"}, 69, "BINARYMIME"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := smtptest.NewServer(t, smtptest.NoTLS)
			s.AddAccount("joe", "secret")
			hits := s.Fault(tt.fault)
			for i, arg := range tt.args {
				if arg == "LF" {
					tt.args[i] = lfFile(t)
				}
			}
			code, _, stderr := sending(t, message, base(s, append(tt.args, "-tls", "none")...)...)
			if code != tt.code || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("exit code %d, want %d and %q\n%s", code, tt.code, tt.stderr, stderr)
			}
			if hits() > 1 {
				t.Errorf("%d attempts", hits())
			}
		})
	}
}

// One recipient that can still get the message outweighs one that cannot.
func TestTemporaryOutweighsPermanent(t *testing.T) {
	for _, tt := range [][2]string{{"b@example.net", "c@example.net"}, {"c@example.net", "b@example.net"}} {
		s := smtptest.NewServer(t, smtptest.NoTLS)
		s.Fault(smtptest.On("RCPT").For(tt[0]).Reply(450, "4.2.1", "later"))
		s.Fault(smtptest.On("RCPT").For(tt[1]).Reply(550, "5.1.1", "never"))
		if code, _, stderr := sending(t, message, base(s, "-tls", "none", "-to", "c@example.net")...); code != 75 {
			t.Errorf("exit code %d\n%s", code, stderr)
		}
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() // nobody listens at its end, nor can before it is closed
	code, _, stderr := sending(t, message, "-addr", c.LocalAddr().String(), "-to", "b@example.net", "-tls", "none")
	if code != 75 || !strings.Contains(stderr, "<b@example.net>: dial") {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}

// Nothing is sent to a server that is not who it should be.
func TestUntrusted(t *testing.T) {
	s := smtptest.NewServer(t)
	for _, args := range [][]string{nil, {"-servername", "other.example.org", "-ca", caFile(t, s)}} {
		code, _, stderr := sending(t, message, base(s, args...)...)
		if code == 0 || !strings.Contains(stderr, "certificate") || len(s.Messages()) > 0 {
			t.Errorf("exit code %d\n%s", code, stderr)
		}
	}
	s.Hide("STARTTLS")
	if code, _, stderr := sending(t, message, base(s, "-insecure")...); code == 0 || len(s.Messages()) > 0 {
		t.Errorf("exit code %d\n%s", code, stderr)
	}
}

func TestCRLF(t *testing.T) {
	s := smtptest.NewServer(t)
	if code, _, stderr := sending(t, "", base(s, "-insecure", "-file", lfFile(t), "-crlf")...); code != 0 {
		t.Fatalf("exit code %d\n%s", code, stderr)
	}
	if got := string(s.Messages()[0].Data); got != "Subject: LF\r\n\r\nThe line ends of this file are LF.\r\n" {
		t.Errorf("%q", got)
	}
}

func TestTrace(t *testing.T) {
	s := smtptest.NewServer(t, smtptest.Submission)
	s.AddAccount("joe", "secret")
	code, _, stderr := sending(t, message, base(s, "-insecure", "-user", "joe", "-pass", "secret", "-trace")...)
	if code != 0 {
		t.Fatalf("exit code %d", code)
	}
	at := 0
	for _, want := range []string{"S: 220 mx.example.com", "C: EHLO", "S: 250-mx.example.com", "C: STARTTLS", "-- TLS 1.3", "C: AUTH SCRAM-SHA-256-PLUS ***",
		"C: MAIL FROM:<a@example.org>", "C: DATA", "S: 354", fmt.Sprintf("C: (%d octets)", len(message)), "S: 250", "C: QUIT"} {
		i := strings.Index(stderr[at:], want)
		if i < 0 {
			t.Fatalf("%q is missing behind octet %d:\n%s", want, at, stderr)
		}
		at += i
	}
	if strings.Contains(stderr, "c2VjcmV0") || strings.Contains(stderr, "secret") {
		t.Errorf("the password is shown:\n%s", stderr)
	}
}

func TestLoad(t *testing.T) {
	s := smtptest.NewServer(t)
	const count, conns, size = 200, 3, 3000
	code, stdout, stderr := sending(t, "", base(s, "-insecure", "-trace", "-count", fmt.Sprint(count), "-conns", fmt.Sprint(conns), "-size", fmt.Sprint(size))...)
	if code != 0 || !regexp.MustCompile(`^200 messages in \S+, \d+ per second\n$`).MatchString(stdout) {
		t.Fatalf("exit code %d, %s%s", code, stdout, stderr)
	}
	if n := len(s.Messages()); n != count {
		t.Errorf("%d messages", n)
	}
	if n := strings.Count(stderr, "C: EHLO"); n > 2*conns { // before and after STARTTLS
		t.Errorf("%d times EHLO", n)
	}
	for _, m := range s.Messages() {
		if len(m.Data) != size || m.Header("Subject") != "load" {
			t.Fatalf("%d octets: %.100q", len(m.Data), m.Data)
		}
	}
}

func TestLoadFailures(t *testing.T) {
	s := smtptest.NewServer(t)
	s.Fault(smtptest.AfterData().Reply(554, "5.7.1", "enough").Skip(5))
	code, _, stderr := sending(t, "", base(s, "-insecure", "-count", "8", "-size", "100")...)
	if n := strings.Count(stderr, "554 5.7.1 enough"); code != 69 || n != 3 || len(s.Messages()) != 5 {
		t.Errorf("exit code %d, %d messages\n%s", code, len(s.Messages()), stderr)
	}
}

// What is left when the program is told to end is not sent, and not said to be.
func TestInterrupted(t *testing.T) {
	s := smtptest.NewServer(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout output
	stderr := &interrupting{after: 3, cancel: cancel}
	code := run(ctx, base(s, "-insecure", "-trace", "-count", "1000"), strings.NewReader(message), &stdout, stderr)
	if code != 75 {
		t.Errorf("exit code %d", code)
	}
	if n := strings.Count(stderr.String(), "context canceled"); n > 2 || len(s.Messages()) > 4 || strings.HasPrefix(stdout.String(), "1000") {
		t.Errorf("%d failures, %d messages, %s", n, len(s.Messages()), stdout.String())
	}
}

// interrupting ends the program when so many messages were written.
type interrupting struct {
	output
	after  int
	cancel func()
}

func (i *interrupting) Write(p []byte) (int, error) {
	n, err := i.output.Write(p)
	if strings.Count(i.String(), "C: .\n") >= i.after {
		i.cancel()
	}
	return n, err
}

func TestMadeUp(t *testing.T) {
	const header = "Subject: load\r\n\r\n"
	for n := range 500 {
		b := string(madeUp(n))
		body, ok := strings.CutPrefix(b, header)
		if !ok || len(b) != max(n, len(header)) {
			t.Fatalf("%d: %q", n, b)
		}
		if len(body) > 1 && (!strings.HasSuffix(body, "\r\n") || strings.Count(body, "\r") != strings.Count(body, "\r\n")) {
			t.Fatalf("%d: %q", n, b)
		}
	}
}

func TestUsage(t *testing.T) {
	addr := []string{"-addr", "127.0.0.1:1"}
	to := []string{"-to", "b@example.net"}
	both := func(more ...string) []string { return slices.Concat(addr, to, more) }
	for _, args := range [][]string{
		nil, addr, to, {"-nonsense"},
		both("argument"),
		both("-to", "not an address"),
		both("-from", "a@example.org>\r\nRSET"),
		both("-tls", "maybe"),
		both("-mech", "CRAM-MD4"),
		both("-ca", "no such file"),
		both("-ca", "main.go"),
		both("-file", "no such file"),
		both("-file", "."),
		both("-count", "0"),
		both("-conns", "-1"),
		both("-size", "-1"),
	} {
		if code, _, stderr := sending(t, message, args...); code != 64 || stderr == "" {
			t.Errorf("%q: exit code %d\n%s", args, code, stderr)
		}
	}
	if code, _, _ := sending(t, "", "-help"); code != 0 {
		t.Errorf("-help: exit code %d", code)
	}
}
