package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// everything a session can be asked for, in one type.
type answers struct {
	*session
	hello  func(verb smtp.Verb, name string) error
	verify func(query string) (smtp.Reply, error)
	expand func(list string) (smtp.Reply, error)
}

func (a *answers) Hello(_ context.Context, verb smtp.Verb, name string) error {
	return a.hello(verb, name)
}

func (a *answers) Verify(_ context.Context, query string) (smtp.Reply, error) {
	return a.verify(query)
}

func (a *answers) Expand(_ context.Context, list string) (smtp.Reply, error) { return a.expand(list) }

// hooks are the places where an application says something, each with what the
// client must send to hear of it.
var hooks = []struct {
	name string
	send string
	last int // which reply, counted from the greeting
	set  func(s *testServer, say func() (smtp.Reply, error))
}{
	{"NewSession", "", 0, func(s *testServer, say func() (smtp.Reply, error)) {
		s.newSession = func(context.Context, *server.Conn) error { _, err := say(); return err }
	}},
	{"Hello", "EHLO x.example\n", 1, func(s *testServer, say func() (smtp.Reply, error)) {
		s.wrap = func(inner server.Session) server.Session {
			return &answers{session: inner.(*session), hello: func(smtp.Verb, string) error { _, err := say(); return err }}
		}
	}},
	{"Mail", "EHLO x.example\nMAIL FROM:<a@example.org>\n", 2, func(s *testServer, say func() (smtp.Reply, error)) {
		s.mail = func(context.Context, smtp.ReversePath, *smtp.MailParams) (smtp.Reply, error) { return say() }
	}},
	{"Rcpt", "EHLO x.example\nMAIL FROM:<a@example.org>\nRCPT TO:<b@example.com>\n", 3, func(s *testServer, say func() (smtp.Reply, error)) {
		s.rcpt = func(context.Context, smtp.ForwardPath, *smtp.RcptParams) (smtp.Reply, error) { return say() }
	}},
	{"Data", "EHLO x.example\nMAIL FROM:<a@example.org>\nRCPT TO:<b@example.com>\nDATA\nx\n.\n", 5, func(s *testServer, say func() (smtp.Reply, error)) {
		s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) { io.Copy(io.Discard, b); return say() }
	}},
	{"Data by BDAT", "EHLO x.example\nMAIL FROM:<a@example.org>\nRCPT TO:<b@example.com>\nBDAT 1 LAST\nx", 4, func(s *testServer, say func() (smtp.Reply, error)) {
		s.data = func(_ context.Context, b *server.Body) (smtp.Reply, error) { io.Copy(io.Discard, b); return say() }
	}},
	{"Data, a chunk", "EHLO x.example\nMAIL FROM:<a@example.org>\nRCPT TO:<b@example.com>\nBDAT 1\nx", 4, func(s *testServer, say func() (smtp.Reply, error)) {
		s.data = func(context.Context, *server.Body) (smtp.Reply, error) {
			r, err := say()
			if err == nil {
				err = smtp.Reject(r.Code, r.Enhanced, r.Text)
			}
			return smtp.Reply{}, err
		}
	}},
	{"Verify", "EHLO x.example\nVRFY x\n", 2, func(s *testServer, say func() (smtp.Reply, error)) {
		s.wrap = func(inner server.Session) server.Session {
			return &answers{session: inner.(*session), hello: welcome, verify: func(string) (smtp.Reply, error) { return say() }}
		}
	}},
	{"Expand", "EHLO x.example\nEXPN x\n", 2, func(s *testServer, say func() (smtp.Reply, error)) {
		s.wrap = func(inner server.Session) server.Session {
			return &answers{session: inner.(*session), hello: welcome, expand: func(string) (smtp.Reply, error) { return say() }}
		}
	}},
	{"own verb", "EHLO x.example\nXPING x\n", 2, func(s *testServer, say func() (smtp.Reply, error)) {
		s.Extensions = []server.Extension{{Keyword: "XPING", Verbs: map[smtp.Verb]server.VerbFunc{
			"XPING": func(context.Context, *server.Conn, server.Session, string) (smtp.Reply, error) { return say() },
		}}}
	}},
}

func welcome(smtp.Verb, string) error { return nil }

// hear plays a hook's conversation up to its reply. In lockstep: DATA and
// EHLO must not be pipelined past.
func hear(p *peer, send string, last int) (string, error) {
	lines := strings.SplitAfter(send, "\n")
	if i := strings.Index(send, "BDAT"); i >= 0 {
		lines = append(strings.SplitAfter(send[:i], "\n"), send[i:])
	} else if i := strings.Index(send, "x\n.\n"); i >= 0 {
		lines = append(strings.SplitAfter(send[:i], "\n"), send[i:])
	}
	lines = slices.DeleteFunc(lines, func(s string) bool { return s == "" })
	for i := 0; ; i++ {
		r, err := p.reply()
		if i == last || err != nil {
			return r, err
		}
		p.send(lines[i])
	}
}

