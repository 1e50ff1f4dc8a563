package server_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// Each mechanism with every way to put its responses, and every way to fail.
// Lines that begin with "<" are replies.
func TestAUTH(t *testing.T) {
	plain := b64("\x00" + user + "\x00" + password)
	for _, tt := range []struct {
		name string
		talk []string
	}{
		{"PLAIN at once", []string{"AUTH PLAIN " + plain, "<235 2.7.0"}},
		{"PLAIN, then", []string{"AUTH PLAIN", "<334 ", plain, "<235 2.7.0"}},
		{"PLAIN with an identity", []string{"AUTH PLAIN " + b64(user+"\x00"+user+"\x00"+password), "<235"}},
		{"PLAIN for somebody else", []string{"AUTH PLAIN " + b64("bob\x00"+user+"\x00"+password), "<535 5.7.8"}},
		{"PLAIN wrong", []string{"AUTH PLAIN " + b64("\x00"+user+"\x00wrong"), "<535 5.7.8"}},
		{"PLAIN empty", []string{"AUTH PLAIN =", "<501 5.5.2"}},
		{"PLAIN empty, then", []string{"AUTH PLAIN", "<334 ", "", "<501 5.5.2"}},
		{"PLAIN malformed", []string{"AUTH PLAIN " + b64(user), "<501 5.5.2"}},
		{"PLAIN with blanks", []string{"AUTH  PLAIN   " + plain + "  ", "<235"}},
		{"PLAIN behind a tab", []string{"AUTH\tPLAIN\t" + plain, "<235"}},
		{"PLAIN twice", []string{"AUTH PLAIN " + plain + " " + plain, "<501 5.5.2"}},
		{"PLAIN with bad base64", []string{"AUTH PLAIN !" + plain, "<501 5.5.2"}},
		{"PLAIN with bad base64, then", []string{"AUTH PLAIN", "<334 ", plain + "=", "<501 5.5.2"}},
		{"PLAIN with a CR", []string{"AUTH PLAIN", "<334 ", plain[:8] + "\r" + plain[8:], "<501 5.5.2"}},
		{"PLAIN with a CR first", []string{"AUTH PLAIN", "<334 ", "\r" + plain, "<501 5.5.2"}},
		{"PLAIN cancelled", []string{"AUTH PLAIN", "<334 ", "*", "<501 5.7.0"}},
		{"LOGIN", []string{"AUTH LOGIN", "<334 VXNlcm5hbWU6", b64(user), "<334 UGFzc3dvcmQ6", b64(password), "<235"}},
		{"LOGIN with the user", []string{"AUTH LOGIN " + b64(user), "<334 UGFzc3dvcmQ6", b64(password), "<235"}},
		{"LOGIN wrong", []string{"AUTH LOGIN " + b64(user), "<334 ", b64("wrong"), "<535 5.7.8"}},
		{"LOGIN cancelled", []string{"AUTH LOGIN", "<334 ", b64(user), "<334 ", "*", "<501 5.7.0"}},
		{"LOGIN as nobody", []string{"AUTH LOGIN =", "<334 ", "", "<535 5.7.8"}},
		{"OAUTHBEARER", []string{"AUTH OAUTHBEARER " + b64(bearer(user, token)), "<235"}},
		{"OAUTHBEARER, then", []string{"AUTH OAUTHBEARER", "<334 ", b64(bearer(user, token)), "<235"}},
		{"OAUTHBEARER wrong", []string{"AUTH OAUTHBEARER " + b64(bearer(user, "wrong")), "<334 e", "AQ==", "<535 5.7.8"}},
		{"OAUTHBEARER wrong, acknowledged with nothing", []string{"AUTH OAUTHBEARER " + b64(bearer(user, "wrong")), "<334 e", "", "<535 5.7.8"}},
		{"OAUTHBEARER wrong, cancelled", []string{"AUTH OAUTHBEARER " + b64(bearer(user, "wrong")), "<334 e", "*", "<501 5.7.0"}},
		{"OAUTHBEARER malformed", []string{"AUTH OAUTHBEARER " + b64("n,x,y"), "<334 e", "AQ==", "<501 5.5.2"}},
		{"OAUTHBEARER empty", []string{"AUTH OAUTHBEARER =", "<334 e", "AQ==", "<501 5.5.2"}},
		{"XOAUTH2", []string{"AUTH XOAUTH2 " + b64(xoauth2(user, token)), "<235"}},
		{"XOAUTH2, then", []string{"AUTH XOAUTH2", "<334 ", b64(xoauth2(user, token)), "<235"}},
		{"XOAUTH2 wrong", []string{"AUTH XOAUTH2 " + b64(xoauth2(user, "wrong")), "<334 e", "", "<535 5.7.8"}},
		{"XOAUTH2 malformed", []string{"AUTH XOAUTH2 " + b64("user="+user), "<501 5.5.2"}},
		{"XOAUTH2 empty", []string{"AUTH XOAUTH2 =", "<501 5.5.2"}},
		{"a response too long", []string{"AUTH PLAIN", "<334 ", strings.Repeat("A", 12287), "<500 5.5.6"}},
		{"a response far too long", []string{"AUTH PLAIN", "<334 ", strings.Repeat("A", 100000), "<500 5.5.6"}},
		{"a long response", []string{"AUTH PLAIN", "<334 ", strings.Repeat("A", 12284), "<501 5.5.2"}},
		{"another case", []string{"aUtH pLaIn " + plain, "<235"}},
		{"unknown", []string{"AUTH GSSAPI", "<504 5.5.4"}},
		{"nothing", []string{"AUTH", "<501 5.5.4"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c *server.Conn
			s := start(t, withAuth)
			s.newSession = func(_ context.Context, conn *server.Conn) error { c = conn; return nil }
			p := s.hello()
			for _, line := range tt.talk {
				if reply, ok := strings.CutPrefix(line, "<"); ok {
					p.expect(reply)
				} else {
					p.raw(line + "\r\n")
				}
			}
			p.do("NOOP", "250 2.0.0") // the session is in step
			mech, _, _ := strings.Cut(tt.name, " ")
			switch last := tt.talk[len(tt.talk)-1]; {
			case !strings.HasPrefix(last, "<235"):
				want(t, "identity", c.Identity(), "")
			case tt.name == "another case":
				want(t, "mechanism", c.Info().Mechanism, "PLAIN")
			default:
				want(t, "identity", c.Identity(), user)
				want(t, "mechanism", c.Info().Mechanism, strings.TrimSuffix(mech, ","))
				want(t, "protocol", c.Info().Protocol(), "ESMTPA")
				p.do("AUTH PLAIN "+plain, "503 5.5.1 already authenticated")
				p.do("EHLO again.example", "250")
				want(t, "identity after EHLO", c.Identity(), user)
				p.do("AUTH PLAIN "+plain, "503 5.5.1 already authenticated")
			}
		})
	}
}

