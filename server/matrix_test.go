package server_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

var update = flag.Bool("update", false, "write testdata/commands.txt anew")

const matrixFile = "testdata/commands.txt"

const matrixHead = `# Every command in every state of a session (RFC 5321 §4.1.4), as the server
# answers it. Made by "go test ./server -run Matrix -update"; do not edit.
#
#   250         the reply; the state stays
#   250 ready   the reply, and the state that it leads to
#   354 250     two replies: the first asked for data
#   -           no reply
#
# The states:
#   connected   no HELO, EHLO or LHLO yet, or not since STARTTLS
#   ready       no mail transaction is under way
#   mailed      MAIL was accepted
#   rcpted      RCPT was accepted, once at least
#   chunking    a chunk was accepted and was not the last (RFC 3030)
#   broken      a chunk was refused and was not the last
#   refused     the greeting was 554: only QUIT is left (RFC 5321 §3.1)
`

// matrixStates are what leads to each state, after the one before.
var matrixStates = []struct{ name, send string }{
	{"connected", ""},
	{"ready", "EHLO client.example\r\n"},
	{"mailed", "MAIL FROM:<a@example.org>\r\n"},
	{"rcpted", "RCPT TO:<b@example.com>\r\n"},
	{"chunking", "BDAT 1\r\nx"},
	{"broken", "BDAT 5\r\nbreak"},
	{"refused", ""},
}

var matrixCommands = []struct{ name, send string }{
	{"EHLO", "EHLO client.example\r\n"},
	{"EHLO, refused", "EHLO -\r\n"},
	{"HELO", "HELO client.example\r\n"},
	{"LHLO", "LHLO client.example\r\n"},
	{"STARTTLS", "STARTTLS\r\n"},
	{"AUTH", "AUTH PLAIN " + b64("\x00"+user+"\x00"+password) + "\r\n"},
	{"AUTH, refused", "AUTH PLAIN " + b64("\x00"+user+"\x00wrong") + "\r\n"},
	{"XCLIENT", "XCLIENT ADDR=192.0.2.7\r\n"},
	{"XCLIENT, bad", "XCLIENT ADDR=here\r\n"},
	{"XFORWARD", "XFORWARD ADDR=192.0.2.7\r\n"},
	{"XFORWARD, bad", "XFORWARD ADDR=here\r\n"},
	{"MAIL", "MAIL FROM:<a@example.org>\r\n"},
	{"MAIL, refused", "MAIL FROM:<reject@example.org>\r\n"},
	{"RCPT", "RCPT TO:<b@example.com>\r\n"},
	{"RCPT, refused", "RCPT TO:<reject@example.com>\r\n"},
	{"DATA", "DATA\r\n"},
	{"BDAT", "BDAT 6\r\nQUIT\r\n"},
	{"BDAT, refused", "BDAT 5\r\nbreak"},
	{"BDAT LAST", "BDAT 6 LAST\r\nQUIT\r\n"},
	{"BDAT, unclear", "BDAT one\r\n"},
	{"RSET", "RSET\r\n"},
	{"NOOP", "NOOP\r\n"},
	{"VRFY", "VRFY a\r\n"},
	{"EXPN", "EXPN a\r\n"},
	{"HELP", "HELP\r\n"},
	{"QUIT", "QUIT\r\n"},
	{"ETRN", "ETRN example.org\r\n"},
	{"ETRN, bad", "ETRN example.org example.com\r\n"},
	{"unknown", "NONSENSE\r\n"},
	{"HTTP", "GET / HTTP/1.1\r\n"},
	{"bare LF", "NOOP\n"},
	{"too long", "NOOP " + strings.Repeat("x", 600) + "\r\n"},
}