func TestWhatHooksSay(t *testing.T) {
	internal := errors.New("open /secret/path: permission denied")
	for _, h := range hooks {
		greeting := h.name == "NewSession" || h.name == "Hello" // no enhanced code there
		for _, tt := range []struct {
			name  string
			reply smtp.Reply
			err   error
			want  string
			log   string
		}{
			{"rejection", smtp.Reply{}, smtp.Reject(554, smtp.Enh(7, 1), "not you"), "554 5.7.1 not you", ""},
			{"wrapped", smtp.Reply{}, fmt.Errorf("x: %w", errors.Join(internal, smtp.Reject(450, smtp.Enh(2, 0), "later"))), "450 4.2.0 later", ""},
			{"without enhanced code", smtp.Reply{}, smtp.Reject(554, smtp.Enhanced{}, "no"), "554 5.0.0 no", ""},
			{"injection", smtp.Reply{}, smtp.Reject(554, smtp.Enh(7, 1), "a\r\n250 b\x00\x1b[2J"), "554-5.7.1 a\n554 5.7.1 250 b??[2J", ""},
			{"not ASCII", smtp.Reply{}, smtp.Reject(554, smtp.Enh(7, 1), "nö"), "554 5.7.1 n?", ""},
			{"plain error", smtp.Reply{}, internal, "451 4.3.0 local error in processing", "permission denied"},
			{"not negative", smtp.Reply{}, &smtp.Error{Reply: smtp.Reply{Code: 250, Text: "secret"}}, "451 4.3.0 local error in processing", "secret"},
			{"intermediate", smtp.Reply{Code: 354, Text: "secret"}, nil, "451 4.3.0 local error in processing", "not 2xx"},
			{"negative without error", smtp.Reply{Code: 550, Text: "secret"}, nil, "451 4.3.0 local error in processing", "not 2xx"},
			{"text of its own", smtp.Reply{Code: 250, Enhanced: smtp.Enh(6, 0), Text: "queued as 1234"}, nil, "250 2.6.0 queued as 1234", ""},
			{"another code", smtp.Reply{Code: 251, Text: "will forward\nsomewhere"}, nil, "251-2.0.0 will forward\n251 2.0.0 somewhere", ""},
		} {
			if tt.err == nil && (greeting || h.name == "Data, a chunk") {
				continue // these have nothing to say but errors
			}
			t.Run(h.name+"/"+tt.name, func(t *testing.T) {
				s := start(t, func(s *testServer) { h.set(s, func() (smtp.Reply, error) { return tt.reply, tt.err }) })
				p := s.dial()
				got, err := hear(p, h.send, h.last)
				wanted := tt.want
				if h.name == "NewSession" && tt.name == "plain error" || h.name == "NewSession" && tt.name == "not negative" {
					wanted = "421 local error, try again later"
				} else if greeting {
					for _, code := range []string{" 5.7.1", "-5.7.1", " 4.2.0", " 5.0.0", " 4.3.0"} {
						wanted = strings.ReplaceAll(wanted, code, code[:1])
					}
					wanted = strings.ReplaceAll(strings.ReplaceAll(wanted, "  ", " "), "- ", "-")
				}
				if got != wanted || err != nil {
					t.Errorf("%q, %v; want %q", got, err, wanted)
				}
				if strings.Contains(got, "secret") || strings.Contains(got, "permission") {
					t.Error("the client is told too much")
				}
				s.stop()
				log := s.log.take()
				if strings.Contains(log, tt.log) != (tt.log != "") && tt.log != "" || tt.log == "" && log != "" {
					t.Errorf("log %q", log)
				}
			})
		}
	}
}