// A line that ends badly ends the exchange too.
func TestAUTHWithBareLF(t *testing.T) {
	s := start(t, withAuth)
	p := s.hello()
	p.do("AUTH PLAIN", "334")
	p.raw(b64("\x00"+user+"\x00"+password) + "\n")
	p.expect("500 5.5.2")
	p.do("NOOP", "250")
}

// AUTH is never offered before TLS, but on loopback by explicit choice.
func TestWhereAUTHIsOffered(t *testing.T) {
	loopback, far := &net.TCPAddr{IP: net.IPv6loopback, Port: 9}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9}
	socket := &net.UnixAddr{Net: "unix", Name: "/s"}
	for _, tt := range []struct {
		addr    net.Addr
		choice  bool
		tls     bool
		offered bool
	}{
		{loopback, false, false, false},
		{loopback, true, false, true},
		{loopback, false, true, true},
		{socket, true, false, true},
		{socket, false, false, false},
		{far, false, false, false},
		{far, true, false, false},
		{far, true, true, true},
		{far, false, true, true},
	} {
		s := start(t, withAuth, withTLS, func(s *testServer) { s.PlaintextAuthOnLoopback = tt.choice })
		l := senders{memnet.Listen(), make(chan net.Addr, 1)}
		s.serve(l)
		l.addrs <- tt.addr
		conn, err := l.Dial(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		p := newPeer(t, conn)
		p.expect("220")
		if tt.tls {
			p.do("EHLO x.example", "250")
			p.startTLS()
		}
		p.send("EHLO x.example\n")
		r, _ := p.reply()
		if offered := strings.Contains(r, "\n250-AUTH ") || strings.Contains(r, "\n250 AUTH "); offered != tt.offered {
			t.Errorf("%v: offered %t", tt, offered)
		}
		if tt.offered {
			p.do("AUTH PLAIN "+b64("\x00"+user+"\x00"+password), "235")
		} else {
			p.do("AUTH PLAIN "+b64("\x00"+user+"\x00"+password), "538 5.7.11")
			p.do("AUTH LOGIN", "538 5.7.11")
			p.do("MAIL FROM:<> AUTH=<>", "555")
		}
	}
	s := start(t, withTLS)
	p := s.hello()
	p.do("AUTH PLAIN", "502 5.5.1")
}

