package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

type entry struct {
	From       string
	To         []string
	Data       string `json:"data_base64"`
	TLS        bool
	Auth       string
	MailParams map[string]string   `json:"mail_params"`
	RcptParams []map[string]string `json:"rcpt_params"`
}

// last returns the last line of the spool, which must have n lines.
func last(t *testing.T, spool string, n int) (e entry) {
	t.Helper()
	data, err := os.ReadFile(spool)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(data), "\n")
	if len(lines) != n+1 || lines[n] != "" {
		t.Fatalf("%d lines in the spool, want %d:\n%s", len(lines)-1, n, data)
	}
	d := json.NewDecoder(strings.NewReader(lines[n-1]))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		t.Fatalf("%v: %s", err, lines[n-1])
	}
	return e
}

const message = "Subject: x\r\n\r\nHello.\r\n"

func TestSpool(t *testing.T) {
	spool := filepath.Join(t.TempDir(), "spool")
	a := start(t, "-listen", "127.0.0.1:0", "-tls-listen", "127.0.0.1:0", "-sub-listen", "127.0.0.1:0",
		"-lmtp-listen", "127.0.0.1:0", "-user", "joe", "-pass", "secret", "-hostname", "sink.example", "-spool", spool)
	mx, implicit, submission, lmtp := a[0], a[1], a[2], a[3]
	auth := "AUTH PLAIN " + base64.StdEncoding.EncodeToString([]byte("\x00joe\x00secret"))
	want := entry{From: "a@example.org", To: []string{"B.c@example.net"}, MailParams: map[string]string{},
		RcptParams: []map[string]string{{}}, Data: base64.StdEncoding.EncodeToString([]byte(message))}
	check := func(t *testing.T, n int, want entry) {
		t.Helper()
		if got := last(t, spool, n); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}

	t.Run("plain", func(t *testing.T) {
		p := dial(t, mx)
		p.reply("220 sink.example ")
		p.say("EHLO me", "250")
		p.deliver(message, "250", "B.c@example.net")
		check(t, 1, want)
	})
	t.Run("STARTTLS and AUTH", func(t *testing.T) {
		p := dial(t, mx)
		p.reply("220")
		if before := p.say("EHLO me", "250"); strings.Contains(before, "AUTH") {
			t.Errorf("AUTH offered before TLS:\n%s", before)
		}
		p.say("STARTTLS", "220")
		p.startTLS()
		p.say("EHLO me", "250")
		p.deliver(message, "250", "B.c@example.net")
		want := want
		want.TLS = true
		check(t, 2, want)
		p.say(auth, "235")
		p.deliver(message, "250", "B.c@example.net")
		want.Auth = "joe"
		check(t, 3, want)
	})
	t.Run("implicit TLS and token", func(t *testing.T) {
		p := dial(t, implicit)
		p.startTLS()
		p.reply("220")
		p.say("EHLO me", "250")
		p.say("AUTH XOAUTH2 "+base64.StdEncoding.EncodeToString([]byte("user=joe\x01auth=Bearer secret\x01\x01")), "235")
		p.deliver(message, "250", "B.c@example.net")
		want := want
		want.TLS, want.Auth = true, "joe"
		check(t, 4, want)
	})
	t.Run("submission", func(t *testing.T) {
		p := dial(t, submission)
		p.reply("220")
		p.say("EHLO me", "250")
		p.say("MAIL FROM:<a@example.org>", "530 5.7.0")
		p.say("STARTTLS", "220")
		p.startTLS()
		p.say("EHLO me", "250")
		p.say("MAIL FROM:<a@example.org>", "530 5.7.0")
		p.say("AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00joe\x00wrong")), "535 5.7.8")
		p.say(auth, "235")
		p.deliver(message, "250", "B.c@example.net")
		want := want
		want.TLS, want.Auth = true, "joe"
		check(t, 5, want)
	})
	t.Run("LMTP", func(t *testing.T) {
		p := dial(t, lmtp)
		p.reply("220")
		p.say("LHLO me", "250")
		p.deliver(message, "250", "B.c@example.net", "d@example.net")
		p.reply("250")
		want := want
		want.To = []string{"B.c@example.net", "d@example.net"}
		want.RcptParams = []map[string]string{{}, {}}
		check(t, 6, want)
	})
	t.Run("parameters", func(t *testing.T) {
		p := dial(t, mx)
		p.reply("220")
		p.say("EHLO me", "250")
		p.say("MAIL FROM:<> BODY=BINARYMIME SMTPUTF8 RET=HDRS ENVID=QQ+2B1 SIZE=5", "250")
		p.say("RCPT TO:<reject@example.net>", "550 5.1.1")
		p.say("RCPT TO:<ü@example.net> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;B@example.net", "250")
		p.say("RCPT TO:<tempfail@example.net>", "451 4.3.0")
		p.say("RCPT TO:<Postmaster>", "250")
		p.say("BDAT 5 LAST\r\n\x00\n\r.\n", "250")
		check(t, 7, entry{
			To: []string{"ü@example.net", "Postmaster"}, Data: base64.StdEncoding.EncodeToString([]byte("\x00\n\r.\n")),
			MailParams: map[string]string{"BODY": "BINARYMIME", "SMTPUTF8": "", "RET": "HDRS", "ENVID": "QQ+2B1", "SIZE": "5"},
			RcptParams: []map[string]string{{"NOTIFY": "SUCCESS,DELAY", "ORCPT": "rfc822;B@example.net"}, {}},
		})
	})
	t.Run("dots and an empty message", func(t *testing.T) {
		p := dial(t, mx)
		p.reply("220")
		p.say("EHLO me", "250")
		p.deliver("\r\n..\r\n..x\r\n", "250", "B.c@example.net")
		want := want
		want.Data = base64.StdEncoding.EncodeToString([]byte("\r\n.\r\n.x\r\n"))
		check(t, 8, want)
		p.say("MAIL FROM:<a@example.org>", "250")
		p.say("RCPT TO:<B.c@example.net>", "250")
		p.say("BDAT 0 LAST", "250")
		want.Data = ""
		check(t, 9, want)
		if data, _ := os.ReadFile(spool); bytes.Contains(data, []byte("null")) {
			t.Errorf("null in the spool:\n%s", data)
		}
	})
}