func TestMatrix(t *testing.T) {
	auth := "AUTH PLAIN " + b64("\x00"+user+"\x00"+password) + "\r\n"
	var got strings.Builder
	got.WriteString(matrixHead)
	for _, role := range []struct {
		name   string
		role   server.Role
		hello  string // after the first, to get ready
		states int    // how many can be reached
		set    func(*testServer)
	}{
		{"MX", server.MX, "", 6, func(*testServer) {}},
		{"MX with RequireTLS, before STARTTLS", server.MX, "", 2, func(s *testServer) { s.RequireTLS = true }},
		{"Submission before AUTH", server.Submission, "", 2, func(*testServer) {}},
		{"Submission after AUTH", server.Submission, auth, 6, func(*testServer) {}},
		{"LMTP", server.LMTP, "", 6, func(*testServer) {}},
	} {
		s := start(t, withTLS, withAuth, trusting("127.0.0.1/32"), role.set, func(s *testServer) {
			s.Role, s.Limits.MaxConnsPerIP = role.role, -1
			s.Extensions = []server.Extension{server.ETRN(turn)}
			s.newSession = func(context.Context, *server.Conn) error { return nil }
			s.mail = func(_ context.Context, from smtp.ReversePath, _ *smtp.MailParams) (smtp.Reply, error) {
				return smtp.Reply{}, rejected(from.Local)
			}
			s.rcpt = func(_ context.Context, to smtp.ForwardPath, _ *smtp.RcptParams) (smtp.Reply, error) {
				return smtp.Reply{}, rejected(to.Local)
			}
			s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) {
				var text [5]byte
				for {
					if n, err := b.Read(text[:]); err == io.EOF {
						return smtp.Reply{}, nil
					} else if err != nil || string(text[:n]) == "break" {
						return smtp.Reply{}, rejected("reject")
					}
				}
			}
		})
		fmt.Fprintf(&got, "\n%s\n\n", role.name)
		head := fmt.Sprintf("%-15s", "")
		states := matrixStates[:role.states:role.states]
		if role.states == 6 {
			states = matrixStates
		}
		for _, state := range states {
			head += fmt.Sprintf("%-15s", state.name)
		}
		got.WriteString(strings.TrimRight(head, " ") + "\n")
		for _, command := range matrixCommands {
			row := fmt.Sprintf("%-15s", command.name)
			for _, state := range states {
				p := s.reach(state.name, role.hello)
				cell := p.try(command.send)
				if after := p.state(); after != state.name {
					cell += " " + after
				}
				p.Close()
				row += fmt.Sprintf("%-15s", cell)
			}
			got.WriteString(strings.TrimRight(row, " ") + "\n")
		}
		s.log.take()
	}
	if *update {
		if err := os.WriteFile(matrixFile, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(matrixFile)
	if err != nil {
		t.Fatal(err)
	}
	wantLines := strings.Split(string(file), "\n")
	for i, line := range strings.Split(got.String(), "\n") {
		if i >= len(wantLines) || line != wantLines[i] {
			t.Errorf("line %d:\n%s\nwant:\n%s", i+1, line, append(wantLines, "nothing")[min(i, len(wantLines))])
		}
	}
}

func rejected(word string) error {
	if word == "reject" {
		return smtp.Reject(550, smtp.Enh(1, 1), "rejected")
	}
	return nil
}

// reach brings a new connection into a state.
func (s *testServer) reach(state, hello string) *peer {
	s.t.Helper()
	if state == "refused" {
		s.newSession = func(context.Context, *server.Conn) error { return smtp.Reject(554, smtp.Enh(7, 1), "no") }
		defer func() { s.newSession = func(context.Context, *server.Conn) error { return nil } }()
		p := s.dial()
		p.expect("554")
		return p
	}
	p := s.dial()
	p.expect("220")
	for _, step := range matrixStates {
		send := step.send
		switch {
		case step.name == "chunking" && state == "broken":
			continue
		case step.name == "ready" && s.Role == server.LMTP:
			send = "LHLO client.example\r\n"
		}
		if send != "" {
			p.raw(send)
			p.expect("")
		}
		if step.name == "ready" && hello != "" {
			p.raw(hello)
			p.expect("235")
		}
		if step.name == state {
			break
		}
	}
	if got := p.state(); got != state {
		s.t.Fatalf("reached %s, not %s", got, state)
	}
	return p
}

// try sends a command and returns the codes of its replies.
func (p *peer) try(command string) string {
	p.raw(command)
	r, err := p.reply()
	if err != nil {
		return "-"
	}
	switch codes := r[:3]; {
	case codes == "354":
		p.raw("QUIT\r\n.\r\n")
		r, _ = p.reply()
		return codes + " " + r[:3]
	case command == "STARTTLS\r\n" && codes == "220":
		p.upgrade()
		return codes
	default:
		return codes
	}
}

// state finds out by a command that is refused everywhere.
func (p *peer) state() string {
	if _, err := io.WriteString(p.Conn, "DATA x\r\n"); err != nil {
		return "closed"
	}
	r, err := p.reply()
	if err != nil {
		return "closed"
	}
	if strings.Contains(r, "STARTTLS command first") { // all but STARTTLS gets this
		p.send("STARTTLS x\n")
		r, _ = p.reply()
		return map[bool]string{true: "connected", false: "ready"}[strings.Contains(r, "HLO first")]
	}
	for text, state := range map[string]string{
		"HLO first": "connected", "MAIL first": "ready", "no valid recipients": "mailed",
		"no argument allowed": "rcpted", "BDAT or RSET expected": "chunking", "a chunk was refused": "broken", "this connection was refused": "refused",
	} {
		if strings.Contains(r, text) {
			return state
		}
	}
	return r
}

// The matrix knows every verb of the table, and no reply in it is one that the
// table does not name.
func TestMatrixIsComplete(t *testing.T) {
	for _, role := range []server.Role{server.MX, server.LMTP} {
		s := start(t, withTLS, withAuth, trusting("127.0.0.1/32"), func(s *testServer) { s.Role = role })
		p := s.hello()
		p.send("HELP\n")
		r, _ := p.reply()
		_, verbs, _ := strings.Cut(r, "\n214 2.0.0 ")
		for _, verb := range strings.Fields(verbs) {
			found := false
			for _, command := range matrixCommands {
				found = found || command.name == verb
			}
			if !found {
				t.Errorf("%s is not in the matrix", verb)
			}
		}
		want(t, "number of verbs", len(strings.Fields(verbs)) >= 15, true)
	}
}