func TestTooManyAuthFailures(t *testing.T) {
	s := start(t, withAuth)
	p := s.hello()
	for range 2 {
		p.do("AUTH PLAIN "+b64("\x00"+user+"\x00wrong"), "535")
	}
	p.do("AUTH PLAIN "+b64("\x00"+user+"\x00wrong"), "421 4.7.0 too many failed authentications")
	p.closed()

	s = start(t, withAuth, limits(server.Limits{MaxAuthFailures: 1}), func(s *testServer) {
		s.Auth = &authenticator{begin: server.ErrAbort} // which is to be said nothing
	})
	p = s.hello()
	p.send("AUTH X-ASK\n")
	p.closed()

	s = start(t, withAuth, limits(server.Limits{MaxAuthFailures: 5}))
	p = s.hello()
	for range 4 {
		p.do("AUTH PLAIN "+b64("\x00"+user+"\x00wrong"), "535")
	}
	p.do("AUTH PLAIN "+b64("\x00"+user+"\x00"+password), "235")
}

// To give up is an error of form, and there may be only so many. What has been
// tried before is counted all the same, also with a mechanism of the
// application's, of which nobody knows what its challenges say.
func TestCancelledAUTH(t *testing.T) {
	s := start(t, withAuth)
	p := s.hello()
	for range 20 {
		p.do("AUTH PLAIN", "334")
		p.do("*", "501 5.7.0")
	}
	p.do("AUTH PLAIN", "334")
	p.do("*", "421 4.7.0 too many errors")
	p.closed()

	for _, own := range []bool{false, true} {
		s := start(t, withAuth)
		mech, wrong := "XOAUTH2", xoauth2(user, "guess")
		if own {
			mech = "X-ASK"
			s.Auth = &authenticator{}
		}
		p := s.hello()
		for i := range 3 {
			p.do("AUTH "+mech, "334")
			p.do("*", "501 5.7.0")
			p.do("AUTH "+mech+" "+b64(wrong), "334")
			p.do("*", []string{"501 5.7.0", "501 5.7.0", "421 4.7.0 too many failed authentications"}[i])
		}
		p.closed()
	}
}

// An empty name or password, and one with a NUL, never get to who verifies them:
// to a directory an empty password means that nobody wants to log in, which it
// allows (RFC 4513 §6.3.1).
func TestCredentialsOfNothing(t *testing.T) {
	for _, exchange := range []string{
		"AUTH PLAIN " + b64("\x00"+user+"\x00"),
		"AUTH PLAIN " + b64("\x00\x00"+password),
		"AUTH PLAIN " + b64("\x00\x00"),
		"AUTH LOGIN " + b64(user) + "\n=",
		"AUTH LOGIN " + b64(user) + "\n",
		"AUTH LOGIN =\n" + b64(password),
		"AUTH LOGIN " + b64("root\x00"+user) + "\n" + b64(password),
		"AUTH LOGIN " + b64(user) + "\n" + b64("\x00"+password),
	} {
		s := start(t, withAuth, func(s *testServer) {
			s.Auth = server.Passwords(func(_ context.Context, user, password string) error {
				t.Errorf("%q: asked for %q and %q", exchange, user, password)
				return nil
			})
		})
		p := s.hello()
		lines := strings.Split(exchange, "\n")
		for _, line := range lines[:len(lines)-1] {
			p.do(line, "334")
		}
		reply := "535 5.7.8"
		if lines[len(lines)-1] == "=" {
			reply = "501 5.5.2" // only an initial response is written like that
		}
		p.do(lines[len(lines)-1], reply)
	}
}

// Who is nobody has not logged in: an identity that is empty is what handlers
// take for that.
func TestEmptyIdentity(t *testing.T) {
	s := start(t, withAuth, submission, func(s *testServer) {
		s.Auth = server.Tokens(func(context.Context, string, string) (string, error) { return "", nil })
	})
	p := s.hello()
	p.do("AUTH XOAUTH2 "+b64(xoauth2(user, token)), "454 4.7.0")
	p.do("MAIL FROM:<>", "530")
	if log := s.log.take(); !strings.Contains(log, "identity") {
		t.Errorf("log: %s", log)
	}
}