// A 421 from a handler ends the connection, wherever it is said; so does
// ErrAbort, without a word.
func TestHooksEndTheConnection(t *testing.T) {
	for _, h := range hooks {
		t.Run(h.name, func(t *testing.T) {
			var err error
			s := start(t, func(s *testServer) {
				h.set(s, func() (smtp.Reply, error) { return smtp.Reply{}, err })
			})
			err = smtp.Reject(421, smtp.Enh(3, 2), "going down")
			p := s.dial()
			if got, err := hear(p, h.send, h.last); !strings.HasPrefix(got, "421 ") || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			p.closed()

			err = fmt.Errorf("enough: %w", server.ErrAbort)
			p = s.dial()
			if got, err := hear(p, h.send, h.last); got != "" || err == nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// A connection that is refused may only QUIT (RFC 5321 §3.1).
func TestRefusedConnection(t *testing.T) {
	s := start(t)
	s.newSession = func(context.Context, *server.Conn) error { return smtp.Reject(554, smtp.Enh(7, 1), "no mail here") }
	p := s.dial()
	p.expect("554 no mail here")
	for _, line := range []string{"EHLO x.example", "HELO x.example", "MAIL FROM:<>", "NOOP", "RSET", "NONSENSE", "ETRN x", "QUIT now"} {
		p.send(line + "\n")
		r, err := p.reply()
		if err != nil || !strings.HasPrefix(r, "503 ") && line != "QUIT now" {
			t.Errorf("%s: %q, %v", line, r, err)
		}
	}
	p.raw("BDAT 6 LAST\r\nQUIT\r\n")
	p.expect("503 5.5.1")
	p.do("QUIT", "221 2.0.0")
	p.closed()
	s.stop()
	want(t, "calls", s.noted(), "new")
}

func TestNewSessionGivesNothing(t *testing.T) {
	s := start(t, func(s *testServer) {
		s.Handler = server.HandlerFunc(func(context.Context, *server.Conn) (server.Session, error) { return nil, nil })
	})
	p := s.dial()
	p.expect("421 local error")
	p.closed()
	s.stop()
	if log := s.log.take(); !strings.Contains(log, "neither session nor error") {
		t.Errorf("log %q", log)
	}
}

// With SMTPUTF8 in the transaction a reply may be in UTF-8 (RFC 6531 §3.7.4.2).
func TestRepliesInUTF8(t *testing.T) {
	s := start(t, func(s *testServer) { s.Extensions = []server.Extension{server.SMTPUTF8} })
	s.rcpt = func(_ context.Context, to smtp.ForwardPath, _ *smtp.RcptParams) (smtp.Reply, error) {
		return smtp.Reply{Code: 250, Enhanced: smtp.Enh(1, 5), Text: "grüß " + to.Local}, nil
	}
	p := s.hello()
	p.do("MAIL FROM:<a@example.org> SMTPUTF8", "250")
	p.do("RCPT TO:<ü@example.com>", "250 2.1.5 grüß ü")
	p.do("RSET", "250")
	p.do("MAIL FROM:<a@example.org>", "250")
	p.do("RCPT TO:<u@example.com>", "250 2.1.5 gr?? u")
}

// writes is a listener whose connections note what each Write is given.
type writes struct {
	net.Listener
	mu  sync.Mutex
	got []string
}

type written struct {
	net.Conn
	l *writes
}

func (l *writes) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &written{c, l}, err
}

func (c *written) Write(p []byte) (int, error) {
	c.l.mu.Lock()
	c.l.got = append(c.l.got, string(p))
	c.l.mu.Unlock()
	return c.Conn.Write(p)
}

func (l *writes) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer func() { l.got = nil }()
	return l.got
}

// The replies to a pipelined group leave in one write, when there is nothing
// left to run (RFC 2920 §3.2); half a command does not hold them up.
func TestRepliesOfAGroupLeaveInOneWrite(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		s := start(t, withTLS, limits(server.Limits{MaxIdleChat: -1}))
		network := memnet.Listen()
		l := &writes{Listener: network}
		s.serve(l)
		conn, err := network.Dial(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		p := newPeer(t, conn)
		p.expect("220")
		p.do("EHLO x.example", "250")
		if encrypted {
			p.startTLS()
			p.do("EHLO x.example", "250")
		}
		for _, tt := range []struct {
			send    string
			replies int
			writes  int
		}{
			{"NOOP\n", 1, 1},
			{"MAIL FROM:<a@example.org>\n" + strings.Repeat("RCPT TO:<b@example.com>\n", 100) + "DATA\n", 102, 1},
			{"x\n.\nMAIL FROM:<a@example.org>\nRCPT TO:<b@example.com>\nDATA\n", 4, 1},
			{"x\n.\nMAIL FROM:<a@example.org>\nRCPT TO:<b@example.com>\nBDAT 1\nxBDAT 1\nyBDAT 1 LAST\nz", 6, 1},
			{"BDAT 1 LAST\nxNOOP\nNONSENSE\n", 3, 1},
			{"NOOP\nRSET\nNO", 2, 1},
			{"OP\n", 1, 1},
			// What would fill the memory does not wait.
			{strings.Repeat("NOOP\n", 2700), 2700, 2},
		} {
			if encrypted && len(tt.send) > 4096 {
				continue // it comes in several records
			}
			l.take()
			p.send(tt.send)
			for range tt.replies {
				p.expect("")
			}
			if got := l.take(); len(got) != tt.writes {
				t.Errorf("%.60q: %d writes, want %d: %.200q", tt.send, len(got), tt.writes, got)
			}
		}
	}
}
