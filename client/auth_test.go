package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/internal/secrettest"
	"github.com/postrider/postrider/smtp"
)

// authConn is a connection over TLS to a script, after EHLO. SCRAM cannot be
// bound to it: a script does not know what to.
func authConn(t *testing.T, script string) *client.Conn {
	t.Helper()
	c := scripted(t, script)
	nc, err := c.Dial(t.Context(), "tcp", c.Addr)
	if err != nil {
		t.Fatal(err)
	}
	cfg := trusting(t)
	cfg.ServerName, cfg.Renegotiation = host, tls.RenegotiateOnceAsClient
	conn, err := client.NewConn(t.Context(), tls.Client(nc, cfg), &client.ConnConfig{Host: host, Timeouts: c.Timeouts, Trace: watched(nil)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.Hello(t.Context(), "client.example"); err != nil {
		t.Fatal(err)
	}
	return conn
}

func token(s string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return s, nil }
}

func TestAuth(t *testing.T) {
	for _, test := range []struct {
		script string
		auth   client.Auth
		errors []string // of one exchange after the other; "" is success
	}{
		{"login", client.PasswordAuth("user", "pass"), []string{""}},
		{"plain", client.PasswordAuth("user", "pass"), []string{"AUTH PLAIN: smtp: AUTH: 535 5.7.8 wrong", "AUTH PLAIN: smtp: AUTH: 454 4.7.0 not now"}},
		{"external", client.ExternalAuth(""), []string{""}},
		{"xoauth2", client.XOAuth2Auth("user", token("token")), []string{`AUTH XOAUTH2: smtp: AUTH: 535 5.7.8 wrong "{\"status\":\"400\"}"`}},
		{"oauthbearer", client.OAuthBearerAuth("us=er,", token("token")), []string{`AUTH OAUTHBEARER: smtp: AUTH: 535 5.7.8 wrong "{\"status\":\"invalid_token\"}"`}},
		{"long", client.XOAuth2Auth("user", token(strings.Repeat("x", 600))), []string{""}},
		{"long-challenge", client.LoginAuth("user", "pass"), []string{""}},
		{"not-base64", client.LoginAuth("user", "pass"), []string{"AUTH LOGIN: the challenge is not base64", "AUTH LOGIN: sasl: unexpected server challenge"}},
		{"none", client.PasswordAuth("user", "pass"), []string{`AUTH: the server offers no mechanism for a password that this connection can use: ["CRAM-MD5" "SCRAM-SHA-512" "GSSAPI"]`}},
		{"none", client.PlainAuth("user", "pass"), []string{"AUTH PLAIN: the server does not offer this mechanism"}},
	} {
		t.Run(test.script, func(t *testing.T) {
			conn := authConn(t, "auth-"+test.script)
			for _, want := range test.errors {
				err := conn.Auth(t.Context(), test.auth)
				fmt.Fprintln(secrettest.Seen, err)
				if got := fmt.Sprint(err); got != want && (want != "" || err != nil) {
					t.Errorf("error %q, want %q", got, want)
				}
				var failed *client.AuthError
				if errors.As(err, &failed) && failed.Temporary() != strings.Contains(want, "454") {
					t.Errorf("%v: temporary %v", err, failed.Temporary())
				}
			}
			if err := conn.Quit(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A server that breaks the exchange is not talked to any more.
func TestAuthBroken(t *testing.T) {
	for _, script := range []string{"cancelled-accepted", "too-long", "two-lines"} {
		t.Run(script, func(t *testing.T) {
			conn := authConn(t, "auth-"+script)
			err := conn.Auth(t.Context(), client.LoginAuth("user", "pass"))
			var broken *client.ProtocolError
			if !errors.As(err, &broken) || conn.Err() == nil {
				t.Errorf("error %v", err)
			}
		})
	}
}

// Neither the name nor the address alone makes a connection one to this machine.
func TestNoCredentialsInPlaintext(t *testing.T) {
	c := scripted(t, "plaintext-auth")
	c.Auth = client.PlainAuth("user", "pass")
	res, err := send(t, c, "A: b\r\n", 1)
	var failed *client.SendError
	if !errors.Is(err, client.ErrPlaintextAuth) || res.Delivered() > 0 || !errors.As(err, &failed) || failed.Temporary() {
		t.Errorf("error %v", err)
	}
}

func TestLoopbackAuth(t *testing.T) {
	s := newSink(t, "AUTH PLAIN")
	s.Auth = client.PasswordAuth("user", "pass")
	res, err := s.Send(t.Context(), envelope(t, 1), smtp.BytesContent([]byte("A: b\r\n")))
	want(t, res, err, "250")
}

func TestInitialResponses(t *testing.T) {
	info := client.AuthInfo{Host: host, Port: 587}
	for want, auth := range map[string]client.Auth{
		"PLAIN \x00user\x00pass": client.PlainAuth("user", "pass"),
		"LOGIN ":                 client.LoginAuth("user", "pass"),
		"EXTERNAL id":            client.ExternalAuth("id"),
		"XOAUTH2 user=u\x01auth=Bearer t\x01\x01":                                          client.XOAuth2Auth("u", token("t")),
		"OAUTHBEARER n,a=u=3D=2C,\x01host=mx.example\x01port=587\x01auth=Bearer t\x01\x01": client.OAuthBearerAuth("u=,", token("t")),
	} {
		m, err := auth(t.Context(), info)
		if err != nil {
			t.Fatal(err)
		}
		if name, first, err := m.Start(); name+" "+string(first) != want || err != nil {
			t.Errorf("%q %q %v, want %q", name, first, err, want)
		}
	}
}

// Credentials that would end what they stand in are refused.
func TestBadCredentials(t *testing.T) {
	broken := errors.New("no token today")
	for name, auth := range map[string]client.Auth{
		"PLAIN":    client.PlainAuth("user", "pass\x00word"),
		"password": client.PasswordAuth("us\x00er", "pass"),
		"XOAUTH2":  client.XOAuth2Auth("user\x01auth=Bearer x", token("t")),
		"token":    client.OAuthBearerAuth("user", token("t\x01\x01")),
		"source":   client.XOAuth2Auth("user", func(context.Context) (string, error) { return "", broken }),
	} {
		if _, err := auth(t.Context(), client.AuthInfo{Mechanisms: []string{"PLAIN"}}); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// No credential reaches a trace, in any spelling.
func TestTraceIsRedacted(t *testing.T) {
	var seen strings.Builder
	trace := watched(&client.Trace{
		Wrote: func(_ client.ConnInfo, line string) { fmt.Fprintln(&seen, "C:", line) },
		Got:   func(_ client.ConnInfo, r smtp.Reply) { fmt.Fprintln(&seen, "S:", r, r.Raw) },
	})
	for _, script := range []string{"plain-accepted", "login"} {
		seen.Reset()
		c := scripted(t, "auth-"+script)
		c.TLSMode, c.TLSConfig, c.Auth, c.Trace = client.ImplicitTLS, trusting(t), client.PasswordAuth("user", "pass"), trace
		conn, err := c.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		conn.Quit(t.Context())
		for _, secret := range []string{"pass", "AHVzZXIAcGFzcw==", "dXNlcg==", "cGFzcw==", "VXNlcm5hbWU6"} {
			if strings.Contains(seen.String(), secret) {
				t.Errorf("%q in\n%s", secret, seen.String())
			}
		}
		if !strings.Contains(seen.String(), "***") {
			t.Errorf("nothing is redacted in\n%s", seen.String())
		}
	}
}