// A response that cannot be read is a failure, and the last of them has one
// reply.
func TestMalformedResponsesAreFailures(t *testing.T) {
	for response, reply := range map[string]string{"???": "501 5.5.2", strings.Repeat("A", 20000): "500 5.5.6"} {
		s := start(t, withAuth)
		p := s.hello()
		for i := range 3 {
			p.do("AUTH PLAIN", "334")
			p.do(response, []string{reply, reply, "421 4.7.0 too many failed authentications"}[i])
		}
		p.closed()
	}
}

// exchange is a mechanism that asks a few questions.
type exchange struct {
	answers []string
	err     error
	ctx     context.Context
}

func (x *exchange) Next(response []byte) ([]byte, bool, error) {
	if response != nil {
		x.answers = append(x.answers, string(response))
	}
	if len(x.answers) == 3 {
		return nil, true, x.err
	}
	return []byte("question?"), false, nil
}

func (x *exchange) Identity() string { return strings.Join(x.answers, ",") }

type authenticator struct {
	exchange
	begin error
}

func (a *authenticator) Mechanisms(c *server.Conn) []string { return []string{"X-ASK", "PLAIN"} }

func (a *authenticator) Begin(ctx context.Context, c *server.Conn, mech string) (server.Exchange, error) {
	if mech != "X-ASK" {
		return nil, errors.New("unexpected " + mech)
	}
	return &exchange{err: a.err, ctx: ctx}, a.begin
}

// A mechanism of one's own, and what becomes of its errors.
func TestOwnAuthenticator(t *testing.T) {
	internal := errors.New("ldap: connection refused")
	for _, tt := range []struct {
		begin, err error
		want       string
		log        string
	}{
		{nil, nil, "235 2.7.0", ""},
		{nil, server.ErrCredentials, "535 5.7.8", ""},
		{nil, internal, "454 4.7.0 temporary authentication failure", "ldap"},
		{nil, smtp.Reject(534, smtp.Enh(7, 9), "mechanism is too weak"), "534 5.7.9 mechanism is too weak", ""},
		{internal, nil, "454 4.7.0", "ldap"},
		{smtp.Reject(432, smtp.Enh(7, 12), "a password transition is needed"), nil, "432 4.7.12", ""},
	} {
		var identity string
		s := start(t, func(s *testServer) {
			s.PlaintextAuthOnLoopback = true
			s.Auth = server.Authenticators(&authenticator{exchange{err: tt.err}, tt.begin}, server.Passwords(func(context.Context, string, string) error { return nil }))
			s.close = func(error) {}
		})
		s.newSession = func(_ context.Context, c *server.Conn) error {
			s.mail = func(context.Context, smtp.ReversePath, *smtp.MailParams) (smtp.Reply, error) {
				identity = c.Identity()
				return smtp.Reply{}, nil
			}
			return nil
		}
		p := s.dial()
		p.expect("220")
		p.send("EHLO x.example\n")
		if r, _ := p.reply(); !strings.Contains(r, "AUTH X-ASK PLAIN LOGIN") {
			t.Errorf("%q", r)
		}
		p.send("AUTH X-ASK\n")
		if tt.begin == nil {
			for _, answer := range []string{"a", "b", "c"} {
				p.expect("334 " + b64("question?"))
				p.send(b64(answer) + "\n")
			}
		}
		p.expect(tt.want)
		p.do("MAIL FROM:<>", "250")
		if tt.want == "235 2.7.0" {
			want(t, "identity", identity, "a,b,c")
		}
		if log := s.log.take(); !strings.Contains(log, tt.log) || tt.log == "" && log != "" {
			t.Errorf("log: %s", log)
		}
		// The second of the joined runs what only it has, the first what both have.
		if tt.want == "235 2.7.0" {
			continue
		}
		p.do("RSET", "250")
		p.do("AUTH LOGIN "+b64("x"), "334")
		p.do(b64("y"), "235")
	}
}

// What AUTH would need is told apart from what is wrong.
func TestSubmissionNeedsAuth(t *testing.T) {
	s := start(t, submission)
	p := s.hello()
	for _, line := range []string{"MAIL FROM:<a@example.org>", "VRFY x", "EXPN x"} {
		p.do(line, "530 5.7.0")
	}
	p.do("AUTH PLAIN "+b64("\x00"+user+"\x00"+password), "235")
	p.do("MAIL FROM:<a@example.org>", "250")
}