// Every extension of the library is offered.
func TestOffers(t *testing.T) {
	p := dial(t, start(t, "-listen", "127.0.0.1:0")[0])
	p.reply("220")
	offers := p.say("EHLO me", "250")
	p.say("STARTTLS", "220")
	p.startTLS()
	offers += p.say("EHLO me", "250")
	for _, want := range []string{"PIPELINING", "SIZE 10485760", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "STARTTLS",
		"AUTH PLAIN LOGIN OAUTHBEARER XOAUTH2", "CHUNKING", "BINARYMIME", "DSN"} {
		if !regexp.MustCompile(`(?m)^250[- ]` + want + `\r$`).MatchString(offers) {
			t.Errorf("%s is not offered:\n%s", want, offers)
		}
	}
	// Nobody has an account, the user without a name least of all.
	p.say("AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00\x00")), "5")
	p.say("AUTH LOGIN", "334")
	p.say("", "334")
	p.say("", "535 5.7.8")
}

func TestRejectField(t *testing.T) {
	for _, keep := range []bool{true, false} {
		args := []string{"-listen", "127.0.0.1:0", "-spool", filepath.Join(t.TempDir(), "spool")}
		if !keep {
			args = append(args, "-discard")
		}
		p := dial(t, start(t, args...)[0])
		p.reply("220")
		p.say("EHLO me", "250")
		n := 0
		for _, tt := range []struct{ message, want string }{
			{"X-Sink-Reject: yes\r\n\r\n", "554 5.7.1"},
			{"Subject: " + strings.Repeat("x", 900) + "\r\nx-sink-REJECT:Yes \r\n", "554 5.7.1"},
			{"A: b\r\nX-Sink-Reject: yes\r\nB: c\r\n\r\ntext\r\n", "554 5.7.1"},
			{"X-Sink-Reject: no\r\n\r\n", "250"},
			{"X-Sink-Reject: yes, but\r\n\r\n", "250"},
			{"Not-X-Sink-Reject: yes\r\n\r\n", "250"},
			{"A: b\r\n\r\nX-Sink-Reject: yes\r\n", "250"},
			{"\r\nX-Sink-Reject: yes\r\n", "250"},
		} {
			p.deliver(tt.message, tt.want, "b@example.net")
			if tt.want == "250" {
				n++
			}
		}
		if keep {
			last(t, args[3], n)
		} else if _, err := os.Stat(args[3]); err == nil {
			t.Error("-discard has made a spool")
		}
	}
}

