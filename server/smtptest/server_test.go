package smtptest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	netsmtp "net/smtp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/memnet"
	"github.com/postrider/postrider/server"
	"github.com/postrider/postrider/smtp"
)

// talk plays a conversation with s.
func talk(t *testing.T, s *Server, lines ...string) {
	t.Helper()
	conn, err := s.Dial(context.Background(), "", "")
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	script, err := ParseScript(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Error(err)
		return
	}
	script.TLSConfig = s.ClientTLSConfig()
	if err := script.PlayClient(conn); err != nil {
		t.Error(err)
	}
}

const (
	hello = "S: 220 mx.example.com ...\nC: EHLO client.example\nS: 250-*\nS: 250 ..."
	quit  = "C: QUIT\nS: 221 ...\nS: <close>"
	// envelope is a transaction as far as the data.
	envelope = "C: MAIL FROM:<alice@example.org>\nC: RCPT TO:<bob@example.com>\nC: DATA\nS: 250 ...\nS: 250 ...\nS: 354 ..."
	data     = "C: Subject: x\nC:\nC: ..\nC: .\nS: 250 2.0.0 ..."
)

func TestServerRecords(t *testing.T) {
	const (
		upgrade = "C: STARTTLS\nS: 220 ...\n<starttls>\nC: EHLO client.example\nS: 250-*\nS: 250 ..."
		plain   = "C: AUTH PLAIN AGFsaWNlAHNlY3JldA==\nS: 235 ..." // alice, secret
		bearer  = "C: AUTH OAUTHBEARER bixhPWFsaWNlLAFhdXRoPUJlYXJlciB0MGszbgEB\nS: 235 ..."
		greeted = "C: EHLO client.example\nS: 250-*\nS: 250 ..."
	)
	for name, tt := range map[string]struct {
		configure func(*Server)
		script    []string
		tls       bool
		identity  string
	}{
		"plain":       {nil, []string{hello, envelope, data, quit}, false, ""},
		"STARTTLS":    {nil, []string{hello, upgrade, envelope, data, quit}, true, ""},
		"implicit":    {ImplicitTLS, []string{"<starttls>", hello, envelope, data, quit}, true, ""},
		"submission":  {Submission, []string{hello, upgrade, plain, envelope, data, quit}, true, "alice"},
		"token":       {Submission, []string{hello, upgrade, bearer, envelope, data, quit}, true, "alice"},
		"no TLS":      {NoTLS, []string{hello, plain, envelope, data, quit}, false, "alice"},
		"LMTP":        {LMTP, []string{"S: 220 ...", strings.Replace(greeted, "EHLO", "LHLO", 1), envelope, data, quit}, false, ""},
		"in memory":   {InMemory, []string{hello, upgrade, envelope, data, quit}, true, ""},
		"in chunks":   {nil, []string{hello, strings.ReplaceAll(strings.Replace(envelope, "C: DATA\n", "", 1), "\nS: 354 ...", ""), `C: BDAT 9` + "\n" + `C: Subject: \`, "S: 250 ...", "C: BDAT 8 LAST\n" + `C: x\r\n\r\n.\r\n\`, "S: 250 ...", quit}, false, ""},
		"all at once": {func(s *Server) { InMemory(s); ImplicitTLS(s); LMTP(s) }, []string{"<starttls>", "S: 220 ...", strings.Replace(greeted, "EHLO", "LHLO", 1), envelope, data, quit}, true, ""},
	} {
		for _, handler := range []server.Handler{nil, ownHandler} {
			t.Run(fmt.Sprintf("%s/%t", name, handler != nil), func(t *testing.T) {
				configure := []func(*Server){func(s *Server) { s.Config.Handler = handler }}
				if tt.configure != nil {
					configure = append(configure, tt.configure)
				}
				s := newServer(t, configure...)
				s.AddAccount("alice", "secret")
				s.AddToken("alice", "t0k3n")
				talk(t, s, tt.script...)
				messages := s.Messages()
				if len(messages) != 1 {
					t.Fatalf("%d messages", len(messages))
				}
				m := messages[0]
				if m.From() != "alice@example.org" || len(m.To()) != 1 || m.To()[0] != "bob@example.com" {
					t.Errorf("from %s to %s", m.From(), m.To())
				}
				if want := "Subject: x\r\n\r\n.\r\n"; string(m.Data) != want {
					t.Errorf("data %q, want %q", m.Data, want)
				}
				if m.TLS != tt.tls || m.Identity != tt.identity || m.Hello != "client.example" || m.ConnID == "" || m.RemoteAddr == nil || m.Time.IsZero() {
					t.Errorf("%+v", m)
				}
			})
		}
	}
}

func TestMessageParameters(t *testing.T) {
	s := newServer(t, func(s *Server) { s.Config.Extensions = []server.Extension{server.DSN, server.SMTPUTF8} })
	talk(t, s, hello,
		"C: MAIL FROM:<> BODY=8BITMIME SMTPUTF8 ENVID=1\nS: 250 ...",
		"C: RCPT TO:<bøb@example.com> NOTIFY=NEVER\nS: 250 ...",
		"C: RCPT TO:<carol@example.com>\nS: 250 ...\nC: DATA\nS: 354 ...", data, quit)
	m := s.Messages()[0]
	env := m.Envelope
	if m.From() != "" || env.MailParams.EnvID != "1" || !env.MailParams.UTF8 || env.Recipients[0].RcptParams.Notify != smtp.NotifyNever || env.Recipients[1].RcptParams.Notify != 0 {
		t.Errorf("%+v", env)
	}
	if to := m.To(); len(to) != 2 || to[0] != "bøb@example.com" || to[1] != "carol@example.com" {
		t.Errorf("to %q", to)
	}
}

func TestMessageHeader(t *testing.T) {
	m := Message{Data: []byte("Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n from afar\r\nX: =?unknown?q?a?=\r\n\r\nbody")}
	for name, want := range map[string]string{"subject": "Grüße from afar", "X": "=?unknown?q?a?=", "To": ""} {
		if got := m.Header(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	parsed, err := m.Mail()
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(parsed.Body); string(body) != "body" {
		t.Errorf("body %q", body)
	}
	m.Data = []byte("no header")
	if _, err := m.Mail(); err == nil || m.Header("Subject") != "" {
		t.Error("a message without a header is parsed")
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, InMemory)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go talk(t, s, hello, envelope, data, "C: <wait 30s>", envelope, data, quit)
		start := time.Now()
		if all, err := s.Wait(ctx, 2); len(all) != 2 || err != nil || time.Since(start) != 30*time.Second {
			t.Errorf("%d messages, %v after %v", len(all), err, time.Since(start))
		}
		if all, err := s.Wait(ctx, 3); len(all) != 2 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d messages, %v", len(all), err)
		}
		go func() {
			time.Sleep(time.Second)
			s.Close()
		}()
		if all, err := s.Wait(context.Background(), 3); len(all) != 2 || !errors.Is(err, errClosed) {
			t.Errorf("%d messages, %v", len(all), err)
		}
	})
}

func TestBoundedMemory(t *testing.T) {
	s := newServer(t, func(s *Server) { s.MaxMessages, s.MaxOctets = 3, 100 })
	refused := "C: Subject: x\nC:\nC: <repeat 80 \"y\">\nC: .\nS: 452 4.3.1 *"
	talk(t, s, hello, envelope, data, envelope, strings.Replace(refused, "80", "100", 1), envelope, refused, envelope, data, envelope, data,
		envelope, "C: .\nS: 452 4.3.1 *", quit)
	if n := len(s.Messages()); n != 3 {
		t.Errorf("%d messages", n)
	}
	s.Fault(InData(40).Reply(554, "", "").Times(1))
	s.Reset()
	if n := len(s.Messages()); n != 0 || len(s.Transcripts()) != 0 {
		t.Errorf("after Reset %d messages and %q", n, s.Transcripts())
	}
	talk(t, s, hello, envelope, strings.Replace(refused, "452 4.3.1 *", "554 ...", 1),
		envelope, strings.Replace(refused, "452 4.3.1 *", "250 ...", 1), envelope, refused, quit)
	if s.recorder.octets != int64(len(s.Messages()[0].Data)) {
		t.Errorf("%d octets taken", s.recorder.octets)
	}
}

func TestAccounts(t *testing.T) {
	s := newServer(t, NoTLS)
	talk(t, s, "S: 220 ...\nC: EHLO a\nS: 250-*\nS: 250 LIMITS RCPTMAX=1000", quit) // the last line: no AUTH
	s.AddToken("alice", "t0k3n")
	talk(t, s, "S: 220 ...\nC: EHLO a\nS: 250-*\nS: 250 AUTH OAUTHBEARER XOAUTH2", quit)
	s.AddAccount("alice", "secret")
	talk(t, s, "S: 220 ...\nC: EHLO a\nS: 250-*\nS: 250 AUTH SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN OAUTHBEARER XOAUTH2",
		"C: AUTH PLAIN AGFsaWNlAHdyb25n\nS: 535 5.7.8 *", quit)
	for user, known := range map[string]bool{"alice": true, "bob": false} {
		if err := s.password(t.Context(), user, "secret"); (err == nil) != known {
			t.Errorf("password of %s: %v", user, err)
		}
		if _, err := s.token(t.Context(), user, "t0k3n"); (err == nil) != known {
			t.Errorf("token of %s: %v", user, err)
		}
	}
}

func TestTLSConfigVerifies(t *testing.T) {
	s := newServer(t)
	for _, name := range []string{"", "127.0.0.1", "::1", "localhost", "example.com", "mx.example.com"} {
		c, err := netsmtp.Dial(s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		cfg := s.ClientTLSConfig()
		if name != "" {
			cfg.ServerName = name
		}
		if err := c.StartTLS(cfg); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		c.Close()
	}
	c, err := netsmtp.Dial(s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	other := NewUnstartedServer().ClientTLSConfig()
	if err := c.StartTLS(other); err == nil {
		t.Error("another server's configuration trusts this one")
	}
	if err := s.Certificate().CheckSignatureFrom(s.Certificate()); err != nil {
		t.Error(err)
	}
}

func TestOwnHandlerAndHooks(t *testing.T) {
	type key struct{}
	events, asked := 0, make(chan any, 1)
	s := newServer(t, InMemory, func(s *Server) {
		s.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, key{}, "theirs")
		}
		s.Config.Observer = server.ObserverFunc(func(server.Event) { events++ })
		s.Config.Handler = server.HandlerFunc(func(ctx context.Context, c *server.Conn) (server.Session, error) {
			asked <- ctx.Value(key{})
			return nil, smtp.Reject(554, smtp.Enh(7, 1), "go away")
		})
	})
	talk(t, s, "S: 554 go away", quit)
	s.Close()
	if v := <-asked; v != "theirs" || events == 0 {
		t.Errorf("context %v, %d events", v, events)
	}
	if got := strings.Join(s.Transcripts(), ""); !strings.Contains(got, "S: 554 go away\nC: QUIT\n") {
		t.Errorf("transcript %q", got)
	}
}

func TestLifeCycle(t *testing.T) {
	s := NewUnstartedServer()
	if err := s.Close(); err != nil {
		t.Errorf("closing what never started: %v", err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err == nil {
		t.Error("started twice")
	}
	conn, err := s.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := parse(t, hello, envelope).PlayClient(conn); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		if len(s.links) > 0 {
			t.Error("closed with a connection open")
		}
		s.mu.Unlock()
		select {
		case <-s.served:
		default:
			t.Error("closed while serving")
		}
	}
	if err := parse(t, "S: <close>").PlayClient(conn); err != nil {
		t.Error(err)
	}
	if _, err := s.Dial(t.Context(), "", ""); err == nil {
		t.Error("connected to a closed server")
	}

	broken := NewUnstartedServer()
	broken.Config.RequireTLS, broken.Config.TLSConfig = true, nil
	if err := broken.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := broken.Wait(t.Context(), 1); !errors.Is(err, errClosed) {
		t.Errorf("waiting for a server that cannot serve: %v", err)
	}
	if err := broken.Close(); err == nil || !strings.Contains(err.Error(), "RequireTLS") {
		t.Errorf("closing a server that could not serve: %v", err)
	}
	taken := NewUnstartedServer()
	taken.Listener = brokenListener{}
	if err := taken.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := taken.Wait(t.Context(), 1); err == nil {
		t.Error("a server whose listener fails is waited for")
	}
	if err := taken.Close(); !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("closing a server whose listener fails: %v", err)
	}
}

type brokenListener struct{}

func (brokenListener) Accept() (net.Conn, error) { return nil, http.ErrNotSupported }
func (brokenListener) Close() error              { return nil }
func (brokenListener) Addr() net.Addr            { return &net.TCPAddr{} }

func TestCloseClientConnections(t *testing.T) {
	for _, configure := range []func(*Server){func(*Server) {}, ImplicitTLS, InMemory} {
		s := newServer(t, configure)
		conn, err := s.Dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		script := parse(t, hello)
		if s.ImplicitTLS {
			script = parse(t, "<starttls>", hello)
		}
		script.TLSConfig = s.ClientTLSConfig()
		if err := script.PlayClient(conn); err != nil {
			t.Fatal(err)
		}
		s.CloseClientConnections()
		if err := parse(t, "S: <close>").PlayClient(conn); err != nil {
			t.Error(err)
		}
		conn.Close()
		if !s.ImplicitTLS {
			talk(t, s, hello, quit)
		}
	}
}

// Close comes back at once while connections wait for whatever there is.
func TestCloseEndsEverything(t *testing.T) {
	for name, fault := range map[string]Fault{
		"greeting":   OnGreeting().Delay(time.Hour),
		"command":    On("MAIL").Delay(time.Hour),
		"data":       InData(1).Delay(time.Hour),
		"slow":       InData(0).Slow(1),
		"after data": AfterData().Delay(time.Hour),
		"none":       On("VRFY").Drop(),
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, InMemory)
			s.Fault(fault)
			conn, err := s.Dial(t.Context(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "EHLO a\r\nMAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n%s\r\n", strings.Repeat("x", 9000))
			if name == "after data" {
				fmt.Fprint(conn, ".\r\n")
			}
			synctest.Wait()
			start := time.Now()
			if err := s.Close(); err != nil || time.Since(start) > 0 {
				t.Errorf("%s: %v after %v", name, err, time.Since(start))
			}
		})
	}
}

// lingering is a listener that takes its time to go.
type lingering struct {
	net.Listener
	accept time.Duration
}

func (l lingering) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		time.Sleep(l.accept)
	}
	return c, err
}

// lingeringSession is a session that does.
type lingeringSession struct {
	session
	close time.Duration
}

func (l *lingeringSession) Close(error) { time.Sleep(l.close) }

func TestCloseWaits(t *testing.T) {
	for _, tt := range []struct {
		accept, close, wait time.Duration
		ok                  bool
	}{
		{3 * time.Second, 0, 3 * time.Second, true},
		{0, 3 * time.Second, 3 * time.Second, true},
		{0, time.Hour, 10 * time.Second, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := NewUnstartedServer()
			InMemory(s)
			memory := s.Listener.(*memnet.Listener)
			s.Listener = lingering{Listener: memory, accept: tt.accept}
			s.Config.Handler = server.HandlerFunc(func(context.Context, *server.Conn) (server.Session, error) {
				return &lingeringSession{close: tt.close}, nil
			})
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
			conn, err := memory.Dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			synctest.Wait()
			start := time.Now()
			if err := s.Close(); (err == nil) != tt.ok || time.Since(start) != tt.wait {
				t.Errorf("%+v: %v after %v", tt, err, time.Since(start))
			}
			time.Sleep(tt.close) // a bubble waits for nobody
		})
	}
}

func TestTranscript(t *testing.T) {
	s := newServer(t, NoTLS)
	s.AddAccount("alice", "secret")
	s.Fault(On("NOOP").Raw("bad\x00\r\n250 \\"))
	conversation := []string{
		"S: 220 mx.example.com ESMTP", "C: EHLO client.example",
		"S: 250-mx.example.com", "S: 250-*", "S: 250 ...",
		"C: AUTH LOGIN", "S: 334 VXNlcm5hbWU6", "C: YWxpY2U=", "S: 334 UGFzc3dvcmQ6", "C: c2VjcmV0", "S: 235 2.7.0 *",
		envelope, data, "C: RSET now", "S: 501 ...",
		"C: NOOP", `S: bad\0\r\n250 \\\`,
		quit,
	}
	talk(t, s, conversation...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	all := s.Transcripts()
	if len(all) != 1 {
		t.Fatalf("%d transcripts: %q", len(all), all)
	}
	for _, want := range []string{
		"# connection 1\nS: 220 mx.example.com ESMTP\nC: EHLO client.example\nS: 250-mx.example.com\n",
		"C: AUTH LOGIN\nS: 334 ***\nC: ***\nS: 334 ***\nC: ***\nS: 235 ",
		"C: DATA\nS: 354 ", "\n# a message of 17 octets\nS: 250 2.0.0",
		"C: NOOP\nS: bad\\x00\nS: 250 \\\\\\\nC: QUIT\nS: 221 ", "\nS: <close>\n",
	} {
		if !strings.Contains(all[0], want) {
			t.Errorf("no %q in\n%s", want, all[0])
		}
	}
	if _, err := ParseScript(strings.NewReader(all[0])); err != nil {
		t.Errorf("the transcript is no script: %v", err)
	}
}

func TestTranscriptIsBounded(t *testing.T) {
	one := new(transcript)
	for range 10 {
		one.octets("C: ", strings.Repeat("x", maxTranscript/4))
	}
	for range maxTranscript / 100 {
		one.write("C: ", strings.Repeat("x", 100))
	}
	if got := one.String(); len(got) > maxTranscript+20 || !strings.HasSuffix(got, "\n# and so on\n") || strings.Count(got, "# and so on") != 1 {
		t.Errorf("%d octets, the last are %q", len(got), got[len(got)-30:])
	}
	var all transcripts
	for range maxTranscripts + 5 {
		all.open()
	}
	if got := tail("ab\ncd\nef\n", 5); got != "ef\n" {
		t.Errorf("tail %q", got)
	}
	if got := all.strings(); len(got) != maxTranscripts || got[0] != "# connection 6\n" {
		t.Errorf("%d transcripts, the first is %q", len(got), got[0])
	}
}

func TestDialForAClient(t *testing.T) {
	s := newServer(t, ImplicitTLS, InMemory)
	conn, err := s.Dial(t.Context(), "tcp", "nowhere.example:465")
	if err != nil {
		t.Fatal(err)
	}
	c, err := netsmtp.NewClient(tls.Client(conn, s.ClientTLSConfig()), "localhost")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Noop(); err != nil {
		t.Error(err)
	}
}
