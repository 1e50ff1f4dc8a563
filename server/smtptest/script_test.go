package smtptest

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func parse(t *testing.T, lines ...string) *Script {
	t.Helper()
	s, err := ParseScript(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	s.Timeout = 5 * time.Second
	return s
}

// against plays client and server against each other.
func against(t *testing.T, client, server *Script) (clientErr, serverErr error) {
	t.Helper()
	c, s := net.Pipe()
	done := make(chan error)
	go func() {
		err := server.PlayServer(s)
		s.Close()
		done <- err
	}()
	clientErr = client.PlayClient(c)
	c.Close()
	return clientErr, <-done
}

func TestOneScriptPlaysBothSides(t *testing.T) {
	for _, file := range []string{"testdata/mail.txt"} {
		s, err := ReadScript(file)
		if err != nil {
			t.Fatal(err)
		}
		if c, s := against(t, s, s); c != nil || s != nil {
			t.Errorf("%s: as the client: %v\nas the server: %v", file, c, s)
		}
	}
}

func TestRunScripts(t *testing.T) {
	RunScripts(t, "testdata/mail.txt", func(t *testing.T, s *Script) net.Conn {
		if s.Name != "testdata/mail.txt" {
			t.Errorf("name %q", s.Name)
		}
		client, server := net.Pipe()
		done := make(chan error, 1)
		go func() { done <- s.PlayServer(server) }()
		t.Cleanup(func() {
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		return client
	})
}

func TestScriptOctets(t *testing.T) {
	client := parse(t, `C: a\r\n\t\0\x7F\\\*b`, `C: <repeat 3 "x\n">\`, "C:", `C: "q" <x> #`, "C: <close>")
	near, far := net.Pipe()
	go client.PlayClient(near)
	got, err := io.ReadAll(far)
	if want := "a\r\n\t\x00\x7f\\*b\r\nx\nx\nx\n\r\n\"q\" <x> #\r\n"; string(got) != want || err != nil {
		t.Errorf("sent %q, want %q (%v)", got, want, err)
	}
}

// pieces is a connection that notes what each Write is given.
type pieces struct {
	net.Conn
	writes []string
}

func (p *pieces) Write(b []byte) (int, error) {
	p.writes = append(p.writes, string(b))
	return len(b), nil
}

func TestGroupsLeaveInOneWrite(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	p := &pieces{Conn: near}
	if err := parse(t, "C: a", "# between", "C: b", "C: <flush>", "C: c").PlayClient(p); err != nil {
		t.Fatal(err)
	}
	if len(p.writes) != 2 || p.writes[0] != "a\r\nb\r\n" || p.writes[1] != "c\r\n" {
		t.Errorf("writes %q", p.writes)
	}
}

func TestPatterns(t *testing.T) {
	for _, tt := range []struct {
		pattern, line string
		match         bool
	}{
		{"250 OK", "250 OK", true},
		{"250 OK", "250 OK ", false},
		{"250 OK", "250 ok", false},
		{"250 ...", "250", true},
		{"250 ...", "250 ", true},
		{"250 ...", "250 OK", true},
		{"250 ...", "250-OK", false},
		{"250 ...", "2500", false},
		{"250 *", "250", false},
		{"250 *", "250 ", true},
		{"250*", "250-x", true},
		{"a*b*c", "abc", true},
		{"a*b*c", "a12b34c", true},
		{"a*b*c", "a12c34b", false},
		{"a*a", "a", false},
		{"* ...", "x", true},
		{`250 \*`, "250 *", true},
		{`250 \*`, "250 x", false},
		{`250 \xc3\xbc`, "250 ü", true},
		{"250 ü", "250 ü", true},
	} {
		s := parse(t, "S: "+tt.pattern)
		if got := s.steps[0].expect.match(tt.line); got != tt.match {
			t.Errorf("%q matches %q: %t", tt.pattern, tt.line, got)
		}
	}
}

func TestScriptErrors(t *testing.T) {
	for _, tt := range []struct{ server, client, want string }{
		{"S: 220 a\nS: 250 b", "S: 220 ...\nS: 251 ...", "script:2: S: 251 ...\nawaited \"251 ...\", got \"250 b\"\nthe conversation so far:\nS: 220 a\nS: 250 b\n"},
		{"S: 220 a\nS: <close>", "S: 220 ...\nS: 250 ...", "got the end of the connection (EOF)"},
		{"S: 220 a\\\nS: <close>", "S: 220 ...", `got "220 a" and then the end of the connection`},
		{"S: 220 a\\n\\\nS: <close>", "S: 220 a", `got "220 a\n" and then`},
		{"S: 220 a\nS: 220 b", "S: 220 a", `script:1: after it came "220 b\r\n"`},
		{"S: 220 a\nS: 220 b", "S: 220 a\nS: <close>", `awaited the end of the connection, got "220 b\r\n"`},
		{"S: <repeat 70000 \"x\">", "S: 220 a", "a line without an end"},
		{"S: <repeat 1001 \"250-a\\r\\n\">\\", "S: 250-*\nS: 250 a", `more than 1000 lines begin with "250-"`},
		{"S: 250-a\nS: 250-b\nS: 250 c", "S: 250-*\nS: 250-c\nS: 250 c", `awaited "250-c", got "250 c"`},
		{"S: 250 a", "S: 250 \\\nS: 250\\", `awaited "250", got "a\r\n"`},
		{"S: 220 a\nS: 220 b", "S: 220 a\n<starttls>", "the script has no TLSConfig"},
	} {
		err, _ := against(t, parse(t, tt.client), parse(t, tt.server))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v\nwant %q", tt.client, err, tt.want)
		}
	}
}

// Nothing that the other side does, or does not do, makes the player wait for
// longer than its Timeout.
func TestScriptTimeout(t *testing.T) {
	for _, script := range []string{"S: 220 ...", "S: <close>", `S: 220\`, "C: NOOP", "C: NOOP\nS: 250 ...", "C: a\nC: <flush>\nC: b"} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			defer far.Close()
			start := time.Now()
			err := parse(t, script).PlayClient(near)
			if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 5*time.Second {
				t.Errorf("%q: after %v: %v", script, time.Since(start), err)
			}
		})
	}
}

func TestScriptEnds(t *testing.T) {
	if c, s := against(t, parse(t, "C: a", "C: <close>"), parse(t, "S: <close>")); c != nil || s != nil {
		t.Errorf("both sides close: client %v, server %v", c, s)
	}
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		go io.WriteString(far, "220 a\r\n")
		if err := parse(t, "S: 220 a").PlayClient(near); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		go io.WriteString(far, "x")
		if _, err := near.Read(make([]byte, 1)); err != nil {
			t.Errorf("the connection is of no more use: %v", err)
		}
	})
}

func TestScriptWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := parse(t, "S: 220 a", "S: <flush>", "C: <wait 1h>", "C: QUIT", "S: <close>")
		s.Timeout = 2 * time.Hour
		start := time.Now()
		if c, s := against(t, s, s); c != nil || s != nil || time.Since(start) != time.Hour {
			t.Errorf("after %v: client %v, server %v", time.Since(start), c, s)
		}
	})
}

func TestParseScriptErrors(t *testing.T) {
	for _, tt := range []struct{ script, want string }{
		{"", "a script without a line"},
		{"# only this", "a script without a line"},
		{"S: 220\n\nX: a", `script:3: a line begins with "C: ", "S: " or "#", not as "X: a"`},
		{"S 220", "a line begins with"},
		{"S:220", "a line begins with"},
		{`C: \q`, `script:1: unknown escape "\\q"`},
		{`C: \x4`, "unknown escape"},
		{`C: \xzz`, "unknown escape"},
		{`C: <repeat x>`, "<repeat needs"},
		{`C: <repeat 99999999 "xx">`, "makes more than"},
		{"C: <wait soon>", "time: invalid duration"},
		{"C: " + strings.Repeat("x", 2<<20), "token too long"},
	} {
		_, err := ParseScript(strings.NewReader(tt.script))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40q: %v, want %s", tt.script, err, tt.want)
		}
	}
	if _, err := ReadScript("testdata/missing.txt"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}