// However the header is cut into pieces, the field is found.
func TestHeaderInPieces(t *testing.T) {
	text := []byte("A: b\r\nX-Sink-Reject: yes\r\n\r\nbody\r\n")
	for i := range text {
		for j := i; j < len(text); j++ {
			var h header
			h.look(text[:i])
			h.look(text[i:j])
			h.look(text[j:])
			if !h.rejects || !h.ended {
				t.Fatalf("cut at %d and %d: %+v", i, j, h)
			}
		}
	}
}

func TestDiscardAllocatesLittle(t *testing.T) {
	s := &session{}
	p := bytes.Repeat([]byte(message), 1000)
	s.Write(p)
	if n := testing.AllocsPerRun(100, func() {
		s.Reset(context.Background(), 0)
		s.Write(p)
	}); n > 0 {
		t.Errorf("%v allocations a message", n)
	}
}

func TestSpoolFails(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full")
	}
	p := dial(t, start(t, "-listen", "127.0.0.1:0", "-spool", "/dev/full")[0])
	p.reply("220")
	p.say("EHLO me", "250")
	p.deliver(message, "451 4.3.0 local error", "b@example.net")
}

func TestLimits(t *testing.T) {
	a := start(t, "-listen", "127.0.0.1:0", "-max-size", "1000", "-max-conns", "2")
	p := dial(t, a[0])
	p.reply("220")
	p.say("EHLO me", "250")
	p.say("MAIL FROM:<a@example.org> SIZE=1001", "552")
	p.deliver("A: b\r\n\r\n"+strings.Repeat("x\r\n", 400), "552", "b@example.net")
	dial(t, a[0]).reply("220")
	dial(t, a[0]).reply("421")
}

func TestIdle(t *testing.T) {
	p := dial(t, start(t, "-timeout-listen", "127.0.0.1:0", "-idle", "50ms")[0])
	p.reply("220")
	p.reply("421")
	if _, err := p.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("after 421: %v", err)
	}
}

// The program as a process: a signal ends it, but not the transaction under way.
func TestSIGTERM(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no process can be sent SIGTERM")
	}
	spool := filepath.Join(t.TempDir(), "spool")
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-listen", "127.0.0.1:0", "-spool", spool)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	r, w, err := os.Pipe() // one for both streams keeps their order
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	a := (&output{Reader: r}).started(t)
	idle, busy := dial(t, a[0]), dial(t, a[0])
	for _, p := range []*peer{idle, busy} {
		p.reply("220")
		p.say("EHLO me", "250")
	}
	busy.say("MAIL FROM:<a@example.org>", "250")
	busy.say("RCPT TO:<b@example.net>", "250")
	busy.say("DATA", "354")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	idle.reply("421")
	busy.send(message + ".\r\n")
	busy.reply("250")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	last(t, spool, 1)
}

func TestExitCodes(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, tt := range []struct {
		args []string
		code int
	}{
		{[]string{"-help"}, 0},
		{[]string{"-nonsense"}, 64},
		{[]string{"argument"}, 64},
		{[]string{"-listen", busy.Addr().String()}, 1},
		{[]string{"-listen", "127.0.0.1:0", "-cert", "no such file"}, 1},
		{[]string{"-listen", "127.0.0.1:0", "-hostname", "no name"}, 1},
		{[]string{"-listen", "127.0.0.1:0", "-spool", t.TempDir()}, 1},
	} {
		var stderr bytes.Buffer
		if code := run(t.Context(), tt.args, io.Discard, &stderr); code != tt.code || stderr.String() == "" {
			t.Errorf("%q: exit code %d, want %d\n%s", tt.args, code, tt.code, &stderr)
		}
	}
}

// Connections from one address are limited unless the caller says how many.
func TestManyConnections(t *testing.T) {
	a := start(t, "-listen", "127.0.0.1:0", "-max-conns", "60")
	for range 60 {
		dial(t, a[0]).reply("220")
	}
	dial(t, a[0]).reply("421")
}
